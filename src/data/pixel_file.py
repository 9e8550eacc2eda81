"""The files of a decoded store: pixels.bin, one picture behind the other, uint8 RGB, and index.parquet.

The index has the sha256 of each image's file, offset, height and width. It is replaced after the pixels that it tells
of are on the disk: a killed run resumes behind the last of them.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from src.base import files
from src.base.text import duration
from src.base.threads import parallel

FLUSH_BYTES = 256 << 20  # of pixels between two writes of the index
NAMES = ("key.json", "index.parquet", "pixels.bin")  # of a store
COLUMNS = ["sha256", "offset", "height", "width"]


def stores(root: Path) -> list[Path]:
    """The folders of `root` that hold pixels: itself, and those of sides, the largest first."""
    sides = sorted((path for path in root.glob("*/") if path.name.isdecimal()), key=lambda path: -int(path.name))
    return [path for path in (root, *sides) if (path / "pixels.bin").is_file()]


def read_index(folder: Path) -> tuple[pd.DataFrame, int]:
    """Return the index's rows whose pixels exist, and how many have none because the file of pixels is cut off."""
    try:
        known = pd.read_parquet(folder / "index.parquet", columns=COLUMNS)
    except (OSError, ValueError, KeyError):
        return pd.DataFrame(columns=COLUMNS), 0
    pixels = folder / "pixels.bin"
    size = pixels.stat().st_size if pixels.exists() else 0
    whole = known["offset"] + known["height"] * known["width"] * 3 <= size
    return known[whole], int((~whole).sum())


def extend(
    folder: Path, known: pd.DataFrame, shas: Sequence[str], picture: Callable[[int], np.ndarray]
) -> pd.DataFrame:
    """Store pictures of these sha256, `picture` of each place, behind the `known` ones; returns the new index.

    Both have the sha256 as their index.
    """
    start, added = time.perf_counter(), {name: [] for name in COLUMNS}
    end = flushed = int((known["offset"] + known["height"] * known["width"] * 3).max()) if len(known) else 0
    with files.explain_os_errors(folder), (folder / "pixels.bin").open("ab") as file:
        file.truncate(end)  # of a killed run, behind the end of its index
        decoded = parallel(picture, range(len(shas)), "decoding")
        for sha, pixels in zip(shas, decoded, strict=True):
            file.write(np.ascontiguousarray(pixels).data)
            for name, value in zip(COLUMNS, (sha, end, *pixels.shape[:2]), strict=True):
                added[name].append(value)
            end += pixels.size
            if end - flushed >= FLUSH_BYTES:
                flush(file, folder, known, added)
                flushed = end
        index = flush(file, folder, known, added)
    seconds = time.perf_counter() - start
    print(
        f"pictures  {len(shas)} decoded  {duration(seconds)}  {len(shas) / seconds:.0f} images/s  "
        f"{end / 1e9:.2f} GB in {folder}"
    )
    return index


def flush(file: BinaryIO, folder: Path, known: pd.DataFrame, added: dict[str, list]) -> pd.DataFrame:
    """Write the pixels to the disk, and then the index that tells of them; returns that."""
    file.flush()
    files.flush_to_disk(file)
    index = pd.DataFrame(added).set_index("sha256")
    index = pd.concat([known, index]) if len(known) else index
    files.write_parquet(folder / "index.parquet", index.reset_index())
    return index
