"""The work that a network is: FLOP a picture, counted on shapes alone, without its weights or a device."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from src.networks import backbones, classifiers, clip, encoders
from src.networks.classifiers import ClipClassifier
from src.schema.models import FineTune
from src.schema.networks import Encoder

OF_WORK = {"backbone", "backbone_args", "clip", "img_size", "drop_path", "frozen_groups", "grad_checkpointing"}
KNOWN: dict[str, "Flops"] = {}  # by the fields that say how much work it is


@dataclass(frozen=True)
class Flops:
    """FLOP of one picture; a multiplication and an addition are two."""

    forward: float
    frozen: float = 0.0  # the part of `forward` in layers that are not trained
    checkpointed: bool = False  # the forward pass is computed a second time, for the gradients

    @property
    def trained(self) -> float:
        """Of a step of training: gradients cost twice the forward pass of what is trained."""
        return self.forward * (2 if self.checkpointed else 1) + 2 * (self.forward - self.frozen)


def flops(spec: FineTune | Encoder) -> Flops:
    """The work of a network that was checked; of one that cannot be counted two a parameter, which is no more than it.

    It takes a second at most (corn's largest on one core: 0.4), once a process.
    """
    key = spec.model_dump_json(include=OF_WORK)
    if key not in KNOWN:
        is_trained = is_learnt(spec)
        side = classifiers.size(spec) if is_trained else encoders.geometry(spec).size
        with torch.device("meta"):
            model = network(spec).eval()
        frozen = classifiers.first_layers(model, spec.frozen_groups) if is_trained else ()
        tower = model.visual if spec.clip is not None else model
        KNOWN[key] = Flops(*shares(tower, side, frozen), is_trained and spec.grad_checkpointing)
    return KNOWN[key]


def is_learnt(spec: FineTune | Encoder) -> bool:
    """Whether the network itself is trained; of an encoder only the features are taken."""
    return getattr(spec, "is_trained", False)


def network(spec: FineTune | Encoder) -> nn.Module:
    """The network with a head of two classes, on the device that is set; of a CLIP the image tower."""
    if spec.clip is None:
        return backbones.make(spec, num_classes=2)
    import open_clip

    of_trained = is_learnt(spec)
    config = clip.arch_at_size(spec.encoder, spec.img_size) if of_trained else clip.arch(spec)
    d, quick = config["embed_dim"], config.get("quick_gelu", False)
    tower = open_clip.CLIP(d, config["vision_cfg"], {"layers": 1}, quick_gelu=quick).visual  # whatever reads its texts
    return ClipClassifier(tower, nn.Linear(d, 2))


def shares(model: nn.Module, side: int, some: Collection[nn.Module]) -> tuple[float, float]:
    """The FLOP of a forward pass of one picture of `side` pixels, and the part of it that is in some modules."""
    try:
        counter = counted(model, side, torch.device("meta"))
    except (RuntimeError, ValueError, TypeError, AttributeError):  # it asks for values, and there are shapes alone
        return 2.0 * sum(one.numel() for one in model.parameters()), 0.0
    by_path = counter.get_flop_counts()
    names = {id(module): f"{type(model).__name__}.{path}" for path, module in model.named_modules()}
    part = sum(sum(by_path.get(names[id(module)], {}).values()) for module in some)
    return float(counter.get_total_flops()), float(part)


@torch.no_grad()
def counted(forward: Callable[[Tensor], Tensor], side: int, device: torch.device) -> FlopCounterMode:
    """A counter of the FLOP of a forward pass of one picture."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not know what that calls
    try:
        with FlopCounterMode(display=False) as counter:
            forward(torch.zeros(1, 3, side, side, device=device))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter
