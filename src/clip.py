"""CLIP by open_clip: what names it in a key, its image tower and preprocessing, and the zero-shot classifier."""

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image
from torch import Tensor, nn

from src import files, hub, machine
from src.config import Clip, ClipArch, Prompts, resolve
from src.errors import UserError, unknown

HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class ClipModel:
    model: nn.Module
    tokenizer: Callable[[list[str]], Tensor]
    preprocess: Callable[[Image.Image], Tensor]  # RGB picture -> (3, size, size), normalised


def title(spec: Clip) -> str:
    """The model as a config names it: `ViT-H-14 (laion2b_s32b_b79k)`."""
    return f"{arch_name(spec)} ({spec.weights or spec.weights_file or 'random weights'})"


def arch_name(spec: Clip) -> str:
    return spec.clip.name if isinstance(spec.clip, ClipArch) else spec.clip


def slug(spec: Clip) -> str:
    """A folder's name for the model's features; another model, checkpoint or asked precision has another name."""
    parts = [arch_name(spec), spec.weights]
    if isinstance(spec.clip, ClipArch):
        parts.append(files.digest(arch(spec))[:7])
    if spec.weights_file is not None:
        parts.append(files.remembered_sha256(resolve(spec.weights_file))[:7])
    elif spec.weights is None:
        parts.append(f"random{spec.seed}")
    if spec.precision != "auto":
        parts.append(spec.precision)
    return "-".join(filter(None, parts)).replace("/", "_")


def arch(spec: Clip) -> dict[str, Any]:
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
        if tag.get("quick_gelu", False) != config.get("quick_gelu", False):
            other = spec.clip.removesuffix("-quickgelu") + ("-quickgelu" if tag.get("quick_gelu") else "")
            raise UserError(
                f"{spec.clip} computes another activation than weights {spec.weights!r} had: write clip={other!r}"
            )
    return config


def preprocessing(spec: Clip) -> PreprocessCfg:
    """How a picture becomes a tensor: the tag's own way, also where the weights come from a file."""
    config = asdict(PreprocessCfg(size=arch(spec)["vision_cfg"].get("image_size", 224)))
    tag = open_clip.get_pretrained_cfg(arch_name(spec), spec.weights) if spec.weights else {}
    return PreprocessCfg(**merge_preprocess_dict(config, {name: tag[name] for name in tag if name != "size"}))


def identity(spec: Clip) -> dict[str, Any]:
    """All that changes the model's features but the precision, without loading it: a part of keys.

    Raises:
        UserError: The architecture or its weights are not known, or the weights file is missing.
    """
    if spec.weights_file is not None:
        path = hub.local(title(spec), resolve(spec.weights_file))
        checkpoint = {"tag": spec.weights, "sha256": files.remembered_sha256(path)}
    else:
        checkpoint = {"tag": spec.weights} if spec.weights else {"random": spec.seed}
    preprocess = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(preprocessing(spec)).items()}
    return {"arch": arch(spec), "checkpoint": checkpoint, "preprocess": preprocess}


def load(spec: Clip) -> ClipModel:
    """The model in evaluation mode on this machine's device.

    Raises:
        UserError: As `identity`, or the hub cannot be reached, or the file holds other weights.
    """
    config, what, path = arch(spec), title(spec), None
    if spec.weights_file is not None:
        path = hub.local(what, resolve(spec.weights_file))
    elif spec.weights is not None:
        path = from_hub(spec, what)
    else:
        print(f"{what}: no weights are given, its features are those of a random network")
    with torch.random.fork_rng():
        torch.manual_seed(spec.seed)
        if isinstance(spec.clip, ClipArch):
            try:
                model = open_clip.CLIP(**config)
            except (TypeError, ValueError) as error:
                raise UserError(f"{what} is not an architecture that open_clip can make: {error}") from error
        else:
            logging.disable(logging.WARNING)  # that no weights are loaded: they are, below, or it was said above
            try:
                model = open_clip.create_model(spec.clip, pretrained=None, pretrained_text=False)
            finally:
                logging.disable(logging.NOTSET)
    if path is not None:
        with hub.refusing_bad_weights(what, path):
            open_clip.load_checkpoint(model, str(path), strict=True, weights_only=True)
    model = model.eval().requires_grad_(False).to(machine.device())
    if isinstance(spec.clip, ClipArch):
        tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
    else:
        tokenizer = open_clip.get_tokenizer(spec.clip)
    return ClipModel(model, tokenizer, image_transform_v2(preprocessing(spec), is_train=False))


def from_hub(spec: Clip, what: str):
    tag = open_clip.get_pretrained_cfg(spec.clip, spec.weights)
    if not tag.get("hf_hub"):
        raise UserError(f"{what} is not on the hub, only at {tag.get('url')}: download it and give it as weights_file")
    repo, _, filename = tag["hf_hub"].rpartition("/")
    if not filename:
        names = HUB_FILES
    else:
        safe = filename.rsplit(".", 1)[0] + ".safetensors"
        names = tuple(dict.fromkeys([*([HUB_FILES[0]] if filename == HUB_FILES[1] else []), safe, filename]))
    return hub.fetch(what, repo, names)


@torch.inference_mode()
def encode(clip: ClipModel, pixels: Tensor, precision: str) -> np.ndarray:
    """Image features as the model gives them, not normalised: pixels (n, 3, size, size) -> (n, d) float32."""
    with machine.autocast(precision):
        feats = clip.model.encode_image(pixels.to(machine.device(), non_blocking=True))
    return feats.float().cpu().numpy()


@torch.inference_mode()
def zeroshot_classifier(clip: ClipModel, prompts: Prompts, classes: tuple[str, ...]) -> np.ndarray:
    """One unit vector a class, (d, k): the mean of the unit vectors of its texts, as in Radford et al. 2021, 3.1.4.

    For one phrase a class it is `open_clip.build_zero_shot_classifier`; more phrases weigh like more templates.
    """
    columns = []
    for label in classes:
        tokens = clip.tokenizer(prompts.texts(label)).to(machine.device())
        mean = clip.model.encode_text(tokens, normalize=True).float().mean(dim=0)
        columns.append(mean / mean.norm())
    return torch.stack(columns, dim=1).cpu().numpy()
