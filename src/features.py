"""The feature cache: image embeddings of one CLIP model and one view, found again by the sha256 of the image's bytes.

A folder with key.json, which says all that changes the numbers, and shards 00000.npz, 00001.npz ... of `ids`, `shas`
and `feats`. A shard is whole or not there; a killed run goes on with the next one.
"""

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from src import clip, files, machine
from src.config import Clip, Competition
from src.dataset import Dataset, Rows
from src.errors import UserError
from src.images import VIEWS, read_rgb
from src.progress import track

CODE = 1  # raised when this file computes other numbers from the same key
SHARD, BATCH = 1024, 64  # images; a multiple, so that a resumed run makes the same batches


def identity(spec: Clip) -> dict[str, Any]:
    """All that changes a model's features but view and precision: what models that use them have in their keys."""
    return {"code": CODE, **clip.identity(spec)}


@dataclass(frozen=True)
class Cache:
    """The features of one model and view."""

    folder: Path
    spec: Clip
    view: str

    def key(self) -> dict[str, Any]:
        return {**identity(self.spec), "view": self.view, "precision": machine.precision(self.spec.precision)}

    def takes(self, have: dict[str, Any]) -> bool:
        """Whether a cache of the key `have` may be read; of either precision, where the config leaves that open."""
        return machine.same_key(have, self.key(), asked=self.spec.precision)

    def shards(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.npz"))

    def load(self) -> dict[str, np.ndarray]:
        """{sha256 of an image: its features (d,) float32} of all whole shards; a damaged one is deleted."""
        feats = {}
        for path in self.shards():
            try:
                with np.load(path, allow_pickle=False) as shard:
                    feats.update(zip(shard["shas"].tolist(), shard["feats"], strict=True))
            except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
                print(f"{path} is damaged: its images are encoded again")
                path.unlink()
        return feats

    def make(self, rows: Rows, load: Callable[[], clip.ClipModel]) -> int:
        """Encodes the pictures of `rows` that the cache does not have yet; returns how many that were.

        Args:
            load: Gives the model; called only if there is something to encode.

        Raises:
            UserError: The model cannot be had (then nothing is changed), or its features are not finite.
        """
        described, wanted = self.folder / "key.json", self.key()
        have = files.read_json(described)
        # a picture that is there twice is encoded once
        path_of, id_of = (dict(zip(rows.shas, column, strict=True)) for column in (rows.paths, rows.ids))
        done = self.load() if have is not None and self.takes(have) else {}
        if path_of.keys() <= done.keys():
            return 0
        model = load()
        if have != wanted:
            if have is not None:
                print(f"{self.folder.name} is encoded anew: {files.changed(have, wanted)}")
            described.unlink(missing_ok=True)  # first: without it, shards are nobody's
            for path in self.shards():
                path.unlink()
            files.write_json(described, wanted)
            done = {}
        todo = [sha for sha in path_of if sha not in done]
        self.encode(model, todo, path_of, id_of, wanted["precision"])
        return len(todo)

    def encode(
        self, model: clip.ClipModel, todo: list[str], path_of: dict[str, Path], id_of: dict[str, str], precision: str
    ) -> None:
        """Writes the features of the pictures `todo`, a shard at a time."""
        number = 1 + max((int(path.stem) for path in self.shards()), default=-1)
        pending: list[np.ndarray] = []
        start = 0
        loaded = batches(model, [path_of[sha] for sha in todo])
        for pixels in track(loaded, f"features {self.folder.name}", len(todo), "images", sizes=True):
            pending.append(clip.encode(model, VIEWS[self.view](pixels), precision))
            n = sum(map(len, pending))
            if n < SHARD and start + n < len(todo):
                continue
            feats, shas = np.concatenate(pending), todo[start : start + n]
            if (bad := ~np.isfinite(feats).all(axis=1)).any():
                raise UserError(
                    f"{clip.title(self.spec)} has features that are not finite for {int(bad.sum())} images, the first "
                    f"of id {id_of[shas[int(bad.argmax())]]}: is the checkpoint damaged? (or set precision='float32')"
                )
            with files.replacing(self.folder / f"{number:05d}.npz") as part, part.open("wb") as file:
                np.savez(file, ids=np.array([id_of[sha] for sha in shas]), shas=np.array(shas), feats=feats)
            number, start, pending = number + 1, start + n, []

    def read(self, rows: Rows) -> np.ndarray:
        """Unit features of `rows`, in their order: (n, d) float32.

        Raises:
            UserError: The cache is of another key, or lacks some of the rows.
        """
        have = files.read_json(self.folder / "key.json")
        feats = self.load() if have is not None and self.takes(have) else {}
        if missing := [id for id, sha in zip(rows.ids, rows.shas, strict=True) if sha not in feats]:
            raise UserError(f"{self.folder} lacks {len(missing)} images, such as {missing[0]}: run the features stage")
        return unit(np.stack([feats[sha] for sha in rows.shas]))


def caches(competition: Competition, spec: Clip) -> list[Cache]:
    """The caches of a model's views."""
    return [Cache(competition.features(clip.slug(spec), view), spec, view) for view in spec.views]


def read(competition: Competition, spec: Clip, rows: Rows) -> np.ndarray:
    """Unit features of `rows`, in their order: (n, d) float32; of several views, their mean, made unit again."""
    return unit(sum(cache.read(rows) for cache in caches(competition, spec)))


def read_split(competition: Competition, spec: Clip, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """`read` of the train rows and of the test rows, from one look at the disk."""
    feats = read(competition, spec, data.rows)
    return feats[: len(data.train)], feats[len(data.train) :]


def unit(feats: np.ndarray) -> np.ndarray:
    return feats / np.linalg.norm(feats, axis=1, keepdims=True)


class Pictures(TorchDataset):
    def __init__(self, paths: list[Path], preprocess):
        self.paths, self.preprocess = paths, preprocess

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.preprocess(read_rgb(self.paths[i]))


def batches(model: clip.ClipModel, paths: list[Path]) -> Iterator[torch.Tensor]:
    workers = machine.workers()
    yield from DataLoader(Pictures(paths, model.preprocess), BATCH, num_workers=workers, pin_memory=workers > 0)
