"""f of many problems at once, with products of pieces of rows: what `lbfgs.minimise` asks of its functions.

Shapes: p problems, q of them that train on some rows, k classes, d features, m rows of a piece that stays in the cache.
Problems come first, rows last. Coefficients are (p, k - 1, d + 1), the intercept's last.

All products are torch's. By itself numpy is up to 2.9 times as fast on an AMD CPU, and with it a solve took 2.0 to 2.6
times as long on two cores (4, 10 and 15 classes): its threads and those of the steps between wait for each other.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src.models.logreg import lbfgs
from src.models.logreg.labels import Labels
from src.models.logreg.lbfgs import dot, minimise
from src.models.logreg.targets import Problem, Targets

WIDE = 128  # columns of a product that make it fast: so many are taken, whatever the memory


@dataclass
class Piece:
    """Some rows of one block, and the state of the q problems that train on them."""

    rows: slice  # of the design's order
    numbers: Tensor  # (q,) of them in the batch, on the CPU
    problems: Tensor  # (q,) the same on the device
    logits: Tensor  # (q, k - 1, m) at the present coefficients
    changes: Tensor  # (q, k - 1, m) what a step of 1 adds to them


class Batch:
    """f of p problems as `lbfgs.Functions`; labels enter by `target`, and by how much each row counts."""

    def __init__(self, labels: Targets | Labels, problems: Sequence[Problem], balanced: bool):
        self.design, self.labels, self.problems, self.k = labels.design, labels, problems, labels.k
        self.dtype = self.design.dtype
        device, numbers = self.design.device, {"dtype": torch.float64, "device": labels.design.device}
        trains = np.array([self.design.trains(problem.without) for problem in problems])
        counts, mean = labels.totals(trains, problems)  # (p, k)
        self.label = torch.tensor([problem.label for problem in problems], device=device)
        self.n = torch.tensor(counts.sum(axis=1), **numbers)  # balanced weights have this sum too
        self.weights = None  # (p, k)
        if balanced:
            self.weights = torch.tensor(counts.sum(axis=1, keepdims=True) / (self.k * counts), **numbers)
            mean *= self.weights[:, :-1, None]
        self.target = mean / self.n[:, None, None]
        ridge = (1 / (torch.tensor([problem.c for problem in problems], **numbers) * self.n))[:, None, None]
        self.ridge = F.pad(ridge.expand(-1, -1, self.design.rank), (0, 1))
        curvature = F.pad(self.design.curvature.double(), (0, 1), value=1.0) / (4 if self.k == 2 else self.k)
        self.diagonal = (self.ridge + curvature).to(self.design.dtype)
        self.line = torch.zeros(3, len(problems), **numbers)
        self.pieces = []
        for block in range(self.design.blocks):
            numbers = torch.from_numpy(np.flatnonzero(trains[:, block]))
            training = numbers.to(device)
            for rows in labels.pieces(block, len(training)) if len(training) else ():
                logits = labels.offsets(rows).expand(len(training), -1, -1).contiguous()
                self.pieces.append(Piece(rows, numbers, training, logits, torch.zeros_like(logits)))

    def weigh(self, values: Tensor, piece: Piece, some: slice | Tensor = slice(None)) -> Tensor:
        """Values (q, ..., m) of some of a piece's problems times how much the rows count, in place."""
        weights = None if self.weights is None else self.weights[piece.problems[some]]
        times = self.labels.times(piece.rows, weights, self.label[piece.problems[some]])
        return values if times is None else values.mul_(times[:, None].to(values.dtype))

    def penalty(self, coef: Tensor) -> Tensor:
        """The gradient of the penalty."""
        return self.ridge * times_m(coef, self.k)

    def precondition(self, gradient: Tensor) -> Tensor:
        """Times the inverse of the Hessian that f would have if all classes were equally likely in each row."""
        return times_inverse(gradient / self.diagonal, self.k)

    def aim(self, coef: Tensor, direction: Tensor) -> None:
        """Sets the line to search on: f without its log-sum-exp is quadratic there, in the step."""
        straight, exact = self.penalty(coef), direction.double()
        value = dot(straight, coef) / 2 - dot(self.target, coef)
        linear = dot(straight.sub_(self.target), exact)
        self.line = torch.stack([value, linear, dot(self.penalty(exact), exact)])
        for piece in self.pieces:
            flat = direction[piece.problems].flatten(0, 1)
            products = piece.changes.flatten(0, 1)
            torch.addmm(flat[:, -1:], flat[:, :-1], self.design.rows(piece.rows).T, out=products)

    def evaluate(self, step: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """f (but for a constant that the offset brings) and its slope (p,) at steps (p,); 0 where not `which`."""
        value, slope = torch.zeros_like(step), torch.zeros_like(step)
        for piece in self.pieces:
            inside = which[piece.numbers]
            some = slice(None) if inside.all() else inside.nonzero()[:, 0].to(step.device)
            problems, change = piece.problems[some], piece.changes[some]
            times = step[problems].to(change.dtype)[:, None, None]
            probs, logs = softmax(torch.addcmul(piece.logits[some], change, times))
            total = self.weigh(logs, piece, some).sum((1, 2), dtype=torch.float64)
            value.index_add_(0, problems, total)
            slope.index_add_(0, problems, dot(self.weigh(probs, piece, some), change).double())
        constant, linear, bend = torch.where(which.to(step.device), self.line, 0)
        return value / self.n + constant + step * (linear + step * bend / 2), slope / self.n + linear + step * bend

    def gradient(self, coef: Tensor, step: Tensor) -> Tensor:
        total = torch.zeros_like(self.target)
        for piece in self.pieces:
            times = step[piece.problems].to(piece.logits.dtype)[:, None, None]
            piece.logits.addcmul_(piece.changes, times)
            probs = self.weigh(softmax(piece.changes.copy_(piece.logits))[0], piece)
            flat = probs.flatten(0, 1)
            product = torch.cat([flat @ self.design.rows(piece.rows), flat.sum(1, keepdim=True)], 1)
            total.index_add_(0, piece.problems, product.view(len(probs), self.k - 1, -1).double())
        return total.div_(self.n[:, None, None]).sub_(self.target).add_(self.penalty(coef))

    def norm(self, gradient: Tensor, bound: Tensor) -> Tensor:
        """(p,) the gradient's largest entry for the features as they were given; inf where that is above `bound`.

        It is at least the rotated gradient's root mean square, so that few gradients have to be rotated back.
        """
        coef, intercept = gradient[:, :, :-1], gradient[:, :, -1:]
        near = torch.maximum((coef.square().sum(2) / self.design.d).sqrt(), intercept[:, :, 0].abs()).amax(1)
        near = (near <= bound).nonzero()[:, 0]  # a GPU is waited for once
        back = (coef[near].to(self.design.dtype) @ self.design.basis.T).double() + intercept[near] * self.design.center
        norm = torch.full_like(self.n, math.inf)
        norm[near] = largest(back, intercept[near])
        return norm

    def keep(self, which: Tensor) -> None:
        device, number = self.n.device, which.cumsum(0) - 1
        kept = which.nonzero()[:, 0].to(device)
        self.n, self.ridge, self.diagonal, self.target = (
            values[kept] for values in (self.n, self.ridge, self.diagonal, self.target)
        )
        self.weights, self.label = None if self.weights is None else self.weights[kept], self.label[kept]
        for piece in self.pieces:
            inside = which[piece.numbers]
            if not inside.all():  # in the same memory; the changes are set again for the next direction
                left = int(inside.sum())
                piece.logits[:left] = piece.logits[inside.nonzero()[:, 0].to(device)]
                piece.logits, piece.changes = piece.logits[:left], piece.changes[:left]
            piece.numbers = number[piece.numbers[inside]]
            piece.problems = piece.numbers.to(device)
        self.pieces = [piece for piece in self.pieces if len(piece.numbers)]


def times_m(values: Tensor, k: int) -> Tensor:
    """(q, k - 1, ...) times M of models/logreg/solve.py."""
    return values if k == 2 else values - values.sum(1, keepdim=True) / k


def times_inverse(values: Tensor, k: int) -> Tensor:
    """(q, k - 1, ...) times the inverse of M."""
    return values if k == 2 else values + values.sum(1, keepdim=True)


def softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits (q, k - 1, m) beside a last class's of 0, in their place: probabilities, and log-sum-exp (q, 1, m)."""
    top = logits.amax(1, keepdim=True).clamp_min_(0)
    probs = logits.sub_(top).exp_()
    total = probs.sum(1, keepdim=True).add_(top.neg().exp_())
    return probs.div_(total), total.log_().add_(top)


def largest(coef: Tensor, intercept: Tensor) -> Tensor:
    """(q,) the largest entry of gradients (q, k - 1, d) and (q, k - 1, 1), and of the last class's."""
    every = torch.cat([coef, intercept], 2)
    return torch.maximum(every.abs().amax((1, 2)), every.sum(1).abs().amax(1))  # the last's but for its sign


def optima(
    labels: Targets | Labels, problems: Sequence[Problem], balanced: bool, **ends: float
) -> Iterator[tuple[list[int], tuple[Tensor, Tensor, Tensor, Tensor]]]:
    """Some problems' numbers, and the result of `minimise` for them, until all are solved.

    Problems of like C take like numbers of iterations: so a batch stays wide. And the next larger C's begin with the
    coefficients of the last that had the same rows and label.
    """
    design, order = labels.design, sorted(range(len(problems)), key=lambda i: problems[i].c)
    last, still = {}, torch.zeros(labels.k - 1, design.rank + 1, dtype=design.dtype, device=design.device)
    for some in np.array_split(order, math.ceil(len(order) / at_once(labels, problems))):
        batch = [problems[i] for i in some]
        start = torch.stack([last.get((problem.without, problem.label), still) for problem in batch]).double()
        coef, *ended = minimise(Batch(labels, batch, balanced), start, **ends)
        last |= zip([(one.without, one.label) for one in batch], coef.to(design.dtype), strict=True)
        yield some.tolist(), (coef, *ended)


def at_once(labels: Targets | Labels, problems: Sequence[Problem]) -> int:
    """How many of the problems fit the design's memory for work: each has two logits a row, and L-BFGS's vectors.

    It is at least as many as make a product WIDE.
    """
    design, sizes = labels.design, np.diff(labels.design.bounds)
    rows = design.n - np.mean([sizes[list(set(problem.without))].sum() for problem in problems])
    numbers = max(labels.k - 1, 1) * (2 * rows + (2 * lbfgs.DEPTH + 16) * (design.rank + 1))
    return max(math.ceil(WIDE / max(labels.k - 1, 1)), int(design.work / (design.dtype.itemsize * numbers)))
