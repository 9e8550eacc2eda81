"""Batches of pictures that lie on the device and are augmented there, for networks whose steps are over before a
loader has made the next batch.

Pixels are moved by indices and never mixed: a batch is the same on every device, bit for bit. What moves each picture
is drawn as in models/finetune/batches.py, from (seed, fold, epoch, step).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import albumentations as A
import cv2
import numpy as np
import torch
from torch import Tensor

from src.base import machine
from src.base.errors import UserError
from src.base.threads import parallel
from src.models.finetune import augment
from src.models.finetune.batches import Batches, Fold, draw, megabytes, order
from src.schema.models import Augment, FineTune

ROWS, COLUMNS = 0, 1
STILL = {  # of an Affine that only shifts
    "scale": {"x": (1.0, 1.0), "y": (1.0, 1.0)},
    "rotate": (0.0, 0.0),
    "shear": {"x": (0.0, 0.0), "y": (0.0, 0.0)},
    "translate_px": None,
    "fit_output": False,
    "border_mode": cv2.BORDER_REFLECT_101,
}


class Flip:
    """Mirrors pictures along an axis, a share `p` of them."""

    def __init__(self, axis: int, p: float):
        self.axes, self.p = (axis,), p

    def draw(self, rng: np.random.Generator, n: int, size: int) -> np.ndarray:
        """(1, n) whether a picture is mirrored."""
        return (rng.random((1, n)) < self.p).astype(np.int64)

    def index(self, place: Tensor, drawn: Tensor) -> Tensor:
        """(n, size): for each of its places (size,) which one of the picture before comes there."""
        return torch.where(drawn[:, None] > 0, len(place) - 1 - place, place)


class Shift:
    """Shifts pictures by whole pixels, a share `p` of them; at the borders they are mirrored."""

    def __init__(self, columns: tuple[float, float], rows: tuple[float, float], p: float):
        self.axes, self.shares, self.p = (ROWS, COLUMNS), (rows, columns), p

    def draw(self, rng: np.random.Generator, n: int, size: int) -> np.ndarray:
        """(2, n) pixels down and to the right."""
        bounds = np.clip(np.round(np.multiply(self.shares, size)).astype(int), 1 - size, size - 1)
        return (rng.random(n) < self.p) * np.stack([rng.integers(low, high + 1, n) for low, high in bounds])

    def index(self, place: Tensor, drawn: Tensor) -> Tensor:
        """As `Flip.index`."""
        last = len(place) - 1
        return last - (last - (place - drawn[:, None]).abs()).abs()


def moves(augments: tuple[Augment, ...]) -> list[Flip | Shift]:
    """Augmentations that move pixels alone.

    Raises:
        UserError: One does more than that.
    """
    return [move(augment.make(one), one) for one in augments]


def move(transform: A.BasicTransform, named: Augment) -> Flip | Shift:
    if isinstance(transform, A.HorizontalFlip | A.VerticalFlip):
        return Flip(COLUMNS if isinstance(transform, A.HorizontalFlip) else ROWS, transform.p)
    if isinstance(transform, A.Affine) and all(getattr(transform, name) == value for name, value in STILL.items()):
        return Shift(transform.translate_percent["x"], transform.translate_percent["y"], transform.p)
    raise UserError(
        f"augment_on='device' takes HorizontalFlip, VerticalFlip and an Affine of translate_percent alone with "
        f"border_mode=4, and not {named.name}({', '.join(f'{name}={value!r}' for name, value in named.args.items())}): "
        "augment_on='loader'"
    )


def check(spec: FineTune) -> None:
    """Refuse augmentations that are unknown, or that cannot be made where they are to be. Raises UserError."""
    augment.compose(spec.augment)
    if spec.augment_on == "device":
        moves(spec.augment)


class Resident:
    """As `Batches`, with the training rows' squares on the device: (n, 3, size, size) uint8.

    Raises:
        UserError: The GPU has no memory for them.
    """

    def __init__(self, fold: Fold):
        self.fold, self.moves, device = fold, moves(fold.spec.augment), machine.device()
        self.size = fold.squares.geometry.size
        pixels = np.empty((len(fold.train), self.size, self.size, 3), np.uint8)
        squares = parallel(lambda row: fold.squares[row], list(fold.train), f"{fold.title} to the device")
        for place, square in zip(pixels, squares, strict=True):
            place[:] = square
        with self.explained(pixels.nbytes):
            self.pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device)
        self.wanted = torch.from_numpy(fold.wanted).to(device)
        self.place, self.channel = torch.arange(self.size, device=device), torch.arange(3, device=device)

    def prepare(self, epoch: int, first: int = 0) -> None:
        """Nothing has to be begun."""

    def of(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch from the step `first` on, on the device.

        Raises:
            UserError: The GPU has no memory for one beside all pictures.
        """
        for step, positions in enumerate(order(self.fold, epoch)[first:], first):
            with self.explained(self.pixels.nbytes):
                batch = self.batch(epoch, step, positions)
            yield batch

    @contextmanager
    def explained(self, size: int) -> Iterator[None]:
        """Turn the end of the GPU's memory into a UserError, which names the pictures' bytes."""
        try:
            yield
        except RuntimeError as error:
            if not machine.is_out_of_memory(error):
                raise
            why = f"the GPU has no memory for {megabytes(size)} of pictures and what it does with them"
            raise UserError(f"{self.fold.title}: {why}: augment_on='loader'") from error

    def batch(self, epoch: int, step: int, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng(draw(self.fold.seed, self.fold.number, epoch, step, 2))
        drawn = [one.draw(rng, len(positions), self.size) for one in self.moves]
        numbers = torch.from_numpy(np.concatenate([positions[None], *drawn]))
        if self.pixels.is_cuda:
            numbers = numbers.pin_memory()  # so that the copy is not waited for
        chosen, *drawn = numbers.to(self.pixels.device, non_blocking=True)
        index = [self.place.expand(len(positions), -1) for _ in (ROWS, COLUMNS)]
        for one in self.moves:
            for axis in one.axes:
                index[axis] = index[axis].gather(1, one.index(self.place, drawn.pop(0)))
        rows, columns = index[ROWS][:, None, :, None], index[COLUMNS][:, None, None, :]
        pixels = self.pixels[chosen[:, None, None, None], self.channel[:, None, None], rows, columns]
        return pixels, self.wanted[chosen]


def batches(fold: Fold, transform: A.Compose) -> Batches | Resident:
    """The batches of a fold's epochs, from where its recipe has them augmented."""
    return Resident(fold) if fold.spec.augment_on == "device" else Batches(fold, transform)
