"""What the objective of logistic regression knows of labels: of each row its class, or its shares in several classes.

Labels enter the objective by the sums of features of each class, and by how much each row counts. So soft targets cost
as much as classes do, and a row whose shares are 0 is as if it were not there.

Shapes: q problems, k classes that are in their training rows, d features, m rows of a piece that stays in the cache.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from src.models.logreg.design import Design

LEAST = math.log(np.finfo(np.float32).eps)  # of a probability, as `src.scoring.metrics.surprise` has it
CACHE = 3 * 2**19  # bytes of logits worked on at a time (on a GPU, which has to be filled, 16 times as many)


class Targets(ABC):
    """Of the design's rows, in its order; classes are those that a group of problems trains on, numbered from 0."""

    counts: np.ndarray  # (blocks, k) the sums of the rows' shares in each class

    def __init__(self, design: Design, present: Sequence[int], offset: np.ndarray | None):
        self.design, self.present, self.offset, self.k = design, np.array(present), offset, len(present)

    @abstractmethod
    def member(self, rows: slice) -> Tensor:
        """(k - 1, m) the shares in all classes but the last."""

    @abstractmethod
    def times(self, rows: slice, weights: Tensor | None) -> Tensor | None:
        """(q or 1, m) how much each row counts, where classes have weights (q, k), or none; None: all alike."""

    @abstractmethod
    def likelihood(self, logs: Tensor, rows: slice) -> Tensor:
        """(q, m) the log likelihood of each row by log probabilities (q, k, m)."""

    def pieces(self, block: int, q: int) -> list[slice]:
        """The block's rows in pieces of much the same size, whose logits for q problems fit the cache."""
        start, stop = self.design.bounds[block : block + 2]
        cache = CACHE if self.design.device.type == "cpu" else 16 * CACHE
        size = min(max(cache // (self.design.dtype.itemsize * max(q, 1) * self.k), 512), 8192)
        cuts = np.linspace(start, stop, math.ceil((stop - start) / size) + 1).astype(int).tolist()
        return [slice(*pair) for pair in pairwise(cuts)]

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
        sums = torch.zeros(design.blocks, self.k - 1, design.d + 1, dtype=torch.float64, device=design.device)
        for block in range(design.blocks):
            for rows in self.pieces(block, 1):
                member = self.member(rows)
                sums[block, :, :-1] += member @ design.rows(rows)
                sums[block, :, -1] += member.sum(1)
        return sums


class Classes(Targets):
    """One class a row."""

    def __init__(self, design: Design, targets: np.ndarray, present: Sequence[int], offset: np.ndarray | None):
        super().__init__(design, present, offset)
        local = np.full(int(targets.max()) + 1, -1)
        local[self.present] = np.arange(self.k)
        ordered = local[targets[design.order]]
        self.labels = torch.from_numpy(ordered).to(design.device)
        blocks = [ordered[start:stop] for start, stop in pairwise(design.bounds)]
        self.counts = np.stack([np.bincount(rows[rows >= 0], minlength=self.k) for rows in blocks])

    def member(self, rows: slice) -> Tensor:
        classes = torch.arange(self.k - 1, device=self.labels.device)[:, None]
        return (self.labels[rows] == classes).to(self.design.dtype)

    def times(self, rows: slice, weights: Tensor | None) -> Tensor | None:
        return None if weights is None else weights[:, self.labels[rows]]

    def likelihood(self, logs: Tensor, rows: slice) -> Tensor:
        known = self.labels[rows]
        true = logs.gather(1, known.clamp_min(0).expand(len(logs), 1, -1))[:, 0]
        return torch.where(known < 0, LEAST, true).clamp_min(LEAST)


class Shares(Targets):
    """Rows of shares (n, all classes): their sum, mostly 1, is how much the row counts."""

    def __init__(self, design: Design, targets: np.ndarray, present: Sequence[int], offset: np.ndarray | None):
        super().__init__(design, present, offset)
        ordered = torch.from_numpy(targets[design.order]).to(design.device, design.dtype)
        self.shares = ordered[:, torch.from_numpy(self.present).to(design.device)]
        self.absent = ordered.sum(1) - self.shares.sum(1)  # the share of classes that no training row has
        blocks = [self.shares[start:stop] for start, stop in pairwise(design.bounds)]
        self.counts = torch.stack([rows.sum(0, dtype=torch.float64) for rows in blocks]).cpu().numpy()

    def member(self, rows: slice) -> Tensor:
        return self.shares[rows, :-1].T

    def times(self, rows: slice, weights: Tensor | None) -> Tensor:
        shares = self.shares[rows]
        return shares.sum(1)[None] if weights is None else weights.to(shares.dtype) @ shares.T

    def likelihood(self, logs: Tensor, rows: slice) -> Tensor:
        return (logs.clamp_min(LEAST) * self.shares[rows].T).sum(1) + LEAST * self.absent[rows]


def as_targets(design: Design, targets: np.ndarray, present: Sequence[int], offset: np.ndarray | None) -> Targets:
    """Of classes (n,) or shares (n, all classes), of the rows as they were given to the design."""
    return (Classes if targets.ndim == 1 else Shares)(design, targets, present, offset)


def classes_in(design: Design, targets: np.ndarray) -> list[set[int]]:
    """For each block the classes that its rows have a share in."""
    ordered = targets[design.order]
    blocks = [ordered[start:stop] for start, stop in pairwise(design.bounds)]
    return [set(np.unique(rows) if targets.ndim == 1 else np.flatnonzero(rows.any(axis=0))) for rows in blocks]
