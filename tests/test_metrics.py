"""Scores against scikit-learn's, and their standard errors."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss

from src.metrics import METRICS

RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet([1, 1, 1], 500)
TARGETS = RNG.integers(0, 3, 500)


def test_scores_are_those_of_scikit_learn():
    assert METRICS["accuracy"].score(TARGETS, PROBS)[0] == pytest.approx(accuracy_score(TARGETS, PROBS.argmax(1)))
    assert METRICS["log_loss"].score(TARGETS, PROBS)[0] == pytest.approx(log_loss(TARGETS, PROBS))


def test_the_standard_error_of_accuracy_is_the_binomials():
    p, se = METRICS["accuracy"].score(TARGETS, PROBS)
    assert se == pytest.approx(np.sqrt(p * (1 - p) / 500))


def test_a_certain_mistake_is_not_infinite():
    assert np.isfinite(METRICS["log_loss"].score(np.array([0]), np.array([[0.0, 1.0]]))[0])


@pytest.mark.parametrize("metric", METRICS.values())
def test_a_gain_is_positive_when_better_and_none_over_itself(metric):
    better = PROBS.copy()
    better[np.arange(250), TARGETS[:250]] += 1
    better /= better.sum(axis=1, keepdims=True)
    gain, se = metric.gain(TARGETS, better, than=PROBS)
    assert gain > 2 * se > 0
    assert metric.gain(TARGETS, PROBS, than=PROBS) == (0, 0)
