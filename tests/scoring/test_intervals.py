"""Scores and gains as text: at the edges, where a standard error says nothing, with an interval."""

import re

import numpy as np
import pytest

from src.base.paths import ROOT
from src.scoring import intervals
from src.scoring.class_metrics import CLASS_METRICS
from src.scoring.intervals import gain_text, score_text
from src.scoring.metrics import METRICS


def text_of(name: str, targets: np.ndarray, probs: np.ndarray) -> str:
    return score_text(name, *METRICS[name].score(targets, probs), len(targets))


def answers(right: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets of two classes and probabilities of which so many have the true class first."""
    targets = np.arange(n) % 2
    labels = np.where(np.arange(n) < right, targets, 1 - targets)
    return targets, np.eye(2)[labels]


@pytest.mark.parametrize(
    ("right", "n", "text"),
    [
        (288, 288, "1.0000 (0.9868 to 1.0000)"),
        (0, 288, "0.0000 (0.0000 to 0.0132)"),
        (287, 288, "0.9965 (0.9806 to 0.9994)"),
        (284, 288, "0.9861 ± 0.0069"),
        (1, 1, "1.0000 (0.2065 to 1.0000)"),
        (0, 1, "0.0000 (0.0000 to 0.7935)"),
    ],
)
def test_accuracy(right, n, text):
    assert text_of("accuracy", *answers(right, n)) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("top5", "1.0000 (0.9868 to 1.0000)"),
        ("macro_f1", "1.0000 (0.9868 to 1.0000)"),
        ("balanced_accuracy", "1.0000 (0.9868 to 1.0000)"),
        ("quadratic_kappa", "1.0000 (0.9737 to 1.0000)"),  # twice as far: it goes from -1 to 1
        ("auc", "1.0000 (0.9868 to 1.0000)"),
        ("log_loss", "0.0000 (se unknown)"),
    ],
)
def test_perfect_answers(name, text):
    assert text_of(name, *answers(288, 288)) == text


def test_a_constant_answer_has_no_edge_of_its_metric_but_no_spread_either():
    targets, probs = np.arange(200) % 2, np.tile([0.6, 0.4], (200, 1))
    assert text_of("quadratic_kappa", targets, probs) == "0.0000 (-0.1373 to 0.1373)"
    assert text_of("balanced_accuracy", targets, probs) == "0.5000 (0.4314 to 0.5686)"


def test_a_log_loss_near_0_has_no_interval():
    probs = np.array([[1 - 1e-5, 1e-5], [1 - 3e-5, 3e-5]])
    assert text_of("log_loss", np.array([0, 0]), probs) == "0.0000 (se below 0.0001)"
    assert text_of("log_loss", np.array([0, 1, 0]), np.full((3, 2), 0.5)) == "0.6931 (se unknown)"


def test_a_standard_error_that_is_no_more_than_rounding_is_unknown():
    assert score_text("log_loss", 0.7, 1e-17, 3) == "0.7000 (se unknown)"


def test_without_rows_nothing_is_made_up():
    assert score_text("accuracy", 1.0, 0.0, None) == "1.0000 (se unknown)"


def test_undefined_scores_stay_so():
    nan = float("nan")
    assert score_text("auc", nan, nan, 10) == "nan ± nan"
    assert score_text("auc", 0.8, nan, 10) == "0.8000 ± nan"
    assert gain_text(nan, nan) == "+nan ± nan"


def test_percent_and_their_digits():
    assert intervals.error_text("accuracy", 0.141, 0.023, 100, digits=1, scale=100) == "± 2.3"
    assert intervals.error_text("accuracy", 0.0, 0.0, 288, digits=1, scale=100) == "(0.0 to 1.3)"


@pytest.mark.parametrize(
    ("gain", "se", "text"),
    [
        (0.0035, 0.007, "+0.0035 ± 0.0070"),
        (-0.0035, 0.007, "-0.0035 ± 0.0070"),
        (0.0, 0.0, "+0.0000 (identical)"),
        (-0.0, 0.0, "+0.0000 (identical)"),
        (0.0, 0.007, "+0.0000 ± 0.0070"),
        (1.0, 0.0, "+1.0000 (se unknown)"),
        (0.0002, 0.00001, "+0.0002 (se below 0.0001)"),
    ],
)
def test_gains(gain, se, text):
    assert gain_text(gain, se) == text


def test_identical_answers_gain_nothing():
    targets, probs = answers(200, 288)
    for name, metric in CLASS_METRICS.items():
        assert gain_text(*metric.gain(targets, probs, than=probs)) == "+0.0000 (identical)", name


def test_error_bars_are_one_sided_at_a_bound():
    assert intervals.error_bar("accuracy", 0.5, 0.1, 25) == (0.4, 0.6)
    low, high = intervals.error_bar("accuracy", 1.0, 0.0, 288)
    assert (low, high) == pytest.approx((0.98684, 1), abs=1e-5)
    assert intervals.error_bar("log_loss", 0.5, 0.0, 288) == (0.5, 0.5)


def test_wilsons_interval_of_no_rows_is_not_defined():
    assert np.isnan(intervals.wilson(0, 0)).all()


def test_nothing_else_writes_a_standard_error():
    """A literal `± {...:.4f}`, or a `± ` that ends a text before its number."""
    own = ROOT / "src" / "scoring" / "intervals.py"
    files = [path for path in (ROOT / "src").rglob("*") if path.suffix in (".py", ".html") and path != own]
    literal = re.compile(r'± (\{[^}"]*:|\{\{|"\s*$)|"± (se)?"', re.MULTILINE)
    assert [path.name for path in files if literal.search(path.read_text())] == []
