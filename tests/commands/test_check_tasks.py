"""check of labels, numbers, one probability and rankings: what it says of a file, and what it is suspicious of."""

import numpy as np
import pandas as pd
import pytest

from src.commands import check, grade
from src.leaderboard import submission
from src.schema.forms import LabelRows, OneNumber, OneProbability
from src.stages import data
from src.stages import submission as stage
from tests import tasks

KINDS = ("labels", "number", "binary", "ranking")


@pytest.fixture
def made(roots, request):
    """A run of a kind with a blend, and its CSV."""
    kind = request.param
    competition = tasks.competition_of(roots, kind)
    data.run(competition)
    for seed, name in enumerate(("a", "b", "blend")):
        tasks.save(competition, kind, name, seed=seed)
    stage.run(competition)
    (path,) = competition.folder.glob("blend-cv*.csv")
    return competition, path


def changed(path, change) -> object:
    """A file beside it with another column of answers."""
    df = pd.read_csv(path, dtype=str, keep_default_na=False)
    df[df.columns[1]] = change(df[df.columns[1]])
    other = path.with_name("changed.csv")
    df.to_csv(other, index=False)
    return other


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_our_own_file_is_right_and_one_of_mixed_rows_is_suspicious(made, capsys):
    competition, path = made
    assert check.run(competition, path) == 0
    assert "right:" in capsys.readouterr().out
    mixed = changed(path, lambda cells: np.random.default_rng(0).permutation(cells))
    (warning,) = submission.inspect(competition, mixed).warnings
    assert "rows look misaligned" in warning


@pytest.mark.parametrize("made", ["number"], indirect=True)
def test_numbers_that_are_shifted_or_outside_of_the_span_are_told(made):
    competition, path = made
    found = submission.inspect(competition, changed(path, lambda cells: cells.astype(float) + 40)).warnings
    assert any("not in 0 to 100" in one for one in found)
    assert any("its mix of numbers is not that of blend out of fold: a mean of" in one for one in found)
    turned = submission.inspect(competition, changed(path, lambda cells: 100 - cells.astype(float))).warnings
    assert any("answers look reversed" in one for one in turned)


@pytest.mark.parametrize("made", ["labels"], indirect=True)
def test_labels_that_are_all_the_same_or_of_another_mix_are_told(made):
    competition, path = made
    (same,) = submission.inspect(competition, changed(path, lambda cells: "blue red")).warnings
    assert same.startswith("the answer is 'blue red' in all 60 rows")
    other = changed(path, lambda cells: cells.str.replace(" rare", "").str.replace("blue", "rare"))
    without = submission.inspect(competition, other).warnings
    assert any("its mix of labels is not that of" in one and "rare" in one for one in without)


def test_a_rare_label_whose_probability_is_never_above_one_half_is_no_suspicion(roots):
    competition = tasks.competition_of(roots, "labels", metric="auc", separator=" ")
    sample = competition.input("sample_submission.csv")
    ids = pd.read_csv(sample, dtype=str)[["id"]]
    ids.assign(**dict.fromkeys(tasks.NAMES, 0.5)).to_csv(sample, index=False)
    data.run(competition)
    tasks.save(competition, "labels", "blend", skill=0.5)
    stage.run(competition)
    (path,) = competition.folder.glob("blend-cv*.csv")
    low = pd.read_csv(path, dtype={"id": str})
    low[list(tasks.NAMES)] *= 0.4
    low.to_csv(other := path.with_name("low.csv"), index=False)
    assert not any("in all" in one for one in submission.inspect(competition, other).warnings)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("labels", "labels in each on average: blue"),
        ("number", "numbers from"),
        ("binary", "probabilities of green from"),
        ("ranking", "3 labels in each, the first: "),
    ],
    indirect=["made"],
)
def test_the_verdict_is_in_the_words_of_the_form(made, said, capsys):
    competition, path = made
    check.run(competition, path)
    assert said in capsys.readouterr().out


def test_of_one_probability_the_other_classes_are_counted(roots, capsys):
    names = (*tasks.NAMES, *map(str, range(90)))
    asked = {"classes": names, "rare_classes": True, "metric": "auc", "submission": OneProbability("blue")}
    competition = tasks.competition_of(roots, "class", **asked)
    sample = competition.input("sample_submission.csv")
    pd.read_csv(sample, dtype=str).assign(label=0.2).to_csv(path := sample.with_name("mine.csv"), index=False)
    assert check.run(competition, path) == 0
    assert "the answer is 'green or one of 92 others' in all 60 rows" in capsys.readouterr().out
    pd.read_csv(sample, dtype=str).assign(label=np.linspace(0.01, 0.4, 60)).to_csv(path, index=False)
    assert check.run(competition, path) == 0
    assert "in all 60 rows" not in capsys.readouterr().out  # of a rare class, and one is likelier than another


@pytest.mark.parametrize("made", KINDS, indirect=True)
def test_grade_gives_the_scores_of_the_solution(made, capsys):
    competition, path = made
    kind = {"labels": "labels", "score": "number"}.get(competition.label)
    kind = kind or ("binary" if len(competition.classes) == 2 else "ranking")
    targets = tasks.truth(kind)[tasks.N :]
    ids = [f"{tasks.N + i:03d}" for i in range(tasks.M)]
    solution = pd.DataFrame({"id": ids, competition.label: tasks.cells(kind, targets)})
    solution.assign(Usage=["Public", "Private"] * (tasks.M // 2)).to_csv(competition.input("solution.csv"), index=False)
    grade.run(competition, path)
    printed = capsys.readouterr().out
    table = submission.answers(competition, path, ids)
    for part, rows in (("public", slice(0, None, 2)), ("private", slice(1, None, 2))):
        assert f"{competition.scorer.value(targets[rows], table[rows]):.4f}" in printed, part


@pytest.mark.parametrize("by_row", [True, False])
def test_grade_joins_a_row_a_label_by_picture(roots, capsys, by_row):
    """The solution may have such rows as the sample submission has, or a row a picture."""
    form = LabelRows(row="{id}-{label}", id="row", column="p")
    competition = tasks.competition_of(roots, "labels", metric="auc", submission=form)
    ids = [f"{tasks.N + i:03d}" for i in range(tasks.M)]
    rows, targets = form.row_ids(ids, tasks.NAMES), tasks.truth("labels")[tasks.N :]
    pd.DataFrame({"row": rows[::-1], "p": 0.5}).to_csv(competition.input("sample_submission.csv"), index=False)
    data.run(competition)
    tasks.save(competition, "labels", "blend")
    stage.run(competition)
    (path,) = competition.folder.glob("blend-cv*.csv")
    solution = pd.DataFrame({"id": ids, "labels": tasks.cells("labels", targets)})
    if by_row:
        solution = pd.DataFrame({"row": rows, "p": targets.ravel()})
    solution.assign(Usage="Private").to_csv(competition.input("solution.csv"), index=False)
    grade.run(competition, path)
    table = submission.answers(competition, path, ids)
    assert f"private: auc {competition.scorer.value(targets, table):.4f}" in capsys.readouterr().out


def test_grade_takes_a_solution_with_the_samples_names(roots, capsys):
    competition = tasks.competition_of(roots, "number", submission=OneNumber(id="Id", column="Target"))
    sample, ids = competition.input("sample_submission.csv"), [f"{tasks.N + i:03d}" for i in range(tasks.M)]
    targets = pd.DataFrame({"Id": ids, "Target": tasks.truth("number")[tasks.N :]})
    targets.to_csv(sample, index=False)
    targets.assign(Usage="Public").to_csv(competition.input("solution.csv"), index=False)
    grade.run(competition, sample)
    assert "public: rmse 0.0000" in capsys.readouterr().out
