"""The bias of the class that means none of the others, in a ranking."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from src.schema.forms import Ranking
from src.scoring import decisions
from src.scoring.class_metrics import CLASS_METRICS
from src.scoring.decisions import Biases, none_of_these

K = 12


def drawn(rng: np.random.Generator, n: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """A third of the rows are of none of the others, class 3, of which the model is never sure."""
    targets = np.where(rng.random(n) < 0.35, 3, rng.integers(0, K, n))
    logits = rng.normal(size=(n, K)) + 2.5 * np.eye(K)[targets] * (targets != 3)[:, None]
    logits[:, 3] = -2 + 0.3 * rng.normal(size=n)
    return targets, softmax(logits, axis=1)


TARGETS, PROBS = drawn(np.random.default_rng(0))


@pytest.mark.parametrize("name", ["map3", "map5", "map20"])
def test_no_other_bias_is_better(name):
    metric = replace(CLASS_METRICS[name], none=3)
    rule = none_of_these.fit(metric, PROBS, TARGETS)
    one = np.eye(K)[3]
    assert (rule.bias == rule.bias[3] * one).all()
    best = max(metric.value(TARGETS, Biases(bias * one).apply(PROBS)) for bias in np.linspace(-4, 8, 800))
    assert metric.value(TARGETS, rule.apply(PROBS)) >= best - 1e-9
    fresh, table = drawn(np.random.default_rng(1), 4000)
    gain, se = metric.gain(fresh, rule.apply(table), than=table)
    assert gain > 3 * se


def test_shuffled_rows_gain_no_more_than_its_share():
    metric, rng = replace(CLASS_METRICS["map5"], none=3), np.random.default_rng(2)
    fold = rng.permutation(len(TARGETS)) % 5
    labels = rng.integers(0, K, len(TARGETS))
    score, se = metric.score(labels, decisions.cross_fitted(metric, PROBS, labels, fold))
    assert score < np.mean(1 / np.arange(1, 6)) * 5 / K + 2 * se


def test_the_form_names_the_class():
    classes = [f"w_{i}" for i in range(K)]
    assert Ranking(none="w_3").scored(CLASS_METRICS["map5"], classes) == replace(CLASS_METRICS["map5"], none=3)
    assert Ranking().scored(CLASS_METRICS["map5"], classes) is CLASS_METRICS["map5"]


def test_without_such_a_class_or_a_gain_nothing_changes():
    assert decisions.fit(CLASS_METRICS["map5"], PROBS, TARGETS).facts([]) == {}
    sure = np.eye(K)[TARGETS]
    rule = decisions.fit(replace(CLASS_METRICS["map5"], none=3), sure, TARGETS)
    assert rule.apply(sure) is sure
    for rows in (TARGETS == 3, TARGETS != 3, np.arange(len(TARGETS)) == 0):
        assert np.isfinite(decisions.fit(replace(CLASS_METRICS["map5"], none=3), PROBS[rows], TARGETS[rows]).bias).all()
