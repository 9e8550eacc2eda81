"""Work spread over threads: decoders, hashes and copies do not hold Python's lock."""

import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar

from src.base.errors import UserError
from src.base.progress import track

T, U = TypeVar("T"), TypeVar("U")
GRANT = "UNIT_CORES"  # the variable that says how many cores this process was given, of those that it sees
OWN_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def cores() -> int:
    """The number of cores that this process may use: as many as it was given, else a container's share, rounded up.

    Raises:
        UserError: UNIT_CORES is no such number.
    """
    if granted := os.environ.get(GRANT):
        if not granted.isdecimal() or int(granted) < 1:
            raise UserError(f"{GRANT} must be a whole number, 1 or more, not {granted!r}: leave it out for all cores")
        return int(granted)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min(allowed, *quotas())))


def environment(n: int) -> dict[str, str]:
    """The variables of a process that may use n cores beside others: what the libraries read as they are loaded.

    OpenMP's threads, torch's among them, wait asleep: on two cores beside two busy processes, two took 32 ms for a
    step of a tiny ConvNeXt, 103 ms with at most 3,000 spins, 475 ms as they come. OpenCV has one thread: whoever
    calls it is one of several threads or processes.
    """
    read = (GRANT, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # pyarrow reads the second
    # a count of spins that is inherited would override the policy
    waiting = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    return {**dict.fromkeys(read, str(n)), **waiting, "OPENCV_FOR_THREADS_NUM": "1"}


def use(n: int) -> None:
    """Let this process use n cores from now on, whichever libraries it has loaded: it may have had others before.

    How OpenMP's threads wait stays as it was when it was loaded. To be called by the thread that computes.
    """
    from threadpoolctl import threadpool_limits

    os.environ.update(environment(n))
    threadpool_limits(n)
    for module, function in (("torch", "set_num_threads"), ("pyarrow", "set_cpu_count")):
        if module in sys.modules:
            getattr(sys.modules[module], function)(n)


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


def parallel(
    function: Callable[[T], U],
    items: Sequence[T],
    what: str,
    unit: str = "images",
    total: int | None = None,
    of: Callable[[U], int] = lambda result: 1,
) -> Iterator[U]:
    """Yield function(item) of all items, in order, with a bar that counts them.

    Args:
        total, of: Where an item is several units: all of these, and those of an item by its result.

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
        yield from track(results(), what, len(items) if total is None else total, unit, of)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C need not wait for the rest
