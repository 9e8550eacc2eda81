"""Averages of weights of one network: on the line between two of them (WiSE-FT), and of many (soups)."""

from collections.abc import Callable, Collection, Hashable, Sequence

import numpy as np
import torch
from torch import Tensor

from src.scoring.metric import defined
from src.scoring.metrics import Metric
from src.scoring.tables import Table

State = dict[str, Tensor]


def interpolate(start: State, end: State, alpha: float) -> State:
    """(1 - alpha) x start + alpha x end; what is no float (a counter of batches) is the end's."""
    return {
        name: torch.lerp(start[name].to(tensor), tensor, alpha) if tensor.is_floating_point() else tensor
        for name, tensor in end.items()
    }


def mean(states: Sequence[State]) -> State:
    """The mean of weights; what is no float is the first's."""
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }


def best_variants(oofs: Sequence[Table], targets: np.ndarray, fold: np.ndarray, metric: Metric) -> np.ndarray:
    """(folds,) the variant of a model that did best on the other folds' rows; of equals the first.

    Args:
        oofs: The (n, k) predictions of v variants, each row's by the model that did not train on it.
    """
    best = []
    for number in range(int(fold.max()) + 1):
        rows = fold != number
        best.append(max(range(len(oofs)), key=lambda i: merit(metric, targets[rows], oofs[i][rows])))
    return np.array(best)


def merit(metric: Metric, targets: np.ndarray, probs: np.ndarray) -> tuple[float, float]:
    """The score and the target's loss, which decides where scores are equal, as of few rows; greater is better."""
    return defined(metric.sign * metric.value(targets, probs)), -float(metric.target.loss(targets, probs).mean())


def greedy(ranked: Sequence[Hashable], merit: Callable[[Collection], tuple[float, float]]) -> tuple:
    """The ingredients of a soup (Wortsman et al. 2022, "Model soups", algorithm 1): each in turn, if it does no harm.

    Args:
        ranked: All ingredients, the best first.
        merit: Of the soup of some of them; greater is better.
    """
    soup = (ranked[0],)
    now = merit(soup)
    for ingredient in ranked[1:]:
        more = (*soup, ingredient)
        if (then := merit(more)) >= now:
            soup, now = more, then
    return soup
