"""Temperature scaling: the least log loss, no change of labels, and nothing of a fold's labels in its own rows."""

import numpy as np
import pytest
from scipy.special import softmax

from src.scoring import calibration
from src.scoring.metrics import METRICS

RNG = np.random.default_rng(0)
N, K = 3000, 4
LOGITS = 1.5 * RNG.normal(size=(N, K))
TARGETS = np.array([RNG.choice(K, p=p) for p in softmax(LOGITS, axis=1)])
FOLD = RNG.permutation(N) % 5
LOSS = METRICS["log_loss"]


@pytest.mark.parametrize("wrong", [0.4, 1.0, 3.0])
def test_undoes_a_temperature(wrong):
    probs = softmax(LOGITS / wrong, axis=1).astype(np.float32)
    assert calibration.temperature(probs, TARGETS) == pytest.approx(1 / wrong, rel=0.1)


def test_is_the_least_log_loss_and_leaves_labels_alone():
    probs = softmax(2.5 * LOGITS, axis=1).astype(np.float32)
    best = calibration.temperature(probs, TARGETS)
    scaled = {t: calibration.scale(probs, t) for t in (0.98 * best, best, 1.02 * best, 1.0)}
    assert min(scaled, key=lambda t: LOSS.value(TARGETS, scaled[t])) == best
    assert (scaled[best].argmax(axis=1) == probs.argmax(axis=1)).all()
    assert np.abs(scaled[1.0] - probs).max() < 1e-5
    assert scaled[best].dtype == np.float32


def test_certain_rows_and_useless_ones_stay_in_bounds():
    sure = np.eye(K, dtype=np.float32)[TARGETS]
    assert calibration.temperature(sure, TARGETS) == calibration.COLDEST
    assert calibration.temperature(sure, (TARGETS + 1) % K) == calibration.HOTTEST
    assert np.isfinite(LOSS.value(TARGETS, calibration.scale(sure, calibration.HOTTEST)))


@pytest.mark.parametrize("leak", [False, True])
def test_a_folds_rows_do_not_depend_on_its_labels_unless_they_leak(monkeypatch, leak):
    """What leaks, so that the test is seen to notice it: one temperature for all, fitted on all rows."""
    if leak:
        every = lambda probs, targets, fold: calibration.scale(probs, calibration.temperature(probs, targets))  # noqa: E731
        monkeypatch.setattr(calibration, "cross_fitted", every)
    probs = softmax(2.5 * LOGITS, axis=1)
    scaled = calibration.cross_fitted(probs, TARGETS, FOLD)
    poisoned = calibration.cross_fitted(probs, np.where(FOLD == 1, (TARGETS + 1) % K, TARGETS), FOLD)
    assert (scaled[FOLD == 1] == poisoned[FOLD == 1]).all() != leak
    assert (scaled[FOLD != 1] != poisoned[FOLD != 1]).any()
    assert LOSS.value(TARGETS, scaled) < LOSS.value(TARGETS, probs)


def test_random_labels_gain_nothing_beyond_chance():
    labels = RNG.integers(0, K, N)
    scaled = calibration.cross_fitted(softmax(LOGITS, axis=1), labels, FOLD)
    score, se = LOSS.score(labels, scaled)
    assert score > np.log(K) - 2 * se
