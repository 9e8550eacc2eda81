"""Ctrl-C and SIGTERM while something is half done: deferred to where it is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class StopRequest:
    """The signal that asked to stop; None: none did."""

    signal: int | None = None

    def raise_if_set(self) -> None:
        """Raises KeyboardInterrupt if a signal asked to stop."""
        if self.signal is not None:
            raise KeyboardInterrupt(self.signal)


@contextmanager
def deferred_signals() -> Iterator[StopRequest]:
    """In the block, the first signal is noted and the second is raised at once; afterwards all is as before."""
    asked = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # only the main thread has handlers
        yield asked
        return

    def note(number: int, frame: object) -> None:
        if asked.signal is not None:
            raise KeyboardInterrupt(number)
        asked.signal = number
        print("\nstopping after this step, to save it first (once more: at once)", flush=True)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
