"""compare and reproduce for labels and numbers: cells are scored by the task, and what cannot be compared says so."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, root_mean_squared_error

from src.base.errors import UserError
from src.commands import reproduce
from src.commands.compare import cells, contenders
from src.commands.compare.cells import Cell
from src.data.rows import read_dataset
from src.schema.settings import Reported
from src.scoring.agreement import differing
from src.scoring.targets import TARGETS, label_surprise
from src.stages import data
from tests import tasks


def cell_of(roots, kind: str) -> Cell:
    competition = tasks.competition_of(roots, kind)
    data.run(competition)
    rows = read_dataset(competition)
    return Cell(competition, "a", "", rows, cells.split(competition, rows))


@pytest.mark.parametrize("kind", ["labels", "number"])
def test_a_cell_is_scored_and_kept_by_the_task(roots, kind):
    cell = cell_of(roots, kind)
    targets = cell.split.valid_targets
    table = tasks.guess(kind, targets, 1.0, 0).astype(np.float32)
    point = cell.score(table)
    if kind == "labels":
        assert point["score"] == pytest.approx(f1_score(targets, table >= 0.5, average="micro"))
        assert point["log_loss"] == pytest.approx(label_surprise(targets, table).mean())
    else:
        assert point["score"] == pytest.approx(root_mean_squared_error(targets, table[:, 0]))
        assert point["log_loss"] == pytest.approx(point["score"] ** 2)
    cell.write("valid", table)
    assert (cell.read() == table).all()
    better = tasks.guess(kind, targets, 5.0, 1).astype(np.float32)
    other = replace(cell, model="b")
    other.write("valid", better)
    assert cells.pair(other, cell, ("b", "a"))["difference"] > 0


def test_templates_are_compared_for_one_class_alone(roots):
    with pytest.raises(UserError, match="templates are compared where a picture is of one class"):
        contenders.zero_shot_key(cell_of(roots, "labels"))


@pytest.mark.parametrize(
    ("task", "tables", "rows"),
    [
        ("class", ([[0.9, 0.1], [0.2, 0.8]], [[0.8, 0.2], [0.6, 0.4]]), [False, True]),
        ("labels", ([[0.9, 0.1], [0.2, 0.8]], [[0.8, 0.2], [0.6, 0.4]]), [False, True]),
        ("number", ([[1.0], [2.0]], [[1.0], [2.5]]), [False, True]),
    ],
)
def test_rows_differ_by_their_answers(task, tables, rows):
    assert differing(TARGETS[task], *map(np.array, tables)).tolist() == rows


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("labels", {"metric": "micro_f1"}, "micro_f1 is no share of rows"),
        ("number", {}, "rmse is no share of rows"),
        ("labels", {"metric": "accuracy"}, "worse|better|no difference|not distinguishable|agrees"),
    ],
)
def test_reported_scores_stand_beside_ours(roots, kind, changes, said, capsys):
    reported = (Reported("theirs", public=0.25, private=0.5, model="a"),)
    competition = tasks.competition_of(roots, kind, reported=reported, **changes)
    targets, label = tasks.truth(kind)[tasks.N :], competition.label
    usage = np.where(np.arange(tasks.M) < 20, "Public", "Private")
    lines = [
        f"{tasks.N + i:03d},{cell},{part}"
        for i, (cell, part) in enumerate(zip(tasks.cells(kind, targets), usage, strict=True))
    ]
    competition.input("solution.csv").write_text("\n".join([f"id,{label},Usage", *lines]) + "\n")
    data.run(competition)
    tasks.save(competition, kind, "a")
    reproduce.run(competition)
    printed = capsys.readouterr().out
    assert "theirs" in printed

    assert re.search(said, printed), printed
