"""Paces: judged after a slow start, twice, against the time that was allowed."""

import math
import pickle
import time

import pytest

from src.base.errors import UserError
from src.units.pace import Pace, allowed
from src.units.unit import OutOfTime


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


def stopped_at(clock, pace: Pace, seconds: list[float], done: int = 0) -> int | None:
    """The step, each with its seconds, after which the pace is too slow; None: after none."""
    for one in seconds:
        clock.now, done = clock.now + one, done + 1
        if pace.is_too_slow(done):
            return done
    return None


@pytest.mark.parametrize(
    ("seconds", "stopped"),  # of 400 steps, for which 400 s are allowed
    [
        ([1.0] * 400, None),
        ([1.04] * 400, None),  # within the slack
        ([50.0] + [0.85] * 399, None),  # the start counts for nothing but the time it took
        ([2.0] * 10 + [1.0] * 390, None),  # nor does all of the first part
        ([2.0] * 400, 41),  # of parts that end at 11, 21, 31 and 41
        ([1.0] * 200 + [1.3] * 200, 261),  # what gets slower on the way
        ([0.85] * 40 + [50.0] + [0.85] * 359, None),  # what something else held up
    ],
)
def test_a_pace_is_judged_after_the_first_part_and_twice(clock, seconds, stopped):
    with allowed(400.0):
        pace = Pace(400)
    assert stopped_at(clock, pace, seconds) == stopped


def test_what_goes_on_from_a_checkpoint_is_judged_by_what_is_left(clock):
    with allowed(100.0):
        pace = Pace(400)
    assert stopped_at(clock, pace, [1.0] * 90, done=310) is None
    with allowed(50.0):
        slow = Pace(400)
    assert stopped_at(clock, slow, [1.0] * 90, done=310) == 351


def test_what_has_not_ended_in_its_time_is_too_slow_before_there_is_a_pace(clock):
    with allowed(100.0):
        pace = Pace(400)
    assert stopped_at(clock, pace, [99.0, 5.0, 2.0]) == 3
    assert pace.seconds is None


def test_the_time_of_all_work_is_that_of_its_pace(clock):
    with allowed(400.0):
        pace = Pace(400)
    stopped_at(clock, pace, [30.0] + [2.0] * 100)
    assert pace.seconds == pytest.approx(800.0)
    assert pace.left(300) == pytest.approx(200.0)


def test_without_an_allowance_nothing_is_too_slow(clock):
    with allowed(1.0):
        pass
    assert stopped_at(clock, Pace(40), [1e6] * 40) is None
    with allowed(math.inf):
        assert stopped_at(clock, Pace(40), [1e6] * 40) is None


def test_its_error_comes_whole_from_another_process():
    error = pickle.loads(pickle.dumps(OutOfTime("too slow", 12.0)))  # noqa: S301 our own
    assert isinstance(error, UserError)
    assert (str(error), error.seconds) == ("too slow", 12.0)
