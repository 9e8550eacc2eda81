"""Time limits, by real alarms: what they interrupt, what they are within each other and beside signals."""

import os
import signal
import threading
import time

import pytest

from src.base import interrupts
from src.base.interrupts import TimeIsUp, deferred_signals, time_limit
from tests.units.works import wait_for

SOON, LONG = 0.05, 20  # seconds


@pytest.fixture(autouse=True)
def as_before():
    """Each test leaves no timer, and handlers as they were."""
    numbers = (*interrupts.STOPS, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert [signal.getsignal(number) for number in numbers] == before


def wait(seconds: float = LONG) -> None:
    """Sleep for so long, if nothing interrupts that."""
    time.sleep(seconds)
    assert seconds < LONG, "nothing has interrupted it"


def ring() -> None:
    """Have a long limit be up at once: a short one may be, on a busy machine, before its block is reached."""
    assert LONG / 2 < signal.getitimer(signal.ITIMER_REAL)[0] <= LONG
    signal.setitimer(signal.ITIMER_REAL, 1e-6)


def overrun() -> None:
    ring()
    wait()


def test_when_the_time_is_up_the_block_ends():
    start = time.monotonic()
    with pytest.raises(TimeIsUp) as error, time_limit(SOON):
        wait()
    assert SOON <= time.monotonic() - start < LONG / 4
    assert isinstance(error.value, KeyboardInterrupt)  # which nobody takes for a mistake
    assert error.value.args == (signal.SIGALRM,)


@pytest.mark.parametrize("seconds", [LONG, None])
def test_what_is_done_in_time_is_not_interrupted(seconds):
    with time_limit(seconds):
        wait(SOON)


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_is_up_at_once(seconds):
    with pytest.raises(TimeIsUp), time_limit(seconds):
        wait()


def test_an_error_that_a_library_makes_of_it_is_the_end_of_the_time_and_another_is_not():
    def library():
        try:
            wait()
        except KeyboardInterrupt:
            raise ValueError("could not determine the shape") from None

    with pytest.raises(TimeIsUp), time_limit(SOON):
        library()
    with pytest.raises(ZeroDivisionError), time_limit(LONG):
        1 / 0  # noqa: B018


def test_a_shorter_limit_leaves_the_one_around_it_its_time():
    def work():
        with pytest.raises(TimeIsUp), time_limit(SOON):
            wait()
        assert signal.getitimer(signal.ITIMER_REAL)[0] <= LONG - SOON
        overrun()

    with pytest.raises(TimeIsUp), time_limit(LONG):
        work()


def test_a_longer_limit_ends_with_the_one_around_it_which_is_heard_again_by_who_goes_on(monkeypatch):
    monkeypatch.setattr(interrupts, "ONE_S", 2 * SOON)

    def work():
        with pytest.raises(TimeIsUp), time_limit(LONG):
            wait()
        wait(SOON)  # to tidy up
        wait()

    with pytest.raises(TimeIsUp), time_limit(SOON):
        work()


def test_an_alarm_that_comes_too_late_is_none(monkeypatch):
    setitimer = signal.setitimer

    def late(which, seconds, *interval):
        if seconds == 0:
            os.kill(os.getpid(), signal.SIGALRM)
        return setitimer(which, seconds, *interval)

    monkeypatch.setattr(signal, "setitimer", late)
    with time_limit(LONG):
        pass


def test_another_s_alarm_goes_on_afterwards():
    heard = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, LONG)
    with pytest.raises(TimeIsUp), time_limit(SOON):
        wait()
    assert heard == []
    ring()
    wait_for(lambda: heard == [signal.SIGALRM])
    signal.signal(signal.SIGALRM, before)


def test_another_thread_has_no_limit():
    ended = []

    def work():
        with time_limit(SOON):
            time.sleep(2 * SOON)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]


class TestDeferred:
    def test_the_end_of_the_time_is_noted_said_and_raised_where_all_is_whole(self, capsys):
        with time_limit(LONG), deferred_signals() as stop:
            ring()
            wait_for(lambda: stop.signal)
            assert stop.signal == signal.SIGALRM
            assert capsys.readouterr().out == "\nthe time is up: stopping after this step, to save it first\n"
            with pytest.raises(TimeIsUp):
                stop.raise_if_set()

    def test_it_ends_what_only_waits(self):
        with time_limit(LONG), deferred_signals() as stop:
            stop.waiting = True
            with pytest.raises(TimeIsUp):
                overrun()

    def test_it_is_no_second_signal(self, monkeypatch):
        monkeypatch.setattr(interrupts, "ONE_S", 0)
        with deferred_signals() as stop:
            for number in (signal.SIGTERM, signal.SIGALRM):
                os.kill(os.getpid(), number)
            assert stop.signal == signal.SIGTERM

    def test_a_signal_after_it_is_the_first_one(self, capsys, monkeypatch):
        monkeypatch.setattr(interrupts, "ONE_S", LONG)
        with deferred_signals() as stop:
            for number in (signal.SIGALRM, signal.SIGALRM, signal.SIGTERM, signal.SIGTERM):
                os.kill(os.getpid(), number)
            assert stop.signal == signal.SIGTERM  # noted, though within a second: who asks for an end gets it
            with pytest.raises(KeyboardInterrupt) as error:
                stop.raise_if_set()
        assert not isinstance(error.value, TimeIsUp)
        assert error.value.args == (signal.SIGTERM,)
        assert "(once more: at once)" in capsys.readouterr().out
