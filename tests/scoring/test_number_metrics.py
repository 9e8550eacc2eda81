"""Scores of numbers against scikit-learn's, and their standard errors."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from src.scoring.number_metrics import NUMBER_METRICS


def drawn(rng: np.random.Generator, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    targets = rng.integers(0, 5, n).astype(float)
    return targets, (0.8 * targets + rng.normal(0.5, 0.7, n)).astype(np.float32)[:, None]


TARGETS, TABLE = drawn(np.random.default_rng(0))
SAID = TABLE[:, 0]
SCIKIT_LEARN = {
    "rmse": sk.root_mean_squared_error,
    "mse": sk.mean_squared_error,
    "mae": sk.mean_absolute_error,
    "r2": sk.r2_score,
    "quadratic_kappa": lambda true, said: sk.cohen_kappa_score(
        true.astype(int), np.rint(said).astype(int), labels=np.arange(-5, 12), weights="quadratic"
    ),
}


@pytest.mark.parametrize("name", NUMBER_METRICS)
def test_scores_are_those_of_scikit_learn(name):
    metric = NUMBER_METRICS[name]
    assert metric.value(TARGETS, TABLE) == pytest.approx(SCIKIT_LEARN[name](TARGETS, SAID.astype(float)))
    gain, se = metric.gain(TARGETS, 0.5 * TABLE + 0.5 * TARGETS[:, None], than=TABLE)
    assert gain > 2 * se > 0
    assert metric.gain(TARGETS, TABLE, than=TABLE) == (0, 0)


@pytest.mark.parametrize("name", NUMBER_METRICS)
def test_standard_errors_are_the_spread_over_fresh_rows(name):
    metric, rng = NUMBER_METRICS[name], np.random.default_rng(1)
    rows = [drawn(rng) for _ in range(300)]
    rows = [(targets, table, table + rng.normal(0, 0.4, table.shape)) for targets, table in rows]
    for said, value in [
        (lambda t, a, b: metric.score(t, a)[1], lambda t, a, b: metric.value(t, a)),
        (lambda t, a, b: metric.gain(t, a, than=b)[1], lambda t, a, b: metric.value(t, a) - metric.value(t, b)),
    ]:
        spread = np.std([value(*one) for one in rows])
        assert np.mean([said(*one) for one in rows[:50]]) == pytest.approx(spread, rel=0.12)


@pytest.mark.parametrize("name", NUMBER_METRICS)
def test_rows_that_are_equal_or_found_do_not_warn_and_are_at_most_undefined(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for targets, said in ((np.ones(4), np.ones(4)), (np.ones(4), np.arange(4.0)), (np.ones(1), np.zeros(1))):
            value, _ = NUMBER_METRICS[name].score(targets, said[:, None])
            assert np.isfinite(value) or name in ("r2", "quadratic_kappa")
        best, se = NUMBER_METRICS[name].score(TARGETS, TARGETS[:, None])
    assert (best, se) == (float(NUMBER_METRICS[name].greater_is_better), 0)
