"""Work spread over threads: decoders, hashes and copies do not hold Python's lock."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from src.base.progress import track

T, U = TypeVar("T"), TypeVar("U")


def cores() -> int:
    """The number of cores that this process may use: a container's share of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def parallel(function: Callable[[T], U], items: Sequence[T], what: str, unit: str = "images") -> Iterator[U]:
    """Yield function(item) of all items, in order, with a bar that counts them.

    At most a few results are waiting: memory does not grow with the number of items.
    """
    threads = cores()
    pool, waiting = ThreadPoolExecutor(threads), deque()

    def results() -> Iterator[U]:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 8 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield from track(results(), what, len(items), unit)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C need not wait for the rest
