"""A unit that is typed by its names: of a stage that runs only where it is named, and one whose features overflow."""

import pytest

from src import __main__ as main
from src import config
from src.base import files
from src.base.errors import UserError
from src.base.locks import exclusive
from src.commands import plan, unit, units
from src.driver import run as driver
from src.driver.placing import Placing
from src.networks import encoders, encoding_units
from src.networks.encoding import Overflowed
from src.stages import find_lr
from tests.conftest import snapshot, toy_competition


@pytest.fixture
def competition(folder):
    competition = toy_competition()
    driver.run(competition, ("data", "folds"))
    return competition


def test_of_a_stage_that_runs_only_where_it_is_named(competition, monkeypatch, capsys):
    monkeypatch.setattr(find_lr, "STEPS", 4)
    for _ in range(2):  # each time that it is asked for
        unit.run(competition, "find_lr", ["convnext"])
        assert "the loss falls most steeply at" in capsys.readouterr().out
    assert (competition.model_folder("convnext") / "lr.csv").is_file()


def test_features_that_overflow_are_encoded_again_in_another_precision(competition, monkeypatch):
    encode, seen = encoding_units.encode_block, []

    def overflows(*names):
        seen.append(names)
        if len(seen) == 1:
            raise Overflowed("features overflow")
        encode(*names)

    monkeypatch.setattr(encoding_units, "encode_block", overflows)
    driver.pending(competition, places=True)
    unit.run(competition, "features", [encoders.slug(competition.encoders[0]), "0"])
    keys = [files.read_json(path) for path in competition.folder.glob("features/*/key.json")]
    assert [key["precision"] for key in keys] == [encoders.WIDER] * 2
    assert not [one for one in driver.pending(competition)[1] if one.stage == "features"]


def test_of_mistyped_names_those_of_the_stage_are_offered_also_where_nothing_is_pending(competition):
    driver.run(competition, ("features", "zeroshot", "probe"))
    with pytest.raises(UserError, match="unknown unit 'probe prob': did you mean 'probe probe'"):
        unit.run(competition, "probe", ["prob"])
    with pytest.raises(UserError, match="the stage neighbours has no units: no model of the config is of it"):
        unit.run(competition, "neighbours", ["knn"])


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("probe", "error: unknown unit 'probe': did you mean 'probe probe'"),
        ("data", "error: unknown stage with units 'data': one of pixels, features"),
    ],
)
def test_a_stage_alone_is_no_unit(competition, monkeypatch, capsys, stage, said):
    monkeypatch.setattr(config, "load", lambda name, limit=None: competition)
    assert main.main(["digits", "unit", stage]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", [plan, units])
def test_what_is_left_is_listed_beside_a_run_that_is_at_work(competition, capsys, command):
    command.run(competition)
    alone = capsys.readouterr()
    before = snapshot(competition.folder)
    with exclusive(competition.folder):
        command.run(competition)
    beside = capsys.readouterr()
    assert beside.out == alone.out
    assert "another run of toy is at work: what it has not finished yet is listed" in beside.err
    assert "another run" not in alone.err
    assert snapshot(competition.folder) == before


@pytest.mark.parametrize("command", [plan, units])
def test_a_run_that_has_no_folds_yet_is_to_be_waited_for(folder, command):
    competition = toy_competition()
    with exclusive(competition.folder), pytest.raises(UserError, match="another run of toy is at work: wait for it"):
        command.run(competition)


def test_a_plan_of_what_is_finished_writes_no_rows(folder):
    """The folder may be one that is only read."""
    models = toy_competition().models
    competition = toy_competition(models={name: models[name] for name in ("zeroshot", "probe")})
    driver.run(competition, ("data", "folds", "features", "zeroshot", "probe"))
    competition.rows_parquet.unlink(missing_ok=True)
    plan.run(competition)
    assert not competition.rows_parquet.exists()


def test_a_finished_run_side_by_side_writes_no_rows(folder):
    """As on any machine with several GPUs: there is no other process to read them."""
    competition = toy_competition(models={"zeroshot": toy_competition().models["zeroshot"]})
    names = ("data", "folds", "features", "zeroshot")
    driver.run(competition, names)
    competition.rows_parquet.unlink(missing_ok=True)
    driver.run(competition, names, Placing(at_once=2))
    assert not competition.rows_parquet.exists()
