"""summary: what a run's last lines say to do."""

from pathlib import Path

import numpy as np
import pytest

from src.base import files
from src.data.sources.digits import Digits
from src.data.sources.folder import Folder
from src.results import predictions, summary
from tests import tasks
from tests.conftest import toy_competition


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "next: ./run.sh toy submit"),
        ({"limit": 9}, "a smoke run of 9 rows: do not send x.csv\nnext: ./run.sh toy"),
        ({"source": Folder("pets")}, "next: ./run.sh toy predict PICTURE|FOLDER says what other pictures are"),
        ({"source": Folder("pets"), "limit": 9}, "a smoke run of 9 rows: its scores say little\nnext: ./run.sh toy"),
        ({"source": Digits()}, "next: ./run.sh new SLUG|FOLDER writes a config for your own competition"),
    ],
)
def test_what_comes_next_can_be_done_there(changes, said, roots, monkeypatch):
    monkeypatch.setattr(summary, "from_here", str)
    assert said in summary.next_step(toy_competition(**changes), Path("x.csv"))


def test_a_metric_that_is_the_loss_is_printed_once(roots, capsys):
    competition = tasks.competition_of(roots, "number")
    for name in ("a", "b"):
        tasks.save(competition, "number", name)
    assert capsys.readouterr().out.count("rmse") == 2
    assert summary.table(competition, []).splitlines()[0].split() == ["model", "cv", "rmse", "folds", "weight", "time"]


@pytest.mark.parametrize(
    ("share", "cv", "of_model", "is_said"),
    [(1.0, 0.90, 0.91, True), (1.0, 0.91, 0.91, False), (0.9, 0.90, 0.91, False), (1.0, 0.92, 0.91, False)],
)
def test_a_blend_of_one_model_says_why_it_scores_less(share, cv, of_model, is_said, roots):
    competition = tasks.competition_of(roots, "class")
    tasks.save(competition, "class", "blend")
    path = competition.model_folder("blend") / "model.json"
    facts = {"method": "best", "weights": {"a": share, "b": 1 - share}}
    models = {"a": {"cv": of_model}, "b": {"cv": 0.95}}
    files.write_json(path, {**files.read_json(path), **facts, "cv": cv, "models": models})
    line = summary.table(competition, []).splitlines()[-1]
    assert line.endswith("each fold chose by the others") == is_said


def test_a_model_of_an_earlier_config_is_not_reused(toy):
    probs = np.full((36, 3), 1 / 3)
    made = {"metric": "accuracy", "cv": 0.9, "se": 0.05, "log_loss": 0.1, "folds": [0.9], "seconds": 1.0}
    for name in ("probe", "convnext"):
        folder = toy.model_folder(name)
        ids = [f"{i:03d}" for i in range(36)]
        predictions.write(folder / "oof.parquet", toy, ids, probs)
        predictions.write(folder / "test.parquet", toy, ids, probs)
        files.write_json(folder / "model.json", made)
    lines = {line.split()[0]: line for line in summary.table(toy, [], {"probe"}).splitlines()}
    assert lines["probe"].endswith("reused")
    assert lines["convnext"].split() == ["convnext", "not", "made"]
