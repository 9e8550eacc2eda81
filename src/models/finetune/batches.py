"""The batches of training: each epoch's order and each picture's augmentation, the same however many workers there are.

All randomness is a function of (seed, fold, epoch, step), so that a run that was killed resumes as it would have.
"""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import albumentations as A
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from src.base import machine
from src.base.errors import UserError
from src.base.interrupts import in_main_thread
from src.data.decoded import Squares
from src.models.links import link
from src.networks.backbones import DataConfig
from src.schema.competition import Competition
from src.schema.models import FineTune

AHEAD = 4  # batches that a process of the loader prepares
SHARE = 0.8  # of /dev/shm that they may take
PATIENCE_S, PICTURE_S = 50, 2  # and for each picture of a batch: without a batch, until the loader counts as dead
LOADER_FAULTS = ("DataLoader timed out", "DataLoader worker (pid")  # how torch's errors of that begin


@dataclass(frozen=True)
class Fold:
    """The training data of one fold. Rows are positions in `squares`; only `train` and `targets` reach the weights."""

    competition: Competition
    title: str  # for what is printed: the model, the fold and the seed
    number: int
    seed: int
    spec: FineTune
    squares: Squares
    ids: list[str]  # of all rows of `squares`
    train: np.ndarray  # (n,) rows
    targets: np.ndarray  # of each of these: see src/scoring/targets.py
    valid: np.ndarray  # (m,) the held-out rows, looked at after each epoch and never chosen by
    valid_targets: np.ndarray
    data_config: DataConfig
    precision: str
    dropped: int = 0  # rows outside of it that are not in `train`, since their labels are doubtful

    @property
    def k(self) -> int:
        """The outputs of the network."""
        return len(self.competition.outputs)

    @cached_property
    def wanted(self) -> np.ndarray:
        """(n,) classes or (n, k) float32 shares: what the network's outputs of `train` are to come to."""
        return link(self.competition).wanted(self.targets)

    @property
    def steps(self) -> int:
        """Optimizer steps of an epoch."""
        return math.ceil(len(self.train) / self.spec.batch_size)

    @property
    def noise(self) -> dict[str, int]:
        """How many rows were dropped, for what is written of the fold; empty where none could be."""
        return {} if self.spec.label_noise == "keep" else {"dropped": self.dropped}


def draw(*numbers: int) -> int:
    """A random seed that is a function of `numbers`."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def order(fold: Fold, epoch: int) -> list[np.ndarray]:
    """The positions in fold.train of an epoch's batches, equal in size to within one: one of 1 breaks batch norm."""
    n, rng = len(fold.train), np.random.default_rng(draw(fold.seed, fold.number, epoch))
    if fold.spec.sampling == "balanced":
        strata = fold.competition.target.strata(fold.targets)
        weights = 1 / np.bincount(strata)[strata]
        places = rng.choice(n, n, p=weights / weights.sum())
    else:
        places = rng.permutation(n)
    return np.array_split(places, fold.steps)


class Steps:
    """A sampler over the steps of an epoch, from one of them on: (epoch, step, positions in fold.train)."""

    def __init__(self, fold: Fold):
        self.fold, self.epoch, self.first = fold, 0, 0

    def __iter__(self) -> Iterator[tuple[int, int, np.ndarray]]:
        for step, batch in enumerate(order(self.fold, self.epoch)):
            if step >= self.first:
                yield self.epoch, step, batch

    def __len__(self) -> int:
        return self.fold.steps - self.first


class Augmented(TorchDataset):
    """(epoch, step, positions) -> the augmented pictures (n, 3, size, size) uint8 and what is wanted of them.

    A batch at a time: to seed the transforms for each picture, and to collate these, takes longer than a flip.
    """

    def __init__(self, fold: Fold, transform: A.Compose):
        self.fold, self.transform = fold, transform

    def __getitem__(self, at: tuple[int, int, np.ndarray]) -> tuple[Tensor, Tensor] | UserError:
        try:
            return self.batch(*at)
        except UserError as error:  # raised in a process of the loader, its text would be that process's traceback
            return error

    def batch(self, epoch: int, step: int, positions: np.ndarray) -> tuple[Tensor, Tensor]:
        fold = self.fold
        self.transform.set_random_seed(draw(fold.seed, fold.number, epoch, step, 2))
        size = fold.squares.geometry.size
        batch = np.empty((len(positions), size, size, 3), np.uint8)
        for square, row in zip(batch, fold.train[positions], strict=True):
            square[:] = fold.squares[row]
            augmented = self.transform(image=square)["image"]  # it may write into what it gets
            if augmented.shape != square.shape:
                raise UserError(f"{fold.title}: its augmentations turn {size} pixels a side into {augmented.shape[:2]}")
            square[:] = augmented
        return torch.from_numpy(batch).permute(0, 3, 1, 2), torch.from_numpy(fold.wanted[positions])


def processes(fold: Fold) -> tuple[int, int]:
    """Return the number of the loader's processes, and of the batches that each prepares ahead.

    They lie in /dev/shm, of which a container has 64 MB unless told otherwise: where it cannot hold them they are
    fewer, which is printed.
    """
    workers = machine.workers()
    batch = min(fold.spec.batch_size, len(fold.train)) * 3 * fold.squares.geometry.size**2
    free = machine.free_shared_memory()
    room = workers * AHEAD if math.isinf(free) else int(SHARE * free / batch) - 2  # one in use, one on its way
    if workers == 0 or room >= workers * AHEAD:
        return workers, AHEAD
    fewer = max(0, min(workers, room))
    each = room // fewer if fewer else 0
    print(
        f"{fold.title}  /dev/shm has {megabytes(free)} free: {fewer} of {workers} loader processes are started, "
        f"each {each} and not {AHEAD} batches ahead (docker run --shm-size=2g gives more)"
    )
    return fewer, each


def megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB"


class Batches:
    """The batches of a fold's epochs: (n, 3, size, size) uint8, and `Fold.wanted`. Its workers live as long as it."""

    def __init__(self, fold: Fold, transform: A.Compose):
        workers, ahead = processes(fold)
        self.fold, self.steps = fold, Steps(fold)
        self.prepared: tuple[tuple[int, int] | None, Iterator | None] = None, None  # an epoch and its first step
        self.loader = DataLoader(
            Augmented(fold, transform),
            sampler=self.steps,
            batch_size=None,
            num_workers=workers,
            pin_memory=machine.device().type == "cuda",
            persistent_workers=workers > 0,
            prefetch_factor=ahead if workers else None,
            timeout=PATIENCE_S + PICTURE_S * math.ceil(len(fold.train) / fold.steps) if workers else 0,
            worker_init_fn=ignore_sigint if workers else None,
        )

    def prepare(self, epoch: int, first: int = 0) -> None:
        """Let the loader's processes begin with an epoch, from the step `first` on. Raises UserError: As `of`."""
        with self.explained():
            self.steps.epoch, self.steps.first = epoch, first
            try:
                self.prepared = (epoch, first), iter(self.loader)
            finally:  # a signal may come while the processes are started
                leave_ended_processes()

    def of(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch from the step `first` on.

        Raises:
            UserError: An augmentation does not fit, a process of the loader ended, or none gave a batch for PATIENCE_S
                and PICTURE_S a picture: what it writes into a full /dev/shm is lost, and would be waited for without
                end.
        """
        if self.prepared[0] != (epoch, first):
            self.prepare(epoch, first)
        (_, items), self.prepared = self.prepared, (None, None)
        with self.explained():
            for item in items:
                if isinstance(item, UserError):
                    raise item
                yield item

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn torch's errors of a loader that is dead or hangs into a UserError."""
        try:
            yield
        except RuntimeError as error:
            if not str(error).startswith(LOADER_FAULTS):
                raise
            raise UserError(
                f"{self.fold.title}: {str(error).partition('.')[0]}: is memory full, or /dev/shm "
                f"({megabytes(machine.free_shared_memory())} free; docker run --shm-size=2g gives more)? What was "
                "finished is kept, and the same command resumes from there"
            ) from error


def leave_ended_processes() -> None:
    """Let no process that ends interrupt this one: that is found where its next batch is waited for.

    torch would raise it in the middle of a step or of a checkpoint, where a signal to all processes has ended them.
    """
    if in_main_thread():  # only there torch does
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def ignore_sigint(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal: a worker goes on until the training has saved, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
