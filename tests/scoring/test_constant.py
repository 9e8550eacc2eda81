"""The constant answer: what a model has to beat."""

import numpy as np
import pytest

from src.scoring.class_metrics import CLASS_METRICS
from src.scoring.constant import constant_answer, constant_table
from src.scoring.metrics import METRICS

TARGETS = np.repeat([0, 1, 2], [20, 50, 30])
CLASSES = ("cat", "dog", "none")


@pytest.mark.parametrize("name", [name for name, metric in CLASS_METRICS.items() if metric.of_labels])
def test_no_other_label_for_every_row_scores_more(name):
    constant = constant_answer(name, TARGETS, CLASSES)
    others = [METRICS[name].value(TARGETS, np.tile(np.eye(3)[k], (100, 1))) for k in range(3)]
    assert constant.text == "always 'dog'"
    assert constant.score == max(others)


def test_probabilities_are_the_shares_of_the_classes():
    constant = constant_answer("log_loss", TARGETS, CLASSES)
    assert constant.text == "always the share of each class"
    assert constant.score == pytest.approx(-(np.array([0.2, 0.5, 0.3]) @ np.log([0.2, 0.5, 0.3])))
    assert constant_answer("auc", TARGETS, CLASSES).score == 0.5


@pytest.mark.parametrize(
    ("name", "score", "se", "beaten"),
    [
        ("accuracy", 0.62, 0.05, True),
        ("accuracy", 0.58, 0.05, False),
        ("accuracy", 0.5, 0.0, False),
        ("accuracy", 1.0, 0.0, True),
        ("log_loss", 0.9, 0.02, True),
        ("log_loss", 1.1, 0.02, False),
        ("accuracy", float("nan"), float("nan"), True),
    ],
)
def test_a_score_within_its_error_beats_nothing(name, score, se, beaten):
    assert constant_answer(name, TARGETS, CLASSES).is_beaten(name, score, se) == beaten


@pytest.mark.parametrize("name", CLASS_METRICS)
def test_nothing_is_ahead_by_what_float32_rounds(name):
    for counts in ([3, 4, 4], [20, 50, 30], [1, 7, 5]):
        targets = np.repeat([0, 1, 2], counts)
        constant = constant_table(targets, 3)
        assert not METRICS[name].is_ahead(targets, constant.astype(np.float32), than=constant)
        assert METRICS[name].is_ahead(targets, np.eye(3)[targets], than=constant) == (name != "top5")
