"""Thresholds of several labels: better F scores on fresh rows, and nothing of a fold's labels in its own rows."""

import json
from itertools import product

import numpy as np
import pytest
from scipy.special import expit

from src.scoring import blocks, decisions
from src.scoring.decisions import thresholds
from src.scoring.decisions.thresholds import Thresholds
from src.scoring.label_metrics import LABEL_METRICS

F_SCORES = [name for name, metric in LABEL_METRICS.items() if metric.rules]
K, N = 5, 1500
LABELS = ("scab", "rust", "mildew", "spot", "healthy")
BASE = np.array([0.0, -1.0, -2.0, -2.5, -4.5])  # log odds: the last is rarer than thresholds.ENOUGH


def drawn(rng: np.random.Generator, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and the probabilities of a model that is right about them but for its scale."""
    logits = BASE + 1.6 * rng.normal(size=(n, K))
    targets = (rng.random((n, K)) < expit(logits)).astype(np.uint8)
    return targets, expit(1.4 * logits - 0.4).astype(np.float32)


TARGETS, TABLE = drawn(np.random.default_rng(0))
FOLD = np.random.default_rng(1).permutation(N) % 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_threshold_comes_to_one_half_and_columns_keep_their_order(dtype):
    rng = np.random.default_rng(2)
    t = np.array([0.1, 0.9, 0.5, 1e-4, 1 - 1e-4])
    table = rng.random((400, K)).astype(dtype)
    table[0], table[1], table[2] = 0, 1, t
    moved = Thresholds(t, never_empty=False).apply(table)
    assert moved.dtype == dtype
    assert ((moved >= 0.5) == (table >= t)).all()
    assert (moved >= 0).all()
    assert (moved <= 1).all()
    for j in range(K):
        assert (np.diff(moved[np.argsort(table[:, j], kind="stable"), j]) >= 0).all()
    assert np.abs(moved[:, 2] - table[:, 2]).max() < 1e-6


def test_rows_without_an_answer_get_the_likeliest_label_where_none_is_empty():
    table = np.array([[0.2, 0.3, 0.1], [0.9, 0.2, 0.2], [0.3, 0.3, 0.1]])
    t = np.array([0.5, 0.5, 0.5])
    assert (Thresholds(t, True).apply(table) >= 0.5).tolist() == [
        [False, True, False],
        [True, False, False],
        [True, False, False],
    ]
    assert not (Thresholds(t, False).apply(table) >= 0.5)[0].any()


@pytest.mark.parametrize("name", F_SCORES)
def test_finds_nearly_the_best_thresholds_of_a_grid(name, monkeypatch):
    metric, (targets, table) = LABEL_METRICS[name], (TARGETS[:, :2], TABLE[:, :2])
    grid = [Thresholds(np.array(pair), False) for pair in product(np.arange(0.05, 1, 0.05), repeat=2)]
    best = max(metric.value(targets, rule.apply(table)) for rule in grid)
    found = thresholds.fit(metric, table, targets)
    assert metric.value(targets, found.apply(table)) > best - 2e-3
    monkeypatch.setattr(blocks, "CELLS", 100)  # in blocks of rows
    assert (thresholds.fit(metric, table, targets).thresholds == found.thresholds).all()


@pytest.mark.parametrize("name", F_SCORES)
def test_gains_on_fresh_rows_what_is_said_by_cross_fitting(name):
    metric, rng = LABEL_METRICS[name], np.random.default_rng(3)
    fresh, table = drawn(rng, 6000)
    rule = decisions.fit(metric, TABLE, TARGETS)
    gain, se = metric.gain(fresh, rule.apply(table), than=table)
    assert gain > 3 * se
    ours, error = metric.score(TARGETS, decisions.cross_fitted(metric, TABLE, TARGETS, FOLD))
    theirs, fresh_error = metric.score(fresh, rule.apply(table))
    assert -4 < (ours - theirs) / np.hypot(error, fresh_error) < 2.5  # labels of few rows lose by fewer rows


def test_rare_labels_have_one_threshold():
    assert TARGETS[:, -1].sum() < thresholds.ENOUGH
    few = np.stack([TARGETS[:, -1]] * 2, axis=1), np.stack([TABLE[:, -1], TABLE[:, -1] / 2], axis=1)
    for name in F_SCORES:
        rule = thresholds.fit(LABEL_METRICS[name], few[1], few[0])
        assert len(set(rule.thresholds)) == 1
        rule = thresholds.fit(LABEL_METRICS[name], TABLE, TARGETS)
        assert len(set(rule.thresholds[:4])) > 1


@pytest.mark.parametrize("name", F_SCORES)
def test_a_folds_labels_do_not_reach_its_decisions_and_a_leak_would_be_seen(name, monkeypatch):
    metric, all_labels, fit = LABEL_METRICS[name], [], decisions.fit

    def moved():
        decided = []
        for labels in (TARGETS, np.where((FOLD == 1)[:, None], 1 - TARGETS, TARGETS)):
            all_labels[:] = [labels]
            decided.append(decisions.cross_fitted(metric, TABLE, labels, FOLD)[FOLD == 1])
        return (decided[0] != decided[1]).any()

    assert not moved()
    monkeypatch.setattr(decisions, "fit", lambda metric, table, targets: fit(metric, TABLE, all_labels[0]))
    assert moved()


@pytest.mark.parametrize("name", F_SCORES)
def test_shuffled_labels_score_no_better_than_the_best_constant_answer(name):
    metric, rng = LABEL_METRICS[name], np.random.default_rng(4)
    excess = []
    for _ in range(8):
        shuffled = TARGETS[rng.permutation(N)]
        score = metric.value(shuffled, decisions.cross_fitted(metric, TABLE, shuffled, FOLD))
        constants = [metric.value(shuffled, np.tile(row, (N, 1))) for row in product([0.0, 1.0], repeat=K)]
        excess.append(score - max(constants))
    assert np.mean(excess) < 0.005


def test_an_answer_for_each_row_is_learnt_from_rows_that_all_have_one():
    rng = np.random.default_rng(5)
    targets, table = drawn(rng)
    targets[:, -1] = ~targets[:, :-1].any(axis=1)  # healthy: none of the others
    table[:, -1] = np.prod(1 - table[:, :-1], axis=1)
    metric = LABEL_METRICS["micro_f1"]
    rule = decisions.fit(metric, table, targets)
    assert rule.never_empty
    assert (rule.apply(table) >= 0.5).any(axis=1).all()
    assert not decisions.fit(metric, TABLE, TARGETS).never_empty


def test_comes_back_from_its_entry():
    rule = decisions.fit(LABEL_METRICS["macro_f1"], TABLE, TARGETS)
    facts = json.loads(json.dumps(rule.facts(LABELS)))
    assert facts["rule"] == "thresholds"
    assert list(facts["thresholds"]) == list(LABELS)
    assert (decisions.rule_of(facts, LABELS).apply(TABLE) == rule.apply(TABLE)).all()


@pytest.mark.parametrize("name", F_SCORES)
def test_labels_that_no_row_has_or_all_have_are_no_trouble(name):
    targets = np.tile(np.array([0, 1], np.uint8), (80, 1))
    for table in (np.full((80, 2), 0.5, np.float32), np.zeros((80, 2)), np.ones((80, 2))):
        rule = thresholds.fit(LABEL_METRICS[name], table, targets)
        assert np.isfinite(rule.apply(table)).all()
