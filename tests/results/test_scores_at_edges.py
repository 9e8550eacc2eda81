"""Where scores are printed: one whose standard error says nothing stands with an interval, and never with ± 0.0000."""

import math

import numpy as np
import pandas as pd
import pytest

from src.commands import ab, scores
from src.leaderboard.forecast import Standing
from src.results import compare, predictions
from src.results.ab import Comparison
from src.results.ledger import Entry
from src.results.model import cv_text
from src.schema.competition import Competition
from src.stages import audit, zeroshot


@pytest.fixture
def perfect(tmp_path):
    """A model's folder, and what its model.json says, without a count of rows."""
    probs = np.eye(2, dtype=np.float32)[np.arange(288) % 2]
    two = Competition.model_construct(classes=("a", "b"))
    predictions.write(tmp_path / "oof.parquet", two, [str(i) for i in range(288)], probs)
    return tmp_path, {"metric": "accuracy", "cv": 1.0, "se": 0.0}


class TestModel:
    def test_rows_are_those_of_its_table(self, perfect):
        assert cv_text(*perfect) == "1.0000 (0.9868 to 1.0000)"

    def test_without_a_table_that_can_be_read_there_is_no_interval(self, perfect):
        folder, made = perfect
        (folder / "oof.parquet").write_bytes(b"damaged")
        assert cv_text(folder, made) == "1.0000 (se unknown)"
        (folder / "oof.parquet").unlink()
        assert cv_text(folder, made) == "1.0000 (se unknown)"

    def test_elsewhere_it_is_as_ever(self, perfect):
        assert cv_text(perfect[0], {"metric": "accuracy", "cv": 0.991, "se": 0.0025}) == "0.9910 ± 0.0025"


class TestCompare:
    ROW = {"metric": "accuracy", "score": 1.0, "se": 0.0, "rows": 288.0}

    def test_a_score(self):
        assert compare.score_text(self.ROW) == "1.0000 (0.9868 to 1.0000)"
        assert compare.score_text({**self.ROW, "score": 0.9501, "se": 0.0022}) == "0.9501 ± 0.0022"
        assert compare.score_text({**self.ROW, "score": 0.9501, "se": math.nan}) == "0.9501"
        assert compare.score_text({**self.ROW, "score": math.nan, "se": math.nan}) == compare.UNKNOWN

    def test_a_difference(self):
        pair = {"one": "a", "other": "b", "difference": 0.0, "se": 0.0, "rows": 288}
        said = "a against b: +0.0000 (identical) (paired, 288 rows): not distinguishable"
        assert compare.pair_text(pair) == said

    def test_the_columns_stay_aligned(self):
        cell = {"model": "m", "templates": "", "kind": compare.FINE_TUNED, "alpha": math.nan, "published": math.nan}
        cells = [{**cell, **self.ROW, "epoch": 0.0, "score": 0.5, "se": 0.03}, {**cell, **self.ROW, "epoch": 1.0}]
        df = pd.DataFrame([*cells, *({**one, "model": "other", "score": 0.25, "se": 0.02} for one in cells)])
        head, first, second = compare.table(df).splitlines()
        assert first.index("1.0000 (0.9868 to 1.0000)") == second.rindex("0.2500 ± 0.0200") == head.index("epoch 1")

    def test_the_constant_answer_is_the_first_line(self):
        cell = {"model": "m", "templates": "", "kind": compare.FINE_TUNED, "alpha": math.nan, "published": math.nan}
        df = pd.DataFrame([{**cell, **self.ROW, "epoch": float(epoch)} for epoch in range(2)])
        about = {"valid": 288, "constant": {"text": "always 'oak'", "score": 0.5, "se": 0.0295}}
        constant = compare.constant_texts(about, "accuracy")
        assert constant == ("always 'oak'", "0.5000 ± 0.0295")
        assert compare.table(df, constant).splitlines()[1].rstrip() == "always 'oak'  0.5000 ± 0.0295"
        assert compare.constant_texts({"valid": 288}, "accuracy") is None


def test_ab():
    found = Comparison("cs", "1", "probe", "accuracy", 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0, "f", "k")
    assert ab.comparison_text(found, 288).splitlines() == [
        "  as it is    accuracy 1.0000 (0.9868 to 1.0000)",
        "  changed     accuracy 1.0000 (0.9868 to 1.0000)",
        "  difference  +0.0000 (identical) (paired, + is better; 0 of 288 rows get another label): not distinguishable",
    ]
    kappa = Comparison("cs", "1", "probe", "quadratic_kappa", 0.8, 0.01, 0.8, 0.01, 0.0, 0.0, 3, "f", "k")
    assert "3 of 288 rows get another number)" in ab.comparison_text(kappa, 288, what="number")


def test_prompts():
    board = pd.DataFrame(
        [["template", "", "a {}", 1.0, 0.0, 0.1], ["template", "", "{}", 0.5, 0.03, 0.7]],
        columns=["kind", "class", "text", "accuracy", "se", "log_loss"],
    )
    *_, first, second = zeroshot.board_text("clip", board, "accuracy", 288).splitlines()
    assert first.split()[-5:] == ["1.0000", "(0.9868", "to", "1.0000)", "0.1000"]
    assert second.split()[-4:] == ["0.5000", "±", "0.0300", "0.7000"]
    assert len(first) == len(second)
    assert board["se"].tolist() == [0.0, 0.03]


def test_the_noise_ceiling(toy, capsys):
    about = {
        "skipped": [],
        "model": "probe",
        "ceiling": {"accuracy": 1.0, "se": 0.0},
        "rows": {"train": 300, "scored": 288},
        "counts": {"conflict": 0, "duplicate": 0, "label": 0},
    }
    audit.print_findings(toy, pd.DataFrame({"kind": []}), about)
    assert "noise ceiling 1.0000 (0.9868 to 1.0000) by confident learning" in capsys.readouterr().out


class TestLedger:
    def entry(self, cv: str, se: str) -> Entry:
        return Entry("2024-01-01T00:00:00Z", "a.csv", "a" * 64, cv=cv, se=se)

    def test_its_cv(self, toy):
        assert scores.cv_text(toy, self.entry("1.0000", "0.0000"), 36) == "1.0000 (0.9036 to 1.0000)"
        assert scores.cv_text(toy, self.entry("0.9910", "0.0025"), 36) == "0.9910 ± 0.0025"
        assert scores.cv_text(toy, self.entry("0.9910", ""), 36) == "0.9910"
        assert scores.cv_text(toy, self.entry("", ""), 36) == ""

    @pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "quadratic_kappa"])
    def test_its_forecast_is_no_point(self, toy, metric):
        standing = Standing(toy.model_copy(update={"metric": metric}))
        low, high = standing.expected_interval(self.entry("1.0000", "0.0000"), None)
        assert low < high == pytest.approx(1)
        assert standing.promise(self.entry("1.0000", "0.0000")).startswith(
            "its CV of 1.0000 predicts, 19 times of 20: "
        )

    def test_of_a_log_loss_without_spread_there_is_no_forecast(self, toy):
        standing = Standing(toy.model_copy(update={"metric": "log_loss"}))
        object.__setattr__(standing, "rows", (36, 12))
        assert standing.promise(self.entry("0.0000", "0.0000")) is None
