"""Pictures: one decoder for all stages, and the check that every file is whole.

A plain JPEG or PNG is decoded by OpenCV, which gives Pillow's pixels bit for bit, faster and without Python's lock;
whatever is not plain (CMYK, 16 bits, transparency, other formats) by Pillow itself.
"""

import hashlib
import io
import struct
import warnings
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from src.base.errors import UserError, counted, listed
from src.base.files import write_parquet
from src.base.threads import parallel

# The endings of pictures in folders; only decoding tells whether a file is one.
ENDINGS = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
RECORD = ["path", "size", "mtime_ns", "sha256", "width", "height", "mode"]

# A picture of up to 2 x this many pixels is decoded (179 million: Pillow's own limit), without its warning.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"  # the last chunk's name and checksum


def is_picture(name: str) -> bool:
    """Return whether a file's name, or path, has the ending of a picture."""
    return name.lower().endswith(ENDINGS)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is to be passed over: __MACOSX is beside the files in a Mac's zip."""
    return name.startswith(".") or name == "__MACOSX"


def decode(data: bytearray) -> np.ndarray:
    """Decode a file's bytes to the picture that a person would see: (height, width, 3) uint8 RGB, upright (EXIF).

    Raises:
        OSError, SyntaxError, ValueError: Pillow's own, for a file that is not a whole picture.
    """
    if is_plain(data):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if pixels is not None:  # a file that it does not like is Pillow's to judge
            return pixels
    return np.array(to_rgb(Image.open(io.BytesIO(data))))


def is_plain(data: bytearray) -> bool:
    """Return whether OpenCV and Pillow read the same in the file: 8 bits, grey, palette or RGB, nothing transparent."""
    if data.startswith(PNG_START):
        bits, colour, interlaced = data[24], data[25], data[28]
        return bits == 8 and colour in (0, 2, 3) and not interlaced and data.find(b"tRNS", 0, data.find(b"IDAT")) < 0
    if not data.startswith(b"\xff\xd8\xff"):
        return False
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:  # a JPEG's segments, up to the one that says how many colours it has
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in (0xC0, 0xC1, 0xC2):
            return data[at + 4] == 8 and data[at + 9] in (1, 3)
        if marker == 0xE1 and data.find(b"Orientation", at, at + 2 + length) >= 0:  # in XMP, which Pillow reads as well
            return False
        at += 2 + length
    return False


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert as `decode` does, by Pillow: RGB, 8 bits, upright, transparency on white, 16-bit grey scaled."""
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


def explain_fault(data: bytes) -> str | None:
    """Return why these bytes are not a whole picture; None if they are."""
    if not data:
        return "is empty (zero bytes)"
    try:
        to_rgb(Image.open(io.BytesIO(data)))
        if data.startswith(PNG_START):
            Image.open(io.BytesIO(data)).verify()  # the checksums of all chunks but the last
            if PNG_END not in data:
                return "cannot be read to its end: its last chunk is cut off"
    except UnidentifiedImageError:
        return "is not an image"
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        return f"cannot be read to its end: {str(error) or type(error).__name__}"
    return None


def check(ids: Iterable[str], paths: Iterable[Path], record: Path) -> pd.DataFrame:
    """Decode every picture that was not decoded before, in parallel, and write its facts to `record`.

    A picture is recognised by its path, size and time of change. Returns the record's rows of `paths`, in their order,
    with the columns of RECORD: sha256 is of the file's bytes, width and height are the file's own.

    Raises:
        UserError: Lists the pictures that are missing or not whole, by id and path.
    """
    ids, paths = list(ids), [str(path) for path in paths]
    try:
        known = pd.read_parquet(record, columns=RECORD)
    except (OSError, ValueError, KeyError):
        known = pd.DataFrame(columns=RECORD)
    row_of = {row.path: row for row in known.itertuples(index=False)}

    def facts(path: str) -> tuple | str:
        try:
            stat = Path(path).stat()
            if (row := row_of.get(path)) and (row.size, row.mtime_ns) == (stat.st_size, stat.st_mtime_ns):
                return tuple(row)
            data = Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return "is missing"
        except OSError as error:
            return f"cannot be opened: {error.strerror}"
        if fault := explain_fault(data):
            return fault
        image = Image.open(io.BytesIO(data))
        sha = hashlib.sha256(data).hexdigest()
        return (path, stat.st_size, stat.st_mtime_ns, sha, image.width, image.height, image.mode)

    rows = list(parallel(facts, paths, "data"))
    faults = [f"{id}: {path} {row}" for id, path, row in zip(ids, paths, rows, strict=True) if isinstance(row, str)]
    if faults:
        raise UserError(f"{counted(len(faults), 'image')} cannot be used, to be fixed or restored:\n{listed(faults)}")
    df = pd.DataFrame(rows, columns=RECORD)
    distinct = df.drop_duplicates("path").reset_index(drop=True)
    if not distinct.equals(known):
        write_parquet(record, distinct)
    return df
