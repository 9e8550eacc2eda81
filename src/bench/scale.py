"""The stages' reading and writing of a competition of many rows: the CPU seconds and the memory of each step.

The rows are made up, and their paths are links to few pictures: what is measured is the work a row, not the disk.
"""

import json
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from src.base.text import duration
from src.bench.memory import peak
from src.config import Competition, Kaggle, Pixels
from src.data import checked, tables
from src.data.rows import read_dataset
from src.stages import folds

SLUG, CLASSES = "made-up", 10
COUNTS, QUICK = (100_000, 300_000, 1_000_000), (1_000, 3_000)  # train rows; a fourth as many test rows
PICTURES = 1_000  # files; each has a link for every row that shows it: file systems allow some 65,000 a file


def competition() -> Competition:
    return Competition(
        title="Made up", source=Kaggle(SLUG), classes=tuple(f"class {k}" for k in range(CLASSES)), name=SLUG,
        models={"pixels": Pixels()},
    )  # fmt: skip


def key(competition: Competition) -> None:
    print(f"  {json.dumps(read_dataset(competition).key)[:100]} ...")


# What is measured, in this order, each in a process of its own that gets the competition: later steps find what earlier
# ones have written.
STEPS: dict[str, Callable[[Competition], object]] = {
    "tables": tables.read,
    "folds": folds.run,
    "rows, first": read_dataset,
    "rows, known": read_dataset,
    "key": key,
    "to file": lambda competition: checked.write(competition, read_dataset(competition)),
    "from file": checked.read,
}


def run(quick: bool = False, rows: int | None = None) -> None:
    counts = (rows,) if rows else QUICK if quick else COUNTS
    print(f"{CLASSES} classes, a fourth as many test rows, each step in a process of its own; peak: of its memory")
    seconds = {n: measure(n) for n in counts}
    first, last = counts[0], counts[-1]
    for name in STEPS if last > first else ():
        exponent = math.log(seconds[last][name] / seconds[first][name]) / math.log(last / first)
        print(f"{name}: CPU time grows as rows to the power of {exponent:.2f}")


def measure(n: int) -> dict[str, float]:
    """The CPU seconds of each step of a competition with n train rows."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "input" / SLUG, n)
        seconds = {}
        for name in STEPS:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                found = pool.submit(one_step, folder, name).result()
            seconds[name] = found["cpu_seconds"]
            print(
                f"{n:>9,} rows  {name:12}{duration(seconds[name]):>7} CPU {duration(found['seconds']):>7} in all  peak "
                f"{found['gb_peak']:.2f} GB\n{json.dumps({'bench': 'scale', 'step': name, 'rows': n, **found})}",
                flush=True,
            )
    return seconds


def one_step(folder: str, name: str) -> dict[str, float]:
    """Run a step in the process that calls this, and return its seconds, those of its threads, and its peak."""
    os.environ |= {"INPUT_DIR": f"{folder}/input", "SUBMISSIONS_DIR": f"{folder}/submissions"}
    start, cpu = time.perf_counter(), time.process_time()
    STEPS[name](competition())
    found = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu, "gb_peak": peak() / 1e9}
    return {what: round(value, 3) for what, value in found.items()}


def make(folder: Path, n: int) -> None:
    """Write the tables of n train rows and n / 4 test rows, and a link for each to one of PICTURES."""
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    for i in range(PICTURES):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / "pictures" / f"{i}.png")
    for part, rows in (("train", n), ("test", n // 4)):
        (folder / part).mkdir()
        df = pd.DataFrame({"id": [f"{part}_{i:07d}" for i in range(rows)]})
        df["image"] = part + "/" + df["id"] + ".png"
        for i, image in enumerate(df["image"]):
            os.link(folder / "pictures" / f"{i % PICTURES}.png", folder / image)
        labels = np.array(competition().classes)
        if part == "train":
            df["label"] = labels[rng.integers(0, CLASSES, rows)]
        else:
            df[["id"]].sample(frac=1, random_state=0).assign(label=labels[0]).to_csv(
                folder / "sample_submission.csv", index=False
            )
        df.sample(frac=1, random_state=0).to_csv(folder / f"{part}.csv", index=False)
