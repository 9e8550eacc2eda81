"""From a picture to the square that a model sees: resized, cropped, and turned; no pixel of an exact view is made up.

Resizing is antialiased as Pillow's, which open_clip's and timm's own transforms use, by torch's native uint8 kernel (at
most 2 of 255 from Pillow's). OpenCV's resizing is not antialiased: on some photographs a CLIP's features then have a
cosine below 0.9 to those of its own transform.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# The exact views: on an array whose last two axes are height and width, both equal.
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
# The multi-crop views: of the picture at 8/7 of its size (256 for 224 pixels, as in Krizhevsky et al. 2012), the square
# that begins at this share of the room that is left, (vertical, horizontal).
CROPS: dict[str, tuple[float, float]] = {
    "crop_center": (0.5, 0.5),
    "crop_top_left": (0, 0),
    "crop_top_right": (0, 1),
    "crop_bottom_left": (1, 0),
    "crop_bottom_right": (1, 1),
}


REDUCED = "bicubic"  # how larger pictures are reduced for a store
LARGEST_RESIZED = 1 << 26  # pixels: a strip that would have more is resized in part


@dataclass(frozen=True)
class Geometry:
    """The way from a picture to a square; the modes are open_clip's resize_mode."""

    size: int  # pixels a side of the square
    resize: int  # pixels of the side that `mode` names, before the square is cut out of the middle
    mode: str = "shortest"  # or longest, with a frame of `fill`; or squash: both sides
    interpolation: str = "bicubic"  # or bilinear
    fill: int | tuple[int, ...] = 0

    def square(self, picture: np.ndarray, view: str = "identity") -> np.ndarray:
        """(h, w, 3) uint8 -> (size, size, 3) uint8, as the model's own transform has it, or one of CROPS."""
        if view in CROPS:
            size = shortest(picture, round(self.resize * 8 / 7))
            return cut(self.resized(picture, size, CROPS[view]), self.size, CROPS[view])
        if self.mode == "squash":
            size = (self.resize, self.resize)
        elif self.mode == "longest":
            ratio = max(picture.shape[:2]) / self.resize
            size = tuple(max(1, round(side / ratio)) for side in picture.shape[:2])
        else:
            size = shortest(picture, self.resize)
        middle = (0.5, 0.5)
        return cut(framed(self.resized(picture, size, middle), self.size, self.fill), self.size, middle)

    def resized(self, picture: np.ndarray, size: tuple[int, int], share: tuple[float, float]) -> np.ndarray:
        """Return the picture at `size`, or of one that is then huge, a strip, only what `cut` takes of its longer side.

        A picture of 40,000 x 2 pixels would else have 4,480,000 x 224, which are three gigabytes.
        """
        height, width = size
        if height * width <= LARGEST_RESIZED or min(size) == max(size):
            return resized(picture, size, self.interpolation)
        if height > width:
            return self.resized(picture.swapaxes(0, 1), (width, height), share[::-1]).swapaxes(0, 1)
        long = resized(picture, (picture.shape[0], width), self.interpolation)
        part = cut(long, (long.shape[0], self.size), share)
        return resized(np.ascontiguousarray(part), (height, self.size), self.interpolation)

    def exact_at(self, side: int | None) -> bool:
        """Return whether pictures that were `reduced` to `side` give the same squares (not of CROPS)."""
        return side is None or (self.mode == "shortest" and self.resize == side and self.interpolation == REDUCED)


def shortest(picture: np.ndarray, side: int) -> tuple[int, int]:
    """(height, width) with `side` as the shorter one, the other cut off as torchvision.transforms.Resize does it."""
    height, width = picture.shape[:2]
    return (int(side * height / width), side) if width <= height else (side, int(side * width / height))


def resized(picture: np.ndarray, size: tuple[int, int], interpolation: str = "bicubic") -> np.ndarray:
    """(h, w, 3) uint8 -> (*size, 3) uint8, antialiased."""
    if picture.shape[:2] == size:
        return picture
    import torch  # here: who only reads the decoded store does not wait for it
    from torch.nn import functional as F

    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None]
    return F.interpolate(pixels, size=size, mode=interpolation, antialias=True)[0].permute(1, 2, 0).numpy()


def framed(picture: np.ndarray, size: int, fill: int | tuple[int, ...]) -> np.ndarray:
    """The picture in the middle of a frame that makes both sides at least `size`."""
    missing = [max(size - side, 0) for side in picture.shape[:2]]
    if not any(missing):
        return picture
    height, width = (side + more for side, more in zip(picture.shape[:2], missing, strict=True))
    frame = np.empty((height, width, 3), np.uint8)
    frame[:] = fill
    top, left = (more // 2 for more in missing)
    frame[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return frame


def cut(picture: np.ndarray, size: int | tuple[int, int], share: tuple[float, float]) -> np.ndarray:
    """The pixels of `size` that begin at a share of the room, rounded as torchvision's CenterCrop does it."""
    size = (size, size) if isinstance(size, int) else size
    start = [round((side - n) * part) for side, n, part in zip(picture.shape[:2], size, share, strict=True)]
    rows, columns = (slice(at, at + n) for at, n in zip(start, size, strict=True))
    return picture[rows, columns]


def reduced(picture: np.ndarray, side: int | None) -> np.ndarray:
    """The picture with at most `side` pixels on its shorter side; unchanged where `side` is None."""
    if side is None or min(picture.shape[:2]) <= side:
        return picture
    return resized(picture, shortest(picture, side), REDUCED)


def normalised(
    squares: "torch.Tensor",
    mean: Sequence[float],
    std: Sequence[float],
    layout: "torch.memory_format | None" = None,
) -> "torch.Tensor":
    """uint8 (n, 3, size, size) -> float32 on the same device, as torchvision's ToTensor and Normalize have it."""
    import torch

    layout = torch.preserve_format if layout is None else layout
    pixels = squares.to(torch.float32, memory_format=layout).div_(255)  # in place: fresh memory costs more than sums
    return pixels.sub_(of_channels(tuple(mean), pixels.device)).div_(of_channels(tuple(std), pixels.device))


@functools.cache
def of_channels(values: tuple[float, ...], device: "torch.device") -> "torch.Tensor":
    """(3, 1, 1) float32, made once: each copy of them to a GPU would wait for all that it has to do."""
    import torch

    with torch.inference_mode(False):  # it outlives the block in which it is made
        return torch.tensor(values, dtype=torch.float32, device=device).view(3, 1, 1)
