"""Units one after the other: each behind those that it waits for, and what a failure costs."""

from unittest import mock

import pytest

from src.base.errors import UserError
from src.base.files import DiskFull
from src.units.inline import Inline
from src.units.unit import NotDone, OutOfTime, Unit, WholeFailed, gone_with, in_order, needs


class Noted:
    """A work that notes what is done, and fails where it is told to."""

    def __init__(self, fails=(), undone=()):
        self.fails, self.undone = fails, undone
        self.ran, self.settled = [], []

    def run(self, unit):
        if unit.title in self.fails:
            raise UserError(f"{unit.title} is broken")
        self.ran.append(unit.title)

    def is_done(self, unit):
        return unit.title in self.ran and unit.title not in self.undone

    def settle(self, unit, seconds):
        assert seconds >= 0
        self.settled.append(unit.title)

    def outputs(self, unit):
        return []


FEATURES = [Unit("features", ("clip", block)) for block in range(2)]
PROBE = Unit("probe", ("clip",), after=(("features", "clip"),))
JUDGE = Unit("probe", ("clip", "judge"), after=(("probe", "clip"),))
FOLDS = [Unit("finetune", ("net", fold), after=(JUDGE.key,)) for fold in range(2)]
ALL = (*FEATURES, PROBE, JUDGE, *FOLDS)


def test_a_unit_is_typed_as_it_is_called():
    assert Unit("finetune", ("convnext", 0, 42)).title == "finetune convnext 0 42"


def test_the_beginning_of_a_key_stands_for_all_that_begin_so():
    assert needs(ALL)[PROBE.key] == {unit.key for unit in FEATURES}
    assert needs(ALL)[JUDGE.key] == {PROBE.key}  # which begins as its own does
    assert needs([PROBE, JUDGE])[PROBE.key] == set()  # what is not pending is done


def test_units_stay_in_their_order_but_behind_what_they_wait_for():
    assert in_order(ALL) == list(ALL)
    assert in_order([*FOLDS, PROBE, JUDGE]) == [PROBE, JUDGE, *FOLDS]


def test_units_that_wait_for_each_other_are_a_fault_of_ours():
    with pytest.raises(AssertionError, match="wait for each other"):
        in_order([Unit("a", (1,), after=(("b",),)), Unit("b", (1,), after=(("a",),))])


def test_what_waits_for_a_unit_waits_for_it_by_way_of_others_too():
    assert gone_with(FEATURES[0], UserError(), ALL) == [PROBE, JUDGE, *FOLDS]


def test_without_time_for_a_part_of_a_model_there_is_none_for_the_others():
    folds = [Unit("finetune", ("net", fold), whole="net") for fold in range(3)]
    soup, other = (
        Unit("finetune", ("soup",), after=(("finetune", "net"),)),
        Unit("finetune", ("other", 0), whole="other"),
    )
    assert gone_with(folds[0], OutOfTime("late"), [*folds[1:], soup, other]) == [*folds[1:], soup]
    assert gone_with(folds[0], WholeFailed("the loss is not finite"), [*folds[1:], soup, other]) == [*folds[1:], soup]
    assert gone_with(folds[0], UserError("broken"), [*folds[1:], soup, other]) == [soup]


def test_each_is_settled_when_it_is_done(capsys):
    work = Noted()
    outcome = Inline().run([*FOLDS, *FEATURES], work)
    assert work.ran == work.settled == [unit.title for unit in (*FOLDS, *FEATURES)]
    assert not outcome.failed
    outcome.raise_first()
    assert capsys.readouterr().err == ""


def test_a_failure_skips_what_waits_for_it_and_the_others_finish(capsys):
    work, other = Noted(fails=("probe clip",)), Unit("finetune", ("other", 0))
    outcome = Inline().run([*ALL, other], work)
    assert work.ran == ["features clip 0", "features clip 1", "finetune other 0"]
    assert list(outcome.failed) == [PROBE]
    assert list(outcome.skipped) == [JUDGE, *FOLDS]
    assert set(outcome.skipped.values()) == {PROBE}
    said = capsys.readouterr().err
    assert "error: probe clip: probe clip is broken" in said
    assert "skipped, since they wait for it: probe clip judge, finetune net 0, finetune net 1" in said
    with pytest.raises(UserError, match="probe clip is broken"):
        outcome.raise_first()


def test_a_lack_of_time_is_no_error(capsys):
    folds = [Unit("finetune", ("net", fold), whole="net") for fold in range(2)]
    work = Noted()
    work.run = mock.Mock(side_effect=OutOfTime("net fold 0: it takes 2h00m more at its pace, and 10m00s is left to it"))
    outcome = Inline().run([*folds, PROBE], work)
    assert list(outcome.skipped) == [folds[1]]
    captured = capsys.readouterr()
    assert "net fold 0: it takes 2h00m more" in captured.out
    assert "error" not in captured.out + captured.err


def test_a_full_disk_ends_all_units():
    work = Noted()
    work.run = mock.Mock(side_effect=[None, DiskFull("cannot write a.json: the disk is full")])
    work.is_done = mock.Mock(return_value=True)
    with pytest.raises(DiskFull, match="cannot write"):
        Inline().run(ALL, work)
    assert work.settled == [FEATURES[0].title]
    assert work.run.call_count == 2


def test_the_last_one_says_its_error_once(capsys):
    with pytest.raises(UserError, match="is broken"):
        Inline().run([PROBE, JUDGE], Noted(fails=("probe clip",))).raise_first()
    assert capsys.readouterr().err == ""


def test_a_unit_is_done_when_its_files_say_so():
    work = Noted(undone=("probe clip",))
    outcome = Inline().run([PROBE, JUDGE], work)
    assert isinstance(outcome.failed[PROBE], NotDone)
    assert work.settled == []


def test_a_bug_keeps_its_traceback():
    work = Noted()
    work.run = lambda unit: 1 / 0
    with pytest.raises(ZeroDivisionError):
        Inline().run(ALL, work)
