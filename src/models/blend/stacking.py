"""Stacking (Wolpert 1992): a linear model on the models' predictions, pulled towards their mean.

Each target has a file: class_stack.py, label_stack.py and number_stack.py. The penalty of each draws to the models'
mean: the smaller C, the nearer is the stack to it. C is the one with the least loss on folds inside the training rows,
each predicted by a fit without it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from src.models.blend import class_stack, label_stack, number_stack
from src.models.blend.class_stack import ClassStack
from src.models.blend.label_stack import LabelStack
from src.models.blend.number_stack import NumberStack
from src.models.blend.pool import Pool
from src.models.logreg.targets import Problem

CS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
Stack = ClassStack | LabelStack | NumberStack
# A stack for each problem, and (problems, folds) its loss summed over the rows of each fold that it has not seen
Solve = Callable[[Pool, Sequence[Problem]], tuple[list[Stack], np.ndarray]]
SOLVERS: dict[str, Solve] = {  # by the task
    "class": class_stack.solve,
    "labels": label_stack.solve,
    "number": number_stack.solve,
}
# The stack's size, of an array of the models' predictions (m, n, k), and that from which on it takes minutes
SIZES: dict[str, tuple[Callable[[tuple[int, int, int]], int], float]] = {
    "class": (class_stack.size, class_stack.STACKABLE),
    "labels": (label_stack.size, label_stack.STACKABLE),
    "number": (lambda shape: shape[0], np.inf),
}


def is_quick(pool: Pool) -> bool:
    """Whether a stack is solved in less than minutes."""
    size, most = SIZES[pool.metric.task]
    return size(pool.oofs.shape) <= most


def fit(pool: Pool, withouts: Sequence[tuple[int, ...]]) -> list[Stack]:
    """One stack of the models for each tuple of folds that it must not see."""
    inner = {without: [f for f in pool.folds if f not in without] for without in withouts}
    inner = {without: left if len(left) > 1 else [] for without, left in inner.items()}
    sets = {*withouts, *(extend(without, f) for without, left in inner.items() for f in left)}
    keys = [(c, without) for without in sorted(sets) for c in CS]
    solved, held_out_loss = SOLVERS[pool.metric.task](pool, [Problem(*key) for key in keys])
    place = {key: i for i, key in enumerate(keys)}

    def loss(c: float, without: tuple[int, ...]) -> float:
        return sum(held_out_loss[place[c, extend(without, f)], f] for f in inner[without])

    # With one fold left to train on it is the least C, nearest to the mean
    chosen = [min(CS, key=lambda c: loss(c, without)) for without in withouts]
    return [solved[place[key]] for key in zip(chosen, withouts, strict=True)]


def refit(pool: Pool, withouts: Sequence[tuple[int, ...]], cs: Sequence[float]) -> list[Stack]:
    """As `fit`, with a known C each."""
    problems = [Problem(c, without) for c, without in zip(cs, withouts, strict=True)]
    return SOLVERS[pool.metric.task](pool, problems)[0]


def extend(without: tuple[int, ...], fold: int) -> tuple[int, ...]:
    return tuple(sorted((*without, fold)))
