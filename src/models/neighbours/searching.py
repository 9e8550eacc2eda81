"""The training rows nearest to a picture, by cosine similarity, without those of the folds that it must not see."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.base import machine
from src.base.progress import track

CELLS = 2**27  # similarities at a time, 0.5 GB


@dataclass(frozen=True)
class Nearest:
    """The nearest rows of n pictures, the nearest first; where there are fewer than K, -1 with a similarity of -2."""

    rows: np.ndarray  # (n, K) int32
    similarity: np.ndarray  # (n, K) float32

    def take(self, index: np.ndarray) -> "Nearest":
        return Nearest(self.rows[index], self.similarity[index])


class Index:
    """The features of all training rows, of length 1, on the device where similarities are computed."""

    def __init__(self, feats: np.ndarray, fold: np.ndarray, most: int):
        """`feats` (n, d), `fold` (n,) of each row; `most` neighbours are found of a picture."""
        device = machine.device()
        self.feats = torch.from_numpy(feats.astype(np.float32)).to(device)
        self.fold, self.most = torch.from_numpy(fold).to(device), most

    def search(self, feats: np.ndarray, withouts: Sequence[Sequence[int]], what: str) -> list[Nearest]:
        """For each set of folds to leave out, the nearest rows of pictures with these features (m, d)."""
        found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in withouts]
        hidden = [torch.isin(self.fold, torch.tensor(list(without), device=self.fold.device)) for without in withouts]
        with machine.full_float32():
            for part in self.parts(feats, what):
                similar = part @ self.feats.T
                for some, mask in zip(found, hidden, strict=True):
                    some.append(self.top(similar.masked_fill(mask, -2.0)))
        return [join(some, self.most) for some in found]

    def parts(self, feats: np.ndarray, what: str) -> Iterator[Tensor]:
        step = max(1, CELLS // len(self.feats))
        starts = range(0, len(feats), step)
        for start in track(starts, what, len(starts), "parts"):
            yield torch.from_numpy(feats[start : start + step].astype(np.float32)).to(self.feats.device)

    def top(self, similar: Tensor) -> tuple[Tensor, Tensor]:
        """The most similar rows (m, K); of equal ones those that stand first."""
        value, row = similar.topk(min(self.most, similar.shape[1]), dim=1)
        row = torch.where(value > -2, row, -1)
        order = row.argsort(dim=1, stable=True)  # topk leaves open which of equal ones comes first
        value, row = value.gather(1, order), row.gather(1, order)
        order = value.argsort(dim=1, descending=True, stable=True)
        return value.gather(1, order).cpu(), row.gather(1, order).cpu()


def join(parts: Sequence[tuple[Tensor, Tensor]], most: int) -> Nearest:
    value, row = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    missing = ((0, 0), (0, most - row.shape[1]))
    return Nearest(
        np.pad(row.astype(np.int32), missing, constant_values=-1),
        np.pad(value.astype(np.float32), missing, constant_values=-2.0),
    )
