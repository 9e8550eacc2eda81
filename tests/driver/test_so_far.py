"""The submission so far: the best of the config and the rows as they are, and no other."""

import pandas as pd
import pytest

from src.base import files
from src.base.errors import UserError
from src.driver import run as driver
from src.driver import so_far
from src.driver.placing import Placing
from src.models.finetune import training
from src.results.model import read_model
from tests.conftest import broken_off, toy_competition
from tests.driver.conftest import WHOLE


def run_so_far(competition):
    """The one CSV of a run whose network fails."""
    failing = broken_off(training.Training, "train_step", after=3, error=UserError("the loss is not finite"))
    with failing, pytest.raises(UserError, match="not finite"):
        driver.run(competition, WHOLE)
    (csv,) = competition.folder.glob("blend-*.csv")
    return csv


def note_better(competition):
    """Let the submission so far have a score that no blend has."""
    about = files.read_json(so_far.note(competition))
    files.write_json(so_far.note(competition), {**about, "cv": 2.0})


def test_that_of_another_test_set_is_replaced(folder):
    competition = toy_competition()
    before = run_so_far(competition)
    for name in ("test.csv", "sample_submission.csv"):
        table = pd.read_csv(folder / name, dtype=str)
        table[table["id"] != "101"].to_csv(folder / name, index=False)
    csv = run_so_far(competition)
    assert csv != before
    assert "101" not in {*pd.read_csv(csv, dtype=str)["id"]}


@pytest.mark.parametrize(
    "change",
    [{"metric": "macro_f1"}, {"models": {name: toy_competition().models[name] for name in ("zeroshot", "convnext")}}],
)
def test_that_of_another_metric_or_of_a_model_that_is_gone_is_replaced(folder, change):
    competition = toy_competition()
    before = run_so_far(competition)
    note_better(competition)
    assert run_so_far(competition) == before  # while all is as it was
    changed = toy_competition(**change)
    csv = run_so_far(changed)
    blend = read_model(changed.model_folder("blend"))
    assert csv.name == changed.submission_csv("blend", blend["cv"], csv.stem[-7:] + 57 * "0").name
    assert files.read_json(so_far.note(changed))["cv"] == blend["cv"]


def test_one_that_a_killed_run_had_no_time_to_remove_is_removed(folder, monkeypatch):
    competition = toy_competition()
    driver.run(competition, ("data", "folds", "features", "zeroshot", "probe"))
    run = driver.Run(competition, WHOLE, Placing())
    so_far.write(competition, {"zeroshot"}, run.data, run.asked)
    with broken_off(so_far, "remove", after=0, error=KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        so_far.write(competition, {"probe"}, run.data, run.asked)
    assert len(list(competition.folder.glob("blend-*.csv"))) == 2
    driver.run(competition, WHOLE)
    assert len(list(competition.folder.glob("blend-*.csv"))) == 1
    assert set(read_model(competition.model_folder("blend"))["weights"]) == {*competition.models}
    assert not so_far.note(competition).exists()


def test_a_folder_without_one_is_left_as_it_is(folder, monkeypatch):
    """On a file system that is read-only even the removal of what is not there is an error."""
    competition = toy_competition()
    driver.run(competition, ("data", "folds"))
    monkeypatch.setattr(type(competition.folder), "unlink", lambda *arguments, **options: pytest.fail("it removes"))
    so_far.clear(competition, competition.folder / "blend-cv0.9000-0123456.csv")
