"""The bench of plans: all units of a config are in it, each with its work, and its ratios are to the bound."""

import pytest

from src.bench import makespan
from src.units.unit import Unit


def test_every_unit_of_a_plan_says_its_work():
    units = makespan.plan("corn_small")
    assert {unit.stage for unit in units} >= {"features", "probe", "finetune"}
    assert [unit.title for unit in units if not unit.here and unit.work < 1e9] == []


def test_ratios_are_to_what_no_order_could_beat():
    units = [Unit("finetune", (name,), gpus=1) for name in ("a", "b", "c", "d", "long")]
    seconds = {unit.key: 10.0 for unit in units} | {units[-1].key: 20.0}
    row, line = makespan.compare(units, seconds, 2)
    ratios = {"priority": 1.0, "longest": 1.0, "listed": pytest.approx(4 / 3, abs=1e-4)}
    assert line == {"gpus": 2, "least_s": 30.0, **ratios, "busy": 1.0}
    assert row == ["2", "30s", "30s (1.000)", "30s (1.000)", "40s (1.333)", "100%"]
