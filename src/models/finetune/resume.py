"""The checkpoints of a training that is not finished: the last two, each whole, and of one key."""

import copy
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from src.base import files
from src.results import checkpoints

KEPT = 2  # where one turns out to be damaged, the one before costs a minute and not the night
EVERY_S = 60  # between two checkpoints: a whole one of a large network takes seconds, as long as some epochs


@dataclass(frozen=True)
class Running:
    """The checkpoints beside `finished`, the finished fold's file: fold0.running-000007.safetensors, say."""

    finished: Path
    key: dict[str, Any]

    def paths(self) -> list[Path]:
        return sorted(self.finished.parent.glob(f"{self.finished.stem}.running-*.safetensors"))

    def latest(self, title: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The tensors of the newest one of the key, and the facts about them; prints why others are left."""
        for path in reversed(self.paths()):
            about = checkpoints.about(path)
            if about is None:
                print(f"{title}  {path.name} is damaged: the checkpoint before it is taken")
            elif about["key"] != self.key:
                print(f"{title}  starting over: {files.describe_changes(about['key'], self.key)}")
                break
            else:
                return checkpoints.load(path), about
        self.clear()
        return None

    def save(self, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
        """Raises UserError: The disk is full or the folder not writable; the checkpoints before are still there."""
        before = self.paths()
        number = 1 + (int(before[-1].stem.rpartition("-")[2]) if before else 0)
        path = self.finished.with_name(f"{self.finished.stem}.running-{number:06d}.safetensors")
        checkpoints.save(path, tensors, {**about, "key": self.key})
        for old in before[: max(0, len(before) + 1 - KEPT)]:
            old.unlink()

    def clear(self) -> None:
        for path in self.paths():
            path.unlink()


class Checkpointer:
    """Saves a training while it goes on: its tensors are copied at once, and a thread of `pool` writes the copies.

    The copies' memory is kept, and on a GPU's machine pinned: only so does the GPU copy without the CPU.
    """

    def __init__(self, running: Running, pool: Executor):
        self.running, self.pool = running, pool
        self.copies: dict[str, Tensor] = {}
        self.writing: Future | None = None
        self.saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether EVERY_S have passed since the last checkpoint, and its file is written.

        Raises:
            UserError: It could not be written: see `Running.save`.
        """
        if self.writing is not None and self.writing.done():
            self.wait()
        return self.writing is None and time.monotonic() - self.saved >= EVERY_S

    def save(self, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
        """Copy the tensors, which may change afterwards, and begin to write them once the write before has ended.

        Raises:
            UserError: The checkpoint before could not be written: see `Running.save`.
        """
        self.wait()
        self.copy(tensors)
        self.writing = self.pool.submit(self.running.save, self.copies, copy.deepcopy(about))
        self.saved = time.monotonic()

    def copy(self, tensors: dict[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if name not in self.copies:  # in its own layout: the GPU's side then copies bytes as they lie
                self.copies[name] = torch.empty_like(tensor, device="cpu", pin_memory=tensor.is_cuda)
            self.copies[name].copy_(tensor.detach(), non_blocking=True)
        if any(tensor.is_cuda for tensor in tensors.values()):
            torch.cuda.current_stream().synchronize()

    def wait(self) -> None:
        """Wait until nothing is being written. Raises UserError: It could not be written: see `Running.save`."""
        writing, self.writing = self.writing, None
        if writing is not None:
            writing.result()
