"""Temperature scaling: the least log loss, no change of labels, and nothing of a fold's labels in its own rows."""

import json

import numpy as np
import pytest
from scipy.special import expit, softmax

from src.scoring import calibration
from src.scoring.label_metrics import LABEL_METRICS
from src.scoring.metrics import METRICS
from src.scoring.targets import TARGETS as TARGETS_OF

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


class TestLabels:
    ODDS = RNG.normal(size=(N, 3)) * 1.5 + [0, -1, -6]  # the last label is rare
    TARGETS = (RNG.random((N, 3)) < expit(ODDS)).astype(np.uint8)
    WRONG = np.array([0.5, 2.0, 1.0])
    TABLE = expit(ODDS / WRONG).astype(np.float32)
    LOSS = LABEL_METRICS["log_loss"]

    def test_each_has_its_own_and_a_rare_one_that_of_all(self):
        found = calibration.temperature(self.TABLE, self.TARGETS)
        assert self.TARGETS[:, 2].sum() < calibration.ENOUGH
        assert found[:2] == pytest.approx(1 / self.WRONG[:2], rel=0.1)
        assert found[:2].min() < found[2] < found[:2].max()
        every = calibration.temperature(self.TABLE[:, 2:], self.TARGETS[:, 2:])
        assert found[2] != every[0]

    def test_is_the_least_log_loss_and_keeps_the_order_of_rows(self):
        best = calibration.temperature(self.TABLE[:, :2], self.TARGETS[:, :2])
        assert self.LOSS.value(self.TARGETS[:, :2], calibration.scale(self.TABLE[:, :2], best)) == min(
            self.LOSS.value(self.TARGETS[:, :2], calibration.scale(self.TABLE[:, :2], best * [a, b]))
            for a in (0.97, 1, 1.03)
            for b in (0.97, 1, 1.03)
        )
        scaled = calibration.scale(self.TABLE, np.array([0.4, 1.0, 3.0]))
        assert scaled.dtype == np.float32
        assert np.abs(scaled[:, 1] - self.TABLE[:, 1]).max() < 1e-6
        for j in range(3):
            assert (np.diff(scaled[np.argsort(self.TABLE[:, j]), j]) >= 0).all()

    @pytest.mark.parametrize("leak", [False, True])
    def test_a_folds_rows_do_not_depend_on_its_labels_unless_they_leak(self, monkeypatch, leak):
        if leak:
            every = lambda probs, targets, fold: calibration.scale(probs, calibration.temperature(probs, targets))  # noqa: E731
            monkeypatch.setattr(calibration, "cross_fitted", every)
        scaled = calibration.cross_fitted(self.TABLE, self.TARGETS, FOLD)
        other = np.where((FOLD == 1)[:, None], 1 - self.TARGETS, self.TARGETS)
        poisoned = calibration.cross_fitted(self.TABLE, other, FOLD)
        assert (scaled[FOLD == 1] == poisoned[FOLD == 1]).all() != leak
        assert self.LOSS.value(self.TARGETS, scaled) < self.LOSS.value(self.TARGETS, self.TABLE)

    def test_shuffled_labels_gain_nothing_beyond_chance(self):
        shuffled = self.TARGETS[RNG.permutation(N)]
        scaled = calibration.cross_fitted(self.TABLE, shuffled, FOLD)
        score, se = self.LOSS.score(shuffled, scaled)
        assert score > self.LOSS.value(shuffled, TARGETS_OF["labels"].constant(shuffled, 3)) - 2 * se

    def test_comes_back_from_four_digits_of_json(self):
        found = calibration.temperature(self.TABLE, self.TARGETS)
        stored = json.loads(json.dumps(calibration.rounded(found)))
        assert np.abs(calibration.scale(self.TABLE, stored) - calibration.scale(self.TABLE, found)).max() < 1e-4
        assert calibration.rounded(1.23456) == 1.2346

    def test_labels_that_no_row_has_or_all_have_stay_in_bounds(self):
        for value in (0, 1):
            found = calibration.temperature(self.TABLE, np.full_like(self.TARGETS, value))
            assert ((found >= calibration.COLDEST) & (found <= calibration.HOTTEST)).all()
            assert np.isfinite(calibration.scale(np.float32([[0, 1, 0.5]]), found)).all()
