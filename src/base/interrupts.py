"""Ctrl-C, SIGTERM and the end of a time limit while something is half done: deferred to where it is whole."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

STOPS = (signal.SIGINT, signal.SIGTERM)
ONE_S = 1  # signals within this time are one: timeout sends it to a process, and again to all of its group


class TimeIsUp(KeyboardInterrupt):
    """The end of a time limit: no more than Ctrl-C is it an error, after which libraries would go on."""


@dataclass
class StopRequest:
    """The signal that requested a stop; None: none did. That of a time limit is SIGALRM."""

    signal: int | None = None
    waiting: bool = False  # for other processes, with nothing half done: the first signal ends that at once

    def raise_if_set(self) -> None:
        if self.signal is not None:
            raise meaning(self.signal)


def accept_interrupts() -> None:
    """Have SIGINT raise KeyboardInterrupt where it is ignored, as in all that a shell starts in the background."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def meaning(number: int) -> KeyboardInterrupt:
    """The interrupt that a signal stands for."""
    return (TimeIsUp if number == signal.SIGALRM else KeyboardInterrupt)(number)


@contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Note the first signal in the block and raise the second at once; afterwards all is as before.

    The first one is raised too while the request is `waiting`. The end of a time limit is noted as well; it makes no
    second signal, nor a first one of what comes after it.
    """
    request, first = StopRequest(), 0.0
    if not in_main_thread():
        yield request
        return

    def note(number: int, frame: object) -> None:
        nonlocal first
        if request.signal is not None and number == signal.SIGALRM:
            return
        if request.signal in STOPS:
            if time.monotonic() - first < ONE_S:
                return
            raise meaning(number)
        request.signal, first = number, time.monotonic()
        if number == signal.SIGALRM:
            print("\nthe time is up: stopping after this step, to save it first", flush=True)
        else:
            print("\nstopping after this step, to save it first (once more: at once)", flush=True)
        if request.waiting:
            raise meaning(number)

    before = {number: signal.signal(number, note) for number in (*STOPS, signal.SIGALRM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise TimeIsUp in the block when so many seconds have passed; None, or outside of the main thread: never.

    In `deferred_signals` it is noted. A limit within another ends with that one at the latest; who catches TimeIsUp
    there and goes on, though the time of the outer one is up, hears it again.

    Raises:
        TimeIsUp: Also in place of an error that a library has made of it.
    """
    if seconds is None or not in_main_thread():
        yield
        return
    has_rung = is_over = False

    def ring(number: int, frame: object) -> None:
        nonlocal has_rung
        if not is_over:
            has_rung = True
            raise meaning(number)

    start, (left, interval) = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)
    handler = signal.getsignal(signal.SIGALRM)
    try:
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, max(min(seconds, left or math.inf), 1e-6))  # 0 would be never
        yield
    except Exception as error:
        if has_rung:
            raise meaning(signal.SIGALRM) from error
        raise
    finally:
        is_over = True  # an alarm from here on comes too late
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:  # an outer limit that is over has been raised, and gets this time to arrive
            left -= time.monotonic() - start
            signal.setitimer(signal.ITIMER_REAL, left if left > 0 else ONE_S, interval)


def in_main_thread() -> bool:
    """Whether this is the thread that has handlers of signals."""
    return threading.current_thread() is threading.main_thread()
