"""Pictures: one decoder for all stages, and the reason why a file is not a whole picture.

A plain JPEG or PNG is decoded by OpenCV, which gives Pillow's pixels bit for bit, faster and without Python's lock;
whatever is not plain (CMYK, 16 bits, transparency, other formats) by Pillow itself.
"""

import io
import os
import re
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from src.base.errors import UserError

# The endings of pictures in folders; only decoding tells whether a file is one.
ENDINGS = (
    *(".apng", ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
# What a Mac's zip, Windows, and boxes that store files (Synology, QNAP) put beside the files, in small letters.
LEFT_BEHIND = {
    *("__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "system volume information"),
    *("lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini"),
}
WHITE = 65535  # the value that is white in pictures of more than 8 bits, where a config says nothing else

LARGEST = 178_956_970  # pixels: a picture of more is not decoded whole, unless MAX_PIXELS in the environment says so
Image.MAX_IMAGE_PIXELS = None  # Pillow's limit is as high, and forbids to decode a part

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"  # the last chunk's name and checksum
# The tag of the orientation, of either order of bytes, as another kind of number than OpenCV looks for
ODD_TAG = re.compile(rb"\x01\x12\x00[^\x03]|\x12\x01[^\x03]\x00", re.DOTALL)
EXIF_IN_TEXT = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"XML:com.adobe.xmp\0")  # of a PNG


class TooLarge(ValueError):
    """The picture has more pixels than are decoded."""


def is_picture(name: str) -> bool:
    """Return whether a file's name, or path, has the ending of a picture."""
    return name.lower().endswith(ENDINGS)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is to be passed over: what programs put beside the files, unasked."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def opened(data: bytes | bytearray) -> Image.Image:
    """Open a file's bytes as Pillow does, and a PNG without the chunks that libpng leaves out as damaged.

    Raises:
        OSError, SyntaxError, ValueError: Pillow's own, for a file that is not a picture.
    """
    return Image.open(io.BytesIO(without_damaged_chunks(data)))


def decode(data: bytearray, white: int = WHITE) -> np.ndarray:
    """Decode a file's bytes to the picture that a person would see: (height, width, 3) uint8 RGB, upright (EXIF).

    Args:
        white: The value that is white in a picture of more than 8 bits; all above it is white too.

    Raises:
        OSError, SyntaxError, ValueError: Pillow's own, for a file that is not a whole picture.
        TooLarge: It has more than LARGEST pixels, and its format cannot be decoded reduced.
    """
    if is_plain(data):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if pixels is not None:  # a file that it does not like is Pillow's to judge
            return pixels
    image = opened(data)
    reduce(image)
    if white != WHITE and (colours := deep_colours(data)) is not None:
        info = {name: value for name, value in image.info.items() if name != "transparency"}
        image = Image.fromarray(np.dstack([scaled(colours[..., :3], white), scaled(colours[..., 3:], WHITE)]))
        image.info = info  # the orientation
    return np.array(to_rgb(image, white))


def is_plain(data: bytearray) -> bool:
    """Return whether OpenCV and Pillow read the same in the file: 8 bits, grey, palette or RGB, nothing transparent."""
    plain, turned = scan(data)
    return plain and not turned


def scan(data: bytearray) -> tuple[bool, bool]:
    """Return whether OpenCV has a file's pixels right, and whether Pillow may find an orientation that it overlooks."""
    if data.startswith(PNG_START):
        (width, height), (bits, colour, interlaced) = struct.unpack(">II", data[16:24]), (data[24], data[25], data[28])
        plain = bits == 8 and colour in (0, 2, 3) and not interlaced and width * height <= LARGEST
        plain = plain and data.find(b"tRNS", 0, data.find(b"IDAT")) < 0
        return plain, plain and is_turned_png(data)
    if not data.startswith(b"\xff\xd8\xff"):
        return False, False
    at, plain, turned, exif = 2, None, False, 0
    while at + 9 < len(data) and data[at] == 0xFF:  # a JPEG's segments, up to its pixels
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xDA:
            return bool(plain), turned
        if marker in (0xC0, 0xC1, 0xC2):  # the one that says how many colours it has
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            plain = data[at + 4] == 8 and data[at + 9] in (1, 3) and width * height <= LARGEST
        elif marker == 0xE1:
            segment = data[at + 4 : at + 2 + length]
            exif += segment.startswith(b"Exif")
            if b"Orientation" in segment:  # in XMP, which Pillow reads as well
                if plain is None:
                    return False, False
                turned = True
            elif segment.startswith(b"Exif"):
                turned = turned or plain is not None or exif > 1 or ODD_TAG.search(segment) is not None
        at += 2 + length
    return False, False


def is_turned_png(data: bytearray) -> bool:
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
    at = len(PNG_START)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if end + 4 > len(data):
            return
        yield bytes(data[at + 4 : at + 8]), at + 8, end
        at = end + 4


def without_damaged_chunks(data: bytes | bytearray) -> bytes | bytearray:
    """Return a PNG without the chunks that are no part of its pixels and have a wrong checksum."""
    if not data.startswith(PNG_START):
        return data
    view = memoryview(data)
    damaged = [
        (start - 8, end + 4)
        for name, start, end in chunks(data)
        if name[:1].islower() and zlib.crc32(view[start - 4 : end]) != int.from_bytes(data[end : end + 4])
    ]
    for start, end in reversed(damaged):
        data = data[:start] + data[end:]
    return data


def deep_colours(data: bytes | bytearray) -> np.ndarray | None:
    """Return (height, width, 4) uint16 RGBA of a PNG of 16 bits in colours, which Pillow cuts to 8; None of others."""
    if not data.startswith(PNG_START) or data[24] != 16 or data[25] not in (2, 4, 6):
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        return None
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGBA)


def scaled(values: np.ndarray, white: int) -> np.ndarray:
    """Scale values of more than 8 bits to uint8, `white` and what is above it to 255."""
    return np.round(np.minimum(values, white) / (white / 255)).astype(np.uint8)


def greatest(data: bytes | bytearray) -> int:
    """Return the greatest value in a picture of more than 8 bits, from 1; 0 for other pictures."""
    image = opened(data)
    if image.mode.startswith("I"):
        return max(1, int(np.asarray(image).max()))
    colours = deep_colours(data)
    return 0 if colours is None else max(1, int(colours[..., :3].max()))


def white_over(top: int) -> int:
    """Return the white of pictures whose greatest value is `top`: that of the fewest bits that it takes."""
    return WHITE if top == 0 else (1 << int(top).bit_length()) - 1


def to_rgb(image: Image.Image, white: int = WHITE) -> Image.Image:
    """Convert as `decode` does, by Pillow: RGB, 8 bits, upright, transparency on white, 16-bit grey scaled.

    Raises:
        TooLarge: It has more than LARGEST pixels, and its format cannot be decoded reduced.
    """
    reduce(image)
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range nobody has told")
    if image.mode.startswith("I"):  # 16-bit grey, which convert("RGB") would cut off at 255
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("its pixels have more than 16 bits")
        return Image.fromarray(scaled(grey, white)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white_picture = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white_picture, image).convert("RGB")
    return image.convert("RGB")


def reduce(image: Image.Image) -> None:
    """Have a JPEG of more than LARGEST pixels decoded at a half, a quarter or an eighth of its sides.

    MAX_PIXELS changes no picture that is read without it: each file has the same pixels everywhere.

    Raises:
        TooLarge: That is not enough, or it is no JPEG; MAX_PIXELS may allow more.
    """
    (width, height), most = image.size, largest()
    if width * height <= LARGEST:
        return
    is_jpeg = image.format in ("JPEG", "MPO")
    part = next((part for part in (2, 4, 8) if width * height <= LARGEST * part**2), 8) if is_jpeg else 1
    if width * height > most * part**2:
        smaller = "save it smaller" if is_jpeg else "save it smaller, or as a JPEG, which is read reduced"
        needed = -(-width * height // part**2)
        raise TooLarge(
            f"has {width} x {height} pixels, and {most:,} are read at most: {smaller}; or set the environment's "
            f"MAX_PIXELS={needed}, with {needed * 6e-9:.1f} GB of memory for each picture that is being read"
        )
    if is_jpeg:
        image.draft(image.mode, (width // part, height // part))


def largest() -> int:
    """Return how many pixels are decoded at most: LARGEST, or more by the environment's MAX_PIXELS.

    Raises:
        UserError: That is no number.
    """
    given = os.environ.get("MAX_PIXELS", "")
    if given and not given.isdecimal():
        raise UserError(f"MAX_PIXELS is {given!r}: it is the pixels of the largest picture to read, as {LARGEST}")
    return max(LARGEST, int(given or 0))


def explain_fault(data: bytes) -> str | None:
    """Return why these bytes are not a whole picture; None if they are."""
    if not data:
        return "is empty (zero bytes)"
    try:
        to_rgb(opened(data))
        if data.startswith(PNG_START):
            opened(data).verify()  # the checksums of all chunks but the last
            if PNG_END not in data:
                return "cannot be read to its end: its last chunk is cut off"
    except UnidentifiedImageError:
        return "is not an image"
    except TooLarge as error:
        return str(error)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        return f"cannot be read to its end: {str(error) or type(error).__name__}"
    return None
