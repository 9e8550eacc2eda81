"""Pictures: one decoder for all stages, the check that every file is whole, and the exact views of a square picture."""

import hashlib
import io
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from src.errors import UserError, counted, listed
from src.files import write_parquet
from src.progress import track

T, U = TypeVar("T"), TypeVar("U")
RECORD = ["path", "size", "mtime_ns", "sha256", "width", "height", "mode"]

# A picture of up to 2 x this many pixels is decoded (179 million: Pillow's own limit), without its warning.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

PNG_END = b"IEND\xaeB`\x82"  # the last chunk's name and checksum

# The exact views: no pixel is interpolated. On an array whose last two axes are height and width, both equal.
VIEWS: dict[str, Callable] = {
    "identity": lambda x: x,
    "hflip": lambda x: x.flip(-1),
    "vflip": lambda x: x.flip(-2),
    "rot90": lambda x: x.rot90(1, (-2, -1)),
    "rot180": lambda x: x.rot90(2, (-2, -1)),
    "rot270": lambda x: x.rot90(3, (-2, -1)),
    "transpose": lambda x: x.transpose(-2, -1),
    "transverse": lambda x: x.rot90(2, (-2, -1)).transpose(-2, -1),
}


def read_rgb(path: Path) -> Image.Image:
    """The picture as a person would see it: RGB, 8 bit, upright (EXIF), transparency on white.

    Raises:
        OSError, SyntaxError, ValueError: Pillow's own, for a file that is not a whole picture.
    """
    return to_rgb(Image.open(path))


def to_rgb(image: Image.Image) -> Image.Image:
    """`read_rgb` for an opened picture; decodes it."""
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range nobody has told")
    if image.mode.startswith("I"):  # 16-bit grey, which convert("RGB") would cut off at 255
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("its pixels have more than 16 bits")
        return Image.fromarray(np.round(grey / 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def fault_of(data: bytes) -> str | None:
    """Why these bytes are not a whole picture; None if they are."""
    if not data:
        return "is empty (zero bytes)"
    try:
        to_rgb(Image.open(io.BytesIO(data)))
        if data.startswith(b"\x89PNG"):
            Image.open(io.BytesIO(data)).verify()  # the checksums of all chunks but the last
            if PNG_END not in data:
                return "cannot be read to its end: its last chunk is cut off"
    except UnidentifiedImageError:
        return "is not an image"
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        return f"cannot be read to its end: {str(error) or type(error).__name__}"
    return None


def parallel(function: Callable[[T], U], items: Sequence[T], what: str) -> Iterator[U]:
    """function(item) of all items, in order. By threads: Pillow decodes and hashlib hashes without Python's lock."""
    pool = ThreadPoolExecutor(cpu_count())
    try:
        yield from track(pool.map(function, items), what, len(items), "images")
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C need not wait for the rest


def check(ids: Iterable[str], paths: Iterable[Path], record: Path) -> pd.DataFrame:
    """Decodes every picture that was not decoded before, in parallel, and remembers it in `record`.

    A picture is known again by its path, size and time of change. Returns the record's rows of `paths`, in their
    order, with the columns of RECORD: sha256 is of the file's bytes, width and height are the file's own.

    Raises:
        UserError: Lists the pictures that are missing or not whole, by id and path.
    """
    ids, paths = list(ids), [str(path) for path in paths]
    try:
        known = pd.read_parquet(record, columns=RECORD).set_index("path", drop=False)
    except (FileNotFoundError, OSError, ValueError, KeyError):
        known = pd.DataFrame(columns=RECORD).set_index("path", drop=False)
    seen = {row.path: row for row in known.itertuples(index=False)}

    def facts(path: str) -> tuple | str:
        try:
            stat = Path(path).stat()
            if (row := seen.get(path)) and (row.size, row.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
                return tuple(row)
            data = Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return "is missing"
        except OSError as error:
            return f"cannot be opened: {error.strerror}"
        if fault := fault_of(data):
            return fault
        image = Image.open(io.BytesIO(data))
        sha = hashlib.sha256(data).hexdigest()
        return (path, stat.st_size, stat.st_mtime_ns, sha, image.width, image.height, image.mode)

    rows = list(parallel(facts, paths, "data"))
    faults = [f"{id}: {path} {row}" for id, path, row in zip(ids, paths, rows, strict=True) if isinstance(row, str)]
    if faults:
        raise UserError(f"{counted(len(faults), 'image')} cannot be used, to be mended or restored:\n{listed(faults)}")
    df = pd.DataFrame(rows, columns=RECORD)
    distinct = df.drop_duplicates("path").reset_index(drop=True)
    if not distinct.equals(known.reset_index(drop=True)):
        write_parquet(record, distinct)
    return df


class Squares:
    """The pictures of some rows, each squeezed to size x size pixels, antialiased.

    Decoded once and kept where all of them fit into `memory` bytes, else decoded each time.
    """

    def __init__(self, paths: list[Path], size: int, interpolation: str, memory: int = 4 << 30):
        self.paths, self.size = paths, size
        self.resample = Image.Resampling[interpolation.upper()]
        self.kept = None
        if len(paths) * size * size * 3 <= memory:
            kept = np.empty((len(paths), size, size, 3), np.uint8)
            for i, square in enumerate(parallel(self.decode, paths, "decoding")):
                kept[i] = square
            self.kept = kept

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> np.ndarray:
        """(size, size, 3) uint8."""
        return self.decode(self.paths[i]) if self.kept is None else self.kept[i]

    def decode(self, path: Path) -> np.ndarray:
        return np.asarray(read_rgb(path).resize((self.size, self.size), self.resample))
