"""The batches of training: each epoch's order and each picture's augmentation, the same however many workers there are.

All randomness is a function of (seed, fold, epoch, position), so that a run that was killed goes on as it would have.
"""

import math
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import albumentations as A
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from src import machine
from src.backbones import DataConfig
from src.errors import UserError
from src.recipe import FineTune
from src.store import Squares


@dataclass(frozen=True)
class Fold:
    """What one fold is trained with. Rows are positions in `squares`; only `train` and `targets` reach the weights."""

    title: str  # for what is printed: the model, the fold and the seed
    number: int
    seed: int
    spec: FineTune
    squares: Squares
    ids: list[str]  # of all rows of `squares`
    train: np.ndarray  # (n,) rows
    targets: np.ndarray  # (n,) class of each
    valid: np.ndarray  # (m,) the held-out rows, looked at after each epoch and never chosen by
    valid_targets: np.ndarray
    k: int  # classes
    data_config: DataConfig
    metric: str
    precision: str

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch."""
        return math.ceil(len(self.train) / self.spec.batch_size)


def draw(*numbers: int) -> int:
    """A random seed that is a function of `numbers`."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def order(fold: Fold, epoch: int) -> list[np.ndarray]:
    """The positions in fold.train of each batch of an epoch, of equal size to within one.

    (A last batch of 1 would break batch norm.)
    """
    n, rng = len(fold.train), np.random.default_rng(draw(fold.seed, fold.number, epoch))
    if fold.spec.sampling == "balanced":
        counts = np.bincount(fold.targets, minlength=fold.k)
        likely = 1 / counts[fold.targets]
        places = rng.choice(n, n, p=likely / likely.sum())
    else:
        places = rng.permutation(n)
    return np.array_split(places, fold.steps)


class Order:
    """A batch sampler over (epoch, place in the epoch, position), from a step of an epoch on."""

    def __init__(self, fold: Fold):
        self.fold, self.epoch, self.first = fold, 0, 0

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        batches, start = order(self.fold, self.epoch), 0
        for step, batch in enumerate(batches):
            if step >= self.first:
                yield [(self.epoch, start + i, int(position)) for i, position in enumerate(batch)]
            start += len(batch)

    def __len__(self) -> int:
        return self.fold.steps - self.first


class Augmented(TorchDataset):
    """(epoch, place, position) -> the augmented picture (3, size, size) uint8 and its class."""

    def __init__(self, fold: Fold, transform: A.Compose):
        self.fold, self.transform = fold, transform

    def __getitem__(self, at: tuple[int, int, int]) -> tuple[Tensor, int]:
        (epoch, place, position), fold = at, self.fold
        self.transform.set_random_seed(draw(fold.seed, fold.number, epoch, place))
        before = fold.squares[fold.train[position]]
        square = self.transform(image=before.copy())["image"]  # it may write into what it gets
        if square.shape != before.shape:
            raise UserError(
                f"{fold.title}: its augmentations turn {before.shape[0]} pixels a side into {square.shape[:2]}"
            )
        return torch.from_numpy(np.ascontiguousarray(square)).permute(2, 0, 1), int(fold.targets[position])


class Batches:
    """The batches of a fold's epochs: (n, 3, size, size) uint8 and (n,) int64. Workers live as long as this does."""

    def __init__(self, fold: Fold, transform: A.Compose):
        workers = machine.workers()
        self.order = Order(fold)
        self.loader = DataLoader(
            Augmented(fold, transform),
            batch_sampler=self.order,
            num_workers=workers,
            pin_memory=machine.device().type == "cuda",
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            worker_init_fn=heedless if workers else None,
        )

    def of(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Those of an epoch from the step `first` on."""
        self.order.epoch, self.order.first = epoch, first
        return iter(self.loader)


def heedless(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal: a worker goes on until the training has saved, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
