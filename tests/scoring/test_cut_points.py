"""Cut points on the expected grade."""

from itertools import combinations

import numpy as np
import pytest
from scipy.special import softmax

from src.scoring import decisions
from src.scoring.decisions import Biases, biases, cut_points
from src.scoring.decisions.cut_points import CutPoints
from src.scoring.metrics import METRICS

KAPPA = METRICS["quadratic_kappa"]
K = 5


def graded(rng: np.random.Generator, n: int, noise: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """Grades, most of them 0, and the probabilities of a model that sees a noisy one and leans to the middle.

    Each probability has a noise of its own too, which the expected grade has less of.
    """
    targets = rng.choice(K, n, p=[0.5, 0.1, 0.25, 0.08, 0.07])
    seen = 0.6 * targets + 0.8 + rng.normal(0, noise, n)
    return targets, softmax(-0.7 * (seen[:, None] - np.arange(K)) ** 2 + rng.normal(size=(n, K)), axis=1)


TARGETS, PROBS = graded(np.random.default_rng(0), 1500)


def test_the_grade_is_the_number_of_cuts_that_the_expected_one_reaches():
    rule = CutPoints(np.array([0.5, 1.0]))
    table = np.array([[0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.3, 0.4, 0.3], [0.0, 0.0, 1.0]], np.float32)
    decided = rule.apply(table)
    assert decided.argmax(axis=1).tolist() == [0, 1, 2, 2]
    assert decided.dtype == np.float32
    assert (decided.sum(axis=1) == 1).all()


def test_finds_nearly_the_best_cuts_of_a_grid():
    rows = slice(300)
    targets, probs = np.minimum(TARGETS[rows], 2), np.stack([*PROBS[rows, :2].T, PROBS[rows, 2:].sum(axis=1)], axis=1)
    grid = combinations(np.arange(0.05, 2, 0.05), 2)
    best = max(KAPPA.value(targets, CutPoints(np.array(cuts)).apply(probs)) for cuts in grid)
    rule = cut_points.fit(KAPPA, probs, targets)
    assert KAPPA.value(targets, rule.apply(probs)) >= best - 1e-3
    assert (np.diff(rule.cuts) >= 0).all()


def test_is_better_than_the_likeliest_grade_and_than_biases_on_fresh_rows():
    rng = np.random.default_rng(1)
    wins = []
    for _ in range(10):
        targets, probs = graded(rng, 800)
        fresh, table = graded(rng, 4000)
        scores = [
            KAPPA.value(fresh, rule.apply(table))
            for rule in (
                cut_points.fit(KAPPA, probs, targets),
                biases.fit(KAPPA, probs, targets),
                Biases(np.zeros(K)),
            )
        ]
        assert scores[0] > scores[2] + 0.02
        wins.append(scores[0] - scores[1])
    assert np.mean(wins) > 0.005


def test_the_better_rule_is_chosen_on_other_rows_than_it_is_fitted_on(monkeypatch):
    assert isinstance(decisions.fit(KAPPA, PROBS, TARGETS), CutPoints)
    useless = lambda metric, probs, targets: CutPoints(np.full(K - 1, 9.0))  # noqa: E731
    monkeypatch.setitem(decisions.RULES, "cut_points", useless)
    assert isinstance(decisions.fit(KAPPA, PROBS, TARGETS), Biases)
    seen = []

    def spying(metric, probs, targets):
        seen.append(len(targets))
        return Biases(np.zeros(K))

    monkeypatch.setitem(decisions.RULES, "biases", spying)
    decisions.fit(KAPPA, PROBS, TARGETS)
    assert seen[:3] == [1000] * 3


@pytest.mark.parametrize("rule", ["biases", "cut_points"])
def test_shuffled_grades_give_chance(rule, monkeypatch):
    monkeypatch.setitem(decisions.RULES, "biases", decisions.RULES[rule])
    for module in (biases, cut_points):  # fitted on all rows they would still reach 0.04
        monkeypatch.setattr(module, "CUTS", 100)
    rng = np.random.default_rng(2)
    fold = rng.permutation(1500) % 5
    found = []
    for _ in range(20):
        shuffled = rng.permutation(TARGETS)
        found.append(KAPPA.value(shuffled, decisions.cross_fitted(KAPPA, PROBS, shuffled, fold)))
    assert abs(np.mean(found)) < 0.02


def test_rows_that_are_equal_or_of_one_grade_are_no_trouble():
    equal = np.full((40, K), 1 / K)
    assert np.isfinite(cut_points.fit(KAPPA, equal, TARGETS[:40]).apply(equal)).all()
    assert cut_points.fit(KAPPA, PROBS[:9], np.full(9, 3)).cuts.tolist() == [0.5, 1.5, 2.5, 3.5]
    assert cut_points.fit(KAPPA, np.eye(K)[TARGETS], TARGETS).cuts.tolist() == [0.5, 1.5, 2.5, 3.5]
