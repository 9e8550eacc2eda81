"""Progress: a bar on a terminal, plain lines in a pipe, nothing for what is over in a moment."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from src.base.text import duration

T = TypeVar("T")
LINE_INTERVAL_S = 10


def track(items: Iterable[T], what: str, total: int, unit: str, of: Callable[[T], int] = lambda item: 1) -> Iterator[T]:
    """Pass `items` on and show how many of `total` are done, the rate and the time left; `of`: an item's count."""
    if sys.stderr.isatty():
        with tqdm(total=total, desc=what, unit=unit, leave=False, delay=1, dynamic_ncols=True) as bar:
            for item in items:
                yield item
                bar.update(of(item))
        return
    start = printed = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += of(item)
        now = time.monotonic()
        if now - printed >= LINE_INTERVAL_S and done < total:
            printed, rate = now, done / (now - start)
            print(f"{what}  {done}/{total} {unit}  {rate:.1f}/s  {duration((total - done) / rate)} left", flush=True)
