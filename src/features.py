"""The feature cache: image embeddings of one CLIP model and one view, found again by the sha256 of the image's bytes.

A folder with key.json, which says all that changes the numbers, and shards 00000.npz, 00001.npz ... of `ids`, `shas`
and `feats`. A shard is whole or not there; a killed run goes on with the next one.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from src import clip, files, machine
from src.config import Clip
from src.dataset import Rows
from src.errors import UserError
from src.images import VIEWS, read_rgb
from src.progress import track

CODE = 1  # raised when this file computes other numbers from the same key
SHARD, BATCH = 1024, 64  # images; a multiple, so that a resumed run makes the same batches


def key(spec: Clip, view: str, precision: str) -> dict:
    return {"code": CODE, **clip.identity(spec), "view": view, "precision": precision}


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.npz"))


def load(folder: Path) -> dict[str, np.ndarray]:
    """{sha256 of an image: its features (d,) float32} of all whole shards; a damaged one is deleted, with a word."""
    feats = {}
    for path in shards(folder):
        try:
            with np.load(path, allow_pickle=False) as shard:
                feats.update(zip(shard["shas"].tolist(), shard["feats"], strict=True))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            print(f"{path} is damaged: its images are encoded again")
            path.unlink()
    return feats


def make(folder: Path, spec: Clip, view: str, rows: Rows) -> int:
    """Encodes the pictures of `rows` that the cache does not have yet; returns how many that were.

    Where the config leaves the precision to the machine (`auto`), a cache that is complete is taken as it is.
    """
    wanted, have = key(spec, view, machine.precision(spec.precision)), files.read_json(folder / "key.json")
    path_of = dict(zip(rows.shas, rows.paths, strict=True))  # a picture that is there twice is encoded once
    id_of = dict(zip(rows.shas, rows.ids, strict=True))
    done = {}
    if have is not None:
        any_precision = spec.precision == "auto" and {**have, "precision": ""} == {**wanted, "precision": ""}
        if have == wanted or any_precision:
            done = load(folder)
        if path_of.keys() <= done.keys():
            return 0
    model = clip.load(spec)  # before anything is changed: it may not be to be had
    if have is not None and have != wanted:
        print(f"{folder.name} is encoded anew: {files.changed(have, wanted)}")
        (folder / "key.json").unlink()  # first: without it, shards are nobody's
        done = {}
    if not (folder / "key.json").exists():
        for path in shards(folder):
            path.unlink()
        files.write_json(folder / "key.json", wanted)
    todo = [sha for sha in path_of if sha not in done]
    bar = track(
        batches(model, [path_of[sha] for sha in todo]), f"features {folder.name}", len(todo), "images", sizes=True
    )
    number = 1 + max((int(path.stem) for path in shards(folder)), default=-1)
    pending: list[np.ndarray] = []
    start = 0
    for pixels in bar:
        pending.append(clip.encode(model, VIEWS[view](pixels), wanted["precision"]))
        n = sum(map(len, pending))
        if n >= SHARD or start + n == len(todo):
            feats, shas = np.concatenate(pending), todo[start : start + n]
            if (bad := ~np.isfinite(feats).all(axis=1)).any():
                raise UserError(
                    f"{clip.title(spec)} has features that are not finite for {int(bad.sum())} images, the first of id "
                    f"{id_of[shas[int(bad.argmax())]]}: is the checkpoint damaged? (or set precision='float32')"
                )
            with files.replacing(folder / f"{number:05d}.npz") as part, part.open("wb") as file:
                np.savez(file, ids=np.array([id_of[sha] for sha in shas]), shas=np.array(shas), feats=feats)
            number, start, pending = number + 1, start + n, []
    return len(todo)


def read(folders: list[Path], rows: Rows) -> np.ndarray:
    """Unit features of `rows`, in their order: (n, d) float32; of several views, their mean, made unit again.

    Raises:
        UserError: A cache lacks some of the rows.
    """
    total = 0
    for folder in folders:
        feats = load(folder)
        if missing := [id for id, sha in zip(rows.ids, rows.shas, strict=True) if sha not in feats]:
            raise UserError(f"{folder} lacks {len(missing)} images, such as {missing[0]}: run the features stage")
        total = total + unit(np.stack([feats[sha] for sha in rows.shas]))
    return unit(total)


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
    yield from DataLoader(
        Pictures(paths, model.preprocess), BATCH, num_workers=machine.workers(), pin_memory=machine.workers() > 0
    )
