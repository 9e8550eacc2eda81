"""The feature store with a million rows: does the memory that it takes to write, find and read them stay bounded?"""

import contextlib
import json
import multiprocessing
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from src.base.errors import UserError
from src.base.text import duration
from src.bench.memory import forget_peak, peak
from src.networks import features
from src.results import shards
from src.schema.networks import Encoder

CHUNK = 8192  # rows read at a time
SPEC, D = Encoder(clip="ViT-B-32"), 512  # of the made-up features
LIMIT = 2.0  # GB, the target for a million rows


def run(n: int) -> None:
    print(f"{n} rows of {D} float16 ({n * D * 2 / 1e9:.2f} GB), in a process of its own; random: 100 x {CHUNK} rows")
    with tempfile.TemporaryDirectory() as folder:
        free = shutil.disk_usage(folder).free
        if n * (D * 2 + 64) > free:
            raise UserError(f"--rows {n} needs {n * (D * 2 + 64) / 1e9:.1f} GB in {folder}, {free / 1e9:.1f} are free")
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            numbers = pool.submit(many_rows, Path(folder) / "features", n).result()
    most = max(value for name, value in numbers.items() if name.startswith("gb_"))
    rounded = {name: round(value, 3) for name, value in numbers.items()}
    print(json.dumps({"bench": "features", "case": f"{n} rows", "gb_peak": round(most, 3), **rounded}))
    if n >= 1_000_000:
        print(f"the target (less than {LIMIT} GB) is {'met' if most < LIMIT else 'not met'}: {most:.2f} GB")


def many_rows(folder: Path, n: int) -> dict[str, float]:
    """Write, find and read n rows of made-up features: seconds and peaks of memory. Runs in a process of its own."""
    cache = features.Cache(folder, SPEC, "identity")
    cache.begin()
    precision = cache.begun()
    numbers, took = {"gb_before": peak() / 1e9}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal took
        now = time.perf_counter()
        numbers.update({f"gb_{name}": peak() / 1e9, f"seconds_{name}": now - took})
        print(f"{name:8} {duration(now - took):>6}  peak {peak() / 1e9:.2f} GB")
        with contextlib.suppress(OSError):  # where that is not allowed, later peaks are of the whole run
            forget_peak()
        took = time.perf_counter()

    for start in range(0, n, shards.ROWS):
        rows = min(shards.ROWS, n - start)
        feats = np.random.default_rng(start).standard_normal((rows, D), np.float32)
        cache.add([str(start + i) for i in range(rows)], make_shas(start, rows), feats, precision)
    lap("write")
    some = np.random.default_rng(0).choice(n, max(n // 100, 1), replace=False)
    present = np.concatenate([make_shas(start, min(shards.ROWS, n - start)) for start in range(0, n, shards.ROWS)])
    wanted = np.concatenate([present[some], make_shas(n + shards.ROWS, len(some))])
    took = time.perf_counter()
    index = cache.index()
    lap("open")
    missing = cache.missing(wanted)
    if not np.array_equal(missing, np.arange(len(some), 2 * len(some))):
        raise AssertionError("the index does not tell what is there from what is not")
    lap("find")
    at = index.find(present)
    for start in range(0, n, CHUNK):
        feats = index.gather(at[start : start + CHUNK])
        if start == 0 and not np.array_equal(feats[0], first_row(0)):
            raise AssertionError("the features of a row are another's")
    lap("read")
    rng = np.random.default_rng(1)
    for _ in range(100):
        index.gather(at[rng.integers(0, n, CHUNK)])
    lap("random")
    return numbers


def make_shas(start: int, n: int) -> np.ndarray:
    """(n,) made-up sha256, as `shards.binary` has them."""
    return np.frombuffer(np.random.default_rng((7, start)).bytes(32 * n), "S32")


def first_row(start: int) -> np.ndarray:
    """The first row of the shard that begins at `start`, as it is read again."""
    return np.random.default_rng(start).standard_normal((1, D), np.float32)[0].astype(np.float16).astype(np.float32)
