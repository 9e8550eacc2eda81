"""The metrics of a number a row."""

from collections.abc import Callable
from typing import Any

import numpy as np

from src.scoring.metric import Metric, row_mean
from src.scoring.targets import TARGETS

TASK = "number"
Numbers = Callable[[np.ndarray, np.ndarray], Any]  # of targets (n,) and predicted numbers (n,)


def mean_square(true: np.ndarray, said: np.ndarray) -> float:
    return float(np.square(true - said).mean())


def root(true: np.ndarray, said: np.ndarray) -> float:
    return float(np.sqrt(mean_square(true, said)))


def root_influence(true: np.ndarray, said: np.ndarray) -> np.ndarray:
    squares = np.square(true - said)
    mean = squares.mean()
    return (squares - mean) / (2 * np.sqrt(mean)) if mean > 0 else np.zeros(len(true))


def explained(true: np.ndarray, said: np.ndarray) -> float:
    """R2: 1 - the mean squared error as a share of the targets' variance; NaN where all targets are equal."""
    return 1 - mean_square(true, said) / true.var() if true.var() > 0 else float("nan")


def explained_influence(true: np.ndarray, said: np.ndarray) -> np.ndarray:
    if not true.var() > 0:
        return np.full(len(true), np.nan)
    left = mean_square(true, said) / true.var()
    return (left * np.square(true - true.mean()) - np.square(true - said)) / true.var()


def kappa(true: np.ndarray, said: np.ndarray) -> float:
    """Quadratic kappa of the nearest whole numbers, as of classes: see `confusion.quadratic_kappa`.

    With independent numbers the mean squared difference would be the sum of both variances and the squared difference
    of the means.
    """
    true, said = np.rint(true), np.rint(said)
    chance = true.var() + said.var() + (true.mean() - said.mean()) ** 2
    return float(1 - mean_square(true, said) / chance) if chance > 0 else float("nan")


def kappa_influence(true: np.ndarray, said: np.ndarray) -> np.ndarray:
    true, said = np.rint(true), np.rint(said)
    off = true.mean() - said.mean()
    chance = true.var() + said.var() + off**2
    if not chance > 0:
        return np.full(len(true), np.nan)
    own, theirs = true - true.mean(), said - said.mean()
    moved = own**2 + theirs**2 - true.var() - said.var() + 2 * off * (own - theirs)
    far = np.square(true - said)
    return far.mean() / chance**2 * moved - (far - far.mean()) / chance


def of_tables(of: Numbers) -> Numbers:
    """The same of targets and tables (n, 1)."""
    return lambda targets, table: of(targets.astype(float), TARGETS[TASK].answers(table).astype(float))


def number_metric(value: Numbers, influence: Numbers, **facts: Any) -> Metric:
    return Metric(of_tables(value), task=TASK, answers="number", influence=of_tables(influence), **facts)


def error(per_row: Numbers, **facts: Any) -> Metric:
    lower = {"greater_is_better": False, "bounds": (0.0, np.inf)}
    return row_mean(of_tables(per_row), task=TASK, answers="number", **lower, **facts)


NUMBER_METRICS = {
    "rmse": number_metric(
        root,
        root_influence,
        greater_is_better=False,
        bounds=(0.0, np.inf),
        kaggle_names=("rmse", "rootmeansquarederror", "rootmeansquareerror", "rootmeansquarederrorrmse"),
    ),
    "mse": error(lambda true, said: np.square(true - said), kaggle_names=("mse", "meansquarederror")),
    "mae": error(lambda true, said: np.abs(true - said), constant=np.median, kaggle_names=("mae", "meanabsoluteerror")),
    "r2": number_metric(
        explained,
        explained_influence,
        bounds=(-np.inf, 1.0),
        kaggle_names=("r2", "r2score", "rsquared", "coefficientofdetermination"),
    ),
    "quadratic_kappa": number_metric(
        kappa, kappa_influence, bounds=(-1.0, 1.0), is_ordinal=True, kaggle_names=("quadraticweightedkappa", "qwk")
    ),
}
