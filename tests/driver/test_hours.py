"""A run with a deadline: what fits is blended and sent to the disk, what does not is named, and goes on another time."""

import signal
import time
from pathlib import Path

import pytest

from src.base.errors import UserError
from src.commands import plan, units
from src.driver import hours
from src.driver import run as driver
from src.driver.placing import Placing
from src.models.finetune import training
from src.results.model import read_model
from src.units.unit import OutOfTime
from tests.conftest import broken_off, toy_competition
from tests.driver.conftest import WHOLE, files_of


def test_all_that_fits_is_as_without_a_deadline(folder, expected):
    competition = toy_competition()
    assert driver.run(competition, WHOLE, Placing(hours=1.0))
    assert files_of(competition.folder) == expected


def test_a_network_for_which_there_is_no_time_is_left_out_and_goes_on_later(folder, expected, capsys):
    competition = toy_competition()
    late = OutOfTime("convnext fold 1: it takes 2h00m more at its pace, and 10m00s is left to it", 9000.0)
    with broken_off(training.Training, "train_step", after=9, error=late):
        driver.run(competition, WHOLE, Placing(hours=0.5))
    said = capsys.readouterr().out
    assert "left out, for want of time: convnext (convnext fold 1: it takes 2h00m more at its pace" in said
    assert "convnext fold 2" not in said  # of the same model, and so of no use
    assert set(read_model(competition.model_folder("blend"))["weights"]) == {"zeroshot", "probe"}
    assert len(list(competition.folder.glob("blend-*.csv"))) == 1
    assert "not made" in said
    plan.run(competition, hours=0.5)  # it is known now, and the folds that are to come do not fit
    assert "would be left out, for want of time: convnext (about 2h30m on this machine" in capsys.readouterr().out
    driver.run(competition, WHOLE)
    assert "convnext fold 0  reused" in capsys.readouterr().out
    assert files_of(competition.folder) == expected


def test_without_a_model_in_time_there_is_one_sentence(folder):
    with pytest.raises(UserError, match="no model was finished in time: give more --hours"):
        driver.run(toy_competition(), WHOLE, Placing(hours=1e-9))


def test_a_unit_that_knows_no_pace_ends_with_the_time(folder, monkeypatch, capsys):
    from src.models.probe import nested

    models = toy_competition().models
    competition = toy_competition(models={name: models[name] for name in ("zeroshot", "probe")})
    driver.run(competition, ("data", "folds", "features", "zeroshot"))

    def long(*arguments):
        assert 3000 < signal.getitimer(signal.ITIMER_REAL)[0] < 3600
        signal.setitimer(signal.ITIMER_REAL, 1e-6)
        time.sleep(60)
        pytest.fail("the end of the time is not heard")

    monkeypatch.setattr(nested, "fit_folds", long)
    driver.run(competition, WHOLE, Placing(hours=1.0))
    said = capsys.readouterr().out
    assert "left out, for want of time: probe (probe probe: the time is over" in said
    assert len(list(competition.folder.glob("blend-*.csv"))) == 1


def test_what_a_notebook_has_left_is_a_deadline_too(monkeypatch, capsys):
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    assert hours.deadline(None, time.time()) is None
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])  # this machine may be up for longer
    monkeypatch.setattr(hours, "SESSION_HOURS", hours.SESSION_HOURS + up / 3600)
    left = hours.notebook_left()
    assert 12 * 3600 - 60 < left <= 12 * 3600 + up  # the first process is no older than the machine
    assert hours.deadline(None, time.time()).left == pytest.approx(left - hours.MOST_S, abs=60)
    assert "the notebook's session has" in capsys.readouterr().out
    assert hours.deadline(0.01, time.time()).left < 36  # the sooner of both


def test_units_and_plan_list_what_is_left(folder, capsys):
    competition = toy_competition()
    plan.run(competition)
    said = capsys.readouterr().out
    assert "no time is known yet: the first run measures it" in said
    units.run(competition)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines if line.startswith("finetune")] == [
        *(f"finetune convnext {fold} 42" for fold in range(3)),
        "finetune convnext assemble",
    ]
    assert "probe probe\tafter features tiny-test-a16e2b6-random42 0" in lines
    driver.run(competition, ("data", "folds", "features", "probe"))
    capsys.readouterr()
    competition.model_folder("probe").joinpath("model.json").unlink()
    plan.run(competition)
    said = capsys.readouterr().out
    assert "s of units one after the other" in said  # of the probe, which was measured
    assert "never measured here, and not counted: zeroshot, convnext" in said
    driver.run(competition, WHOLE)
    capsys.readouterr()
    plan.run(competition)
    units.run(competition)
    assert capsys.readouterr().out.startswith("all models are finished: ./run.sh toy makes the blend")
