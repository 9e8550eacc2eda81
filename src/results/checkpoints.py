"""Checkpoints of our own making: tensors as safetensors with a JSON description inside, one whole file.

torch is imported by those who save or load: the report reads descriptions alone.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from src.base.files import replacing

if TYPE_CHECKING:
    import torch


def save(path: Path, tensors: "dict[str, torch.Tensor]", about: dict[str, Any]) -> None:
    """Write the tensors and their description; a UserError where the disk is full or the folder not writable."""
    from safetensors.torch import save_file

    with replacing(path) as part:
        try:
            whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            known: set[int] = set()
            for name, tensor in whole.items():  # what a network has under two names is two tensors of a file
                if (memory := tensor.untyped_storage().data_ptr()) in known:
                    whole[name] = tensor.clone()
                known.add(memory)
            save_file(whole, part, {"about": json.dumps(about)})
        except SafetensorError as error:  # which has the operating system's number in its text alone
            if number := re.search(r"(?:os error |code: )(\d+)", str(error)):
                raise OSError(int(number[1]), str(error)) from error
            raise


def about(path: Path) -> dict[str, Any] | None:
    """The description in a file written by `save`; None if there is none, or it is not ours."""
    try:
        with safe_open(path, "np") as file:  # which refuses a file that is cut off
            return json.loads((file.metadata() or {}).get("about", "null"))
    except (FileNotFoundError, SafetensorError, ValueError):
        return None


def load(path: Path) -> "dict[str, torch.Tensor]":
    """The tensors of a checkpoint, on the CPU."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 it is no dictionary
