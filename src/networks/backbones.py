"""timm backbones: known by name, filled with weights of a local file or the hub, with the pixels that they expect.

A backbone is fine-tuned (FineTune) or, without its head, gives features (Encoder).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from src.base import files, machine
from src.base.errors import UserError, unknown
from src.data.geometry import Geometry
from src.networks import hub
from src.networks.inference import Tower
from src.schema.models import FineTune
from src.schema.networks import Encoder

HUB_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class DataConfig:
    """The pixels that a backbone was trained with."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str  # bicubic or bilinear


def check(spec: FineTune | Encoder) -> None:
    """Refuses a backbone that timm does not know, or has no weights for. Raises UserError: With the nearest names."""
    arch, _, tag = spec.backbone.partition(".")
    if not timm.is_model(arch):
        raise UserError(unknown("timm backbone", arch, timm.list_models()))
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{arch}.*")]
    if tag and tag not in tags:
        raise UserError(
            f"{arch}: {unknown('tag', tag, tags)}"
            if tags
            else f"{arch} has no pretrained weights: write backbone={arch!r}"
        )
    if spec.pretrained and spec.weights_file is None and not tags:
        raise UserError(f"{arch} has no pretrained weights: set pretrained=False, or give a weights_file")
    if spec.weights_file is not None:
        if not spec.pretrained:
            raise UserError(f"{spec.backbone}: pretrained=False and a weights_file contradict each other: drop one")
        hub.local_file(spec.backbone, spec.weights_file)


def identity(spec: FineTune | Encoder) -> dict[str, Any]:
    """The weights that training starts from, as a key names them."""
    if not spec.pretrained:
        return {"random": spec.seed}
    if spec.weights_file is not None:
        return {"sha256": files.cached_sha256(hub.local_file(spec.backbone, spec.weights_file))}
    return {"tag": timm.get_pretrained_cfg(spec.backbone).tag}


def weights(spec: FineTune | Encoder) -> Path | None:
    """The file of the weights that training starts from; None for random ones."""
    if not spec.pretrained:
        return None
    if spec.weights_file is not None:
        return hub.local_file(spec.backbone, spec.weights_file)
    config = timm.get_pretrained_cfg(spec.backbone)
    if not config.hf_hub_id:
        raise UserError(
            f"{spec.backbone} is not on the hub, only at {config.url}: download it and give it as weights_file"
        )
    names = (config.hf_hub_filename,) if config.hf_hub_filename else HUB_FILES
    return hub.fetch(spec.backbone, config.hf_hub_id, names)


def arguments(spec: FineTune | Encoder) -> dict[str, Any]:
    """The arguments of timm.create_model beside the name."""
    args = spec.backbone_arguments
    config = timm.get_pretrained_cfg(spec.backbone)
    if spec.img_size is not None and config is not None and config.fixed_input_size:  # others refuse to be told
        args["img_size"] = spec.img_size
    return args


def create(spec: FineTune | Encoder, n_classes: int, seed: int, path: Path | None) -> nn.Module:
    """The backbone with a new head for `n_classes` (0: no head), its random parts drawn from `seed`.

    Args:
        path: The file of weights(spec); None for random weights, also where a checkpoint is loaded over them.

    Raises:
        UserError: timm refuses the arguments, or the file holds other weights.
    """
    args = arguments(spec)
    torch.manual_seed(seed)
    try:
        if path is None:
            return timm.create_model(spec.backbone, num_classes=n_classes, **args)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise UserError(f"{spec.backbone}: timm does not make it with {args}: {error}") from error
    with hub.explain_load_errors(spec.backbone, path):
        # with the head it was trained with, so that timm compares all names and shapes; the new head comes after
        # custom_load: how timm's own source is read, and not this file; before 1.0.31 timm thinks it is
        overlay, own = {"file": str(path), "custom_load": False}, timm.get_pretrained_cfg(spec.backbone)
        if spec.weights_file is not None and own is not None:
            trained = n_head_classes(path, own.classifier)
            if trained not in (None, own.num_classes):
                print(f"{spec.backbone}: {path.name} has a head of {trained} classes, a new one takes its place")
                args, overlay = {**args, "num_classes": trained}, {**overlay, "num_classes": trained}
        model = timm.create_model(spec.backbone, pretrained=True, pretrained_cfg_overlay=overlay, **args)
    model.reset_classifier(n_classes)
    return model


def n_head_classes(path: Path, classifier: str | tuple[str, ...] | None) -> int | None:
    """Of a checkpoint's head, which timm calls `classifier`; 0 where it has none, None where that cannot be told."""
    if not isinstance(classifier, str):
        return None
    state = timm.models.load_state_dict(str(path), device="cpu", weights_only=True)
    if f"{classifier}.weight" in state:
        return state[f"{classifier}.weight"].shape[0]
    return None if {"head.weight", "head.fc.weight", "fc.weight", "classifier.weight"} & state.keys() else 0


def data_config(spec: FineTune | Encoder) -> DataConfig:
    config = timm.get_pretrained_cfg(spec.backbone)
    if config is None:  # a name without any weights
        return DataConfig(timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD, "bicubic")
    interpolation = config.interpolation if config.interpolation in ("bicubic", "bilinear") else "bicubic"
    return DataConfig(tuple(config.mean), tuple(config.std), interpolation)


def geometry(spec: Encoder) -> Geometry:
    """The square that timm's own transform for evaluation makes of a picture."""
    config = timm.get_pretrained_cfg(spec.backbone)
    size = spec.img_size or (config.input_size[-1] if config else 224)
    crop_pct = (config.crop_pct if config else None) or timm.data.DEFAULT_CROP_PCT
    mode = {"squash": "squash", "border": "longest"}.get(config.crop_mode if config else "", "shortest")
    data = data_config(spec)
    fill = tuple(round(255 * value) for value in data.mean) if mode == "longest" else 0
    return Geometry(size, math.floor(size / crop_pct), mode, data.interpolation, fill)


def tower(spec: Encoder) -> Tower:
    """The backbone without its head, its weights as identity(spec) names them, on this machine's device."""
    data = data_config(spec)
    with torch.random.fork_rng():
        model = create(spec, 0, spec.seed, weights(spec))
    return Tower(machine.on_device(model), geometry(spec), data.mean, data.std)
