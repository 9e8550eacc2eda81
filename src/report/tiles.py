"""Thumbnails: small WebP pictures as data URIs, from the decoded store where it has them, else from the files."""

import base64
import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from src.data import images, pixel_file
from src.schema.competition import Competition

SIDE = 144  # pixels of a tile's longer side; smaller pictures stay as they are
QUALITY, METHOD = 75, 2  # WebP's; method 4 takes twice as long for 5 % fewer bytes
LARGE = 100_000  # bytes of a JPEG
GREY = (136, 136, 136)
GONE, BROKEN = "image gone", "image not readable"
KNOWN = ["size", "mtime_ns", "sha256"]  # of the record: a file that did not change has the pixels of its sha256
FAULTS = (OSError, SyntaxError, ValueError, EOFError, struct.error)  # of Pillow


class Source:
    """The source of pixels: the store, by the sha256 that the data stage took of a file that did not change since."""

    def __init__(self, competition: Competition, record: pd.DataFrame | None):
        """`record`: the data stage's facts on the images, by path."""
        self.record = pd.DataFrame(columns=KNOWN) if record is None else record[KNOWN]
        self.places, self.pixels = stored(competition.pictures)
        self.white = competition.white

    def picture(self, path: Path, side: int = SIDE) -> Image.Image:
        """RGB, its longer side at most `side` pixels.

        Raises:
            FileNotFoundError: The file is gone; what the store still has of it is not shown.
            OSError, ValueError and others: It is no whole picture; see FAULTS.
        """
        stat = path.stat()
        if (pixels := self.stored_pixels(path, stat.st_size, stat.st_mtime_ns)) is not None:
            image = Image.fromarray(pixels)
        else:
            image = decode(path.read_bytes(), side, self.white)
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        return image

    def stored_pixels(self, path: Path, size: int, mtime_ns: int) -> np.ndarray | None:
        """(height, width, 3) uint8; None of a file that the store does not have as it is now."""
        if str(path) not in self.record.index:
            return None
        *known, sha = self.record.loc[str(path)].tolist()
        if known != [size, mtime_ns] or sha not in self.places.index:
            return None
        start, height, width = self.places.loc[sha].tolist()
        return self.pixels[start : start + height * width * 3].reshape(height, width, 3)

    def tile(self, path: Path) -> tuple[str | None, str]:
        """(data URI, ""), or None and why there is no picture."""
        try:
            return encode(self.picture(path)), ""
        except (FileNotFoundError, NotADirectoryError):
            return None, GONE
        except FAULTS:
            return None, BROKEN


def decode(data: bytes, side: int, white: int = images.WHITE) -> Image.Image:
    """The picture of a file's bytes; a large JPEG at a part of its size, which is still twice `side` or more."""
    if data.startswith(images.JPEG) and len(data) > LARGE:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (2 * side, 2 * side))
        return images.to_rgb(image)
    return Image.fromarray(images.decode(bytearray(data), white))


def stored(folder: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The decoded store's offset, height and width by sha256, of the pictures whose pixels exist; and the pixels.

    Of several the one with the largest pictures.
    """
    places, pixels = pd.DataFrame(columns=pixel_file.COLUMNS), np.empty(0, np.uint8)
    # without their key, pixels are nobody's
    for store in [path for path in pixel_file.stores(folder) if (path / "key.json").is_file()][:1]:
        places, _ = pixel_file.read_index(store)
        if len(places):
            pixels = np.asarray(np.memmap(store / "pixels.bin", np.uint8, mode="r"))
    return places.drop_duplicates("sha256").set_index("sha256"), pixels


def encode(image: Image.Image) -> str:
    """The picture as a data URI."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=METHOD)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def sheet(pictures: Sequence[Image.Image | None], side: int) -> tuple[str, int]:
    """All pictures on one, each in the middle of a square of `side` pixels, grey where there is none.

    Return its data URI, and the number of squares in a row.
    """
    columns = max(1, int(np.ceil(np.sqrt(len(pictures)))))
    whole = Image.new("RGB", (columns * side, -(-len(pictures) // columns) * side or side), GREY)
    for i, picture in enumerate(pictures):
        if picture is not None:
            left, top = i % columns * side, i // columns * side
            whole.paste(picture, (left + (side - picture.width) // 2, top + (side - picture.height) // 2))
    return encode(whole), columns
