"""Units on their way through processes, which are pretended: they answer in the order in which they were begun."""

import pytest

from src.base.files import DiskFull
from src.units.cluster import Need
from src.units.placement import Placement
from src.units.process import Home, Report
from src.units.unit import Unit
from tests.units.works import Files

NEED = Need(gpus=0, cpus=1, cores=1, memory=0)


class Pretended:
    """Processes of which one has room at a time; it notes what it is asked for, and what is sent."""

    def __init__(self):
        self.units, self.asked, self.sent = [], 0, {}
        self.home = Home({}, shelf="of files")

    def begin(self, unit, need, files) -> bool:
        self.asked += 1
        if self.units:
            return False
        self.units.append(unit)
        self.sent[unit.title] = files()
        return True

    @property
    def begun(self):
        return self.units

    def wait(self, request):
        return ["the first"]

    def answer(self, reference):
        return self.units.pop(0), Report("there", 1.0)

    def cancel(self, units):
        pass

    def dismiss(self, wanted):
        pass


class Done(Files):
    def is_done(self, unit):
        return True


def test_of_many_units_that_are_alike_no_more_than_fit_are_looked_at(roots):
    units, processes, asked = [Unit("a", (i,)) for i in range(50)], Pretended(), []
    work = Done()
    outcome = Placement(units, dict.fromkeys(units, NEED), processes, work, lambda unit: asked.append(unit) or ()).run()
    assert not outcome.failed
    assert work.settled == [unit.title for unit in units]
    assert asked == units  # their files, once and no sooner than they are sent
    assert processes.asked == 2 * 50 - 1  # one that begins, one for which there is no room


def test_a_unit_is_sent_what_was_made_meanwhile_by_those_that_it_waits_for(roots):
    units = [Unit("a", (0,)), Unit("a", (1,)), Unit("b", (), after=(("a",),))]
    processes, work = Pretended(), Done()
    Placement(units, dict.fromkeys(units, NEED), processes, work, lambda unit: [work.path(Unit("given", ()))]).run()
    assert processes.sent["a 1"] == ["made/given.json"]
    assert sorted(processes.sent["b"]) == ["made/a-0.json", "made/a-1.json", "made/given.json"]


@pytest.mark.parametrize(
    ("n", "begun"),
    [(0, ""), (2, ", begun: a 0, a 1"), (32, ", begun: a 0, a 1, a 2, a 3, a 4, a 5 and 26 more")],
)
def test_a_line_of_progress_is_one_line_on_any_number_of_devices(n, begun, monkeypatch, capsys):
    monkeypatch.setattr("src.units.placement.LINE_INTERVAL_S", 0)
    processes = Pretended()
    processes.units = [Unit("a", (i,)) for i in range(n)]
    Placement([Unit("b", (0,))], {}, processes, Done(), lambda unit: ()).tell()
    assert capsys.readouterr().out == f"units  0/1 done{begun}\n"


def test_a_full_disk_stops_what_is_begun_and_begins_nothing_else(roots):
    units, processes, stopped = [Unit("a", (i,)) for i in range(3)], Pretended(), []
    full = Report("there", 1.0, DiskFull("cannot write a.json: the disk is full"))
    processes.answer = lambda reference: (processes.units.pop(0), full)
    processes.stop = stopped.append
    with pytest.raises(DiskFull, match="cannot write"):
        Placement(units, dict.fromkeys(units, NEED), processes, Done(), lambda unit: ()).run()
    assert len(stopped) == 1
    assert [*processes.sent] == ["a 0"]
