"""Waiting for the loader: how long it took, and a signal that ends it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from src.base.errors import UserError
from src.base.interrupts import StopRequest

T = TypeVar("T")


def timed(items: Iterator[T], seconds: dict[str, float], stop: StopRequest) -> Iterator[T]:
    """Pass `items` on and count the time that they were waited for; none come after a signal asked to stop."""
    while stop.signal is None:
        start, item = time.perf_counter(), None
        with waiting(stop):
            item = next(items, None)
        seconds["wait"] += time.perf_counter() - start
        if item is None:
            return
        yield item


@contextmanager
def waiting(stop: StopRequest) -> Iterator[None]:
    """Let a signal end the block at once, which waits for the loader: its processes may have heard the signal too.

    They are started before that: what is raised while Python forks may be dropped, in one of its own hooks.
    """
    try:
        stop.waiting = True
        yield
    except (RuntimeError, UserError, KeyboardInterrupt):
        if stop.signal is None:
            raise
    finally:
        stop.waiting = False
