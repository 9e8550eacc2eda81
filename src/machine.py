"""The machine: which device computes, in which precision, and what a result says of where it was made."""

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch
from torch import nn

from src import git, threads

PACKAGES = ("torch", "open_clip_torch", "timm", "albumentations", "scikit-learn", "pillow")


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(asked: str) -> str:
    """The precision that a config's `auto` means here.

    bfloat16 is several times slower than float32 on most CPUs. GPUs before Ampere (a T4, say) only emulate it.
    """
    if asked != "auto":
        return asked
    if device().type == "cpu":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def same_key(stored: dict[str, Any], wanted: dict[str, Any], asked: str | None) -> bool:
    """Whether a finished result is the one that is wanted.

    Where the config leaves the precision to the machine (`asked` is auto), a result of either is: else a night's
    training on a GPU would be thrown away by looking at it on a laptop.
    """
    if asked == "auto":
        stored, wanted = ({**key, "precision": ""} for key in (stored, wanted))
    return stored == wanted


def autocast(precision: str) -> contextlib.AbstractContextManager:
    """Computes in `precision`; weights and sums stay float32."""
    half = torch.float16 if precision == "float16" else torch.bfloat16
    return torch.autocast(device().type, half, enabled=precision != "float32")


def layout() -> torch.memory_format:
    """Of what is encoded: channels_last, which convolutions on a GPU want, is no faster on a CPU."""
    return torch.channels_last if device().type == "cuda" else torch.contiguous_format


def placed(model: nn.Module) -> nn.Module:
    """The model on this machine's device, not to be trained; on a GPU laid out as its convolutions want it."""
    return model.eval().requires_grad_(False).to(device(), memory_format=layout())


def seed(number: int) -> None:
    """Of what the device and the CPU draw from now on. (torch.manual_seed looks for every kind of device: 0.3 ms.)"""
    torch.default_generator.manual_seed(number)
    if device().type == "cuda":
        torch.cuda.manual_seed(number)


def workers() -> int:
    """Processes that load images beside the model: none where the model needs the processor itself."""
    return 0 if device().type == "cpu" else min(8, threads.cores())


def provenance(repository: Path) -> dict[str, str]:
    """Where and with what a result was made: commit, versions, device. It says so, and is no part of a key."""
    name = torch.cuda.get_device_name() if device().type == "cuda" else f"{platform.machine()}, {os.cpu_count()} cores"
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"commit": git.commit(repository), "device": name, "python": platform.python_version(), **versions}
