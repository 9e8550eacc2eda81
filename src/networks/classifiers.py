"""The networks of fine-tuning: a timm backbone with a new head, or a CLIP's image tower with a linear head."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from src.base.errors import UserError
from src.data.geometry import Geometry
from src.networks import backbones, clip, hub
from src.networks.backbones import DataConfig
from src.schema.models import FineTune
from src.schema.networks import Encoder


@dataclass(frozen=True)
class Head:
    """Where a CLIP's linear head starts: logits of unit features (n, d) are feats @ coef.T + intercept."""

    coef: np.ndarray  # (k, d)
    intercept: np.ndarray  # (k,)


class CosineHead(nn.Module):
    """`scale` times the cosine of features and a vector a class: the head of losses with an angular margin.

    The margin itself is the loss's (models/finetune/losses.py), so that what predicts has none.
    """

    def __init__(self, d: int, k: int, scale: float):
        super().__init__()
        self.scale, self.weight = scale, nn.Parameter(torch.empty(k, d))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, feats: Tensor) -> Tensor:
        # in float32, as below: bfloat16 tells no angles of less than some degrees apart
        with torch.autocast(feats.device.type, enabled=False):
            return self.scale * F.linear(F.normalize(feats.float(), dim=-1), F.normalize(self.weight.float(), dim=-1))


class ClipClassifier(nn.Module):
    """A linear head on the unit image features, as WiSE-FT has it: with a zero-shot head it is the zero-shot model."""

    def __init__(self, visual: nn.Module, head: nn.Module):
        super().__init__()
        self.visual, self.head = visual, head

    def forward(self, pixels: Tensor) -> Tensor:
        feats = self.visual(pixels)
        feats = feats[0] if isinstance(feats, tuple) else feats  # CoCa's has tokens too
        # bfloat16 has steps of 1/8 at the logits of a zero-shot head, some 25: the likeliest classes would be equal
        with torch.autocast(pixels.device.type, enabled=False):
            return self.head(F.normalize(feats.float(), dim=-1))

    def get_classifier(self) -> nn.Module:
        return self.head

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        self.visual.set_grad_checkpointing(enable)

    def no_weight_decay(self) -> Collection[str]:
        return {name for name, _ in self.named_parameters() if name.endswith(("embedding", "pos_embed", "cls_token"))}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """timm's grouping of parameters in layers, for the layer-wise lr; what is not matched is in the last."""
        return {
            "stem": r"^visual\.(?:conv\d|bn\d|(?:class|positional)_embedding|ln_pre|trunk\.(?:stem|patch|cls_|pos_))",
            "blocks": [
                (r"^visual\.transformer\.resblocks\.(\d+)", None),
                (r"^visual\.layer(\d+)\.(\d+)", None),
                (r"^visual\.trunk\.stages\.(\d+)\.blocks\.(\d+)", None),
                (r"^visual\.trunk\.blocks\.(\d+)", None),
            ],
        }


def check(spec: FineTune) -> None:
    """Refuse a network that is not known, or cannot take its img_size or arguments, before anything is computed.

    Raises:
        UserError: With the nearest names, or the reason.
    """
    if spec.clip is not None:
        clip.identity(spec.encoder)
        clip.arch_at_size(spec.encoder, spec.img_size)
        return
    backbones.check(spec)
    side = size(spec)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):  # shapes alone: no memory, no time
        model = backbones.create(spec, 2, spec.seed, None).eval()
        first_layers(model, spec.frozen_groups)
        try:
            model(torch.empty(1, 3, side, side))
        except (ValueError, AssertionError, RuntimeError) as error:
            why = " ".join(str(error).split())[:200]
            raise UserError(f"{spec.backbone} cannot take img_size={side}: {why}") from error
        if spec.margin:
            put_cosine_head(model, spec)
        if spec.grad_checkpointing:
            checkpoint_gradients(model, spec)


def head_of(model: nn.Module) -> nn.Module:
    """The network's classifier; of a distilled one, whose prediction is the mean of two, both."""
    head = model.get_classifier()
    return nn.ModuleList(head) if isinstance(head, tuple) else head


def first_weights(model: nn.Module, groups: int) -> set[str]:
    """The names of the weights of the network's first groups, by timm's grouping: the stem, then a stage or block each.

    Raises:
        UserError: It has no more groups than these, or timm knows none.
    """
    try:
        found = timm.models.group_parameters(model, model.group_matcher(coarse=True)) if groups else {}
    except (AttributeError, AssertionError) as error:
        what = type(model).__name__
        raise UserError(f"frozen_groups={groups}: timm knows no groups of layers of a {what}: leave it out") from error
    if groups and groups >= len(found):
        raise UserError(f"frozen_groups={groups} leaves nothing to train: the network has {len(found)} groups")
    return {name for number in sorted(found)[:groups] for name in found[number]}


def first_layers(model: nn.Module, groups: int) -> list[nn.Module]:
    """The modules that have weights of the first groups, and no others in them; none is within another.

    A ViT itself has weights of its stem, such as its class token, and is not among them.

    Raises:
        UserError: As `first_weights`.
    """
    names, found = first_weights(model, groups), {}
    for path, module in model.named_modules():
        is_within = any(path.startswith(f"{other}.") for other in found)
        if not is_within and names & weight_names(path, module, recurse=False) and names >= weight_names(path, module):
            found[path] = module
    return list(found.values())


def freeze(model: nn.Module, groups: int) -> None:
    """Let the first groups of layers stay as they are. Raises UserError: As `first_weights`."""
    names = first_weights(model, groups)
    for name, weight in model.named_parameters():
        if name in names:
            weight.requires_grad_(False)
    for module in first_layers(model, groups):
        module.eval()


def weight_names(path: str, module: nn.Module, recurse: bool = True) -> set[str]:
    """The names of a module's weights, with those within it if `recurse`, in a network that has it at `path`."""
    return {f"{path}.{name}".lstrip(".") for name, _ in module.named_parameters(recurse=recurse)}


def size(spec: FineTune) -> int:
    """Pixels a side."""
    if spec.img_size is not None:
        return spec.img_size
    if spec.clip is not None:
        return clip.geometry(spec.encoder).size
    config = timm.get_pretrained_cfg(spec.backbone)
    return 224 if config is None else config.input_size[-1]


def identity(spec: FineTune) -> dict[str, Any]:
    """The weights that training starts from, as a key names them, and a head that is not of the config's precision."""
    if spec.clip is None:
        return backbones.identity(spec)
    head = {"head": "float32"} if spec.precision in ("bfloat16", "float16") else {}  # as before, where that is open
    return {**clip.identity(spec.encoder), **head}


def size_left_open(spec: FineTune) -> dict[str, int]:
    """The size as a key names it: where the config leaves it open, and it is neither 224 nor the only one."""
    config = None if spec.clip is not None or spec.img_size is not None else timm.get_pretrained_cfg(spec.backbone)
    return {} if config is None or config.fixed_input_size or size(spec) == 224 else {"img_size": size(spec)}


def lacks_weights(spec: FineTune | Encoder) -> bool:
    """Whether the weights that it starts from have to come from the hub, and are not here yet."""
    if spec.weights_file is not None or not (spec.weights if spec.clip is not None else spec.pretrained):
        return False
    files = clip.hub_files(spec, clip.title(spec)) if spec.clip is not None else backbones.hub_files(spec)
    return hub.cached(*files) is None


def data_config(spec: FineTune) -> DataConfig:
    if spec.clip is None:
        return backbones.data_config(spec)
    cfg = clip.preprocessing(spec.encoder)
    return DataConfig(tuple(cfg.mean), tuple(cfg.std), cfg.interpolation)


def geometry(spec: FineTune) -> Geometry:
    """How a picture becomes its square: squeezed, nothing is cut off."""
    side = size(spec)
    return Geometry(side, side, "squash", data_config(spec).interpolation)


def create(spec: FineTune, k: int, seed: int, pretrained: bool, head: Head | None = None) -> nn.Module:
    """The network for k classes, its random parts drawn from `seed`, on the CPU.

    Args:
        pretrained: False where a checkpoint is to be loaded over its weights.
        head: Where the head of a CLIP starts; None: at random.

    Raises:
        UserError: The weights are not available or do not fit, or timm refuses the arguments.
    """
    if spec.clip is None:
        model = backbones.create(spec, k, seed, backbones.weights_path(spec) if pretrained else None)
        if spec.margin:
            put_cosine_head(model, spec)
    else:
        loaded = clip.create(spec.encoder, spec.img_size, pretrained).float().train().requires_grad_(True)
        torch.manual_seed(seed)
        d = clip.arch(spec.encoder)["embed_dim"]
        model = ClipClassifier(loaded.visual, CosineHead(d, k, spec.margin_scale) if spec.margin else nn.Linear(d, k))
        if head is not None:
            with torch.no_grad():
                model.head.weight.copy_(torch.from_numpy(head.coef))
                if not spec.margin:  # else there is none, nor in a zero-shot classifier
                    model.head.bias.copy_(torch.from_numpy(head.intercept))
    if spec.grad_checkpointing:
        checkpoint_gradients(model, spec)
    return model


def checkpoint_gradients(model: nn.Module, spec: FineTune) -> None:
    """Let the network compute layers again for their gradients. Raises UserError: timm does not have that of it."""
    try:
        model.set_grad_checkpointing(True)
    except (AssertionError, AttributeError) as error:
        raise UserError(f"{spec.backbone} has no gradient checkpointing: leave grad_checkpointing out") from error


def put_cosine_head(model: nn.Module, spec: FineTune) -> None:
    """Put a CosineHead where a backbone has its linear one. Raises UserError: Its head is another."""
    own = model.get_classifier()
    if not isinstance(own, nn.Linear):
        raise UserError(f"margin={spec.margin} needs a linear head, and {spec.backbone} has none: leave margin out")
    parent, _, name = next(path for path, module in model.named_modules() if module is own).rpartition(".")
    head = CosineHead(own.in_features, own.out_features, spec.margin_scale)
    setattr(model.get_submodule(parent), name, head.to(own.weight.device))
