"""Scores against scikit-learn's, and their standard errors."""

import json
import re
import time
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from src.results.model import none_if_nan
from src.scoring.class_metrics import CLASS_METRICS
from src.scoring.metrics import METRICS, METRICS_OF, Metric

K, N = 7, 500
LABELS = np.arange(K)
RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.ones(K), N)
TARGETS = RNG.integers(0, K, N)
COARSE = PROBS.round(1) + 0.01  # with ties
COARSE /= COARSE.sum(axis=1, keepdims=True)

SCIKIT_LEARN = {
    "accuracy": lambda targets, probs: sk.accuracy_score(targets, probs.argmax(1)),
    "balanced_accuracy": lambda targets, probs: sk.balanced_accuracy_score(targets, probs.argmax(1)),
    "macro_f1": lambda targets, probs: sk.f1_score(targets, probs.argmax(1), average="macro"),
    "quadratic_kappa": lambda targets, probs: sk.cohen_kappa_score(
        targets, probs.argmax(1), labels=LABELS, weights="quadratic"
    ),
    "log_loss": lambda targets, probs: sk.log_loss(targets, probs, labels=LABELS),
    "auc": lambda targets, probs: np.mean([sk.roc_auc_score(targets == c, probs[:, c]) for c in np.unique(targets)]),
    "top5": lambda targets, probs: sk.top_k_accuracy_score(targets, probs, k=5, labels=LABELS),
    "micro_f1": lambda targets, probs: sk.f1_score(targets, probs.argmax(1), average="micro"),
    "brier": lambda targets, probs: sk.brier_score_loss(targets, probs, labels=LABELS, scale_by_half=True),
    "average_precision": lambda targets, probs: np.mean(
        [sk.average_precision_score(targets == c, probs[:, c]) for c in np.unique(targets)]
    ),
}


@pytest.fixture
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("name", SCIKIT_LEARN)  # the others: see test_class_metrics
@pytest.mark.parametrize("probs", [PROBS, COARSE])
def test_scores_are_those_of_scikit_learn(name, probs):
    metric = METRICS[name]
    assert metric.value(TARGETS, probs) == pytest.approx(SCIKIT_LEARN[name](TARGETS, probs), abs=1e-12)
    assert metric.score(TARGETS, probs)[0] == metric.value(TARGETS, probs)
    few = np.isin(TARGETS, [0, 1, 5])  # the others are missing, but for being predicted
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = SCIKIT_LEARN[name](TARGETS[few], probs[few])
    assert metric.value(TARGETS[few], probs[few]) == pytest.approx(expected, abs=1e-12)


def test_the_auc_of_all_classes_is_scikit_learns_macro_one_versus_rest():
    expected = sk.roc_auc_score(TARGETS, PROBS, multi_class="ovr", average="macro")
    assert METRICS["auc"].value(TARGETS, PROBS) == pytest.approx(expected)
    two = PROBS[:, :2] / PROBS[:, :2].sum(axis=1, keepdims=True)
    assert METRICS["auc"].value(TARGETS % 2, two) == pytest.approx(sk.roc_auc_score(TARGETS % 2, two[:, 1]))


@pytest.mark.parametrize("name", CLASS_METRICS)
def test_a_part_of_one_class_or_one_row_does_not_warn_and_is_at_most_undefined(name, no_warning):
    for rows in (TARGETS == 3, np.arange(N) == 0):
        value, se = METRICS[name].score(TARGETS[rows], PROBS[rows])
        assert np.isfinite(value) or name in ("quadratic_kappa", "auc", "weighted_auc", "average_precision", "pf1")
        METRICS[name].gain(TARGETS[rows], PROBS[rows], than=COARSE[rows])
        assert json.loads(json.dumps(none_if_nan(value), allow_nan=False)) == (value if value == value else None)
    value, se = METRICS[name].score(np.arange(N) // (N - 1), PROBS)  # a class of one row, which few samples have
    assert np.isfinite([value, se]).all()


def test_the_standard_error_of_accuracy_is_the_binomials():
    p, se = METRICS["accuracy"].score(TARGETS, PROBS)
    assert se == pytest.approx(np.sqrt(p * (1 - p) / N))


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "macro_f1", "quadratic_kappa", "auc"])
def test_standard_errors_are_the_spread_over_fresh_rows(name):
    metric, rng = METRICS[name], np.random.default_rng(1)

    def fresh():
        targets = rng.choice(3, 400, p=[0.6, 0.3, 0.1])
        one = rng.dirichlet([1, 1, 1], 400) + 0.6 * np.eye(3)[targets]
        return targets, one, one + 0.3 * rng.dirichlet([1, 1, 1], 400)

    drawn = [fresh() for _ in range(150)]
    for said, value in [
        (lambda t, a, b: metric.score(t, a), lambda t, a, b: metric.value(t, a)),
        (lambda t, a, b: metric.gain(t, a, than=b), lambda t, a, b: metric.value(t, a) - metric.value(t, b)),
    ]:
        spread = np.std([value(*rows) for rows in drawn])
        assert np.mean([said(*rows)[1] for rows in drawn[:10]]) == pytest.approx(spread, rel=0.2)


def test_the_bootstrap_is_the_one_that_scores_rows_drawn_again():
    rng = np.random.default_rng(2)
    draws = rng.integers(0, N, (400, N))
    for name in ("macro_f1", "auc"):
        plain = np.std([METRICS[name].value(TARGETS[rows], COARSE[rows]) for rows in draws])
        assert METRICS[name].score(TARGETS, COARSE)[1] == pytest.approx(plain, rel=0.2)


def test_a_certain_mistake_is_not_infinite():
    assert np.isfinite(METRICS["log_loss"].score(np.array([0]), np.array([[0.0, 1.0]]))[0])


@pytest.mark.parametrize("metric", CLASS_METRICS.values(), ids=CLASS_METRICS)
def test_a_gain_is_positive_when_better_and_none_over_itself(metric: Metric):
    better = PROBS.copy()
    better[np.arange(250), TARGETS[:250]] += 1
    better /= better.sum(axis=1, keepdims=True)
    gain, se = metric.gain(TARGETS, better, than=PROBS)
    assert gain > 2 * se > 0
    assert gain == pytest.approx(abs(metric.value(TARGETS, better) - metric.value(TARGETS, PROBS)))
    assert metric.gain(TARGETS, PROBS, than=PROBS) == (0, 0)
    assert metric.gain(TARGETS, better, than=PROBS) == (gain, se)  # the bootstrap is seeded


def test_a_large_table_takes_a_moment():
    targets, probs = RNG.integers(0, 4, 14322), RNG.dirichlet(np.ones(4), 14322).astype(np.float32)
    for metric in CLASS_METRICS.values():
        start = time.perf_counter()
        metric.score(targets, probs)
        assert time.perf_counter() - start < 2  # a few tenths at most, but on a machine that does other work too


@pytest.mark.parametrize("name", METRICS)
def test_a_name_means_the_same_in_each_task(name):
    """Intervals and the leaderboard look facts up by the name alone."""
    facts = {
        (metric.bounds, metric.is_share, metric.greater_is_better)
        for metrics in METRICS_OF.values()
        for own, metric in metrics.items()
        if own == name
    }
    assert len(facts) == 1


@pytest.mark.parametrize("task", METRICS_OF)
def test_kaggles_names_are_of_one_metric_each_and_of_its_task(task):
    names = [kaggle for metric in METRICS_OF[task].values() for kaggle in metric.kaggle_names]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z0-9]+", kaggle) for kaggle in names)
    assert {metric.task for metric in METRICS_OF[task].values()} == {task}
