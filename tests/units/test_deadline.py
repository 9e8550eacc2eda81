"""What fits until a deadline: whole models, cheap ones first, and what each unit may take."""

import time

import pytest

from src.units.deadline import Deadline, admit, rounds
from src.units.unit import Unit

HOUR = 3600.0


def folds(model: str, n: int = 5, work: float = 1.0, after=()) -> list[Unit]:
    units = [Unit("finetune", (model, i), gpus=1, work=work, rate=model, after=after) for i in range(n)]
    return [*units, Unit("finetune", (model, "assemble"), after=(("finetune", model),), work=0.0, here=True)]


def of_models(units: list[Unit]) -> dict:
    return {unit.key: str(unit.names[0]) for unit in units if unit.stage != "features"}


def seconds(units: list[Unit], **each: float) -> dict:
    """A model's seconds, for each of its folds."""
    return {unit.key: 0.0 if unit.here else each[unit.names[0]] for unit in units if unit.names[0] in each}


def admitted(units: list[Unit], known: dict, left: float, gpus: float = 1):
    return admit(units, known, of_models(units), left, gpus)


class TestAdmit:
    @pytest.mark.parametrize(
        ("left", "gpus", "models", "left_out"),
        [
            (9 * HOUR, 1, ["small", "middle", "large"], {}),
            (4 * HOUR, 1, ["small", "middle"], {"large": "about 5h00m on this machine, 2h10m is left"}),
            (4 * HOUR, 5, ["small", "middle", "large"], {}),
            (1.2 * HOUR, 2, ["small", "middle"], {"large": "about 3h00m on this machine, 16m00s is left"}),
            (900, 1, [], {"small": "about 25m00s on this machine, 15m00s is left", "middle": "", "large": ""}),
        ],
    )
    def test_whole_models_cheap_ones_first(self, left, gpus, models, left_out):
        units = folds("large") + folds("small") + folds("middle")
        made = admitted(units, seconds(units, large=HOUR, small=300.0, middle=1020.0), left, gpus)
        assert list(dict.fromkeys(unit.names[0] for unit in made.units)) == models
        assert [len([unit for unit in made.units if unit.names[0] == model]) for model in models] == [6] * len(models)
        assert made.left_out.keys() == left_out.keys()
        for model, why in left_out.items():
            assert made.left_out[model].startswith(why)
        assert made.unmeasured == []

    def test_a_cheap_model_that_comes_behind_one_that_does_not_fit_is_admitted(self):
        units = folds("wide", 1) + folds("long", 5)
        made = admit(units, seconds(units, wide=100.0, long=50.0), of_models(units), 99.0, gpus=5)
        assert made.units[0].names[0] == "long"
        assert made.left_out == {"wide": "about 1m40s on this machine, 1m39s is left"}

    def test_what_is_not_measured_is_admitted_by_its_work_and_takes_nothing_from_the_others(self):
        units = folds("new", work=2.0) + folds("known", work=1.0) + folds("larger", work=9.0)
        made = admitted(units, seconds(units, known=100.0, larger=900.0), 5000.0)
        assert made.unmeasured == ["new"]
        assert list(dict.fromkeys(unit.names[0] for unit in made.units)) == ["known", "new", "larger"]

    def test_no_number_is_made_up_for_what_is_not_measured(self):
        units = folds("known") + folds("new", work=2.0)
        made = admitted(units, seconds(units, known=100.0), 0.0)
        assert made.left_out["new"] == "not measured on this machine, 0.0s is left"
        assert made.units == []

    def test_what_models_wait_for_comes_with_the_first_and_counts_once(self):
        shared = Unit("features", ("vit",), gpus=1)
        probes = [Unit("probe", (f"p{i}",), gpus=1, after=(("features", "vit"),)) for i in range(2)]
        units = [Unit("features", ("other",), gpus=1), *probes, shared]
        known = {shared.key: 100.0, probes[0].key: 20.0, probes[1].key: 10.0, units[0].key: 500.0}
        made = admitted(units, known, 130.0)
        assert [unit.title for unit in made.units] == ["features vit", "probe p1", "probe p0"]
        assert made.left_out == {"features other": "about 8m20s on this machine, 0.0s is left"}

    def test_what_waits_for_a_model_that_is_left_out_is_left_out(self):
        units = [*folds("a"), *folds("b"), Unit("finetune", ("soup",), gpus=1, after=(("finetune", "b"),))]
        made = admitted(units, seconds(units, a=1.0, b=9.0, soup=1.0), 20.0)
        assert list(made.left_out) == ["b", "soup"]
        assert {unit.names[0] for unit in made.units} == {"a"}


@pytest.mark.parametrize(("devices", "expected"), [(1, [5, 4, 3, 2, 1, 1]), (2, [3, 2, 2, 1, 1, 1]), (8, [1] * 6)])
def test_rounds_are_those_of_the_units_that_are_alike(devices, expected):
    units = folds("a")
    found = rounds([*units, *folds("b")], of_models(units), devices)
    assert [found[unit.key] for unit in units] == expected


def test_a_unit_may_take_its_part_of_what_is_left(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    deadline = Deadline(until=1700.0, reserve=100.0)
    assert (deadline.left, deadline.within(3)) == (600.0, 200.0)
    assert Deadline(until=900.0).left == 0.0
