"""AdamW over a network's weights: groups with learning rates of their own, the schedule, and what it keeps of each."""

import copy
import math

import torch
from timm.optim import create_optimizer_v2
from torch import nn

from src.networks.classifiers import head_of
from src.schema.models import FineTune


def lr_at(step: float, steps: int, warmup: float, peak: float) -> float:
    """Linear from 0 to `peak` over `warmup` steps, then half a cosine to 0 at `steps`."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def create(spec: FineTune, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW with the recipe's decays, and the head in groups of its own where it has another lr."""
    decay = {"weight_decay": spec.weight_decay, "layer_decay": spec.layer_decay}
    optimizer = create_optimizer_v2(model, "adamw", lr=spec.lr, fused=True, **decay)
    if spec.head_lr is not None:
        scale_head(optimizer, head_of(model), spec.head_lr / spec.lr)
    return optimizer


def scale_head(optimizer: torch.optim.Optimizer, head: nn.Module, scale: float) -> None:
    """Gives the head's parameters groups of their own, whose lr is so many times the schedule's at each step."""
    own = {id(weight) for weight in head.parameters()}
    groups = []
    for group in optimizer.param_groups:
        parts = {False: [], True: []}
        for weight in group["params"]:
            parts[id(weight) in own].append(weight)
        groups += [{**group, "params": parts[False]}] if parts[False] else []
        groups += [{**group, "params": parts[True], "lr_scale": scale}] if parts[True] else []
    optimizer.param_groups[:] = groups


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give each group the schedule's lr, times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)


def allocate_moments(optimizer: torch.optim.Optimizer) -> None:
    """Make what AdamW keeps of each weight that learns, as its first step would (torch.optim.Adam._init_group).

    If memory ends, it ends before the step: within it, some groups of weights would already have changed.
    """
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.requires_grad and not optimizer.state[weight]:
                step = torch.zeros((), device=weight.device)
                moments = {name: torch.zeros_like(weight, requires_grad=False) for name in ("exp_avg", "exp_avg_sq")}
                optimizer.state[weight] = {"step": step, **moments}


def state(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """All that it keeps, as `<number of the weight>.<name>`."""
    kept = optimizer.state_dict()["state"]
    return {f"{i}.{name}": tensor for i, moments in kept.items() for name, tensor in moments.items()}


def restore(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """The inverse of `state`."""
    whole = copy.copy(optimizer.state_dict())
    whole["state"] = {}
    for name, tensor in tensors.items():
        i, _, moment = name.partition(".")
        whole["state"].setdefault(int(i), {})[moment] = tensor
    optimizer.load_state_dict(whole)
    # A file has no memory format, and the fused kernels go through weights and moments as they lie in memory.
    for weight, moments in optimizer.state.items():
        for name, moment in moments.items():
            if moment.shape == weight.shape:
                moments[name] = torch.empty_like(weight, dtype=moment.dtype).copy_(moment)


class RunningAverages:
    """The running averages of a network's norms, as they were before an attempt at a step that may fail."""

    def __init__(self, model: nn.Module):
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._NormBase)]
        by_type: dict[torch.dtype, list[torch.Tensor]] = {}  # of one type, all are copied at once
        for tensor in (tensor for norm in norms for tensor in norm.buffers(recurse=False)):
            by_type.setdefault(tensor.dtype, []).append(tensor)
        self.own = list(by_type.values())
        self.kept = [[torch.empty_like(tensor) for tensor in tensors] for tensors in self.own]

    def keep(self) -> None:
        for kept, own in zip(self.kept, self.own, strict=True):
            torch._foreach_copy_(kept, own)

    def restore(self) -> None:
        for kept, own in zip(self.kept, self.own, strict=True):
            torch._foreach_copy_(own, kept)
