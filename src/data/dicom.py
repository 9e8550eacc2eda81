"""DICOM files with one picture in them, as a viewer shows it: by its window, MONOCHROME1 inverted, colours as RGB.

pydicom reads them (PS3.3 C.11.1 and C.11.2: modality and VOI), and is imported with the first of them.
"""

import contextlib
import functools
import io
import struct
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from src.base import packages
from src.data.depth import NotRead, stretched

if TYPE_CHECKING:
    from pydicom import Dataset

# The first tags of files without the usual start
BARE = tuple(
    bytes((group, 0, element, 0)) for group, element in ((2, 0), (2, 1), (2, 2), (8, 0), (8, 5), (8, 8), (8, 22))
)
DAMAGED = (AttributeError, EOFError, IndexError, KeyError, NotImplementedError, OSError, RuntimeError, TypeError)
DAMAGED += (ValueError, struct.error)
PLAIN = "as it stands"
FAR = np.array([-1e9, 1e9])  # outside of every window


def is_one(data: bytes | bytearray) -> bool:
    """Return whether a file begins as a DICOM file does."""
    return data[128:132] == b"DICM" or data.startswith(BARE)


def header(data: bytes | bytearray) -> tuple[tuple[int, int], str]:
    """Return a picture's width and height, and how it is shown, for a sentence; its pixels are not read.

    Raises:
        NotRead: It has no picture, or several.
        ValueError: It is damaged.
    """
    with explained():
        file = opened(data, stop_before_pixels=True)
        kind = file.get("PhotometricInterpretation", "")
        how = "" if file.get("SamplesPerPixel", 1) > 1 else f", {said(file)}"
        return (int(file.Columns), int(file.Rows)), f"DICOM {kind}{how}"


def decode(data: bytes | bytearray, white: int = 0) -> np.ndarray:
    """Return the picture, (height, width, 3) uint8; nothing in it depends on what is `white` in other pictures.

    Raises:
        NotRead: It has no picture or several, or is packed in a way for which the decoder is not installed.
        ValueError: It is damaged.
    """
    with explained():
        file = opened(data)
        from pydicom.pixels import apply_color_lut, pixel_array

        if "PixelData" not in file:
            raise NotRead("has no picture in it")
        require_decoder(file)
        values = pixel_array(file)  # YBR as RGB
        if file.PhotometricInterpretation == "PALETTE COLOR":
            values = apply_color_lut(values, file)
        if values.ndim == 3:
            return np.ascontiguousarray(values if values.dtype == np.uint8 else by_bits(values, file))
        return np.repeat(grey(values, file)[..., None], 3, axis=2)


def greatest(data: bytes | bytearray) -> int:
    """Return 0: no picture is scaled by what is white in the data set."""
    return 0


def grey(values: np.ndarray, file: "Dataset") -> np.ndarray:
    """Return (height, width) uint8 of a picture's raw values: by its VOI table or its first window, if it has one."""
    from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

    values, how = apply_modality_lut(values, file), said(file)
    if how == "by its table":
        shown = apply_voi(values.astype(np.int64), file)
        picture = np.round(shown / (2 ** int(file.VOILUTSequence[0].LUTDescriptor[2]) - 1) * 255).astype(np.uint8)
    elif how == "by its window":
        with np.errstate(over="ignore"):  # of the exponential of one kind of window
            shown, (least, most) = (apply_windowing(one, file) for one in (values, FAR))
        picture = np.round((shown - least) / (most - least) * 255).astype(np.uint8)
    elif how == PLAIN:
        picture = values.astype(np.uint8)
    else:
        picture = stretched(values)
    return 255 - picture if file.PhotometricInterpretation == "MONOCHROME1" else picture


def said(file: "Dataset") -> str:
    """How the grey values of a file are shown."""
    if file.get("VOILUTSequence"):
        return "by its table"
    center, width = (file.get(name) for name in ("WindowCenter", "WindowWidth"))
    first = width if width is None or isinstance(width, (int, float)) else next(iter(width), None)
    exact = file.get("VOILUTFunction") in ("LINEAR_EXACT", "SIGMOID")
    if center is None or first is None or not (first > 0 if exact else first > 1):
        return PLAIN if is_plain(file) else "each from its least to its greatest value"
    return "by its window"


def is_plain(file: "Dataset") -> bool:
    """Return whether grey values are a screen's, of 8 bits and no modality (PS3.3 C.11.2: so they stay)."""
    changed = "ModalityLUTSequence" in file or (file.get("RescaleSlope", 1), file.get("RescaleIntercept", 0)) != (1, 0)
    return not changed and file.get("BitsStored") == 8 and not file.get("PixelRepresentation")


def by_bits(values: np.ndarray, file: "Dataset") -> np.ndarray:
    """Return colours of more than 8 bits, or a table's, which have 16 or 8, as uint8."""
    bits = int(file.BitsStored)
    if file.PhotometricInterpretation == "PALETTE COLOR":
        bits = 8 * values.dtype.itemsize
    return np.round(values / (2**bits - 1) * 255).astype(np.uint8)


def opened(data: bytes | bytearray, **options) -> "Dataset":
    file = library().dcmread(io.BytesIO(data), force=True, **options)
    if "Rows" not in file or "Columns" not in file:
        raise NotRead("is no DICOM file with a picture in it")
    if (n := int(file.get("NumberOfFrames") or 1)) > 1:
        raise NotRead(f"has {n} pictures in it: a volume or a video is none of one picture")
    return file


@functools.cache
def library() -> ModuleType:
    """pydicom, told not to speak of values that its standard does not allow.

    Raises:
        UserError: It is not installed.
    """
    packages.require(packages.DICOM[:1])
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    return pydicom


def require_decoder(file: "Dataset") -> None:
    """Raise a NotRead where the pixels are packed in a way that no installed package reads."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    syntax = UID(file.file_meta.get("TransferSyntaxUID", "")) if hasattr(file, "file_meta") else UID("")
    if not syntax:
        file.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"  # what a file without a start is by the standard
        return
    try:
        there = get_decoder(syntax).is_available
    except NotImplementedError:
        there, remedy = False, "write it as PNG"
    else:
        remedy = f"pip install {packages.DICOM[1]}"
    if not there:
        raise NotRead(f"is packed as {syntax.name}, and no installed package reads that: {remedy}")


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn the many errors of a damaged file into a ValueError."""
    try:
        yield
    except NotRead:
        raise
    except DAMAGED as error:
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from error
