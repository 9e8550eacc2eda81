"""PNG files by their chunks: what OpenCV and Pillow overlook in them, or stumble over."""

import re
import zlib
from collections.abc import Iterator

import cv2
import numpy as np

START, END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"  # the last chunk's name and checksum
# The tag of the orientation, of either order of bytes, as another kind of number than OpenCV looks for
ODD_TAG = re.compile(rb"\x01\x12\x00[^\x03]|\x12\x01[^\x03]\x00", re.DOTALL)
EXIF_IN_TEXT = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"XML:com.adobe.xmp\0")  # of a PNG


def is_turned(data: bytearray) -> bool:
    """Return whether a PNG's orientation may stand where OpenCV does not look: in a text, or behind its pixels."""
    seen = False
    for name, start, end in chunks(data):
        seen = seen or name == b"IDAT"
        if name == b"eXIf" and (seen or ODD_TAG.search(data, start, end)):
            return True
        if name in (b"tEXt", b"zTXt", b"iTXt") and data.startswith(EXIF_IN_TEXT, start):
            return True
    return False


def chunks(data: bytes | bytearray) -> Iterator[tuple[bytes, int, int]]:
    """Yield a PNG's chunks, up to where it is cut off: the name, and where the content starts and ends."""
    at = len(START)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if end + 4 > len(data):
            return
        yield bytes(data[at + 4 : at + 8]), at + 8, end
        at = end + 4


def is_intact(view: memoryview, start: int, end: int) -> bool:
    """Return whether a chunk, its content at start to end, has the checksum that stands behind it."""
    return zlib.crc32(view[start - 4 : end]) == int.from_bytes(view[end : end + 4])


def is_whole(data: bytes | bytearray) -> bool:
    """Return whether a PNG has its end, and right checksums of the chunks that its pixels need; True of other files.

    Native code writes a line of its own about one that has not, without its name.
    """
    if not data.startswith(START):
        return True
    view = memoryview(data)
    needed = ((start, end) for name, start, end in chunks(data) if name[:1].isupper())
    return data.rfind(END) >= 0 and all(is_intact(view, start, end) for start, end in needed)


def without_damaged_chunks(data: bytes | bytearray) -> bytes | bytearray:
    """Return a PNG without the chunks that are no part of its pixels and have a wrong checksum."""
    if not data.startswith(START):
        return data
    view = memoryview(data)
    damaged = [
        (start - 8, end + 4)
        for name, start, end in chunks(data)
        if name[:1].islower() and not is_intact(view, start, end)
    ]
    for start, end in reversed(damaged):
        data = data[:start] + data[end:]
    return data


def deep_colours(data: bytes | bytearray) -> np.ndarray | None:
    """Return (height, width, 4) uint16 RGBA of a PNG of 16 bits in colours, which Pillow cuts to 8; None of others."""
    if not data.startswith(START) or data[24] != 16 or data[25] not in (2, 4, 6) or not is_whole(data):
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        return None
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGBA)
