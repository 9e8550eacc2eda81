"""L-BFGS (Liu & Nocedal 1989) for many smooth convex functions at once, each with its own step.

All share what they compute together, such as a product of matrices. A function whose minimum is found leaves the batch.
Functions come first in every shape: p of them, with coefficients (p, a, b).
"""

import math
from typing import Protocol

import torch
from torch import Tensor

DEPTH = 8  # steps that are remembered
STALLED_ITERATIONS = 300  # iterations without a smaller gradient after which rounding is taken to rule
SEARCHES = 40  # steps that are tried in an iteration: one that a settled row has no say in can be far too long
ARMIJO, CURVATURE = 1e-4, 0.9  # of the conditions of Wolfe (Nocedal & Wright, chapter 3)


class Functions(Protocol):
    """The p functions, and their state, which follows their coefficients."""

    dtype: torch.dtype  # of the steps; coefficients, values and gradients are float64

    def aim(self, coef: Tensor, direction: Tensor) -> None:
        """Sets the line from the coefficients to search on."""

    def evaluate(self, step: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Value and slope (p,) on the line at steps (p,); 0 where not `which` (p,), of the CPU."""

    def gradient(self, coef: Tensor, step: Tensor) -> Tensor:
        """Takes the steps (p,) that lead to `coef`; the gradient there."""

    def norm(self, gradient: Tensor, bound: Tensor) -> Tensor:
        """(p,) the gradient's largest entry; it may be inf where that is above `bound` (p,)."""

    def keep(self, which: Tensor) -> None:
        """Drops the functions that are not `which` (p,), of the CPU."""


class Preconditioned(Functions, Protocol):
    """Those that know a first guess of their curvature."""

    def precondition(self, gradient: Tensor) -> Tensor:
        """Times the guess of the inverse Hessian."""


class Steps(Protocol):
    """Chooses where to search."""

    left: float  # of what a step was to gain, when it is little: what the next is to gain
    may_be_far: bool  # whether a step of 1 may be many times too long

    def direction(self, gradient: Tensor, functions: Functions) -> Tensor:
        """(p, a, b) in which the functions fall."""

    def add(self, step: Tensor, change: Tensor, functions: Functions) -> None:
        """Learns how much a step has changed the gradient."""

    def forget(self, which: Tensor) -> None:
        """Starts again with the functions that are `which` (p,)."""

    def keep(self, which: Tensor) -> None:
        """Drops the functions that are not `which` (p,), of the CPU."""


def minimise(
    functions: Functions, coef: Tensor, tol: float, max_iter: int, share: float = 0.0, steps: Steps | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """From coefficients (p, a, b) float64, which are overwritten, of functions that are at 0.

    Args:
        tol: Of the gradient's norm.
        share: A search also ends when the next step is taken to lower the value by half of this share of it, or less.
        steps: L-BFGS's where left out, of functions that are `Preconditioned`.

    Returns:
        Coefficients (p, a, b), their gradient's norm (p,), which may be inf where `share` has ended the search, the
        iterations (p,), and (p,) bool whether it has converged: not where rounding or `max_iter` has ended it.
    """
    once = coef.new_ones(len(coef))  # all begin one step away from 0
    if coef.any():
        functions.aim(torch.zeros_like(coef), coef.to(functions.dtype))
    value, _ = functions.evaluate(once, torch.ones(len(coef), dtype=torch.bool))
    gradient = functions.gradient(coef, once)
    steps = History(value.to(functions.dtype)) if steps is None else steps
    optimum, norms, iterations = torch.zeros_like(coef), torch.zeros_like(value), torch.zeros_like(value)
    converged = torch.ones_like(value, dtype=torch.bool)
    active = torch.arange(len(coef), device=coef.device)
    least, waited, failures = torch.full_like(value, math.inf), torch.zeros_like(value), torch.zeros_like(value)
    promise = torch.full_like(value, math.inf)  # twice what the last step would have gained, were f quadratic
    for iteration in range(max_iter + 1):
        size = gradient.flatten(1).norm(dim=1)
        waited = torch.where(size < least, 0, waited + 1)
        least = torch.minimum(size, least)
        hopeless = (failures > 1) | (waited > STALLED_ITERATIONS) | (iteration == max_iter)
        settled = (steps.left * promise <= share * value) & (failures == 0)
        norm = functions.norm(gradient, torch.where(hopeless, math.inf, tol))
        done = (norm <= tol) | settled | hopeless
        ending = done.cpu()  # a GPU is waited for once
        if ending.any():
            ended = active[done]
            optimum[ended], norms[ended], iterations[ended] = coef[done], norm[done], iteration
            converged[ended] = ((norm <= tol) | settled)[done]
            if ending.all():
                break
            state = active, coef, gradient, value, least, waited, failures, promise
            active, coef, gradient, value, least, waited, failures, promise = (values[~done] for values in state)
            functions.keep(~ending)
            steps.keep(~done)
        direction = steps.direction(gradient.to(functions.dtype), functions)
        functions.aim(coef, direction)
        slope = dot(gradient, direction.double())
        step, value = search(functions, value, slope, steps.may_be_far)
        promise = -slope
        failures = torch.where(step > 0, 0, failures + 1)
        move = direction.mul_(step[:, None, None])
        before, gradient = gradient, functions.gradient(coef.add_(move), step)
        steps.add(move, before.neg_().add_(gradient).to(move.dtype), functions)
        steps.forget(failures > 0)  # a function whose search failed starts again
    return optimum, norms, iterations, converged


def search(functions: Functions, value: Tensor, slope: Tensor, may_be_far: bool = False) -> tuple[Tensor, Tensor]:
    """Steps (p,) that meet Wolfe's conditions, 0 where none is found, and f there.

    Steps that `may_be_far` too long are at most a tenth of what they were once three in a row have been.

    f is convex, so that its slope's sign tells on which side of the least value a step is. The next step is where the
    line through two slopes crosses 0 (which is Newton's with a difference for the second derivative).
    """
    noise = 8 * torch.finfo(functions.dtype).eps * (1 + value.abs())
    step, reached, now = torch.ones_like(value), value.clone(), slope.clone()
    low, slope_low = torch.zeros_like(value), slope
    high, slope_high = torch.full_like(value, math.inf), torch.zeros_like(value)
    ok = torch.zeros_like(value, dtype=torch.bool)
    pending, overs = torch.ones(len(value), dtype=torch.bool), torch.zeros_like(value)
    for _ in range(SEARCHES):
        value_there, slope_there = functions.evaluate(step, pending)
        reached, now = torch.where(ok, reached, value_there), torch.where(ok, now, slope_there)
        ok = (reached <= value + ARMIJO * step * slope + noise) & (now.abs() <= CURVATURE * slope.abs())
        pending = ~ok.cpu()
        if not pending.any():
            break
        over = now > 0
        high, slope_high = torch.where(over, step, high), torch.where(over, now, slope_high)
        low, slope_low = torch.where(over, low, step), torch.where(over, slope_low, now)
        share, overs = (slope_low / (slope_low - slope_high)).clamp(0.1, 0.9), torch.where(over, overs + 1, 0)
        if may_be_far:
            share = torch.where(overs >= 3, 0.1, share)
        step = torch.where(ok, step, torch.where(high.isinf(), 4 * step, low + (high - low) * share))
    return torch.where(ok, step, 0), torch.where(ok, reached, value)


class History:
    """The last steps of p functions and how they changed the gradient: what is known of the curvature."""

    left, may_be_far = 1.0, False

    def __init__(self, p: Tensor):
        self.pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # step, change, 1 / their product (0: no use)
        self.scale = torch.ones_like(p)  # of the preconditioner, to agree with the last step

    def add(self, step: Tensor, change: Tensor, functions: Preconditioned) -> None:
        bend = dot(step, change)
        useful = bend > torch.finfo(bend.dtype).eps * dot(step, step).sqrt() * dot(change, change).sqrt()
        self.pairs = [*self.pairs, (step, change, torch.where(useful, 1 / bend, 0))][-DEPTH:]
        self.scale = torch.where(useful, bend / dot(change, functions.precondition(change)), 1)

    def direction(self, gradient: Tensor, functions: Preconditioned) -> Tensor:
        """The two loops of Liu & Nocedal 1989."""
        q, shares = -gradient, []
        for step, change, per in reversed(self.pairs):
            shares.append(per * dot(step, q))
            q.addcmul_(change, shares[-1][:, None, None], value=-1)
        q = functions.precondition(q) * self.scale[:, None, None]
        for (step, change, per), share in zip(self.pairs, reversed(shares), strict=True):
            q.addcmul_(step, (share - per * dot(change, q))[:, None, None])
        return q

    def forget(self, which: Tensor) -> None:
        for _, _, per in self.pairs:
            per[which] = 0

    def keep(self, which: Tensor) -> None:
        self.pairs = [(step[which], change[which], per[which]) for step, change, per in self.pairs]
        self.scale = self.scale[which]


def dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vecdot(a.flatten(1), b.flatten(1))
