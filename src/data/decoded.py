"""The decoded store: the pictures of all rows as one memory map, decoded once and read by every stage and worker.

A folder with key.json, pixels.bin (one picture behind the other, uint8 RGB) and index.parquet (sha256 of the image's
file, offset, height, width). Pictures are found by the bytes of their files: a changed file is another picture. The
index is replaced after the pixels that it tells of are on the disk: a killed run resumes behind the last of them.

Whole pictures lie in the folder itself, those that are reduced to a side in a folder of that side in it: a model reads
those of its own side, whatever the other models read.
"""

import shutil
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from src.base import files, locks
from src.base.errors import UserError
from src.base.text import duration
from src.base.threads import parallel
from src.data import images
from src.data.geometry import Geometry, reduced
from src.data.rows import Rows

CODE = 1  # raised when this file stores other pixels under the same key
FLUSH_BYTES = 256 << 20  # of pixels between two writes of the index
SPARE_BYTES = 1 << 30  # of the disk that are left free for results
CACHE_BYTES = 128 << 20  # of squares in memory, in each of the loader's workers
COLUMNS = ["sha256", "offset", "height", "width"]


class Pictures:
    """Pictures of rows: `read` takes one from the disk, `picture` turns that into pixels (height, width, 3) uint8."""

    def __getitem__(self, i: int) -> np.ndarray:
        return self.picture(self.read(i))


class Decoded(Pictures):
    """Pictures of rows that are decoded each time."""

    def __init__(self, paths: list[Path], side: int | None = None, white: int = images.WHITE):
        self.paths, self.side, self.white = paths, side, white

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, i: int) -> bytearray:
        try:
            with self.paths[i].open("rb") as file:
                return bytearray(file.read())
        except OSError as error:
            raise UserError(f"{self.paths[i]} cannot be opened ({error.strerror}): run the data stage") from error

    def picture(self, data: bytearray) -> np.ndarray:
        return reduced(images.decode(data, self.white), self.side)


class Stored(Pictures):
    """Pictures in the store of `folder`, views of its map of pixels, which worker processes share."""

    def __init__(self, folder: Path, offset: np.ndarray, height: np.ndarray, width: np.ndarray):
        self.folder, self.offset, self.height, self.width = folder, offset, height, width
        # copy on write: nobody changes the file, and torch takes only arrays that could be written to
        pixels = np.memmap(folder / "pixels.bin", np.uint8, mode="c")
        self.pixels = np.asarray(pixels)  # a plain array: to cut pieces out of a memmap takes six times as long

    def __reduce__(self):
        return Stored, (self.folder, self.offset, self.height, self.width)

    def __len__(self) -> int:
        return len(self.offset)

    def read(self, i: int) -> np.ndarray:
        start, height, width = int(self.offset[i]), int(self.height[i]), int(self.width[i])
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        return pixels


class Squares:
    """Pictures as a model sees them: squares[i] -> (size, size, 3) uint8, not to be written to.

    A few small ones stay in memory: beside a tiny model, to squeeze them again in each epoch takes its time.
    """

    def __init__(self, pictures: Pictures, geometry: Geometry):
        self.pictures, self.geometry = pictures, geometry
        self.cache: dict[int, np.ndarray] = {}
        self.is_cached = len(pictures) * geometry.size**2 * 3 <= CACHE_BYTES

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> np.ndarray:
        if i in self.cache:
            return self.cache[i]
        square = self.geometry.square(self.pictures[i])
        if self.is_cached:
            self.cache[i] = square
        return square


class Store:
    """The store in `folder` for the pictures of `rows`.

    Larger pictures are reduced to a shorter side of `need` pixels, which is what the models that read them make of them
    first; where models differ in that, they are kept `whole`, if they fit. What does not fit into `limit` bytes, beside
    the pictures of other sides, is not stored. `side`, what they are reduced to, or None, depends on these arguments
    and the `train` rows alone: so do all numbers, and a test set that is larger trains nothing again.
    """

    def __init__(self, folder: Path, rows: Rows, need: int, limit: int, whole: bool = False, train: Rows | None = None):
        train = rows if train is None else train
        larger = train.sizes.min(axis=1).max() > need and pixel_bytes(train, need) <= limit
        self.side = need if larger and not (whole and pixel_bytes(train, None) <= limit) else None
        self.limit, self.bytes = limit, pixel_bytes(rows, self.side)
        self.root, self.key = folder, {"code": CODE, "side": self.side}
        here = self.side is None or files.read_json(folder / "key.json") == self.key  # as an earlier version had it
        self.folder = folder if here else folder / str(self.side)

    def pictures(self, rows: Rows) -> Pictures:
        """Return the pictures of some of the rows, decoded into the store where it does not have them yet.

        Raises:
            UserError: The folder cannot be written.
        """
        if self.bytes > self.limit:
            return Decoded(rows.paths, self.side, rows.white)
        # Folds that are trained in several processes come here at once: the first decodes, the others wait.
        with locks.locked(self.root.with_name(f".{self.root.name}.lock")):
            return self.complete(rows)

    def complete(self, rows: Rows) -> Pictures:
        have = files.read_json(self.folder / "key.json")
        known, cut_off = read_index(self.folder) if have == self.key else (pd.DataFrame(columns=COLUMNS), 0)
        if cut_off:
            pixels = self.folder / "pixels.bin"
            print(f"{pixels} is truncated: {cut_off} of its {len(known) + cut_off} pictures are decoded again")
        path_of = dict(zip(rows.shas, rows.paths, strict=True))
        if todo := sorted(path_of.keys() - set(known["sha256"])):
            if no_room := self.no_room(pixel_bytes(rows.take(np.isin(rows.shas, todo)), self.side)):
                print(f"no decoded store: {no_room}")
                return Decoded(rows.paths, self.side, rows.white)
            if have != self.key:
                self.clear(have)
            known = extend(self.folder, known, todo, Decoded([path_of[sha] for sha in todo], self.side, rows.white))
        places = known.set_index("sha256").loc[rows.shas]
        return Stored(self.folder, *(places[name].to_numpy() for name in COLUMNS[1:]))

    def no_room(self, needed: int) -> str:
        """Why `needed` more bytes have no room on the disk, or beside the pictures of other sides; empty: they have."""
        free = shutil.disk_usage(next(parent for parent in self.folder.parents if parent.exists())).free
        if needed + SPARE_BYTES > free:
            return f"it needs {needed / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free"
        beside = sum((path / "pixels.bin").stat().st_size for path in stores(self.root) if path != self.folder)
        if self.bytes + beside > self.limit:
            return (
                f"pictures of {self.side or 'all'} pixels take {self.bytes / 1e9:.1f} GB beside {beside / 1e9:.1f} GB "
                f"of other sizes, and store_gb={self.limit / 1e9:g} allows less"
            )
        return ""

    def clear(self, have: Any) -> None:
        if have is not None:
            print(f"decoding the pictures again: {files.describe_changes(have, self.key)}")
        for name in ("key.json", "index.parquet", "pixels.bin"):  # the key first: without it, pixels are nobody's
            (self.folder / name).unlink(missing_ok=True)
        files.write_json(self.folder / "key.json", self.key)


def stores(root: Path) -> list[Path]:
    """The folders of `root` that hold pixels: itself, and those of sides, the largest first."""
    sides = sorted((path for path in root.glob("*/") if path.name.isdecimal()), key=lambda path: -int(path.name))
    return [path for path in (root, *sides) if (path / "pixels.bin").is_file()]


def pixel_bytes(rows: Rows, side: int | None) -> int:
    """The bytes of all pixels, 3 each."""
    scale = 1.0 if side is None else np.minimum(side / rows.sizes.min(axis=1), 1)
    return int((rows.sizes.prod(axis=1) * scale**2 * 3).sum())


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


def extend(folder: Path, known: pd.DataFrame, shas: list[str], source: Decoded) -> pd.DataFrame:
    """Decode the pictures of `source`, store them behind the `known` ones and return the new index."""
    start, rows = time.perf_counter(), [tuple(row) for row in known.itertuples(index=False)]
    end = max((offset + height * width * 3 for _, offset, height, width in rows), default=0)
    with files.explain_os_errors(folder), (folder / "pixels.bin").open("ab") as file:
        file.truncate(end)  # of a killed run, behind the end of its index
        flushed = end
        decoded = parallel(source.__getitem__, range(len(shas)), "decoding")
        for sha, picture in zip(shas, decoded, strict=True):
            file.write(np.ascontiguousarray(picture).data)
            rows.append((sha, end, *picture.shape[:2]))
            end += picture.size
            if end - flushed >= FLUSH_BYTES:
                flush(file, folder, rows)
                flushed = end
        index = flush(file, folder, rows)
    seconds = time.perf_counter() - start
    print(
        f"pictures  {len(shas)} decoded  {duration(seconds)}  {len(shas) / seconds:.0f} images/s  "
        f"{end / 1e9:.2f} GB in {folder}"
    )
    return index


def flush(file: BinaryIO, folder: Path, rows: list[tuple]) -> pd.DataFrame:
    file.flush()
    files.flush_to_disk(file)
    index = pd.DataFrame(rows, columns=COLUMNS)
    files.write_parquet(folder / "index.parquet", index)
    return index
