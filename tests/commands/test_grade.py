"""grade: a submission's scores by the competition's solution, as Kaggle would give them."""

import numpy as np
import pandas as pd
import pytest

from src.base.errors import UserError
from src.commands import grade
from src.data.sources.kaggle import Kaggle
from src.kaggle.refusals import Refusal
from src.leaderboard import solution
from src.schema.settings import Unit
from tests.conftest import CLASSES, toy_competition

TRUTH = pd.DataFrame({"id": [f"{100 + i}" for i in range(12)], "label": [CLASSES[i % 3] for i in range(12)]})


@pytest.fixture
def graded(folder, tmp_path, capsys):
    """graded(solution, submission) -> the printed lines."""

    def run(truth, sub, competition=None):
        truth.to_csv(folder / "solution.csv", index=False)
        sub.to_csv(tmp_path / "x.csv", index=False)
        grade.run(competition or toy_competition(), tmp_path / "x.csv")
        return capsys.readouterr().out.splitlines()

    return run


def wrong(*rows: int) -> pd.DataFrame:
    sub = TRUTH.copy()
    sub.loc[list(rows), "label"] = [CLASSES[(i + 1) % 3] for i in rows]
    return sub


SOLUTION = TRUTH.assign(Usage=["Public"] * 3 + ["Private"] * 9)


def test_gives_public_and_private_scores_as_counts_that_are_cut(graded):
    assert graded(SOLUTION.sample(frac=1, random_state=0), wrong(0, 5)[::-1]) == [
        "public: accuracy 0.6667 (0.2077 to 0.9385) on 3 rows (2/3, cut to 0.66666 as Kaggle does)",
        "private: accuracy 0.8889 (0.5650 to 0.9801) on 9 rows (8/9, cut to 0.88888 as Kaggle does)",
        "test: accuracy 0.8333 (0.5520 to 0.9530) on 12 rows (10/12, cut to 0.83333 as Kaggle does)",
    ]


def test_leaves_out_rows_that_kaggle_ignores(graded):
    ignored = SOLUTION.assign(Usage=["Public"] * 3 + ["Private"] * 6 + ["Ignored"] * 3)
    ignored.loc[9:, "label"] = "of no class"
    lines = graded(ignored, wrong(0, 10, 11))
    assert [line.split("(")[-1].split(",")[0] for line in lines] == ["2/3", "6/6", "8/9"]


def test_uses_the_competitions_metric(graded, folder):
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
    sample.assign(red=0.3, blue=0.3, green=0.4).to_csv(folder / "sample_submission.csv", index=False)
    probs = TRUTH[["id"]].assign(
        **{name: np.where(TRUTH["label"] == name, 0.5, 0.25) for name in ("red", "blue", "green")}
    )
    (line, *_) = graded(SOLUTION, probs, toy_competition(metric="log_loss"))
    assert line == "public: log_loss 0.6931 (se unknown) on 3 rows"


@pytest.mark.parametrize("times", [1, 0.5, 2**-60])
def test_the_log_loss_is_kaggles(graded, folder, times):
    """Each row divided by its sum, then kept 1e-15 from 0 and 1: of a sure mistake that is 34.54 and not 15.94."""
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
    sample.assign(red=0.3, blue=0.3, green=0.4).to_csv(folder / "sample_submission.csv", index=False)
    probs = np.full((12, 3), 0.1) + 0.7 * np.eye(3)[np.arange(12) % 3]
    probs[0], probs[1], probs[2] = [0, 0.5, 0.5], [1e-10, 1e-12, 1], [0, 0, 1]
    expected = -np.log([1e-15, 1e-12 / (1 + 1e-10 + 1e-12), 1 - 1e-15])
    sub = TRUTH[["id"]].join(pd.DataFrame(times * probs, columns=list(CLASSES)))[["id", "red", "blue", "green"]]
    lines = graded(SOLUTION, sub, toy_competition(metric="log_loss"))
    assert lines[0].startswith(f"public: log_loss {np.mean(expected):.4f} ± ")
    assert lines[1].startswith(f"private: log_loss {-np.log(0.8):.4f} ")


def test_uses_a_metric_of_labels_that_is_no_count(graded):
    (line, *_) = graded(SOLUTION, TRUTH.assign(label="red"), toy_competition(metric="macro_f1"))
    assert line.startswith("public: macro_f1 0.1667 ± ")  # one of three is right: 2 x 1 / (1 + 3), over 3 classes
    assert line.endswith(" on 3 rows")


def test_is_of_units(graded, folder):
    for part in ("train", "test"):
        df = pd.read_csv(folder / f"{part}.csv", dtype=str)
        df.assign(who=part + df["id"].str[:-1] + df["label" if part == "train" else "id"].str[-1]).to_csv(
            folder / f"{part}.csv", index=False
        )
    who = sorted({"test" + id[:-1] + id[-1] for id in TRUTH["id"]})
    sub = pd.DataFrame({"who": who, "label": "red"})
    sub.to_csv(folder / "sample_submission.csv", index=False)
    truth = sub.assign(label=["red"] * 9 + ["blue"] * 3, Usage="Private")
    assert "accuracy 0.7500" in graded(truth, sub, toy_competition(unit=Unit("who")))[0]


def test_of_a_smoke_run_is_of_its_rows(graded):
    smoke = toy_competition(limit=8)
    assert graded(SOLUTION, TRUTH, smoke)[-1].startswith(
        "test: accuracy 1.0000 (0.6756 to 1.0000) on 8 rows (8/8, cut to 1.00000"
    )


def test_of_pictures_of_ones_own_all_held_out_rows_are_one_score(graded, folder, monkeypatch):
    monkeypatch.setattr(Kaggle, "page", None)
    assert graded(SOLUTION.assign(Usage="Public"), wrong(0, 5)) == [
        "test: accuracy 0.8333 (0.5520 to 0.9530) on 12 rows (10/12)"
    ]


def test_a_submission_with_faults_is_refused(graded):
    with pytest.raises(Refusal, match="1 id missing"):
        graded(SOLUTION, TRUTH[1:])


def test_without_a_solution_says_so(toy, tmp_path):
    TRUTH.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(
        UserError, match=r"no solution .*solution\.csv, and Kaggle gives none: put one there .*id, label, Usage"
    ):
        grade.run(toy, tmp_path / "x.csv")
    assert solution.lines(toy, TRUTH["id"], np.eye(3)[np.arange(12) % 3]) == []


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        (SOLUTION.drop(columns="Usage"), r"solution\.csv lacks the column 'Usage'"),
        (SOLUTION[2:], "lacks 2 test ids, such as '100'"),
        (pd.concat([SOLUTION, SOLUTION[:1]]), "id '100' stands in more than one row"),
        (SOLUTION.replace("green", "gren"), "labels that are no classes, such as 'gren'"),
        (SOLUTION.replace("Public", "Pubic"), "unknown Usage 'Pubic': did you mean 'Public'"),
        (SOLUTION.assign(Usage="Ignored"), "no test row whose Usage is Public or Private"),
    ],
)
def test_a_solution_that_is_wrong_is_refused(graded, truth, said):
    with pytest.raises(UserError, match=said):
        graded(truth, TRUTH)
