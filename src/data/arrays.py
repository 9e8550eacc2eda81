"""Arrays of numbers as pictures: .npy files, and .npz files with one array that is a picture. No pickle is loaded."""

import io
import math
import zipfile
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from src.data.depth import NotRead, scaled, stretched

START, START_OF_ZIP = b"\x93NUMPY", b"PK\x03\x04"
READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
MOST_PLANES = 16  # of a stack that is shown as one picture; more are a volume
MOST_BYTES = 4 << 30  # of an array, unpacked


class Layout(NamedTuple):
    """How an array is a picture."""

    height: int
    width: int
    colours: bool
    how: str  # for a sentence; "" where it is a picture as it stands


def is_one(data: bytes | bytearray) -> bool:
    """Return whether a file begins as an .npy or .npz file does."""
    if data.startswith(START_OF_ZIP):
        return data[30 : 30 + int.from_bytes(data[26:28], "little")].endswith(b".npy")
    return data.startswith(START)


def header(data: bytes | bytearray) -> tuple[tuple[int, int], str]:
    """Return a picture's width and height, and what its numbers are and how they are shown, for a sentence.

    Raises:
        NotRead: Its shape or its numbers are no picture's.
        ValueError: It is damaged.
    """
    values = read(data)
    (height, width, _, how), parts = layout(values.shape), [f"{values.dtype.name} array"]
    if is_share(values):
        parts.append("from 0 to 1")
    elif not deep(values) and values.dtype not in (np.bool_, np.uint8):
        parts.append("each from its least to its greatest value")
    return (width, height), ", ".join([*parts, *([how] if how else [])])


def decode(data: bytes | bytearray, white: int) -> np.ndarray:
    """Return the picture, (height, width, 3) uint8.

    uint8 is taken as it is, whole numbers from 0 to 65535 are scaled by `white`, shares of 1 by that, and all others by
    the picture's own least and greatest value.

    Raises:
        NotRead, ValueError: As `header`.
    """
    values = read(data)
    is_deep, picture = deep(values), arranged(values)
    if values.dtype == np.bool_:
        picture = picture * np.uint8(255)
    elif is_deep:
        picture = scaled(picture.astype(np.int32), white)
    elif is_share(values):
        picture = scaled(np.nan_to_num(picture.astype(np.float32)), 1)
    elif values.dtype != np.uint8:
        picture = stretched(picture)
    return np.ascontiguousarray(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2))


def greatest(data: bytes | bytearray) -> int:
    """Return the greatest value, from 1, of a picture that is scaled by what is white; 0 of others."""
    values = read(data)
    return max(1, int(arranged(values).max())) if deep(values) else 0


def deep(values: np.ndarray) -> bool:
    """Return whether these are whole numbers from 0 to 65535 that may be above 255."""
    if values.dtype.kind not in "iu" or values.dtype == np.uint8:
        return False
    return values.dtype == np.uint16 or (int(values.min()) >= 0 and int(values.max()) <= 65535)


def is_share(values: np.ndarray) -> bool:
    """Return whether these are shares, as of a picture that was divided by 255: what is bright in it stays so.

    One without a value above a half is as likely one of small numbers, which would be black.
    """
    if values.dtype.kind != "f" or np.isinf(values).any():
        return False
    return bool(np.nanmin(values, initial=1) >= 0 and 0.5 < np.nanmax(values, initial=0) <= 1)


def layout(shape: tuple[int, ...]) -> Layout:
    """Return how an array of a shape, without axes of 1, is a picture.

    Of (height, width, channels), and of 3 or 4 channels that come first, the first three are the colours; the planes of
    another stack, (planes, height, width), lie one below the other, as SETI's six scans of a cadence do.

    Raises:
        NotRead: It is none.
    """
    sides = squeezed(shape)
    if len(sides) == 2:
        return Layout(*sides, False, "")
    if len(sides) == 3 and min(sides) <= MOST_PLANES:
        first, height, width = sides
        if (channels := width) in (3, 4) or (5 <= width <= MOST_PLANES and width < min(first, height)):
            return Layout(first, height, True, "" if channels == 3 else f"the first 3 of {channels} channels")
        if first in (3, 4):
            return Layout(height, width, True, "" if first == 3 else "the first 3 of 4 channels")
        if width == 2:
            return Layout(2 * first, height, False, "2 channels one below the other")
        if first <= MOST_PLANES:
            return Layout(first * height, width, False, f"{first} planes one below the other")
    raise NotRead(
        f"has the shape {tuple(shape)}, which is no picture's: (height, width), (height, width, 3), (3, height, width) "
        f"or up to {MOST_PLANES} planes of (height, width)"
    )


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The sides of a shape without axes of 1, as long as two are left."""
    sides = [*shape]
    while len(sides) > 2 and 1 in sides:
        sides.remove(1)
    return tuple(sides)


def arranged(values: np.ndarray) -> np.ndarray:
    """Return (height, width) or (height, width, 3) of the same numbers, as `layout` says."""
    height, width, colours, _ = layout(values.shape)
    values = values.reshape(squeezed(values.shape))
    if colours:
        return (values if values.shape[:2] == (height, width) else np.moveaxis(values, 0, 2))[..., :3]
    if values.ndim == 3 and values.shape[2] == 2 and values.shape[1] == width:
        values = np.moveaxis(values, 2, 0)
    return values.reshape(height, width)


def read(data: bytes | bytearray) -> np.ndarray:
    """Return a file's array of numbers, a view of its bytes where these are not packed.

    Raises:
        NotRead: It has Python objects, text or complex numbers, or several arrays that could be the picture.
        ValueError: It is damaged.
    """
    if data.startswith(START_OF_ZIP):
        return read_npz(data)
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    if version not in READERS:
        raise NotRead(f"has an array of version {version}, and 1.0 and 2.0 are read: save it by np.save")
    shape, fortran, dtype = READERS[version](file)
    if dtype.kind not in "biuf":
        raise NotRead(f"has an array of {dtype}, which are no numbers of pixels: save numbers by np.save")
    n, left = math.prod(shape), len(data) - file.tell()
    if not n:
        raise NotRead(f"has the shape {shape}, which has no pixel")
    if n * dtype.itemsize > left:
        raise ValueError(f"it has {left:,} of {n * dtype.itemsize:,} bytes")
    return np.frombuffer(data, dtype, n, file.tell()).reshape(shape, order="F" if fortran else "C")


def read_npz(data: bytes | bytearray) -> np.ndarray:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            names = [name.removesuffix(".npy") for name in zipped.namelist()]
            if len(names) > 1:
                raise NotRead(f"has several arrays ({', '.join(names[:5])}): save the picture alone, by np.save")
            if (size := zipped.infolist()[0].file_size) > MOST_BYTES:
                raise NotRead(f"has an array of {size:,} bytes, and {MOST_BYTES:,} are read at most")
            return read(zipped.read(f"{names[0]}.npy"))
    except (zipfile.BadZipFile, NotImplementedError, KeyError) as error:
        raise ValueError(str(error)) from error
