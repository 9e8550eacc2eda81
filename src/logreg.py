"""Multinomial logistic regression for every C and every choice of held-out rows at once, on the CPU or a GPU.

The objective is scikit-learn's, with an L2 penalty and an intercept that is not penalised:

    f(W, b) = 1/n sum_i w_i CE(W x_i + b + offset_i, y_i) + 1/(2 C n) |W|^2,    n = sum_i w_i over the training rows

What makes it fast, without changing the optimum:

* Rotation. The features are centred (the intercept absorbs it) and turned into the eigenbasis of their Gram matrix
  (|W| is invariant). There the curvature is nearly diagonal, and a diagonal preconditioner serves every C.
* Reduced coordinates (Böhning 1992, "Multinomial logistic regression algorithm"). Logits count from the last class's,
  so k - 1 columns T_c = W_c - W_k do. The penalty becomes tr(T' M T) / (2 C n) with M = I - 11'/k. Where all classes
  are equally likely, the Hessian is M (x) (Gram/k + 1/(C n)), and its inverse is known: M^-1 = I + 11'. L-BFGS (Liu &
  Nocedal 1989) starts from it. With two classes scikit-learn penalises |T|^2, so M = 1 and the curvature is Gram/4.
* Batches. The problems that train on the same rows, one for each C, share two matrix products an iteration, and each
  has its own step. Logits are linear in the step, so the line search (Wolfe's conditions: Nocedal & Wright, chapter 3)
  works on the logits alone. Held-out rows cost nothing until a problem is finished, and their labels cannot change its
  weights even by rounding, as they could if problems with other training rows were in the same products.

Shapes: p problems, k classes, d features, m rows of a piece that stays in the cache. Problems come first, rows last.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

NEVER = -1e4  # the logit of a class that the training rows lack
LEAST = math.log(np.finfo(np.float32).eps)  # of a probability, as `src.metrics.surprise` has it
READ = 2**23  # bytes of features centred and turned at a time
CACHE = 3 * 2**19  # bytes of logits worked on at a time (on a GPU, which has to be filled: READ)
FLOOR = 2**26  # bytes of work that are always allowed
DEPTH = 10  # steps that L-BFGS remembers
PATIENCE = 40  # iterations without a smaller gradient after which rounding is taken to rule
ARMIJO, CURVATURE = 1e-4, 0.9  # of the conditions of Wolfe


@dataclass(frozen=True)
class Problem:
    c: float
    without: tuple[int, ...] = ()  # the blocks whose rows are held out


@dataclass(frozen=True)
class Solution:
    """Arrays over the p problems, in the order asked."""

    coef: np.ndarray  # (p, k, d) of the design's dtype, for the features as they were given
    intercept: np.ndarray  # (p, k)
    held_out_loss: np.ndarray  # (p, blocks): sum of -log p(true class) over a held-out block's rows, NaN for the others
    gradient: np.ndarray  # (p,) its largest entry in absolute value
    iterations: np.ndarray  # (p,)
    converged: np.ndarray  # (p,) bool


class Design:
    """The features, centred, rotated and sorted by block: made once, used for many solves.

    Args:
        feats: (n, d) float16 or float32: an array, or what has a shape and gives arrays for slices of rows.
        block: (n,) integers from 0 on: the unit that a problem trains on or holds out, such as the fold.
        device: Where the products are computed.
        dtype: Of the products. float32 reaches a tolerance of 1e-6.
        scratch: A folder. The rotated features live in a file there if they have more than `memory` bytes.
        memory: Bytes.
    """

    def __init__(
        self,
        feats,
        block: np.ndarray,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        scratch: Path | None = None,
        memory: int = 2**33,
    ):
        self.n, self.d = feats.shape
        self.device, self.dtype = torch.device(device), dtype
        self.order = np.argsort(block, kind="stable")
        self.bounds = np.concatenate([[0], np.bincount(block).cumsum()]).tolist()
        self.blocks = len(self.bounds) - 1
        size = self.n * self.d * dtype.itemsize
        self.work = max(FLOOR, min(size, memory))
        self.file = None
        self.center, self.basis, self.curvature = self.eigenbasis(feats)
        if scratch is None or size <= memory:
            self.z = torch.empty(self.n, self.d, dtype=dtype, device=self.device)
        else:
            # It has no name: it is gone with its handle, whatever happens.
            self.file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115
            name = str(dtype).removeprefix("torch.")
            self.z = torch.from_numpy(np.memmap(self.file, dtype=name, mode="w+", shape=(self.n, self.d)))
        place = torch.from_numpy(np.argsort(self.order))
        for start, rows in self.read(feats):
            self.z[place[start : start + len(rows)].to(self.z.device)] = (rows @ self.basis).to(self.z.device)

    def read(self, feats, center: Tensor | None = None) -> Iterator[tuple[int, Tensor]]:
        """Pieces of the centred features, each with the number of its first row."""
        step = max(1, READ // (self.d * self.dtype.itemsize))
        for start in range(0, self.n, step):
            rows = torch.from_numpy(np.array(feats[start : start + step])).to(self.device, self.dtype)
            yield start, rows.sub_(self.center if center is None else center)

    def eigenbasis(self, feats) -> tuple[Tensor, Tensor, Tensor]:
        """The center (d,), the Gram matrix's eigenvectors (d, d) and the eigenvalues (d,) over n.

        Sums are kept in float64, so that the eigenvectors are orthogonal to the last bit of float32: the rotation is
        exact then, even where rounding of the Gram matrix has moved them.
        """
        near = torch.from_numpy(np.array(feats[:1024])).to(self.device, torch.float64).mean(0).to(self.dtype)
        gram = torch.zeros(self.d, self.d, dtype=torch.float64, device=self.device)
        total = torch.zeros(self.d, dtype=torch.float64, device=self.device)
        for _, rows in self.read(feats, near):
            gram += rows.T @ rows
            total += rows.sum(0, dtype=torch.float64)
        values, vectors = torch.linalg.eigh(gram / self.n - torch.outer(total, total) / self.n**2)
        return near + (total / self.n).to(self.dtype), vectors.to(self.dtype), values.clamp_min(0).to(self.dtype)

    def rows(self, piece: slice) -> Tensor:
        return self.z[piece].to(self.device)

    def close(self) -> None:
        self.z = None
        if self.file is not None:
            self.file.close()

    def __enter__(self) -> "Design":
        return self

    def __exit__(self, *_) -> None:
        self.close()


class Objective:
    """f of p problems that train on the same rows, and its state, which follows the coefficients (p, k - 1, d + 1).

    The intercept is the last coefficient. For each piece of the rows it holds the logits (p, k - 1, m), what the search
    adds to them for a step of 1, and the probabilities where f was evaluated last. Labels enter by `target` alone.
    """

    def __init__(
        self, design: Design, pieces: list[slice], labels: Tensor, weights: Tensor | None, ridge: Tensor, k: int
    ):
        self.design, self.pieces, self.k = design, pieces, k
        self.n = sum(piece.stop - piece.start for piece in pieces)  # balanced weights have this sum too
        self.weights = None if weights is None else [weights[labels[piece]] for piece in pieces]
        last = torch.ones(len(ridge), 1, 1, dtype=torch.float64, device=design.device)
        self.ridge = torch.cat([ridge[:, None, None].expand(-1, -1, design.d), 0 * last], 2)
        curvature = torch.cat([design.curvature.double().expand(len(ridge), 1, -1), last], 2) / (4 if k == 2 else k)
        self.diagonal = (self.ridge + curvature).to(design.dtype)
        classes = torch.arange(k - 1, device=design.device)[:, None]
        self.probs = [self.weighed((labels[piece] == classes)[None], i) for i, piece in enumerate(pieces)]
        self.target = self.mean_features()[0]

    def start(self, offset: list[Tensor]) -> tuple[Tensor, Tensor]:
        """f and its gradient at coefficients of 0, where the logits are the offset: (k - 1, m) for each piece."""
        self.logits = [logits.expand(len(self.ridge), -1, -1).contiguous() for logits in offset]
        self.changes = [torch.zeros_like(logits) for logits in self.logits]
        self.line = self.ridge.new_zeros(3, len(self.ridge))
        # The problems differ in C alone, which is of no account yet: one stands for all.
        value, _ = self.evaluate(self.line[0, :1], slice(0, 1))
        return value.expand(len(self.ridge)), (self.mean_features() - self.target).expand(len(self.ridge), -1, -1)

    def weighed(self, values: Tensor, i: int) -> Tensor:
        values = values.to(self.design.dtype)
        return values if self.weights is None else values.mul_(self.weights[i])

    def mean_features(self) -> Tensor:
        """(p, k - 1, d + 1) float64: the mean over the rows of probability times (features, 1)."""
        total = 0.0
        for piece, probs in zip(self.pieces, self.probs, strict=True):
            flat = probs.flatten(0, 1)
            total = total + torch.cat([flat @ self.design.rows(piece), flat.sum(1, keepdim=True)], 1).double()
        return (total / self.n).view(-1, self.k - 1, self.design.d + 1)

    def penalty(self, coef: Tensor) -> Tensor:
        """The gradient of the penalty."""
        return self.ridge * (coef if self.k == 2 else coef - coef.sum(1, keepdim=True) / self.k)

    def precondition(self, gradient: Tensor) -> Tensor:
        """Times the inverse of the Hessian that f would have if all classes were equally likely in each row."""
        turned = gradient / self.diagonal
        return turned if self.k == 2 else turned + turned.sum(1, keepdim=True)

    def aim(self, coef: Tensor, direction: Tensor) -> None:
        """Sets the line to search on: f without its log-sum-exp is quadratic there, in the step."""
        bent, straight = self.penalty(direction), self.penalty(coef)
        value = dot(straight / 2 - self.target, coef)
        self.line = torch.stack([value, dot(straight - self.target, direction), dot(bent, direction)])
        flat = direction.to(self.design.dtype).flatten(0, 1)
        weights, intercept = flat[:, :-1].contiguous(), flat[:, -1:]
        for i, (piece, logits) in enumerate(zip(self.pieces, self.logits, strict=True)):
            self.changes[i] = torch.addmm(intercept, weights, self.design.rows(piece).T).view(logits.shape)

    def evaluate(self, step: Tensor, which: Tensor | slice) -> tuple[Tensor, Tensor]:
        """f (but for a constant that the offset brings) and its slope, at steps (q,) of the q problems `which`."""
        value, slope, times = 0.0, 0.0, step.to(self.design.dtype)[:, None, None]
        for i in range(len(self.pieces)):
            change = self.changes[i][which]
            probs = torch.addcmul(self.logits[i][which], change, times)
            top = probs.amax(1, keepdim=True).clamp_min_(0)  # the last class has logit 0
            total = probs.sub_(top).exp_().sum(1, keepdim=True).add_(top.neg().exp_())
            probs = self.weighed(probs.div_(total), i)
            value = value + self.weighed(total.log_().add_(top), i).sum((1, 2), dtype=torch.float64)
            slope = slope + dot(probs, change).double()
            if isinstance(which, slice):
                self.probs[i] = probs
            else:
                self.probs[i][which] = probs
        constant, linear, bend = self.line[:, which]
        return value / self.n + constant + step * (linear + step * bend / 2), slope / self.n + linear + step * bend

    def gradient(self, coef: Tensor) -> Tensor:
        """At `coef`, where f was evaluated last."""
        return self.mean_features() - self.target + self.penalty(coef)

    def norm(self, gradient: Tensor, bound: float) -> Tensor:
        """(p,) the gradient's largest entry for the features as they were given; inf where that is above `bound`.

        It is at least the rotated gradient's root mean square, so that few gradients have to be rotated back.
        """
        coef, intercept = gradient[:, :, :-1], gradient[:, :, -1:]
        near = coef.square().mean(2).sqrt().amax(1) <= bound
        back = (coef[near].to(self.design.dtype) @ self.design.basis.T).double() + intercept[near] * self.design.center
        back = torch.cat([back, intercept[near]], 2)
        norm = torch.full_like(near, math.inf, dtype=torch.float64)
        last = back.sum(1)  # of the last class, but for the sign
        norm[near] = torch.maximum(back.abs().amax((1, 2)), last.abs().amax(1))
        return norm

    def move(self, step: Tensor) -> None:
        for logits, change in zip(self.logits, self.changes, strict=True):
            logits.addcmul_(change, step.to(change.dtype)[:, None, None])

    def keep(self, which: Tensor) -> None:
        self.ridge, self.diagonal = self.ridge[which], self.diagonal[which]
        for i, logits in enumerate(self.logits):
            self.logits[i], self.changes[i] = logits[which], self.changes[i][:0]


class History:
    """The last steps of p problems and how they changed the gradient: what L-BFGS knows of the curvature."""

    def __init__(self, p: Tensor):
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # step, change, 1 / their product (0: no use)
        self.scale = torch.ones_like(p)  # of the preconditioner, to agree with the last step

    def add(self, step: Tensor, change: Tensor, objective: Objective) -> None:
        bend = dot(step, change)
        useful = bend > torch.finfo(bend.dtype).eps * dot(step, step).sqrt() * dot(change, change).sqrt()
        self.pairs = [*self.pairs, (step, change, torch.where(useful, 1 / bend, 0))][-DEPTH:]
        self.scale = torch.where(useful, bend / dot(change, objective.precondition(change)), 1)

    def direction(self, gradient: Tensor, objective: Objective) -> Tensor:
        """The two loops of Liu & Nocedal 1989."""
        q, shares = -gradient, []
        for step, change, per in reversed(self.pairs):
            shares.append(per * dot(step, q))
            q -= change * shares[-1][:, None, None]
        q = objective.precondition(q) * self.scale[:, None, None]
        for (step, change, per), share in zip(self.pairs, reversed(shares), strict=True):
            q += step * (share - per * dot(change, q))[:, None, None]
        return q

    def keep(self, which: Tensor) -> None:
        self.pairs = [(step[which], change[which], per[which]) for step, change, per in self.pairs]
        self.scale = self.scale[which]


def dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))


def search(objective: Objective, value: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
    """Steps (p,) that meet Wolfe's conditions, 0 where none is found, and f there; leaves the probabilities there.

    f is convex, so that its slope's sign tells on which side of the least value a step is. The next step is where the
    line through two slopes crosses 0 (which is Newton's with a difference for the second derivative).
    """
    noise = 8 * torch.finfo(objective.design.dtype).eps * (1 + value.abs())
    step, reached, now = torch.ones_like(value), value.clone(), slope.clone()
    low, slope_low = torch.zeros_like(value), slope
    high, slope_high = torch.full_like(value, math.inf), torch.zeros_like(value)
    ok = torch.zeros_like(value, dtype=torch.bool)
    for _ in range(12):
        todo = (~ok).nonzero()[:, 0] if ok.any() else slice(None)
        reached[todo], now[todo] = objective.evaluate(step[todo], todo)
        ok = (reached <= value + ARMIJO * step * slope + noise) & (now.abs() <= CURVATURE * slope.abs())
        if ok.all():
            return step, reached
        over = now > 0
        high, slope_high = torch.where(over, step, high), torch.where(over, now, slope_high)
        low, slope_low = torch.where(over, low, step), torch.where(over, slope_low, now)
        share = (slope_low / (slope_low - slope_high)).clamp(0.1, 0.9)
        step = torch.where(ok, step, torch.where(high.isinf(), 4 * step, low + (high - low) * share))
    failed = (~ok).nonzero()[:, 0]
    step[failed] = 0
    reached[failed], _ = objective.evaluate(step[failed], failed)
    return step, reached


def minimise(objective: Objective, offset: list[Tensor], tol: float, max_iter: int) -> tuple[Tensor, Tensor, Tensor]:
    """L-BFGS: coefficients (p, k - 1, d + 1) float64, the norm of their gradient (p,) and the iterations (p,)."""
    value, gradient = objective.start(offset)
    coef, dtype, history = torch.zeros_like(gradient), objective.design.dtype, History(objective.diagonal[:, 0, 0])
    found, norms, iterations = torch.zeros_like(gradient), torch.zeros_like(value), torch.zeros_like(value)
    active = torch.arange(len(coef), device=coef.device)
    least, waited, failures = torch.full_like(value, math.inf), torch.zeros_like(value), torch.zeros_like(value)
    for iteration in range(max_iter + 1):
        size = gradient.flatten(1).norm(dim=1)
        waited = torch.where(size < least, 0, waited + 1)
        least = torch.minimum(size, least)
        hopeless = (
            (failures > 1) | (waited > PATIENCE) | torch.full_like(active, iteration == max_iter, dtype=torch.bool)
        )
        done = (objective.norm(gradient, tol) <= tol) | hopeless
        if done.any():
            ended = active[done]
            found[ended], norms[ended], iterations[ended] = (
                coef[done],
                objective.norm(gradient[done], math.inf),
                iteration,
            )
            if done.all():
                break
            state = active, coef, gradient, value, least, waited, failures
            active, coef, gradient, value, least, waited, failures = (values[~done] for values in state)
            objective.keep(~done)
            history.keep(~done)
        direction = history.direction(gradient.to(dtype), objective).double()
        objective.aim(coef, direction)
        step, value = search(objective, value, dot(gradient, direction))
        failures = torch.where(step > 0, 0, failures + 1)
        objective.move(step)
        move = step[:, None, None] * direction
        coef, before = coef + move, gradient
        gradient = objective.gradient(coef)
        history.add(move.to(dtype), (gradient - before).to(dtype), objective)
        for _, _, useful in history.pairs:  # a problem whose search failed starts again
            useful[failures > 0] = 0
    return found, norms, iterations


class Training:
    """The rows that some of the problems train on, and what these problems have in common."""

    def __init__(self, design: Design, targets: np.ndarray, without: frozenset[int], offset: np.ndarray | None):
        self.design, self.without, self.offset = design, sorted(without), offset
        self.blocks = [block for block in range(design.blocks) if block not in without]
        rows = [targets[design.order[slice(*design.bounds[block : block + 2])]] for block in self.blocks]
        self.present, self.counts = np.unique(np.concatenate([targets[:0], *rows]), return_counts=True)
        if not len(self.present):
            raise ValueError(f"no row is left to train on without the blocks {self.without}")
        self.n, self.k = int(self.counts.sum()), len(self.present)
        local = np.full(max(targets.max(), 0) + 1, -1)
        local[self.present] = np.arange(self.k)
        self.labels = torch.from_numpy(local[targets[design.order]]).to(design.device)

    def pieces(self, blocks: list[int], p: int) -> list[slice]:
        """The blocks' rows in pieces whose logits for p problems fit the cache."""
        cache = CACHE if self.design.device.type == "cpu" else READ
        size = min(max(cache // (self.design.dtype.itemsize * p * self.k), 512), 8192)
        ranges = [self.design.bounds[block : block + 2] for block in blocks]
        return [slice(start, min(start + size, stop)) for first, stop in ranges for start in range(first, stop, size)]

    def offsets(self, piece: slice) -> Tensor:
        """(k - 1, m) logits relative to the last class's."""
        if self.offset is None:
            return torch.zeros(self.k - 1, piece.stop - piece.start, dtype=self.design.dtype, device=self.design.device)
        logits = self.offset[self.design.order[piece]][:, self.present].T
        return torch.from_numpy(logits[:-1] - logits[-1:]).to(self.design.device, self.design.dtype)

    def at_once(self) -> int:
        """How many problems fit the memory: for each, three logits a row and column, and L-BFGS's vectors."""
        numbers = (self.k - 1) * (3 * self.n + (2 * DEPTH + 24) * (self.design.d + 1))
        return max(1, self.design.work // (self.design.dtype.itemsize * max(1, numbers)))

    def solve(self, cs: list[float], tol: float, max_iter: int, balanced: bool) -> tuple[Tensor, Tensor, Tensor]:
        """As `minimise`, for one problem a C."""
        design, p = self.design, len(cs)
        if self.k == 1:  # nothing to learn
            nothing = torch.zeros(p, dtype=torch.float64, device=design.device)
            return nothing.new_zeros(p, 0, design.d + 1), nothing, nothing
        ridge = 1 / (torch.tensor(cs, dtype=torch.float64, device=design.device) * self.n)
        weights = (
            torch.from_numpy(self.n / (self.k * self.counts)).to(design.device, design.dtype) if balanced else None
        )
        pieces = self.pieces(self.blocks, p)
        objective = Objective(design, pieces, self.labels, weights, ridge, self.k)
        return minimise(objective, [self.offsets(piece) for piece in pieces], tol, max_iter)

    def held_out_loss(self, coef: Tensor) -> np.ndarray:
        """(p, blocks) float64, NaN for the blocks trained on."""
        loss = np.full((len(coef), self.design.blocks), np.nan)
        coef = coef.to(self.design.dtype)
        for block in self.without:
            loss[:, block] = 0
            for piece in self.pieces([block], len(coef)):
                products = coef[:, :, :-1].flatten(0, 1) @ self.design.rows(piece).T
                logits = products.view(*coef.shape[:2], products.shape[1]) + coef[:, :, -1:] + self.offsets(piece)
                logs = torch.nn.functional.pad(logits, (0, 0, 0, 1)).log_softmax(1)
                labels = self.labels[piece]
                true = torch.where(labels < 0, LEAST, logs[:, labels, torch.arange(len(labels), device=labels.device)])
                loss[:, block] -= true.clamp_min(LEAST).sum(1, dtype=torch.float64).cpu().numpy()
        return loss


def solve(
    design: Design,
    targets: np.ndarray,
    k: int,
    problems: Sequence[Problem],
    *,
    tol: float = 1e-6,
    max_iter: int = 500,
    offset: np.ndarray | None = None,
    balanced: bool = False,
) -> Solution:
    """Solves all problems. Each predicts softmax(feats @ coef.T + intercept), with the offset added to the logits.

    A class that a problem's training rows lack has coefficients of 0 and an intercept too low to be ever predicted.

    Args:
        targets: (n,) class indices below k, of the rows as they were given to the design.
        tol: A problem has converged when no entry of its gradient is larger, for the features as they were given.
        offset: (n, k) logits to start from: the penalty draws to them.
        balanced: Weighs the classes as scikit-learn's class_weight="balanced" does, by the problem's training rows.
    """
    p, dtype = len(problems), torch.empty(0, dtype=design.dtype).numpy().dtype
    coefs, intercepts = np.zeros((p, k, design.d), dtype), np.full((p, k), NEVER, dtype)
    loss, norms, counts = np.zeros((p, design.blocks)), np.zeros(p), np.zeros(p, int)
    groups: dict[frozenset[int], list[int]] = {}
    for i, problem in enumerate(problems):
        groups.setdefault(frozenset(problem.without), []).append(i)
    for without, members in groups.items():
        training = Training(design, targets, without, offset)
        size = training.at_once()
        for some in [members[start : start + size] for start in range(0, len(members), size)]:
            coef, norm, iterations = training.solve([problems[i].c for i in some], tol, max_iter, balanced)
            loss[some], norms[some], counts[some] = training.held_out_loss(coef), norm.cpu(), iterations.cpu()
            every = torch.nn.functional.pad(coef, (0, 0, 0, 1))
            every -= every.mean(1, keepdim=True)  # of scikit-learn's form: the classes' coefficients have sum 0
            given = (every[:, :, :-1].to(design.dtype) @ design.basis.T).double()
            where = np.ix_(some, training.present)
            coefs[where], intercepts[where] = given.cpu(), (every[:, :, -1] - given @ design.center.double()).cpu()
    return Solution(coefs, intercepts, loss, norms, counts, norms <= tol)
