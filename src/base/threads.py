"""Work spread over threads: decoders, hashes and copies do not hold Python's lock."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar

from src.base.progress import track

T, U = TypeVar("T"), TypeVar("U")
OWN_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def cores() -> int:
    """The number of cores that this process may use: a container's share of the machine, rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(allowed, *quotas())))


def quotas() -> Iterator[float]:
    """Yield the cores' worth of time that Linux gives each control group that this process is in, and infinity.

    `docker run --cpus=4` on 64 cores leaves all 64 in sight. Groups lie in groups, and each level may have its limit; a
    container often sees its own group as the root, under whatever name /proc has for it.
    """
    yield math.inf
    for line in read(OWN_GROUPS).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        group, trees = PurePosixPath(name.lstrip("/")), ()
        if not controllers:  # version 2: one tree of all controllers
            trees = ("", "unified")
        elif "cpu" in controllers.split(","):
            trees = ("cpu", controllers)
        yield from (quota(GROUPS / tree / level) for tree in trees for level in (group, *group.parents))


def quota(group: Path) -> float:
    """The cores' worth of time of one control group, by cpu.max or version 1's files; infinite without a limit."""
    limit, _, period = read(group / "cpu.max").partition(" ")
    if not limit.isdigit():  # `max`, or no such file
        limit, period = read(group / "cpu.cfs_quota_us"), read(group / "cpu.cfs_period_us")
    known = limit.isdigit() and period.isdigit() and int(limit) > 0 < int(period)  # -1: none
    return int(limit) / int(period) if known else math.inf


def read(path: Path) -> str:
    """The text of one of the kernel's files, empty where there is none."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


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
