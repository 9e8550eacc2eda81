"""Multinomial logistic regression for every C and every choice of held-out rows at once, on the CPU or a GPU; or, of
several labels a row, the logistic regression of each (models/logreg/labels.py).

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
* Few rows (models/logreg/few.py). Features separate them, and a large C is then badly conditioned for any first matrix:
  Newton's method takes its place.

Labels of held-out rows reach a problem's weights in no way but this: how wide the products of a batch are, and so how
their last bits are rounded, depends on when its other problems converge.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.special import logit
from torch import Tensor
from torch.nn import functional as F

from src.base import machine
from src.models.logreg import batch, few
from src.models.logreg.design import Design
from src.models.logreg.labels import PRIOR, Labels
from src.models.logreg.targets import Problem, Targets

NEVER = -1e4  # the logit of a class that the training rows lack


@dataclass(frozen=True)
class Solution:
    """Arrays over the p problems, in their order."""

    coef: np.ndarray  # (p, k, d) of the design's dtype, for the features as they were given
    intercept: np.ndarray  # (p, k)
    # (p, blocks), of labels (p, blocks, k): sum of -log p(true class) over a held-out block's rows, NaN for the others
    held_out_loss: np.ndarray
    gradient: np.ndarray  # (p,) its largest entry in absolute value
    iterations: np.ndarray  # (p,)
    converged: np.ndarray  # (p,) bool


def held_out_loss(labels: Targets | Labels, problems: Sequence[Problem], coef: Tensor) -> np.ndarray:
    """(p, blocks) float64: the log loss summed over the rows of each block held out, NaN for the others."""
    design, coef = labels.design, coef.to(labels.design.dtype)
    loss = np.full((len(problems), design.blocks), np.nan)
    for block in sorted({block for problem in problems for block in problem.without}):
        some = [i for i, problem in enumerate(problems) if block in problem.without]
        loss[some, block] = 0
        own = torch.tensor([problems[i].label for i in some], device=design.device)
        for rows in labels.pieces(block, len(some)):
            products = coef[some, :, :-1].flatten(0, 1) @ design.rows(rows).T
            logits = products.view(*coef[some].shape[:2], products.shape[1]) + coef[some, :, -1:] + labels.offsets(rows)
            likelihood = labels.likelihood(F.pad(logits, (0, 0, 0, 1)).log_softmax(1), rows, own)
            loss[some, block] -= likelihood.sum(1, dtype=torch.float64).cpu().numpy()
    return loss


@machine.full_float32()
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
        targets: (n,) class indices below k, of the rows as they were given to the design; -1 leaves a row out. Or
            (n, k), 1 where a row has a label and 0 where it has not, or a share between. Then each predicts
            expit(feats @ coef.T + intercept), and a label that all training rows have, or none has, has coefficients
            of 0 and the intercept of its frequency, smoothed.
        tol: A problem has converged when no entry of its gradient is larger, for the features as they were given.
        share: A problem has also converged when a step has promised to lower the objective by half of this share of it
            or less. That does not depend on the features' scale. The gradient may then be given as inf.
        offset: (n, k) logits to start from, of one class a row: the penalty draws to them.
        balanced: Weighs the classes as scikit-learn's class_weight="balanced" does, by the problem's training rows.

    Raises:
        ValueError: A problem has no rows to train on.
    """
    ends = {"tol": tol, "max_iter": max_iter, "share": share}
    if targets.ndim == 2:
        return solve_labels(design, targets, problems, balanced, **ends)
    p, dtype = len(problems), torch.empty(0, dtype=design.dtype).numpy().dtype
    coefs, intercepts = np.zeros((p, k, design.d), dtype), np.full((p, k), NEVER, dtype)
    loss, norms, counts = np.full((p, design.blocks), np.nan), np.zeros(p), np.zeros(p, int)
    converged = np.ones(p, bool)
    for present, members in by_classes(design, targets, problems).items():
        labels, group = Targets(design, targets, present, offset), [problems[i] for i in members]
        for some, (coef, norm, iterations, settled) in optima(labels, group, balanced, **ends):
            where, coef = [members[i] for i in some], coef.to(design.device)
            norms[where], counts[where], converged[where] = norm.cpu(), iterations.cpu(), settled.cpu()
            loss[where] = held_out_loss(labels, [group[i] for i in some], coef)
            every = F.pad(coef, (0, 0, 0, 1))
            every -= every.mean(1, keepdim=True)  # of scikit-learn's form: the classes' coefficients have sum 0
            unrotated = (every[:, :, :-1].to(design.dtype) @ design.basis.T).double()
            coefs[np.ix_(where, labels.present)] = unrotated.cpu()
            intercepts[np.ix_(where, labels.present)] = (every[:, :, -1] - unrotated @ design.center.double()).cpu()
    return Solution(coefs, intercepts, loss, norms, counts, converged)


def solve_labels(
    design: Design, targets: np.ndarray, problems: Sequence[Problem], balanced: bool, **ends: float
) -> Solution:
    """As `solve`, of several labels: the gradient and the iterations of a problem are the most of its labels."""
    labels, k, dtype = Labels(design, targets), targets.shape[1], torch.empty(0, dtype=design.dtype).numpy().dtype
    singles = [
        Problem(c, one.without, label) for one in problems for label, c in enumerate(np.broadcast_to(one.c, k).tolist())
    ]
    counts = labels.totals(np.array([design.trains(one.without) for one in singles]), singles)[0]
    if not counts.sum(axis=1).all():
        raise ValueError("no row is left to train on: all blocks are held out")
    coefs = np.zeros((len(singles), design.d), dtype)
    intercepts = logit((counts[:, 0] + PRIOR) / (counts.sum(axis=1) + 2 * PRIOR))
    loss, norms = np.full((len(singles), design.blocks), np.nan), np.zeros(len(singles))
    iterations, converged = np.zeros(len(singles), int), np.ones(len(singles), bool)
    alike = np.flatnonzero(~counts.all(axis=1))
    fixed = torch.zeros(len(alike), 1, design.rank + 1, dtype=torch.float64, device=design.device)
    fixed[:, 0, -1] = torch.from_numpy(intercepts[alike])
    loss[alike] = held_out_loss(labels, [singles[i] for i in alike], fixed)
    todo = np.flatnonzero(counts.all(axis=1))
    for some, (coef, *ended) in batch.optima(labels, [singles[i] for i in todo], balanced, **ends):
        where = todo[some]
        norms[where], iterations[where], converged[where] = (values.cpu() for values in ended)
        loss[where] = held_out_loss(labels, [singles[i] for i in where], coef)
        unrotated = (coef[:, 0, :-1].to(design.dtype) @ design.basis.T).double()
        coefs[where] = unrotated.cpu()
        intercepts[where] = (coef[:, 0, -1] - unrotated @ design.center.double()).cpu()
    each = (len(problems), k)
    return Solution(
        coefs.reshape(*each, -1),
        intercepts.reshape(each).astype(dtype),
        loss.reshape(*each, -1).swapaxes(1, 2),
        norms.reshape(each).max(axis=1),
        iterations.reshape(each).max(axis=1),
        converged.reshape(each).all(axis=1),
    )


def optima(
    labels: Targets, problems: Sequence[Problem], balanced: bool, **ends: float
) -> Iterator[tuple[list[int], tuple[Tensor, Tensor, Tensor, Tensor]]]:
    """As `batch.optima` has them, by what suits the design."""
    if labels.k > 1:
        return (few if labels.design.few else batch).optima(labels, problems, balanced, **ends)
    nothing = torch.zeros(len(problems), dtype=torch.float64)  # to learn
    coef = torch.zeros(len(problems), 0, labels.design.rank + 1, dtype=torch.float64)
    return iter([(list(range(len(problems))), (coef, nothing, nothing, nothing == 0))])


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
