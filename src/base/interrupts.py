"""Ctrl-C and SIGTERM while something is half done: deferred to where it is whole."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ONE_S = 1  # signals within this time are one: timeout sends it to a process, and again to all of its group


@dataclass
class StopRequest:
    """The signal that requested a stop; None: none did."""

    signal: int | None = None
    waiting: bool = False  # for other processes, with nothing half done: the first signal ends that at once

    def raise_if_set(self) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt(self.signal)


@contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """Note the first signal in the block and raise the second at once; afterwards all is as before.

    The first one is raised too while the request is `waiting`.
    """
    request, first = StopRequest(), 0.0
    if threading.current_thread() is not threading.main_thread():  # only the main thread has handlers
        yield request
        return

    def note(number: int, frame: object) -> None:
        nonlocal first
        if request.signal is not None:
            if time.monotonic() - first < ONE_S:
                return
            raise KeyboardInterrupt(number)
        request.signal, first = number, time.monotonic()
        print("\nstopping after this step, to save it first (once more: at once)", flush=True)
        if request.waiting:
            raise KeyboardInterrupt(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
