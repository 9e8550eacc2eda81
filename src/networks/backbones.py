"""timm backbones: known by name, filled with weights of a local file or the hub, with the pixels that they expect.

A backbone is fine-tuned (FineTune) or, without its head, gives features (Encoder).
"""

import functools
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
from src.networks import hub, weights
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

    def described(self, side: int) -> str:
        """`240 pixels a side, bicubic, mean 0.5 0.5 0.5, std 0.5 0.5 0.5`."""
        mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return f"{side} pixels a side, {self.interpolation}, mean {mean}, std {std}"


@functools.cache
def announce(name: str, side: int, config: DataConfig) -> None:
    """Print once how a network sees pictures: with another mean or std it is points worse, and nothing fails."""
    print(f"{name}  sees {config.described(side)}")


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
        weights.local_file(spec.backbone, spec.weights_file)


def identity(spec: FineTune | Encoder) -> dict[str, Any]:
    """The weights that training starts from, as a key names them."""
    if not spec.pretrained:
        return {"random": spec.seed}
    if spec.weights_file is not None:
        return {"sha256": files.cached_sha256(weights.local_file(spec.backbone, spec.weights_file))}
    return {"tag": timm.get_pretrained_cfg(spec.backbone).tag}


def weights_path(spec: FineTune | Encoder) -> Path | None:
    """The file of the weights that training starts from; None for random ones."""
    if not spec.pretrained:
        return None
    if spec.weights_file is not None:
        return weights.local_file(spec.backbone, spec.weights_file)
    return hub.fetch(spec.backbone, *hub_files(spec))


def hub_files(spec: FineTune | Encoder) -> tuple[str, tuple[str, ...]]:
    """The repository on the hub, and the files there of which one is wanted. Raises UserError: It is not on the hub."""
    config = timm.get_pretrained_cfg(spec.backbone)
    if not config.hf_hub_id:
        raise UserError(
            f"{spec.backbone} is not on the hub, only at {config.url}: download it and give it as weights_file"
        )
    return config.hf_hub_id, (config.hf_hub_filename,) if config.hf_hub_filename else HUB_FILES


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
        path: The file of weights_path(spec); None for random weights, also where a checkpoint is loaded over them.

    Raises:
        UserError: timm refuses the arguments, or the file holds other weights.
    """
    torch.manual_seed(seed)
    if path is None:
        return make(spec, num_classes=n_classes)
    model, own = load(spec, path), timm.get_pretrained_cfg(spec.backbone)
    if own is not None and model.num_classes != own.num_classes:
        print(f"{spec.backbone}: {path.name} has a head of {model.num_classes} classes, a new one takes its place")
    model.reset_classifier(n_classes)
    return model


def make(spec: FineTune | Encoder, **head) -> nn.Module:
    """The backbone with random weights. Raises UserError: timm refuses the arguments."""
    args = arguments(spec)
    try:
        return timm.create_model(spec.backbone, **args, **head)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise UserError(f"{spec.backbone}: timm does not make it with {args}: {error}") from error


def load(spec: FineTune | Encoder, path: Path) -> nn.Module:
    """The backbone with the weights of weights_path(spec), and with the head that they have: all names are compared.

    Raises:
        UserError: The file holds other weights, or timm refuses the arguments.
    """
    # custom_load: how timm's own source is read, and not this one; before 1.0.31 timm thinks it is
    args, overlay = arguments(spec), {"custom_load": False}
    if spec.weights_file is None or path.suffix == ".npz":
        with weights.explain_load_errors(spec.backbone, path):
            overlay["file"] = str(path)
            return timm.create_model(spec.backbone, pretrained=True, pretrained_cfg_overlay=overlay, **args)
    state, k = read(spec, path)
    head = {} if k is None else {"num_classes": k}
    overlay |= {"state_dict": dict(state), **head}
    try:
        return timm.create_model(spec.backbone, pretrained=True, pretrained_cfg_overlay=overlay, **args, **head)
    except (RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
        with torch.device("meta"):
            wanted = make(spec, **head).state_dict()
        raise UserError(weights.misfit(spec.backbone, path, state, wanted)) from error


def read(spec: FineTune | Encoder, path: Path) -> tuple[weights.State, int | None]:
    """The weights of a local file by the backbone's names, and the classes of its head: see `n_head_classes`.

    What is left out of the file is printed.

    Raises:
        UserError: It holds no weights.
    """
    with weights.explain_load_errors(spec.backbone, path):
        state = weights.read(path)
    with torch.device("meta"):
        names = make(spec).state_dict().keys()
    state, left_out = weights.fit_names(state, names)
    if left_out:
        some = ", ".join(left_out[:3]) + " ..." * (len(left_out) > 3)
        print(f"{spec.backbone}: {path.name} has {len(left_out)} names beside the network's, left out: {some}")
    own = timm.get_pretrained_cfg(spec.backbone)
    return state, n_head_classes(state, "fc" if own is None else own.classifier)


def n_head_classes(state: weights.State, classifier: str | tuple[str, ...] | None) -> int | None:
    """Of a checkpoint's head, which timm calls `classifier`; 0 where it has none, None where that cannot be told."""
    if not isinstance(classifier, str):
        return None
    if f"{classifier}.weight" in state:
        return state[f"{classifier}.weight"].shape[0]
    return None if {"head.weight", "head.fc.weight", "fc.weight", "classifier.weight"} & state.keys() else 0


def data_config(spec: FineTune | Encoder) -> DataConfig:
    """The pixels that the config asks for, or else those that timm says the weights were trained with."""
    mean, std, interpolation = timm.data.IMAGENET_DEFAULT_MEAN, timm.data.IMAGENET_DEFAULT_STD, "bicubic"
    if (config := timm.get_pretrained_cfg(spec.backbone)) is not None:  # else it is a name without any weights
        mean, std = tuple(config.mean), tuple(config.std)
        interpolation = config.interpolation if config.interpolation in ("bicubic", "bilinear") else interpolation
    return DataConfig(spec.mean or mean, spec.std or std, spec.interpolation or interpolation)


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
    with torch.random.fork_rng(devices=[]):
        model = create(spec, 0, spec.seed, weights_path(spec))
    return Tower(machine.on_device(model), geometry(spec), data.mean, data.std)
