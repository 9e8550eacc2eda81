"""Several labels in the objective of logistic regression: each is a problem of its own, of two classes.

Nothing of the Hessian is common to two labels, so that each has its own steps and leaves the batch when it has
converged; what they share is the products with the rows. The first of a label's two classes is that a row has it, the
second, which logits count from, that it has not.

Shapes: q problems, each of one label; k labels, d features, m rows of a piece that stays in the cache.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from src.models.logreg.design import Design
from src.models.logreg.targets import MIN_LOG_PROB, Problem, RowPieces

PRIOR = 0.5  # of a row that has a label and one that has not: Jeffreys' prior, where the training rows are all alike


class Labels(RowPieces):
    """The labels of the design's rows, in its order, as a batch asks for them.

    Args:
        targets: (n, k) 1 where a row has a label, 0 where it has not, or a share between.

    Attributes:
        k: 2, the classes of each label.
        shares: (k, n) how much of each label a row has; counts: (blocks, k, 2) rows that have it, and that have not.
    """

    k = 2

    def __init__(self, design: Design, targets: np.ndarray):
        self.design = design
        ordered = np.ascontiguousarray(targets[design.order].T)
        self.shares = torch.from_numpy(ordered).to(design.device)
        have = [ordered[:, start:stop].sum(axis=1, dtype=float) for start, stop in pairwise(design.bounds)]
        sizes = np.diff(design.bounds)[:, None]
        self.counts = np.stack([np.stack(have), sizes - np.stack(have)], axis=2)

    def totals(self, trains: np.ndarray, problems: Sequence[Problem]) -> tuple[np.ndarray, Tensor]:
        """As `Targets.totals`."""
        labels = [problem.label for problem in problems]
        counts = np.einsum("pb,bpc->pc", trains, self.counts[:, labels])
        sums = torch.zeros(len(problems), 1, self.design.rank + 1, dtype=torch.float64, device=self.design.device)
        for block, of_block in enumerate(self.feature_sums):
            inside = torch.from_numpy(trains[:, block, None]).to(sums)
            sums[:, 0].addcmul_(of_block[labels], inside)
        return counts, sums

    def times(self, rows: slice, weights: Tensor | None, labels: Tensor) -> Tensor | None:
        """(q, m) how much each training row counts, with weights (q, 2), not of shares, or without; None: all alike."""
        if weights is None:
            return None
        return torch.where(self.shares[:, rows][labels] > 0, weights[:, :1], weights[:, 1:])

    def likelihood(self, logs: Tensor, rows: slice, labels: Tensor) -> Tensor:
        """(q, m) the log likelihood of each row by log probabilities (q, 2, m)."""
        logs = logs.clamp_min(MIN_LOG_PROB)
        return torch.lerp(logs[:, 1], logs[:, 0], self.shares[:, rows][labels].to(logs.dtype))

    def offsets(self, rows: slice) -> Tensor:
        """(1, m) fixed logits: none."""
        return self.design.curvature.new_zeros(1, rows.stop - rows.start)

    @cached_property
    def feature_sums(self) -> Tensor:
        """(blocks, k, d + 1) float64: the sums of (features, 1) over the rows that have each label."""
        design = self.design
        sums = torch.zeros(design.blocks, len(self.shares), design.rank + 1, dtype=torch.float64, device=design.device)
        for block in range(design.blocks):
            for rows in self.pieces(block, len(self.shares)):
                member = self.shares[:, rows].to(design.dtype)
                sums[block, :, :-1] += member @ design.rows(rows)
                sums[block, :, -1] += member.sum(1)
        return sums
