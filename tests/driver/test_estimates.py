"""Rates are a help to plans: what is wrong with their file costs a line, and no run."""

import pytest

from src.base.errors import UserError
from src.driver import run as driver
from src.driver.estimates import Estimates
from src.driver.placing import Placing
from src.results.model import read_model
from src.units import rates
from src.units.unit import Unit
from tests.conftest import toy_competition

STAGES = ("data", "folds", "features", "zeroshot", "probe", "blend")


@pytest.fixture
def damaged(roots):
    path = roots / "submissions" / "rates.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("no table\n")
    return path


@pytest.mark.parametrize("hours", [None, 1.0])
def test_a_damaged_file_of_rates_costs_no_model(folder, damaged, capsys, hours):
    models = toy_competition().models
    competition = toy_competition(models={name: models[name] for name in ("zeroshot", "probe")})
    driver.run(competition, STAGES, Placing(hours=hours))
    assert read_model(competition.model_folder("blend")) is not None
    said = capsys.readouterr().out
    assert said.count(f"how long units take is not known, nor kept: {damaged} is no table of measured rates") == 1
    assert damaged.read_text() == "no table\n"  # it may be the user's


def test_rates_that_cannot_be_written_cost_no_model(roots, monkeypatch, capsys):
    unit, estimates = Unit("probe", ("p",), work=2.0, rate="probe p"), Estimates()
    monkeypatch.setattr(rates, "write_text", full)
    estimates.note(unit, 3.0)
    estimates.note(unit, 3.0)
    assert estimates.known([unit]) == {}
    assert capsys.readouterr().out.count("how long units take is not known, nor kept: the disk is full") == 1


def full(path, text):
    raise UserError("the disk is full")
