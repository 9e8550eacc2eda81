"""Squares of pictures in batches, loaded by threads, and where the seconds of an encoding went."""

import functools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from src.base import machine
from src.base.text import duration
from src.base.threads import cores
from src.data.decoded import Pictures
from src.data.geometry import CROPS, Geometry

AHEAD = 3  # batches loaded before they are needed, on a GPU
SHARE = 1e-3  # seconds of loading that are worth another thread: waking it takes a tenth of that


@dataclass
class Times:
    """Where the seconds of an encoding went. Loading's are summed over its threads."""

    threads: int = 0
    read: float = 0.0
    decode: float = 0.0  # and resize
    wait: float = 0.0  # of the model for pictures
    model: float = 0.0
    engine: str = ""  # of the model, where it is not torch as it comes
    start: float = field(default_factory=time.perf_counter)

    def summary(self, n: int) -> str:
        """`718 images  12s  60.1 images/s (read 0.0s and decode 0.3s in 2 threads, wait 0.2s, CPU 11s): ...`."""
        total, device = time.perf_counter() - self.start, machine.device().type.replace("cuda", "gpu").upper()
        loading = "reading" if self.read > self.decode else "decoding"
        by = f" by {self.engine}" if self.engine else ""
        limit = f"the {device} is the limit" if self.wait < 0.1 * total else f"{loading} is the limit"
        return (
            f"{n} images  {duration(total)}  {n / total:.1f} images/s (read {duration(self.read)} and decode "
            f"{duration(self.decode)} in {self.threads} threads, wait {duration(self.wait)}, {device} "
            f"{duration(self.model)}{by}): {limit}"
        )


def base_view(view: str) -> str:
    """The square that a view is made of: exact views are turned on the device, crops are cut from the picture."""
    return view if view in CROPS else "identity"


class Loader:
    """Squares of some pictures in batches: {base: (n, size, size, 3) uint8}, in pinned memory for a GPU."""

    def __init__(self, pictures: Pictures, rows: Sequence[int], geometry: Geometry, bases: Sequence[str], times: Times):
        self.pictures, self.rows, self.geometry, self.bases, self.times = pictures, rows, geometry, bases, times
        self.times.threads = cores()
        self.ahead = AHEAD if machine.device().type == "cuda" else 0
        self.work: float | None = None  # seconds that loading the last batch took, summed over threads; None: not known

    def batches(
        self, size: int, first: int = 0, stop: int | None = None, ends: Sequence[int] = ()
    ) -> Iterator[dict[str, Tensor]]:
        """Those of the rows from the place `first` on, before `stop`; a batch ends at each of `ends`, in order."""
        threads, stop = self.times.threads, len(self.rows) if stop is None else stop
        cuts = [first, *(end for end in ends if first < end < stop), stop]
        parts = [self.rows[i : min(i + size, end)] for start, end in pairwise(cuts) for i in range(start, end, size)]
        with ThreadPoolExecutor(threads) as pool:
            try:
                waiting = deque()
                for part in parts:
                    waiting.append(self.submit(pool, part, threads))
                    if len(waiting) > self.ahead:
                        yield self.collect(*waiting.popleft())
                while waiting:
                    yield self.collect(*waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def submit(self, pool: ThreadPoolExecutor, rows: Sequence[int], threads: int) -> tuple[dict, list[Callable]]:
        side = self.geometry.size
        batch = {
            base: torch.empty((len(rows), side, side, 3), dtype=torch.uint8, pin_memory=self.ahead > 0)
            for base in self.bases
        }
        shares = min(threads if self.work is None else max(round(self.work / SHARE), 1), 2 * threads, len(rows))
        places = np.array_split(np.arange(len(rows)), shares)
        loads = [functools.partial(self.load, batch, rows, share) for share in places]
        if shares == 1 and not self.ahead:
            return batch, loads  # to be called by the thread that waits for them
        return batch, [pool.submit(load).result for load in loads]

    def load(self, batch: dict[str, Tensor], rows: Sequence[int], places: np.ndarray) -> tuple[float, float]:
        """Fill some places of a batch; returns the seconds of reading and of decoding."""
        read = decode = 0.0
        arrays = {base: squares.numpy() for base, squares in batch.items()}  # torch would wake threads to help copying
        for place in places:
            start = time.perf_counter()
            raw = self.pictures.read(rows[place])
            middle = time.perf_counter()
            picture = self.pictures.picture(raw)
            for base, squares in arrays.items():
                squares[place] = self.geometry.square(picture, base)
            read, decode = read + middle - start, decode + time.perf_counter() - middle
        return read, decode

    def collect(self, batch: dict[str, Tensor], loads: list[Callable[[], tuple[float, float]]]) -> dict[str, Tensor]:
        start = time.perf_counter()
        seconds = [load() for load in loads]
        self.times.wait += time.perf_counter() - start
        read, decode = map(sum, zip(*seconds, strict=True))
        self.times.read += read
        self.times.decode += decode
        self.work = read + decode
        return batch
