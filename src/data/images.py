"""Pictures: one decoder for all stages, and the reason why a file is not a whole picture.

A plain JPEG or PNG is decoded by OpenCV, which gives Pillow's pixels bit for bit, faster and without Python's lock;
whatever is not plain (CMYK, 16 bits, transparency, other formats) by Pillow itself; arrays and DICOM by the files of
their names.
"""

import io
import os
import struct
from collections.abc import Iterable
from types import ModuleType

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from src.base.errors import UserError
from src.data import arrays, dicom, png
from src.data.depth import WHITE, NotRead, scaled

# The endings of pictures in folders; only decoding tells whether a file is one.
USUAL = (
    *(".apng", ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
# And of what may be a picture, or may lie beside those of the same folder as their mask, depth or original.
UNUSUAL = (".dcm", ".dicom", ".npy", ".npz")
ENDINGS = (*USUAL, *UNUSUAL)
# What a Mac's zip, Windows, and boxes that store files (Synology, QNAP) put beside the files, in small letters.
LEFT_BEHIND = {
    *("__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "system volume information"),
    *("lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini"),
}

JPEG = b"\xff\xd8\xff"  # how a file begins
LARGEST = 178_956_970  # pixels: a picture of more is not decoded whole, unless MAX_PIXELS in the environment says so
Image.MAX_IMAGE_PIXELS = None  # Pillow's limit is as high, and forbids to decode a part


class TooLarge(NotRead):
    """The picture has more pixels than are decoded."""


def is_picture(name: str) -> bool:
    """Return whether a file's name, or path, has the ending of a picture."""
    return name.lower().endswith(ENDINGS)


def choose(names: Iterable[str]) -> list[str]:
    """Return the names of a folder that are pictures'; of unusual endings only where it has none of the usual ones."""
    names = [name for name in names if is_picture(name)]
    return [name for name in names if name.lower().endswith(USUAL)] or names


def format_of(data: bytes | bytearray) -> ModuleType | None:
    """Return what reads a file that neither OpenCV nor Pillow does; None of all others."""
    return next((one for one in (arrays, dicom) if one.is_one(data)), None)


def header(data: bytes | bytearray) -> tuple[tuple[int, int], str]:
    """Return the width and height in pixels, as the file has them, and its mode, for a sentence.

    Raises:
        OSError, SyntaxError, ValueError: As `decode` raises them.
    """
    if (other := format_of(data)) is not None:
        return other.header(data)
    image = opened(data)
    return image.size, image.mode


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is to be passed over: what programs put beside the files, unasked."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def opened(data: bytes | bytearray) -> Image.Image:
    """Open a file's bytes as Pillow does, and a PNG without the chunks that libpng leaves out as damaged.

    Raises:
        OSError, SyntaxError, ValueError: Pillow's own, for a file that is not a picture.
    """
    return Image.open(io.BytesIO(png.without_damaged_chunks(data)))


def decode(data: bytearray, white: int = WHITE) -> np.ndarray:
    """Decode a file's bytes to the picture that a person would see: (height, width, 3) uint8 RGB, upright (EXIF).

    Args:
        white: The value that is white in a picture of more than 8 bits; all above it is white too.

    Raises:
        OSError, SyntaxError, ValueError: Pillow's own, for a file that is not a whole picture.
        TooLarge: It has more than LARGEST pixels, and its format cannot be decoded reduced.
    """
    if is_plain(data) and png.is_whole(data):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if pixels is not None:  # a file that it does not like is Pillow's to judge
            return pixels
    if (other := format_of(data)) is not None:
        require_size(*other.header(data)[0])
        return other.decode(data, white)
    image = opened(data)
    reduce(image)
    if white != WHITE and (colours := png.deep_colours(data)) is not None:
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
    if data.startswith(png.START) and len(data) > 28:
        (width, height), (bits, colour, interlaced) = struct.unpack(">II", data[16:24]), (data[24], data[25], data[28])
        plain = bits == 8 and colour in (0, 2, 3) and not interlaced and width * height <= LARGEST
        plain = plain and data.find(b"tRNS", 0, data.find(b"IDAT")) < 0
        return plain, plain and png.is_turned(data)
    if not data.startswith(JPEG):
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
                turned = turned or plain is not None or exif > 1 or png.ODD_TAG.search(segment) is not None
        at += 2 + length
    return False, False


def greatest(data: bytes | bytearray) -> int:
    """Return the greatest value in a picture of more than 8 bits, from 1; 0 for other pictures."""
    if (other := format_of(data)) is not None:
        return other.greatest(data)
    image = opened(data)
    if image.mode.startswith("I"):
        return max(1, int(np.asarray(image).max()))
    colours = png.deep_colours(data)
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
    width, height = image.size
    if width * height <= LARGEST:
        return
    is_jpeg = image.format in ("JPEG", "MPO")
    part = next((part for part in (2, 4, 8) if width * height <= LARGEST * part**2), 8) if is_jpeg else 1
    require_size(width, height, part, "" if is_jpeg else ", or as a JPEG, which is read reduced")
    if is_jpeg:
        image.draft(image.mode, (width // part, height // part))


def require_size(width: int, height: int, part: int = 1, otherwise: str = "") -> None:
    """Raise a TooLarge for a picture that has too many pixels at a `part` of its sides; `otherwise` is what helps."""
    if width * height > (most := largest()) * part**2:
        needed = -(-width * height // part**2)
        raise TooLarge(
            f"has {width} x {height} pixels, and {most:,} are read at most: save it smaller{otherwise}; or set the "
            f"environment's MAX_PIXELS={needed}, with {needed * 6e-9:.1f} GB of memory for each picture that is being "
            "read"
        )


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
        if format_of(data) is not None:
            decode(bytearray(data))
            return None
        to_rgb(opened(data))
        if data.startswith(png.START):
            opened(data).verify()  # the checksums of all chunks but the last
            if png.END not in data:
                return "cannot be read to its end: its last chunk is cut off"
    except UnidentifiedImageError:
        return "is not an image"
    except NotRead as error:
        return str(error)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        return f"cannot be read to its end: {str(error) or type(error).__name__}"
    return None
