"""Multinomial logistic regression for every C and every choice of held-out rows at once, on the CPU or a GPU.

The objective is scikit-learn's, with an L2 penalty and an intercept that is not penalised:

    f(W, b) = 1/n sum_i w_i CE(W x_i + b + offset_i, y_i) + 1/(2 C n) |W|^2,    n = sum_i w_i over the training rows

What makes it fast, without changing the optimum:

* Rotation (models/logreg/design.py). In the eigenbasis of the features' Gram matrix the curvature is nearly
  diagonal, and one diagonal serves as preconditioner for every C.
* Reduced coordinates (Böhning 1992, "Multinomial logistic regression algorithm"). Logits count from the last class's,
  so k - 1 columns T_c = W_c - W_k do. The penalty becomes tr(T' M T) / (2 C n) with M = I - 11'/k, and where all
  classes are equally likely the Hessian is exactly M (x) (Gram/k + 1/(C n)), whose inverse is known: M^-1 = I + 11'.
  That is the first matrix of L-BFGS (models/logreg/lbfgs.py). scikit-learn's problem of two classes is another, of one
  column w with the penalty |w|^2 / (2 C n): there M = 1, and the curvature is Gram/4.
* Batches. All problems share two matrix products an iteration, and each has its own step. Products leave out the rows
  that a problem holds out. Logits are linear in the step, so the line search (Wolfe's conditions: Nocedal & Wright,
  chapter 3) works on the logits and needs no product. A problem that has converged leaves the batch.
* Few rows (Design.few). Features separate them, and a large C is then badly conditioned: rows that are settled bend f
  no more. So the first matrix is made again, from each problem's own probabilities, as its steps go on.

Labels of held-out rows reach a problem's weights in no way but this: how wide the products of a batch are, and so how
their last bits are rounded, depends on when its other problems converge.

Shapes: p problems, q of them that train on some rows, k classes, d features, m rows of a piece that stays in the cache.
Problems come first, rows last. Coefficients are (p, k - 1, d + 1), the intercept's last.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from src.models.logreg import lbfgs
from src.models.logreg.design import Design
from src.models.logreg.lbfgs import dot, minimise
from src.models.logreg.targets import Targets

NEVER = -1e4  # the logit of a class that the training rows lack
RENEW = 8, 16, 32  # iterations with a new curvature, and each multiple of the last
RANK = 300  # columns above which this takes longer than it saves
JITTER = 1e-6  # of its diagonal, added to it
WIDE = 128  # columns of a product that make it fast: so many are taken, whatever the memory


@dataclass(frozen=True)
class Problem:
    c: float
    without: tuple[int, ...] = ()  # the blocks whose rows are held out


@dataclass(frozen=True)
class Solution:
    """Arrays over the p problems, in their order."""

    coef: np.ndarray  # (p, k, d) of the design's dtype, for the features as they were given
    intercept: np.ndarray  # (p, k)
    held_out_loss: np.ndarray  # (p, blocks): sum of -log p(true class) over a held-out block's rows, NaN for the others
    gradient: np.ndarray  # (p,) its largest entry in absolute value
    iterations: np.ndarray  # (p,)
    converged: np.ndarray  # (p,) bool


@dataclass
class Piece:
    """Some rows, of one block or of all, and the state of the q problems that train on them."""

    rows: slice  # of the design's order
    problems: Tensor  # (q,) their numbers in the batch
    logits: Tensor  # (q, k - 1, m) at the present coefficients
    changes: Tensor  # (q, k - 1, m) what a step of 1 adds to them
    times: Tensor | None = None  # (q, m) how much the rows count, where they are of all blocks


class Batch:
    """f of p problems as `lbfgs.Functions`; labels enter by `target`, and by how much each row counts."""

    def __init__(self, labels: Targets, problems: Sequence[Problem], balanced: bool):
        self.design, self.labels, self.problems, self.k = labels.design, labels, problems, labels.k
        self.dtype = self.design.dtype
        device, numbers = self.design.device, {"dtype": torch.float64, "device": labels.design.device}
        trains = np.array([[block not in p.without for block in range(self.design.blocks)] for p in problems])
        counts = trains @ labels.counts  # (p, k)
        self.n = torch.tensor(counts.sum(axis=1), **numbers)  # balanced weights have this sum too
        self.weights = None  # (p, k)
        mean = torch.einsum("pb,bcd->pcd", torch.tensor(trains, **numbers), labels.feature_sums)
        if balanced:
            self.weights = torch.tensor(counts.sum(axis=1, keepdims=True) / (self.k * counts), **numbers)
            mean *= self.weights[:, :-1, None]
        self.target = mean / self.n[:, None, None]
        ridge = (1 / (torch.tensor([problem.c for problem in problems], **numbers) * self.n))[:, None, None]
        self.ridge = F.pad(ridge.expand(-1, -1, self.design.rank), (0, 1))
        curvature = F.pad(self.design.curvature.double(), (0, 1), value=1.0) / (4 if self.k == 2 else self.k)
        self.diagonal = (self.ridge + curvature).to(self.design.dtype)
        self.inverse = None  # (p, rank + 1, rank + 1), better than that of the diagonal
        self.line = torch.zeros(3, len(problems), **numbers)
        self.pieces = [self.whole(trains)] if self.design.few else []
        for block in range(0 if self.design.few else self.design.blocks):
            training = torch.from_numpy(np.flatnonzero(trains[:, block])).to(device)
            for rows in labels.pieces(block, len(training)) if len(training) else ():
                logits = labels.offsets(rows).expand(len(training), -1, -1).contiguous()
                self.pieces.append(Piece(rows, training, logits, torch.zeros_like(logits)))

    def whole(self, trains: np.ndarray) -> Piece:
        """All rows: few are multiplied sooner than five products are called; those held out count nothing."""
        rows, sizes = slice(0, self.design.n), np.diff(self.design.bounds)
        logits = self.labels.offsets(rows).expand(len(trains), -1, -1).contiguous()
        times = torch.from_numpy(trains.repeat(sizes, axis=1)).to(logits)
        if (counts := self.labels.times(rows, self.weights)) is not None:
            times *= counts
        problems = torch.arange(len(trains), device=logits.device)
        return Piece(rows, problems, logits, torch.zeros_like(logits), times)

    def weigh(self, values: Tensor, piece: Piece, some: slice | Tensor = slice(None)) -> Tensor:
        """Values (q, ..., m) of some of a piece's problems times how much the rows count, in place."""
        if piece.times is not None:
            return values.mul_(piece.times[some][:, None])
        weights = None if self.weights is None else self.weights[piece.problems[some]]
        times = self.labels.times(piece.rows, weights)
        return values if times is None else values.mul_(times[:, None].to(values.dtype))

    def penalty(self, coef: Tensor) -> Tensor:
        """The gradient of the penalty."""
        return self.ridge * (coef if self.k == 2 else coef - coef.sum(1, keepdim=True) / self.k)

    def precondition(self, gradient: Tensor) -> Tensor:
        """Times the inverse of the Hessian that f would have if all classes were equally likely in each row."""
        turned = gradient / self.diagonal if self.inverse is None else gradient @ self.inverse
        return turned if self.k == 2 else turned + turned.sum(1, keepdim=True)

    def renew(self, iteration: int) -> bool:
        """Of few rows: those that are settled count less, which the diagonal knows nothing of.

        A row's Hessian diag(p) - pp' is taken to be M times the number that has the same trace, so that a problem needs
        the inverse of one (rank + 1, rank + 1) matrix. With two classes it is Newton's.
        """
        due = iteration in RENEW or (iteration > 0 and iteration % RENEW[-1] == 0)
        if not (due and self.design.few and self.design.rank <= RANK):
            return False
        (piece,) = self.pieces
        probs = softmax(piece.logits.clone())[0]
        rest = 1 - probs.sum(1)
        bend = (1 - probs.square().sum(1) - rest.square()) / (2 if self.k == 2 else self.k - 1)
        bend = bend.clamp_min_(0).mul_(piece.times).double() / self.n[:, None]
        rows = F.pad(self.design.rows(piece.rows), (0, 1), value=1.0).double()
        curvature = (rows.T * bend[:, None]) @ rows
        diagonal = curvature.diagonal(dim1=1, dim2=2)
        diagonal += self.ridge[:, 0] + JITTER * diagonal
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(curvature)).to(self.dtype)
        return True

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
        """f (but for a constant that the offset brings) and its slope (p,) at steps (p,); 0 where not `which` (p,)."""
        value, slope = torch.zeros_like(step), torch.zeros_like(step)
        for piece in self.pieces:
            some = which[piece.problems]
            some = slice(None) if some.all() else some
            problems, change = piece.problems[some], piece.changes[some]
            times = step[problems].to(change.dtype)[:, None, None]
            probs, logs = softmax(torch.addcmul(piece.logits[some], change, times))
            total = self.weigh(logs, piece, some).sum((1, 2), dtype=torch.float64)
            value.index_add_(0, problems, total)
            slope.index_add_(0, problems, dot(self.weigh(probs, piece, some), change).double())
        constant, linear, bend = torch.where(which, self.line, 0)
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
        near = torch.maximum((coef.square().sum(2) / self.design.d).sqrt(), intercept[:, :, 0].abs()).amax(1) <= bound
        back = (coef[near].to(self.design.dtype) @ self.design.basis.T).double() + intercept[near] * self.design.center
        back = torch.cat([back, intercept[near]], 2)
        norm = torch.full_like(self.n, math.inf)
        last = back.sum(1)  # of the last class, but for the sign
        norm[near] = torch.maximum(back.abs().amax((1, 2)), last.abs().amax(1))
        return norm

    def keep(self, which: Tensor) -> None:
        number = which.cumsum(0) - 1
        self.n, self.ridge, self.diagonal, self.target = (
            values[which] for values in (self.n, self.ridge, self.diagonal, self.target)
        )
        self.weights = None if self.weights is None else self.weights[which]
        self.inverse = None if self.inverse is None else self.inverse[which]
        for piece in self.pieces:
            some = which[piece.problems]
            piece.problems = number[piece.problems[some]]
            if not some.all():  # in the same memory; the changes are set again for the next direction
                left = len(piece.problems)
                piece.logits[:left] = piece.logits[some]
                piece.logits, piece.changes = piece.logits[:left], piece.changes[:left]
                piece.times = None if piece.times is None else piece.times[some]
        self.pieces = [piece for piece in self.pieces if len(piece.problems)]


def softmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits (q, k - 1, m) beside a last class's of 0, in their place: probabilities, and log-sum-exp (q, 1, m)."""
    top = logits.amax(1, keepdim=True).clamp_min_(0)
    probs = logits.sub_(top).exp_()
    total = probs.sum(1, keepdim=True).add_(top.neg().exp_())
    return probs.div_(total), total.log_().add_(top)


def optimum(
    labels: Targets, problems: Sequence[Problem], start: Tensor, balanced: bool, **ends: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The result of `minimise` for a batch of problems, from coefficients `start`."""
    batch = Batch(labels, problems, balanced)
    step = torch.ones_like(batch.n)  # all begin one step away from 0
    if start.any():
        batch.aim(torch.zeros_like(start), start.to(batch.dtype))
    value, _ = batch.evaluate(step, step > 0)
    return minimise(batch, start, value, batch.gradient(start, step), **ends)


def held_out_loss(labels: Targets, problems: Sequence[Problem], coef: Tensor) -> np.ndarray:
    """(p, blocks) float64: the log loss summed over the rows of each block held out, NaN for the others."""
    design, coef = labels.design, coef.to(labels.design.dtype)
    loss = np.full((len(problems), design.blocks), np.nan)
    for block in sorted({block for problem in problems for block in problem.without}):
        some = [i for i, problem in enumerate(problems) if block in problem.without]
        loss[some, block] = 0
        for rows in labels.pieces(block, len(some)):
            products = coef[some, :, :-1].flatten(0, 1) @ design.rows(rows).T
            logits = products.view(*coef[some].shape[:2], products.shape[1]) + coef[some, :, -1:] + labels.offsets(rows)
            likelihood = labels.likelihood(F.pad(logits, (0, 0, 0, 1)).log_softmax(1), rows)
            loss[some, block] -= likelihood.sum(1, dtype=torch.float64).cpu().numpy()
    return loss


def solve(
    design: Design,
    targets: np.ndarray,
    k: int,
    problems: Sequence[Problem],
    *,
    tol: float = 1e-6,
    share: float = 0.0,
    max_iter: int = 3000,
    offset: np.ndarray | None = None,
    balanced: bool = False,
) -> Solution:
    """Solves all problems. Each predicts softmax(feats @ coef.T + intercept), with the offset added to the logits.

    A class that a problem's training rows lack has coefficients of 0 and an intercept too low to be ever predicted.

    Args:
        targets: (n,) class indices below k, of the rows as they were given to the design; -1 leaves a row out.
        tol: A problem has converged when no entry of its gradient is larger, for the features as they were given.
        share: A problem has also converged when a step has promised to lower the objective by half of this share of it
            or less. That does not depend on the features' scale. The gradient may then be given as inf.
        offset: (n, k) logits to start from: the penalty draws to them.
        balanced: Weighs the classes as scikit-learn's class_weight="balanced" does, by the problem's training rows.

    Raises:
        ValueError: A problem has no rows to train on.
    """
    ends = {"tol": tol, "max_iter": max_iter, "share": share}
    p, dtype = len(problems), torch.empty(0, dtype=design.dtype).numpy().dtype
    coefs, intercepts = np.zeros((p, k, design.d), dtype), np.full((p, k), NEVER, dtype)
    loss, norms, counts = np.full((p, design.blocks), np.nan), np.zeros(p), np.zeros(p, int)
    converged = np.ones(p, bool)
    for present, members in by_classes(design, targets, problems).items():
        labels = Targets(design, targets, present, offset)
        # Problems of like C take like numbers of iterations: so a batch stays wide. And the next larger C's begin with
        # the coefficients of the last that had the same rows.
        members = sorted(members, key=lambda i: problems[i].c)
        last, still = {}, torch.zeros(labels.k - 1, design.rank + 1, dtype=design.dtype, device=design.device)
        for some in np.array_split(members, math.ceil(len(members) / at_once(labels, problems))):
            batch = [problems[i] for i in some]
            if labels.k > 1:
                start = torch.stack([last.get(problem.without, still) for problem in batch]).double()
                coef, norm, iterations, settled = optimum(labels, batch, start, balanced, **ends)
                last |= zip([problem.without for problem in batch], coef.to(design.dtype), strict=True)
                norms[some], counts[some], converged[some] = norm.cpu(), iterations.cpu(), settled.cpu()
            else:  # nothing to learn
                coef = torch.zeros(len(some), 0, design.rank + 1, dtype=torch.float64, device=design.device)
            loss[some] = held_out_loss(labels, batch, coef)
            every = F.pad(coef, (0, 0, 0, 1))
            every -= every.mean(1, keepdim=True)  # of scikit-learn's form: the classes' coefficients have sum 0
            unrotated = (every[:, :, :-1].to(design.dtype) @ design.basis.T).double()
            where = np.ix_(some, labels.present)
            coefs[where] = unrotated.cpu()
            intercepts[where] = (every[:, :, -1] - unrotated @ design.center.double()).cpu()
    return Solution(coefs, intercepts, loss, norms, counts, converged)


def by_classes(design: Design, targets: np.ndarray, problems: Sequence[Problem]) -> dict[tuple[int, ...], list[int]]:
    """The problems' numbers by the classes that are in their training rows: one group, but for rare classes."""
    ordered, groups = targets[design.order], {}
    there = [set(np.unique(ordered[start:stop])) - {-1} for start, stop in pairwise(design.bounds)]  # in each block
    for i, problem in enumerate(problems):
        present = set().union(*(there[block] for block in range(design.blocks) if block not in problem.without))
        if not present:
            raise ValueError(f"no row is left to train on without the blocks {sorted(problem.without)}")
        groups.setdefault(tuple(sorted(present)), []).append(i)
    return groups


def at_once(labels: Targets, problems: Sequence[Problem]) -> int:
    """How many of the problems fit the design's memory for work: each has two logits a row, and L-BFGS's vectors.

    It is at least as many as make a product WIDE.
    """
    design, sizes = labels.design, np.diff(labels.design.bounds)
    rows = design.n - np.mean([sizes[list(set(problem.without))].sum() for problem in problems])
    numbers = max(labels.k - 1, 1) * (2 * rows + (2 * lbfgs.DEPTH + 16) * (design.rank + 1))
    return max(math.ceil(WIDE / max(labels.k - 1, 1)), int(design.work / (design.dtype.itemsize * numbers)))
