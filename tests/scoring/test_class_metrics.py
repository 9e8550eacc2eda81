"""Metrics of one class a row that scikit-learn has not: rankings and those of single competitions."""

import numpy as np
import pytest

from src.scoring.class_metrics import CLASS_METRICS

RNG = np.random.default_rng(0)
N, K = 400, 30
TARGETS = RNG.integers(0, K, N)
PROBS = RNG.dirichlet(np.ones(K), N) + 0.1 * np.eye(K)[TARGETS]
PROBS /= PROBS.sum(axis=1, keepdims=True)


def map_at(k: int, targets: np.ndarray, probs: np.ndarray) -> float:
    """As Kaggle has it (benhamner's average precision at k), of one true label."""
    found = []
    for target, row in zip(targets, np.argsort(-probs, axis=1), strict=True):
        score, hits = 0.0, 0
        for i, label in enumerate(row[:k]):
            if label == target:
                hits += 1
                score += hits / (i + 1)
        found.append(score)
    return float(np.mean(found))


@pytest.mark.parametrize("k", [3, 5, 10, 12, 20])
def test_rankings(k):
    metric = CLASS_METRICS[f"map{k}"]
    assert metric.value(TARGETS, PROBS) == pytest.approx(map_at(k, TARGETS, PROBS))
    assert (metric.places, metric.answers) == (k, "ranking")


def test_of_equally_likely_classes_the_last_is_first_as_for_top5():
    equal = np.full((1, 4), 0.25)
    found = [CLASS_METRICS["map3"].value(np.array([label]), equal) for label in range(4)]
    assert found == [0, 1 / 3, 1 / 2, 1]


@pytest.fixture
def binary():
    targets = (RNG.random(3000) < 0.05).astype(int)
    prob = np.clip(RNG.beta(1, 8, 3000) + 0.2 * targets * RNG.random(3000), 0, 1).round(3)
    return targets, np.stack([1 - prob, prob], axis=1)


def test_pf1_is_that_of_the_competition(binary):
    targets, table = binary
    hits, false = table[targets == 1, 1].sum(), table[targets == 0, 1].sum()
    precision, recall = hits / (hits + false), hits / targets.sum()
    assert CLASS_METRICS["pf1"].value(targets, table) == pytest.approx(2 * precision * recall / (precision + recall))
    assert CLASS_METRICS["pf1"].value(targets, np.eye(2)[targets]) == 1


def test_weighted_auc_is_that_of_alaska(binary):
    from sklearn.metrics import auc, roc_curve

    targets, table = binary
    fpr, tpr, _ = roc_curve(targets, table[:, 1], drop_intermediate=False)
    fine = np.linspace(0, 1, 200_001)
    rate = np.interp(fine, fpr, tpr)
    expected = sum(
        weight * auc(fine, np.clip(rate, low, high) - low) for low, high, weight in ((0, 0.4, 2), (0.4, 1, 1))
    )
    assert CLASS_METRICS["weighted_auc"].value(targets, table) == pytest.approx(expected / 1.4, abs=1e-4)
    assert CLASS_METRICS["weighted_auc"].value(targets, np.eye(2)[targets]) == 1


@pytest.mark.parametrize("name", ["pf1", "weighted_auc", "average_precision", "auc"])
def test_one_probability_is_scored_as_the_sum_of_its_classes(name, binary):
    targets, table = binary
    three = np.stack([table[:, 0], 0.25 * table[:, 1], 0.75 * table[:, 1]], axis=1)
    metric = CLASS_METRICS[name].of_positive(np.array([False, True, True]))
    expected = CLASS_METRICS[name].score(targets, table)
    assert metric.score(targets * RNG.integers(1, 3, len(targets)), three) == pytest.approx(expected)
    swapped = CLASS_METRICS[name].of_positive(np.array([True, False]))
    assert swapped.score(1 - targets, table[:, ::-1]) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["pf1", "weighted_auc", "average_precision"])
def test_standard_errors_are_the_spread_over_fresh_rows(name):
    metric, rng = CLASS_METRICS[name], np.random.default_rng(1)

    def fresh():
        targets = (rng.random(800) < 0.1).astype(int)
        prob = np.clip(rng.beta(1, 5, 800) + 0.3 * targets * rng.random(800), 0, 1)
        return targets, np.stack([1 - prob, prob], axis=1)

    drawn = [fresh() for _ in range(200)]
    spread = np.std([metric.value(*rows) for rows in drawn])
    assert np.mean([metric.score(*rows)[1] for rows in drawn[:15]]) == pytest.approx(spread, rel=0.2)
