"""The constant answer: what a model has to beat."""

from itertools import product

import numpy as np
import pytest

from src.scoring.class_metrics import CLASS_METRICS
from src.scoring.constant import constant_answer, constant_table
from src.scoring.label_metrics import LABEL_METRICS
from src.scoring.metrics import METRICS
from src.scoring.number_metrics import NUMBER_METRICS

TARGETS = np.repeat([0, 1, 2], [20, 50, 30])
CLASSES = ("cat", "dog", "none")


@pytest.mark.parametrize("name", [name for name, metric in CLASS_METRICS.items() if metric.of_labels])
def test_no_other_label_for_every_row_scores_more(name):
    constant = constant_answer(METRICS[name], TARGETS, CLASSES)
    others = [METRICS[name].value(TARGETS, np.tile(np.eye(3)[k], (100, 1))) for k in range(3)]
    assert constant.text == "always 'dog'"
    assert constant.score == max(others)


def test_probabilities_are_the_shares_of_the_classes():
    constant = constant_answer(METRICS["log_loss"], TARGETS, CLASSES)
    assert constant.text == "always the share of each class"
    assert constant.score == pytest.approx(-(np.array([0.2, 0.5, 0.3]) @ np.log([0.2, 0.5, 0.3])))
    assert constant_answer(METRICS["auc"], TARGETS, CLASSES).score == 0.5


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
    assert constant_answer(METRICS[name], TARGETS, CLASSES).is_beaten(name, score, se) == beaten


@pytest.mark.parametrize("name", CLASS_METRICS)
def test_nothing_is_ahead_by_what_float32_rounds(name):
    for counts in ([3, 4, 4], [20, 50, 30], [1, 7, 5]):
        targets = np.repeat([0, 1, 2], counts)
        constant = constant_table(CLASS_METRICS[name], targets, 3)
        assert not METRICS[name].is_ahead(targets, constant.astype(np.float32), than=constant)
        assert METRICS[name].is_ahead(targets, np.eye(3)[targets], than=constant) == (name != "top5")


class TestLabels:
    RNG = np.random.default_rng(0)
    TARGETS = (RNG.random((200, 4)) < [0.6, 0.45, 0.2, 0.05]).astype(np.uint8)
    LABELS = ("scab", "rust", "spot", "wilt")

    @pytest.mark.parametrize("name", [name for name, metric in LABEL_METRICS.items() if metric.of_labels])
    def test_no_other_labels_for_every_row_score_more(self, name):
        metric = LABEL_METRICS[name]
        constant = constant_answer(metric, self.TARGETS, self.LABELS)
        others = [metric.value(self.TARGETS, np.tile(row, (200, 1))) for row in product([0.0, 1.0], repeat=4)]
        assert metric.sign * constant.score == pytest.approx(max(metric.sign * other for other in others))
        assert constant.is_beaten(name, *metric.score(self.TARGETS, self.TARGETS.astype(float)))

    def test_is_said_by_its_labels(self):
        said = {name: constant_answer(metric, self.TARGETS, self.LABELS).text for name, metric in LABEL_METRICS.items()}
        assert said["micro_f1"] == "always 'scab', 'rust'"
        assert said["macro_f1"] == "always 'scab', 'rust', 'spot', 'wilt'"
        assert said["log_loss"] == said["auc"] == "always the share of each label"
        none = constant_answer(LABEL_METRICS["accuracy"], 0 * self.TARGETS, self.LABELS)
        assert (none.text, none.score) == ("always no label", 1)
        many = np.tile(self.TARGETS, 2)
        assert constant_answer(LABEL_METRICS["macro_f1"], many, list("abcdefgh")).text == "always all labels"

    def test_of_rows_in_no_order_is_chance(self):
        assert constant_answer(LABEL_METRICS["auc"], self.TARGETS, self.LABELS)[1:] == (0.5, 0)


class TestNumbers:
    TARGETS = np.array([1.0, 2, 2, 3, 10])

    @pytest.mark.parametrize("name", ["rmse", "mse", "mae", "r2"])
    def test_no_other_number_scores_more(self, name):
        metric = NUMBER_METRICS[name]
        constant = constant_answer(metric, self.TARGETS, ["score"])
        others = [metric.sign * metric.value(self.TARGETS, np.full((5, 1), x)) for x in np.linspace(0, 11, 1101)]
        assert metric.sign * constant.score == pytest.approx(max(others))

    def test_is_said_by_its_value(self):
        assert constant_answer(NUMBER_METRICS["rmse"], self.TARGETS, ["score"]).text == "always 3.6"
        assert constant_answer(NUMBER_METRICS["mae"], self.TARGETS, ["score"]).text == "always 2"


def test_one_probability_is_the_share_of_its_classes():
    metric = METRICS["log_loss"].of_positive(np.array([True, False, True]))
    assert constant_answer(metric, TARGETS, CLASSES).score == pytest.approx(np.log(2))
    ranking = constant_answer(METRICS["map3"], TARGETS, CLASSES)
    assert ranking.text == "always the most frequent classes"
    assert ranking.score == pytest.approx(0.5 + 0.3 / 2 + 0.2 / 3)
