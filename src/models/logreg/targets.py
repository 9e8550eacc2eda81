"""The labels in the objective of logistic regression: each row's class, or that the row is left out.

Labels enter the objective by the sums of features of each class, and by how much each row counts. So a row that is left
out is as if it were not there, and the features need not be made ready again.

Shapes: q problems, k classes that are in their training rows, d features, m rows of a piece that stays in the cache.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src.models.logreg.design import Design
from src.scoring.targets import MIN_PROB

MIN_LOG_PROB = math.log(MIN_PROB)
CACHE = 3 * 2**19  # bytes of logits worked on at a time; on a GPU, for which launches are dear, 128 times as many


@dataclass(frozen=True)
class Problem:
    c: float | tuple[float, ...]  # of several labels, where they are not alike
    without: tuple[int, ...] = ()  # the blocks whose rows are held out
    label: int = 0  # which of several, where each is a problem of its own (models/logreg/labels.py)

    def of_less(self, rows: int) -> "Problem":
        """The problem with C over the rows that a picture has."""
        c = tuple(one / rows for one in self.c) if isinstance(self.c, tuple) else self.c / rows
        return replace(self, c=c)


class RowPieces:
    """Targets of the rows of a design, k classes a problem."""

    design: Design
    k: int

    def pieces(self, block: int, q: int) -> list[slice]:
        """The block's rows in pieces of much the same size, whose logits for q problems fit the cache."""
        start, stop = self.design.bounds[block : block + 2]
        on_cpu = self.design.device.type == "cpu"
        least, most, cache = (512, 8192, CACHE) if on_cpu else (8192, 65_536, 128 * CACHE)
        size = min(max(cache // (self.design.dtype.itemsize * max(q, 1) * self.k), least), most)
        cuts = np.linspace(start, stop, math.ceil((stop - start) / size) + 1).astype(int).tolist()
        return [slice(*pair) for pair in pairwise(cuts)]


class Targets(RowPieces):
    """The classes of the design's rows, in its order: those that a group of problems trains on, numbered from 0.

    Args:
        targets: (n,) classes of the rows as they were given to the design; -1: the row is left out.

    Attributes:
        labels: (n,) numbers of classes; k: a class that no training row has, -1: the row is left out.
        counts: (blocks, k) the rows of each class.
    """

    def __init__(self, design: Design, targets: np.ndarray, present: Sequence[int], offset: np.ndarray | None):
        self.design, self.present, self.offset, self.k = design, np.array(present), offset, len(present)
        local = np.full(int(targets.max()) + 2, self.k)
        local[self.present] = np.arange(self.k)
        local[-1] = -1
        ordered = local[targets[design.order]]
        self.labels, self.whole = torch.from_numpy(ordered).to(design.device), bool((ordered >= 0).all())
        blocks = [ordered[start:stop] for start, stop in pairwise(design.bounds)]
        self.counts = np.stack([np.bincount(rows[rows >= 0], minlength=self.k + 1)[: self.k] for rows in blocks])

    def member(self, rows: slice) -> Tensor:
        """(k - 1, m) 1 in the row's class, of all but the last."""
        classes = torch.arange(self.k - 1, device=self.labels.device)[:, None]
        return (self.labels[rows] == classes).to(self.design.dtype)

    def totals(self, trains: np.ndarray, problems: Sequence[Problem]) -> tuple[np.ndarray, Tensor]:
        """Over the blocks (p, blocks) that each problem trains on: the rows of each class, and `feature_sums`."""
        where = {"dtype": torch.float64, "device": self.design.device}
        return trains @ self.counts, torch.einsum("pb,bcd->pcd", torch.tensor(trains, **where), self.feature_sums)

    def times(self, rows: slice, weights: Tensor | None, labels: Tensor) -> Tensor | None:
        """(q or 1, m) how much each training row counts, with weights (q, k) of classes or without; None: all alike."""
        if weights is not None:
            return F.pad(weights, (0, 1))[:, self.labels[rows]]  # -1 finds its 0
        return None if self.whole else (self.labels[rows] >= 0)[None]

    def likelihood(self, logs: Tensor, rows: slice, labels: Tensor) -> Tensor:
        """(q, m) the log likelihood of each row by log probabilities (q, k, m); 0 of a row that is left out."""
        known = self.labels[rows]
        true = logs.gather(1, known.clamp(0, self.k - 1).expand(len(logs), 1, -1))[:, 0].clamp_min(MIN_LOG_PROB)
        return torch.where(known == self.k, MIN_LOG_PROB, true) * (known >= 0)

    def offsets(self, rows: slice) -> Tensor:
        """(k - 1, m) fixed logits, relative to the last class's."""
        if self.offset is None:
            return self.design.curvature.new_zeros(self.k - 1, rows.stop - rows.start)
        logits = self.offset[self.design.order[rows]][:, self.present].T
        return torch.from_numpy(logits[:-1] - logits[-1:]).to(self.design.device, self.design.dtype)

    @cached_property
    def feature_sums(self) -> Tensor:
        """(blocks, k - 1, d + 1) float64: the sums of (features, 1) over the rows of each class."""
        design = self.design
        sums = torch.zeros(design.blocks, self.k - 1, design.rank + 1, dtype=torch.float64, device=design.device)
        for block in range(design.blocks):
            for rows in self.pieces(block, 1):
                member = self.member(rows)
                sums[block, :, :-1] += member @ design.rows(rows)
                sums[block, :, -1] += member.sum(1)
        return sums
