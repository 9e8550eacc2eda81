"""Scores of several labels a row against scikit-learn's, and their standard errors."""

import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn import metrics as sk

from src.scoring import blocks
from src.scoring.label_metrics import LABEL_METRICS

RNG = np.random.default_rng(0)


def drawn(rng: np.random.Generator, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Targets of five labels, of rare ones too, and probabilities with ties."""
    targets = (rng.random((n, 5)) < [0.5, 0.3, 0.2, 0.1, 0.05]).astype(np.uint8)
    table = np.clip(0.35 * targets + 0.6 * rng.random(targets.shape), 0, 1).round(2).astype(np.float32)
    return targets, table


TARGETS, TABLE = drawn(RNG)

SCIKIT_LEARN = {
    "accuracy": lambda targets, table: sk.accuracy_score(targets, table >= 0.5),
    "hamming_loss": lambda targets, table: sk.hamming_loss(targets, table >= 0.5),
    "log_loss": lambda targets, table: np.mean(
        [sk.log_loss(targets[:, j], table[:, j].astype(float), labels=[0, 1]) for j in range(targets.shape[1])]
    ),
    "auc": lambda targets, table: sk.roc_auc_score(targets, table, average="macro"),
    "average_precision": lambda targets, table: sk.average_precision_score(targets, table, average="macro"),
}
for name in ("micro", "macro", "sample"):
    for beta in (1, 2):
        SCIKIT_LEARN[f"{name}_f{beta}"] = lambda targets, table, name=name, beta=beta: sk.fbeta_score(
            targets, table >= 0.5, beta=beta, average=name.replace("sample", "samples"), zero_division=0
        )


@pytest.mark.parametrize("cells", [blocks.CELLS, 64])  # at once, and in blocks of 12 rows
@pytest.mark.parametrize("name", LABEL_METRICS)
def test_scores_are_those_of_scikit_learn(name, cells, monkeypatch):
    monkeypatch.setattr(blocks, "CELLS", cells)
    metric = LABEL_METRICS[name]
    tolerance = 1e-5 if name == "log_loss" else 1e-9  # which clips at its own epsilon
    assert metric.value(TARGETS, TABLE) == pytest.approx(SCIKIT_LEARN[name](TARGETS, TABLE), abs=tolerance)
    assert metric.score(TARGETS, TABLE)[0] == metric.value(TARGETS, TABLE)
    gain, se = metric.gain(TARGETS, TARGETS.astype(float), than=TABLE)
    assert gain > 2 * se > 0
    assert metric.gain(TARGETS, TABLE, than=TABLE) == (0, 0)


@pytest.mark.parametrize("name", LABEL_METRICS)
def test_standard_errors_are_the_spread_over_fresh_rows(name):
    metric, rng = LABEL_METRICS[name], np.random.default_rng(1)
    pairs = [(drawn(rng), RNG.random((300, 5)).astype(np.float32)) for _ in range(250)]
    pairs = [(targets, table, 0.8 * table + 0.2 * other) for (targets, table), other in pairs]
    for said, value in [
        (lambda t, a, b: metric.score(t, a)[1], lambda t, a, b: metric.value(t, a)),
        (lambda t, a, b: metric.gain(t, a, than=b)[1], lambda t, a, b: metric.value(t, a) - metric.value(t, b)),
    ]:
        spread = np.std([value(*rows) for rows in pairs])
        assert np.mean([said(*rows) for rows in pairs[:30]]) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("name", LABEL_METRICS)
def test_the_rows_influence_is_what_the_value_moves_by(name):
    """A row that is there twice moves the value by its influence / n, but for terms of 1 / n^2."""
    metric, n = LABEL_METRICS[name], len(TARGETS)
    if metric.influence is None:
        return
    moved = metric.influence(TARGETS, TABLE)
    assert moved.mean() == pytest.approx(0, abs=1e-9)
    for row in range(0, n, 37):
        rows = np.append(np.arange(n), row)
        change = metric.value(TARGETS[rows], TABLE[rows]) - metric.value(TARGETS, TABLE)
        assert n * change == pytest.approx(moved[row], abs=0.02 + 0.1 * abs(moved[row]))


@pytest.mark.parametrize("name", LABEL_METRICS)
def test_labels_that_are_missing_or_everywhere_do_not_warn(name):
    targets = TARGETS.copy()
    targets[:, 0], targets[:, 1] = 0, 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(LABEL_METRICS[name].score(targets, TABLE)).all()
        value, _ = LABEL_METRICS[name].score(targets[:1] * 0, TABLE[:1] * 0)
    assert np.isfinite(value) or name in ("auc", "average_precision")  # which leave both out
    if name in ("auc", "average_precision"):
        expected = SCIKIT_LEARN[name](targets[:, 2:], TABLE[:, 2:])
        assert LABEL_METRICS[name].value(targets, TABLE) == pytest.approx(expected)


@pytest.mark.parametrize("name", LABEL_METRICS)
def test_many_labels_need_little_memory_beside_the_table(name, monkeypatch):
    monkeypatch.setattr(blocks, "CELLS", 2**14)
    n, k = 2000, 400
    targets, table = (RNG.random((n, k)) < 0.05).astype(np.uint8), RNG.random((n, k)).astype(np.float32)
    tracemalloc.start()
    LABEL_METRICS[name].score(targets, table)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < table.nbytes / 2
