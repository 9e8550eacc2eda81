"""The decoded store: the pictures of all rows as one memory map, decoded once and read by every stage and worker.

A folder with key.json and pixels (data/pixel_file.py). Pictures are found by the bytes of their files: a changed file
is another picture.

Whole pictures lie in the folder itself, those that are reduced to a side in a folder of that side in it: a model reads
those of its own side, whatever the other models read. Where not all have room the first rows' are stored, and the
others are decoded each time, to the same pixels.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.base import files, locks
from src.base.errors import UserError
from src.data import images
from src.data.geometry import Geometry, reduced
from src.data.pixel_file import COLUMNS, NAMES, extend, read_index, stores
from src.data.rows import Rows

CODE = 1  # raised when this file stores other pixels under the same key
SPARE_BYTES = 1 << 30  # of the disk that are left free for results
CACHE_BYTES = 128 << 20  # of squares in memory, in each of the loader's workers


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

    def __init__(
        self, folder: Path, offset: np.ndarray, height: np.ndarray, width: np.ndarray, others: Decoded | None = None
    ):
        """`others`: decodes those that are not stored, whose offset is -1; None: all are."""
        self.folder, self.offset, self.height, self.width, self.others = folder, offset, height, width, others
        # copy on write: nobody changes the file, and torch takes only arrays that could be written to
        pixels = np.memmap(folder / "pixels.bin", np.uint8, mode="c")
        self.pixels = np.asarray(pixels)  # a plain array: to cut pieces out of a memmap takes six times as long

    def __reduce__(self):
        return Stored, (self.folder, self.offset, self.height, self.width, self.others)

    def __len__(self) -> int:
        return len(self.offset)

    def read(self, i: int) -> np.ndarray | bytearray:
        start, height, width = int(self.offset[i]), int(self.height[i]), int(self.width[i])
        if start < 0:
            return self.others.read(i)
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def picture(self, data: np.ndarray | bytearray) -> np.ndarray:
        return data if isinstance(data, np.ndarray) else self.others.picture(data)


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
    first; where models differ in that, they are kept `whole`, if they fit. Of what does not fit into `limit` bytes,
    beside the pictures of other sides, or on the disk, the first rows are stored. `side`, what they are reduced to, or
    None, depends on these arguments and the `train` rows alone: so do all numbers, and a test set that is larger trains
    nothing again.
    """

    def __init__(self, folder: Path, rows: Rows, need: int, limit: int, whole: bool = False, train: Rows | None = None):
        train = rows if train is None else train
        larger = train.sizes.min(axis=1).max() > need and pixel_bytes(train, need) <= limit
        self.side = need if larger and not (whole and pixel_bytes(train, None) <= limit) else None
        self.rows, self.limit, self.bytes = rows, limit, pixel_bytes(rows, self.side)
        self.root, self.key = folder, {"code": CODE, "side": self.side}
        here = self.side is None or files.read_json(folder / "key.json") == self.key  # as an earlier version had it
        self.folder = folder if here else folder / str(self.side)
        self.last: tuple[list, pd.DataFrame] | None = None  # facts on the files, and what the index had
        self.fitting: dict[int, pd.Index] = {}
        self.said: set[str] = set()

    def pictures(self, rows: Rows) -> Pictures:
        """Return the pictures of some of the rows, decoded into the store where it does not have them yet.

        Raises:
            UserError: The folder cannot be written.
        """
        if not self.limit:
            return Decoded(rows.paths, self.side, rows.white)
        # Folds that are trained in several processes come here at once: the first decodes, the others wait.
        with locks.locked(self.root.with_name(f".{self.root.name}.lock")):
            return self.complete(rows)

    def complete(self, rows: Rows) -> Pictures:
        known = self.known()
        at = known.index.get_indexer(rows.shas)
        if (at < 0).any() and len(todo := self.with_room(rows.take(at < 0))):
            if (have := files.read_json(self.folder / "key.json")) != self.key:
                self.clear(have)
            picture = Decoded(todo.paths, self.side, rows.white).__getitem__
            known = extend(self.folder, known, todo.shas, picture)
            at = known.index.get_indexer(rows.shas)
        decoded, is_stored = Decoded(rows.paths, self.side, rows.white), at >= 0
        if not is_stored.any():
            return decoded
        offset, height, width = (known[name].to_numpy()[at] for name in COLUMNS[1:])
        others = None if is_stored.all() else decoded
        return Stored(self.folder, np.where(is_stored, offset, -1), height, width, others)

    def lacks(self, rows: Rows) -> bool:
        """Whether pictures of rows are not stored for which there is room; on the disk, for all of them."""
        missing = rows.take(self.known().index.get_indexer(rows.shas) < 0).distinct()
        found, _ = self.within_limit(missing)
        return self.limit > 0 and len(found) > 0 and bool(self.fit(found).all())

    def known(self) -> pd.DataFrame:
        """Offset, height and width by sha256, of the pictures that are there; read again where a file has changed."""
        paths = [self.folder / name for name in NAMES]
        facts = [path.exists() and (path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
        if self.last is None or self.last[0] != facts:
            same = files.read_json(self.folder / "key.json") == self.key
            known, cut_off = read_index(self.folder) if same else (pd.DataFrame(columns=COLUMNS), 0)
            if cut_off:
                there = f"{cut_off} of its {len(known) + cut_off} pictures are decoded again"
                print(f"{self.folder / 'pixels.bin'} is truncated: {there}")
            self.last = facts, known.set_index("sha256")
        return self.last[1]

    def with_room(self, rows: Rows) -> Rows:
        """Those distinct ones of rows, which are not stored, that have room; where others have none, it is said why."""
        rows = rows.distinct()
        found, why = self.within_limit(rows)
        if not (fits := self.fit(found)).all():
            found, why = found.take(fits), f"the disk has {self.free / 1e9:.1f} GB free"
        if len(found) < len(rows) and why not in self.said:
            self.said.add(why)
            print(f"pictures  {len(rows) - len(found)} are decoded each time: {why}")
        return found

    def within_limit(self, rows: Rows) -> tuple[Rows, str]:
        """Those of rows that the limit allows, and a sentence on it."""
        beside = sum((path / "pixels.bin").stat().st_size for path in stores(self.root) if path != self.folder)
        why = f"store_gb={self.limit / 1e9:g} allows no more"
        if self.bytes + beside <= self.limit:
            return rows, why
        why += f" beside {beside / 1e9:.1f} GB of pictures of other sizes" if beside else ""
        return rows.take(self.first(self.limit - beside).get_indexer(rows.shas) >= 0), why

    def fit(self, rows: Rows) -> np.ndarray:
        """(n,) whether each row has room on the disk, behind those before it."""
        return np.cumsum(bytes_of(rows, self.side)) <= self.free - SPARE_BYTES

    @property
    def free(self) -> int:
        """The bytes that the disk has free."""
        return shutil.disk_usage(next(parent for parent in self.folder.parents if parent.exists())).free

    def first(self, limit: int) -> pd.Index:
        """The first distinct ones of all pictures, as many as fit into so many bytes: in every process the same."""
        if limit not in self.fitting:
            distinct = self.rows.take(~pd.Index(self.rows.shas).duplicated())
            self.fitting[limit] = pd.Index(distinct.shas)[np.cumsum(bytes_of(distinct, self.side)) <= limit]
        return self.fitting[limit]

    def clear(self, have: Any) -> None:
        if have is not None:
            print(f"decoding the pictures again: {files.describe_changes(have, self.key)}")
        for name in NAMES:  # the key first: without it, pixels are nobody's
            (self.folder / name).unlink(missing_ok=True)
        files.write_json(self.folder / "key.json", self.key)


def pixel_bytes(rows: Rows, side: int | None) -> int:
    """The bytes of all pixels, 3 each."""
    return int(bytes_of(rows, side).sum())


def bytes_of(rows: Rows, side: int | None) -> np.ndarray:
    """(n,) the bytes of each picture's pixels."""
    scale = 1.0 if side is None else np.minimum(side / rows.sizes.min(axis=1), 1)
    return rows.sizes.prod(axis=1) * scale**2 * 3
