"""The checkpoints of a training that is not finished: the last two, each whole, and of one key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from src.base import files
from src.results import checkpoints

KEPT = 2  # where one turns out to be damaged, the one before costs an epoch and not the night


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
