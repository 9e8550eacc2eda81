"""Newton's method for few rows, whose features separate them: a large C is badly conditioned for a fixed first guess.

Each set of training rows is turned into its own eigenbasis, of no more columns than it has rows, and each C begins on
the line through the optima of the nearest two, in log C. A step solves Hs = -gradient by conjugate gradients (Nocedal &
Wright, chapter 7) in coordinates in which H is nearly the identity. If a row's Hessian diag(p) - pp' were b M, with M
as in models/logreg/solve.py and b such that both have one trace, H would be M (x) LL' with a Cholesky factor L of the
Gram matrix weighted by b, and the ridge. So with rows y = L^-1 z it is, and well enough conditioned for float32,

    Hv = Mv + sum_i ((diag(p_i) - p_i p_i') - b_i M) (v y_i) y_i'.

With two classes that is Mv. The gradient and the line search stay in float64, and all of it on the CPU, which has done
so little before a GPU has been told of it.

Shapes: p problems, k classes, m training rows at most, r columns of their eigenbases at most.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src.models.logreg.batch import largest, softmax, times_inverse, times_m
from src.models.logreg.design import FLOOR, Design
from src.models.logreg.lbfgs import dot, minimise
from src.models.logreg.targets import Problem, Targets

REST = 0.1  # of a step that may be left, in the norm of its coordinates
# of what a step gains, at most, when it has become so little that f is quadratic: the rest squared, and more
LEFT = 0.1
CONJUGATE = 200  # gradients at most in a step
JITTER = 1e-9  # of the weighted Gram matrix's diagonal, added to it
LEAST = 1e-16  # that a row bends f: less is rounding


class Space:
    """The rows outside of some blocks, in their own eigenbasis."""

    def __init__(self, design: Design, without: tuple[int, ...]):
        self.rows = np.flatnonzero(~np.isin(design.block, without))
        z = design.z[torch.from_numpy(self.rows)]
        self.own = Design(z.cpu().numpy(), np.zeros(len(z), int), dtype=torch.float64)

    def padded(self, m: int, r: int) -> tuple[Tensor, Tensor]:
        """The rows (m, r + 1), the last column 1, and what turns gradients (r + 1) to the design's columns (rank)."""
        own = self.own
        z, back = torch.zeros(m, r + 1, dtype=own.dtype), torch.zeros(r + 1, own.d, dtype=own.dtype)
        z[: own.n, : own.rank], z[: own.n, -1] = own.z, 1
        back[: own.rank], back[-1] = own.basis.T, own.center
        return z, back


@dataclass
class Fits:
    """f of p problems as `lbfgs.Functions`, each with the rows that it trains on; what is beyond them is 0."""

    design: Design
    z: Tensor  # (p, m, r + 1)
    back: Tensor  # (p, r + 1, rank)
    true: Tensor  # (p, k - 1, m) 1 in the row's class
    times: Tensor  # (p, 1, m) how much a row counts, over n
    ridge: Tensor  # (p, 1, r + 1)
    logits: Tensor  # (p, k - 1, m) at the present coefficients
    changes: Tensor  # (p, k - 1, m) of the logits, by a step of 1
    coef: Tensor  # (p, k - 1, r + 1), where the line begins
    direction: Tensor  # (p, k - 1, r + 1)
    dtype: torch.dtype = torch.float64

    @property
    def k(self) -> int:
        return self.true.shape[1] + 1

    def penalty(self, coef: Tensor) -> Tensor:
        """The gradient of the penalty."""
        return self.ridge * times_m(coef, self.k)

    def aim(self, coef: Tensor, direction: Tensor) -> None:
        self.coef, self.direction = coef, direction
        self.changes = direction @ self.z.mT

    def evaluate(self, step: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        there = step[:, None, None]
        coef, logits = self.coef + there * self.direction, self.logits + there * self.changes
        straight, fitted = self.penalty(coef), (self.true * logits).sum(1, keepdim=True)
        probs, logs = softmax(logits)
        value = ((logs - fitted) * self.times).sum((1, 2)) + dot(coef, straight) / 2
        slope = dot((probs - self.true) * self.times, self.changes) + dot(straight, self.direction)
        return torch.where(which, value, 0), torch.where(which, slope, 0)

    def gradient(self, coef: Tensor, step: Tensor) -> Tensor:
        self.logits += step[:, None, None] * self.changes
        wrong = (softmax(self.logits.clone())[0] - self.true) * self.times
        return wrong @ self.z + self.penalty(coef)

    def norm(self, gradient: Tensor, bound: Tensor) -> Tensor:
        """As `Batch.norm`."""
        size = gradient.square().sum(2).div(self.design.d).sqrt().amax(1)
        near, norm = size <= bound, torch.full_like(size, math.inf)
        turned, intercept = gradient[near] @ self.back[near], gradient[near][:, :, -1:]
        norm[near] = largest(turned @ self.design.basis.cpu().T + intercept * self.design.center.cpu(), intercept)
        return norm

    def keep(self, which: Tensor) -> None:
        for field in fields(self):
            if isinstance(values := getattr(self, field.name), Tensor):
                setattr(self, field.name, values[which])


class Newton:
    """The steps of Newton's method: nothing is remembered from one to the next."""

    left, may_be_far = LEFT, True

    def direction(self, gradient: Tensor, fits: Fits) -> Tensor:
        probs = F.pad(fits.logits, (0, 0, 0, 1)).softmax(1)
        bend = (1 - probs.square().sum(1, keepdim=True)) / (2 if fits.k == 2 else fits.k - 1)
        bend = bend.clamp_min_(LEAST) * fits.times
        gram = (fits.z.mT * bend) @ fits.z
        diagonal = gram.diagonal(dim1=1, dim2=2)
        diagonal += fits.ridge[:, 0] + JITTER * diagonal
        triangle = torch.linalg.cholesky(gram)
        rows = torch.linalg.solve_triangular(triangle, fits.z.mT, upper=False)
        aim = torch.linalg.solve_triangular(triangle, gradient.mT, upper=False).mT
        size = aim.flatten(1).norm(dim=1).clamp_min(torch.finfo(aim.dtype).tiny)[:, None, None]
        single = (values.float() for values in (-aim / size, rows, probs, fits.times, bend))
        step = conjugate_gradients(*single).double() * size
        return torch.linalg.solve_triangular(triangle.mT, step.mT, upper=True).mT.contiguous()

    def add(self, *_) -> None:
        pass

    forget = keep = add


def conjugate_gradients(aim: Tensor, rows: Tensor, probs: Tensor, times: Tensor, bend: Tensor) -> Tensor:
    """Solves Hs = aim (p, k - 1, r + 1) but for REST of it, with H as in the head of this file.

    Args:
        rows: (p, r + 1, m) y; probs: (p, k, m), of the last class too; times: (p, 1, m) how much each row counts, and
            bend: (p, 1, m) times b.
    """
    k, likeliest = probs.shape[1], probs.argmax(1, keepdim=True)
    weights = probs[:, :-1] * times

    def bent(along: Tensor) -> Tensor:
        """(diag(p) - pp') of changes of logits, which count from the likeliest class's: its p may be rounded to 1."""
        beyond = F.pad(along, (0, 0, 0, 1))
        beyond -= beyond.gather(1, likeliest)
        return weights * (beyond[:, :-1] - (probs * beyond).sum(1, keepdim=True))

    rest, step = aim.clone(), torch.zeros_like(aim)
    way = full = times_inverse(rest, k)
    size = dot(rest, full)
    enough = REST**2 * size
    for _ in range(CONJUGATE):
        along = way @ rows
        turned = (bent(along) - bend * times_m(along, k)) @ rows.mT + times_m(way, k)
        length = dot(way, turned)
        going = (size > enough) & (length > 0)
        if not going.any():
            break
        pace = torch.where(going, size / length, 0)[:, None, None]
        step += pace * way
        rest -= pace * turned
        full = times_inverse(rest, k)
        before, size = size, torch.where(going, dot(rest, full), size)
        way = full + torch.where(going, size / before, 0)[:, None, None] * way
    return step


class Path:
    """The optima of one set of rows as they are found, by log C: of the least and the largest two of C."""

    def __init__(self, space: Space):
        self.space, self.found = space, {}

    def guess(self, c: float, still: Tensor) -> Tensor:
        """(k - 1, r + 1) to begin with: on the line through the nearest two, if C is not much further than they are."""
        at = math.log(c)
        near = sorted(self.found, key=lambda known: abs(known - at))[:2]
        if not near:
            return still
        guess = self.found[near[0]]
        if len(near) == 2 and abs(at - near[0]) <= 1.5 * abs(near[1] - near[0]):
            guess = torch.lerp(*(self.found[known] for known in near), (at - near[0]) / (near[1] - near[0]))
        padded, rank = torch.zeros_like(still), self.space.own.rank
        padded[:, :rank], padded[:, -1] = guess[:, :rank], guess[:, -1]
        return padded

    def add(self, c: float, coef: Tensor) -> None:
        """Without the columns that only others' rows have."""
        rank = self.space.own.rank
        self.found[math.log(c)] = torch.cat([coef[:, :rank], coef[:, -1:]], 1)
        for between in sorted(self.found)[2:-2]:
            del self.found[between]


def optima(
    labels: Targets, problems: Sequence[Problem], balanced: bool, **ends: float
) -> Iterator[tuple[list[int], tuple[Tensor, Tensor, Tensor, Tensor]]]:
    """Some problems' numbers, and the result of `minimise` for them in the design's columns, until all are solved.

    What is found stays with the design, where there is room for all of it: a grid of C that grows goes on from there.
    """
    design, classes = labels.design, tuple(labels.present)
    queues: dict[tuple, list[int]] = {}
    for i in sorted(range(len(problems)), key=lambda i: problems[i].c):
        queues.setdefault((tuple(sorted(set(problems[i].without))), classes), []).append(i)
    at_once = max(1, FLOOR // (64 * design.n * (min(design.n, design.rank) + labels.k)))  # some eight matrices
    for start in range(0, len(queues), at_once):
        some = dict(list(queues.items())[start : start + at_once])
        if len(design.paths.keys() | some) > at_once:
            design.paths.clear()
        for key in some.keys() - design.paths.keys():
            design.paths[key] = Path(Space(design, key[0]))
        for number in range(max(map(len, some.values()))):
            there = {queue[number]: design.paths[key] for key, queue in some.items() if number < len(queue)}
            yield list(there), solve_together(labels, problems, there, balanced, **ends)


def solve_together(
    labels: Targets, problems: Sequence[Problem], paths: dict[int, Path], balanced: bool, **ends: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The result of `minimise`, and one more optimum on each problem's path."""
    fits = fit_from_nothing(labels, [problems[i] for i in paths], [path.space for path in paths.values()], balanced)
    still = torch.zeros_like(fits.coef[0])
    back = fits.back
    start = torch.stack([path.guess(problems[i].c, still) for i, path in paths.items()])
    coef, *ended = minimise(fits, start, **ends, steps=Newton())
    for (i, path), own in zip(paths.items(), coef, strict=True):
        path.add(problems[i].c, own)
    turned = coef[:, :, :-1] @ back[:, :-1]
    intercept = coef[:, :, -1:] - turned @ back[:, -1:].mT
    return torch.cat([turned, intercept], 2), *ended


def fit_from_nothing(labels: Targets, problems: Sequence[Problem], spaces: Sequence[Space], balanced: bool) -> Fits:
    """The problems with coefficients of 0."""
    k, p, sizes = labels.k, len(problems), [len(space.rows) for space in spaces]
    m, r = max(sizes), max(space.own.rank for space in spaces)
    z, back = (torch.stack(values) for values in zip(*(space.padded(m, r) for space in spaces), strict=True))
    classes, given = labels.labels.cpu().numpy(), labels.offsets(slice(0, labels.design.n)).cpu()
    true, times = torch.zeros(p, k, m, dtype=z.dtype), torch.zeros(p, 1, m, dtype=z.dtype)
    logits, n = torch.zeros(p, k - 1, m, dtype=z.dtype), torch.zeros(p, 1, 1, dtype=z.dtype)
    for i, space in enumerate(spaces):
        own = classes[space.rows]
        counts = np.bincount(own[own >= 0], minlength=k)
        n[i] = counts.sum()  # balanced weights have this sum too
        weights = counts.sum() / (k * counts) if balanced else np.ones(k)
        times[i, 0, : len(own)] = torch.from_numpy(np.where(own >= 0, weights[own], 0)) / n[i]
        true[i, np.maximum(own, 0), np.arange(len(own))] = 1
        logits[i, :, : len(own)] = given[:, torch.from_numpy(space.rows)]
    cs = torch.tensor([problem.c for problem in problems], dtype=z.dtype)[:, None, None]
    ridge = F.pad((1 / (cs * n)).expand(-1, -1, r), (0, 1))
    coef = torch.zeros(p, k - 1, r + 1, dtype=z.dtype)
    return Fits(labels.design, z, back, true[:, :-1], times, ridge, logits, torch.zeros_like(logits), coef, coef)
