"""CLIP by open_clip: its identity in a key, its image tower and preprocessing, and the texts it reads.

open_clip is imported in the functions that use it: where a config has no CLIP, it need not be installed.
"""

import functools
import importlib.util
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from src.base import files, machine
from src.base.errors import UserError, unknown
from src.data.geometry import Geometry
from src.networks import hub, weights
from src.networks.inference import Tower
from src.schema.networks import ClipArch, Encoder

if TYPE_CHECKING:
    from open_clip import SimpleTokenizer
    from open_clip.transform import PreprocessCfg

HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TEXTS = 256  # encoded in one batch


@dataclass(frozen=True)
class ClipModel:
    model: nn.Module
    tokenizer: Callable[[list[str]], Tensor]


@functools.cache
def simple_tokenizer(**options: Any) -> "SimpleTokenizer":
    """Cached, since it reads the 262,144 merges of its vocabulary: seconds, in which a tiny model is trained."""
    import open_clip

    return open_clip.SimpleTokenizer(**options)


def title(spec: Encoder) -> str:
    """The model as a config names it: `ViT-H-14 (laion2b_s32b_b79k)`."""
    return f"{arch_name(spec)} ({spec.weights or spec.weights_file or 'random weights'})"


def arch_name(spec: Encoder) -> str:
    return spec.clip.name if isinstance(spec.clip, ClipArch) else spec.clip


def name_parts(spec: Encoder) -> list[str]:
    """The parts of a folder's name that name the model, but for its weights file, seed and precision."""
    own = [files.digest(arch(spec))[:7]] if isinstance(spec.clip, ClipArch) else []
    return [arch_name(spec), *([spec.weights] if spec.weights else []), *own]


def arch(spec: Encoder) -> dict[str, Any]:
    """open_clip's config of the architecture.

    Raises:
        UserError: open_clip does not know it, or the weights' tag, or the tag was trained with the other activation.
    """
    if isinstance(spec.clip, ClipArch):
        if spec.weights is not None:
            raise UserError(
                f"{spec.clip.name} is your own architecture: it has no weights {spec.weights!r}, only a weights_file"
            )
        return {**spec.clip.model_dump(exclude={"name"}), "quick_gelu": False}
    import open_clip

    config = open_clip.get_model_config(spec.clip)
    if config is None:
        raise UserError(unknown("CLIP architecture", spec.clip, open_clip.list_models()))
    text = config["text_cfg"]
    if (text.get("hf_model_name") or text.get("hf_tokenizer_name")) and not importlib.util.find_spec("transformers"):
        raise UserError(
            f"{spec.clip} reads its texts with the package transformers: pip install transformers, or take another"
        )
    if spec.weights is not None:
        tag = open_clip.get_pretrained_cfg(spec.clip, spec.weights)
        if not tag:
            tags = open_clip.list_pretrained_tags_by_model(spec.clip)
            raise UserError(f"{spec.clip}: {unknown('weights', spec.weights, tags)}")
        refuse_other_activation(spec.clip, config, tag, f"weights {spec.weights!r} had")
    elif own := bundled_config(spec).get("model_cfg"):
        refuse_other_activation(spec.clip, config, own, f"{spec.weights_file} was trained with (open_clip_config.json)")
        if own.get("embed_dim") != config["embed_dim"] or own.get("vision_cfg") != config["vision_cfg"]:
            raise UserError(f"{spec.weights_file} holds another architecture than {spec.clip} (open_clip_config.json)")
    return config


def refuse_other_activation(name: str, config: dict[str, Any], trained: dict[str, Any], whose: str) -> None:
    """Raise UserError: QuickGELU is no weight: a checkpoint loads without it, and every feature is a little wrong."""
    if trained.get("quick_gelu", False) != config.get("quick_gelu", False):
        other = name.removesuffix("-quickgelu") + ("-quickgelu" if trained.get("quick_gelu") else "")
        raise UserError(f"{name} computes another activation than {whose}: write clip={other!r}")


def bundled_config(spec: Encoder) -> dict[str, Any]:
    """open_clip's config that lies beside the weights file, as in a folder of the hub; empty where there is none."""
    if spec.weights_file is None:
        return {}
    return files.read_json(weights.local_file(title(spec), spec.weights_file).with_name("open_clip_config.json")) or {}


def preprocessing(spec: Encoder) -> "PreprocessCfg":
    """The tag's own way from a picture to a tensor, also where the weights come from a file."""
    import open_clip
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    config = asdict(PreprocessCfg(size=arch(spec)["vision_cfg"].get("image_size", 224)))
    own = open_clip.get_pretrained_cfg(arch_name(spec), spec.weights) if spec.weights else None
    own = own or bundled_config(spec).get("preprocess_cfg", {})
    own = {name: own[name] for name in own if name != "size"}
    own |= {name: value for name in ("mean", "std", "interpolation") if (value := getattr(spec, name)) is not None}
    return PreprocessCfg(**merge_preprocess_dict(config, own))


def geometry(spec: Encoder) -> Geometry:
    """Raises UserError: The model does not see squares."""
    cfg = preprocessing(spec)
    sides = set(cfg.size) if isinstance(cfg.size, tuple | list) else {cfg.size}
    if len(sides) > 1:
        raise UserError(f"{title(spec)} sees {cfg.size} pixels, which is no square: take another model")
    side = sides.pop()
    return Geometry(side, side, cfg.resize_mode, cfg.interpolation, cfg.fill_color)


def identity(spec: Encoder) -> dict[str, Any]:
    """All that changes the model's features but the precision, without loading it: a part of keys.

    Raises:
        UserError: The architecture or its weights are not known, or the weights file is missing.
    """
    if spec.weights_file is not None:
        path = weights.local_file(title(spec), spec.weights_file)
        checkpoint = {"tag": spec.weights, "sha256": files.cached_sha256(path)}
    else:
        checkpoint = {"tag": spec.weights} if spec.weights else {"random": spec.seed}
    return files.as_json_value(
        {"arch": arch(spec), "checkpoint": checkpoint, "preprocess": asdict(preprocessing(spec))}
    )


def arch_at_size(spec: Encoder, img_size: int | None) -> dict[str, Any]:
    """`arch`, for squares of `img_size` pixels a side.

    Raises:
        UserError: As `arch`, or the squares are no whole number of the tower's patches.
    """
    config = arch(spec)
    if img_size is None:
        return config
    vision = config["vision_cfg"]
    patch = None if vision.get("timm_model_name") else vision.get("patch_size", 16)
    patch = 32 if isinstance(vision.get("layers"), tuple | list) else patch  # what a ResNet reduces by
    if patch and img_size % patch:
        raise UserError(f"{title(spec)} cannot take img_size={img_size}: it takes multiples of {patch}")
    return {**config, "vision_cfg": {**vision, "image_size": img_size}}


def load(spec: Encoder) -> ClipModel:
    """The model in evaluation mode on this machine's device. Raises UserError as `create`."""
    import open_clip

    model = machine.on_device(create(spec))
    if isinstance(spec.clip, ClipArch):
        kwargs = arch(spec)["text_cfg"].get("tokenizer_kwargs", {})
        return ClipModel(model, simple_tokenizer(context_length=model.context_length, **kwargs))
    return ClipModel(model, open_clip.get_tokenizer(spec.clip))


def create(spec: Encoder, img_size: int | None = None, pretrained: bool = True) -> nn.Module:
    """The model on the CPU.

    Args:
        img_size: Pixels a side, where it is not what the weights were trained with: position embeddings are resized.
        pretrained: False: its weights are drawn at random, since a checkpoint is to be loaded over them.

    Raises:
        UserError: As `identity` and `arch_at_size`, or the hub cannot be reached, or the file holds other weights.
    """
    import open_clip

    config, what = arch_at_size(spec, img_size), title(spec)
    path = weights_path(spec, what) if pretrained else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        if isinstance(spec.clip, ClipArch):
            try:
                model = open_clip.CLIP(**config)
            except (TypeError, ValueError) as error:
                raise UserError(f"{what} is not an architecture that open_clip can make: {error}") from error
        else:
            logging.disable(logging.WARNING)  # that no weights are loaded: they are, below, or it was said above
            try:
                model = open_clip.create_model(
                    spec.clip, pretrained=None, pretrained_text=False, force_image_size=img_size
                )
            finally:
                logging.disable(logging.NOTSET)
    if path is not None:
        fill(model, what, path)
    return model


def fill(model: nn.Module, what: str, path: Path) -> None:
    """Load the weights of a file: as open_clip saves them, or else as anyone may have saved them.

    Raises:
        UserError: It holds other weights, or none.
    """
    import open_clip

    try:
        with weights.explain_load_errors(what, path):
            open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)
    except UserError:
        if path.suffix in (".npz", ".npy"):
            raise
        with weights.explain_load_errors(what, path):
            state, _ = weights.fit_names(weights.read(path), model.state_dict().keys())
        with tempfile.TemporaryDirectory() as folder:  # open_clip resizes and converts what it reads from a file
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, copy := f"{folder}/a.safetensors")
            try:
                open_clip.load_checkpoint(model, copy, strict=True)
            except (RuntimeError, KeyError) as error:
                raise UserError(weights.misfit(what, path, state, model.state_dict())) from error


def weights_path(spec: Encoder, what: str) -> Path | None:
    """The file of its weights; None for random ones, which is said."""
    if spec.weights_file is not None:
        return weights.local_file(what, spec.weights_file)
    if spec.weights is not None:
        return fetch_from_hub(spec, what)
    print(f"{what}: no weights are given, its features are those of a random network")
    return None


def fetch_from_hub(spec: Encoder, what: str) -> Path:
    return hub.fetch(what, *hub_files(spec, what))


def hub_files(spec: Encoder, what: str) -> tuple[str, tuple[str, ...]]:
    """The repository on the hub, and the files there of which one is wanted. Raises UserError: It is not on the hub."""
    import open_clip

    tag = open_clip.get_pretrained_cfg(spec.clip, spec.weights)
    if not tag.get("hf_hub"):
        raise UserError(f"{what} is not on the hub, only at {tag.get('url')}: download it and give it as weights_file")
    repo, _, filename = tag["hf_hub"].rpartition("/")
    if not filename:
        names = HUB_FILES
    else:
        safe = filename.rsplit(".", 1)[0] + ".safetensors"
        names = tuple(dict.fromkeys([*([HUB_FILES[0]] if filename == HUB_FILES[1] else []), safe, filename]))
    return repo, names


def tower(spec: Encoder) -> Tower:
    """The image tower on this machine's device, and nothing else there. Raises UserError as `create`."""
    cfg, model = preprocessing(spec), create(spec).eval()
    machine.on_device(model.visual)
    return Tower(model.encode_image, geometry(spec), tuple(cfg.mean), tuple(cfg.std))


@torch.inference_mode()
def encode_texts(clip: ClipModel, texts: Sequence[str]) -> np.ndarray:
    """One unit vector a text: (n, d) float32. In float32 on every device: they are few, and every row leans on them."""
    parts = [clip.tokenizer(list(texts[i : i + TEXTS])).to(machine.device()) for i in range(0, len(texts), TEXTS)]
    with machine.full_float32():
        feats = [clip.model.encode_text(part, normalize=True).float() for part in parts]
    return torch.cat(feats).cpu().numpy()
