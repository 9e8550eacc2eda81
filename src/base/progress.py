"""Progress: a bar on a terminal, plain lines in a pipe, nothing for what is over in a moment."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from src.base.text import duration

T = TypeVar("T")
LINE_INTERVAL_S = 10  # between two plain lines


def track(items: Iterable[T], what: str, total: int, unit: str, of: Callable[[T], int] = lambda item: 1) -> Iterator[T]:
    """Passes `items` on and shows how many of `total` are done, the rate and the time left.

    Args:
        of: How many an item counts for, as for batches.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=what, unit=unit, leave=False, delay=1, dynamic_ncols=True) as bar:
            for item in items:
                yield item
                bar.update(of(item))
        return
    start = said = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += of(item)
        now = time.monotonic()
        if now - said >= LINE_INTERVAL_S and done < total:
            said, rate = now, done / (now - start)
            print(f"{what}  {done}/{total} {unit}  {rate:.1f}/s  {duration((total - done) / rate)} left", flush=True)
