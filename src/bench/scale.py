"""The stages' reading and writing of a competition of many rows: the CPU seconds and the memory of each step.

The rows are made up, and their paths are links to few pictures: what is measured is the work a row, not the disk.
"""

import json
import math
import multiprocessing
import os
import pkgutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from src.base.text import duration
from src.bench.memory import peak
from src.config import Competition, Kaggle, Pixels
from src.data import checked
from src.data.rows import read_dataset

SLUG, CLASSES = "made-up", 10
COUNTS, QUICK = (100_000, 300_000, 1_000_000), (1_000, 3_000)  # train rows; a fourth as many test rows
PICTURES = 1_000  # files; each has a link for every row that shows it: file systems allow some 65,000 a file


def competition() -> Competition:
    return Competition(
        title="Made up", source=Kaggle(SLUG), classes=tuple(f"class {k}" for k in range(CLASSES)), name=SLUG,
        models={name: Pixels() for name in ("first", "second", "third")},
    )  # fmt: skip


def key(competition: Competition) -> None:
    print(f"  {json.dumps(read_dataset(competition).key)[:100]} ...")


def to_file(competition: Competition) -> None:
    checked.write(competition, read_dataset(competition))


# What is measured, in this order, each in a process of its own that imports it and gets the competition: later steps
# find what earlier ones have written.
STEPS = {
    "tables": "src.data.tables:read",
    "folds": "src.stages.folds:run",
    "rows, first": "src.data.rows:read_dataset",
    "rows, known": "src.data.rows:read_dataset",
    "key": "src.bench.scale:key",
    "to file": "src.bench.scale:to_file",
    "from file": "src.data.checked:read",
    "write tables": "src.bench.scale_steps:write_models",
    "read tables": "src.bench.scale_steps:read_models",
    "blend": "src.stages.blend:run",
    "submission": "src.stages.submission:run",
    "check": "src.bench.scale_steps:check",
    "report": "src.commands.report:run",
    "features": "src.bench.scale_probe:write_features",
    "probe": "src.bench.scale_probe:probe",
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
    pkgutil.resolve_name(STEPS[name])(competition())
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
