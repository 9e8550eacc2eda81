"""Ridge regression of shares on features, for every C and every choice of held-out rows at once.

The share is a number's, of the way from the least to the greatest. The objective is scikit-learn's, with an intercept
that is not penalised and alpha = 1 / C, so that one grid of C serves it too:

    f(w, b) = sum_i (w x_i + b - y_i)^2 + 1/C |w|^2    over the training rows

The Gram matrix of some training rows is the sum of their blocks', less what their own mean adds. Its eigenvectors give
the optimum of all C at once (Hastie, Tibshirani & Friedman 2009, chapter 3.4). Sums are float64, which a small 1/C
needs.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from src.base import machine
from src.models.links import Share
from src.models.logreg.design import Design
from src.models.logreg.solve import Solution
from src.models.logreg.targets import Problem

ROWS = 8192  # in float64 at a time


class Clipped(Share):
    """The link of a ridge regression, whose shares may lie beyond 0 and 1."""

    def predict(self, outputs: np.ndarray) -> np.ndarray:
        """(n, 1) shares -> (n, 1) numbers within the span."""
        return self.numbers(outputs.clip(0, 1))


class Moments:
    """The sums over each block's rows z, which count from the design's center, and their shares y.

    Attributes:
        gram: (blocks, rank, rank) zz'; total: (blocks, rank) z; known: (blocks, rank) yz; y: (blocks,); n: (blocks,).
    """

    def __init__(self, design: Design, shares: Tensor):
        where, self.design = {"dtype": torch.float64, "device": design.device}, design
        self.gram = torch.zeros(design.blocks, design.rank, design.rank, **where)
        self.total, self.known = (torch.zeros(design.blocks, design.rank, **where) for _ in range(2))
        self.y, self.n = (torch.zeros(design.blocks, **where) for _ in range(2))
        for block, (start, stop) in enumerate(pairwise(design.bounds)):
            for first in range(start, stop, ROWS):
                piece = slice(first, min(first + ROWS, stop))
                rows, own = design.rows(piece).double(), shares[piece]
                self.gram[block].addmm_(rows.T, rows)
                self.total[block] += rows.sum(0)
                self.known[block] += own @ rows
                self.y[block] += own.sum()
            self.n[block] = stop - start

    def optima(self, without: Sequence[int], cs: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Coefficients (c, rank) and intercepts (c,) of rows z, for each C; some blocks' rows are held out."""
        trains = torch.from_numpy(self.design.trains(without)).to(self.n.device)
        gram, total, known, y, n = (
            values[trains].sum(0) for values in (self.gram, self.total, self.known, self.y, self.n)
        )
        values, vectors = torch.linalg.eigh(gram - torch.outer(total, total) / n)
        alphas = 1 / torch.tensor(cs, dtype=torch.float64, device=self.n.device)
        turned = (known - total * y / n) @ vectors
        coef = turned / (values.clamp_min(0) + alphas[:, None]) @ vectors.T
        return coef, (y - coef @ total) / n


@machine.full_float32()
def solve(design: Design, targets: np.ndarray, problems: Sequence[Problem]) -> Solution:
    """Solves all problems. Each predicts feats @ coef.T + intercept, to be clipped to 0..1.

    The loss of the rows held out is the sum of squared errors, of shares.

    Args:
        targets: (n, 1) shares, of the rows as they were given to the design.

    Raises:
        ValueError: A problem has no rows to train on.
    """
    shares = torch.from_numpy(targets[design.order, 0].astype(float)).to(design.device)
    moments, p = Moments(design, shares), len(problems)
    coefs, intercepts = np.zeros((p, 1, design.d)), np.zeros((p, 1))
    loss = np.full((p, design.blocks), np.nan)
    for without in dict.fromkeys(problem.without for problem in problems):
        if not np.diff(design.bounds)[design.trains(without)].any():
            raise ValueError(f"no row is left to train on without the blocks {sorted(without)}")
        where = [i for i, problem in enumerate(problems) if problem.without == without]
        coef, intercept = moments.optima(without, [problems[i].c for i in where])
        for block in set(without):
            loss[where, block] = squared_errors(design, shares, block, coef, intercept)
        turned = coef @ design.basis.T.double()
        coefs[where, 0] = turned.cpu()
        intercepts[where, 0] = (intercept - turned @ design.center.double()).cpu()
    dtype = torch.empty(0, dtype=design.dtype).numpy().dtype
    nothing = np.zeros(p)  # is left of a gradient, nor are there iterations
    return Solution(coefs.astype(dtype), intercepts.astype(dtype), loss, nothing, nothing.astype(int), nothing == 0)


def squared_errors(design: Design, shares: Tensor, block: int, coef: Tensor, intercept: Tensor) -> np.ndarray:
    """(c,) the sum over a block's rows, for each of the coefficients (c, rank)."""
    total, (start, stop) = np.zeros(len(coef)), design.bounds[block : block + 2]
    for first in range(start, stop, ROWS):
        piece = slice(first, min(first + ROWS, stop))
        found = design.rows(piece).double() @ coef.T + intercept
        wrong = found.clamp_(0, 1) - shares[piece, None]
        total += wrong.square_().sum(0).cpu().numpy()
    return total
