"""Features made ready for a linear probe: centred, turned into their eigenbasis, and sorted by fold.

Both are exact for logistic regression with an intercept and an L2 penalty: the intercept absorbs the center, and a
rotation leaves the length of coefficients alone. In the eigenbasis the curvature is nearly diagonal. The optimum's
coefficients are sums of the centred rows, so that a few rows need no more columns than there are rows.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from src.base import machine

READ = 2**20  # bytes of features centred and turned at a time: more is no faster, and memory that is kept
STRIPE = 128  # rows of the Gram matrix at a time, from the diagonal on: below it are the same numbers
FEW = 512  # rows: float64 takes hardly longer with these, and one call for all of them is sooner done than one a block
FLOOR = 2**26  # bytes of work that are always allowed: little features need no thrift, and wide products are faster
HELD = 2**27  # bytes of a file that the process holds at a time; the system caches the others if it has room


class Design(AbstractContextManager):
    """The features, centred, rotated and sorted by block: made once, used for many solves.

    Args:
        feats: (n, d) float16 or float32: an array, or what has a shape and gives arrays for slices of rows.
        block: (n,) integers from 0 on: the unit that a problem trains on or holds out, such as the fold.
        device: Where the products are computed.
        dtype: Of the products. float32 reaches a tolerance of 1e-6.
        scratch: A folder. The rotated features live in a file there, if it has room for them, where they have more than
            `memory` bytes.
        memory: Bytes.

    Attributes:
        basis: (d, rank) orthonormal columns; rank = d, or n where that is less and the features are small.
        center: (d,); curvature: (rank,) the mean squares of z.
        z: (n, rank) the features, centred, times the basis.
        paths: Where the solver of few rows has been (models/logreg/few.py).
    """

    @machine.full_float32()
    def __init__(
        self,
        feats,
        block: np.ndarray,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        scratch: Path | None = None,
        memory: int = 2**30,
    ):
        self.n, self.d = feats.shape
        self.device, self.dtype = torch.device(device), dtype
        self.order = np.argsort(block, kind="stable")
        self.block = block[self.order]
        self.paths = {}
        self.bounds = np.concatenate([[0], np.bincount(block).cumsum()]).tolist()
        self.blocks = len(self.bounds) - 1
        narrow = self.n < self.d and 32 * self.n * self.d <= FLOOR  # four such matrices in float64
        self.rank = self.n if narrow else self.d
        size = self.n * self.rank * dtype.itemsize
        self.work = max(FLOOR, min(size, memory) * 5 // 8)
        self.file, self.held = None, 0
        self.center, self.basis, self.curvature = (self.row_space if narrow else self.eigenbasis)(feats)
        if scratch is not None and size > memory:
            self.file = file_of(size, scratch)
        if self.file is None:
            self.z = torch.empty(self.n, self.rank, dtype=dtype, device=self.device)
        else:
            self.z = torch.frombuffer(self.file, dtype=dtype).view(self.n, self.rank)
        place = torch.from_numpy(np.argsort(self.order))
        for start, rows in self.read(feats, self.center):
            self.let_go(rows.nbytes)
            self.z[place[start : start + len(rows)].to(self.z.device)] = (rows @ self.basis).to(self.z.device)

    def read(self, feats, center: Tensor | float) -> Iterator[tuple[int, Tensor]]:
        """Pieces of the centred features, each with the number of its first row."""
        step = max(1, READ // (self.d * self.dtype.itemsize))
        for start in range(0, self.n, step):
            rows = torch.from_numpy(np.array(feats[start : start + step])).to(self.device, self.dtype)
            yield start, rows.sub_(center)

    def eigenbasis(self, feats) -> tuple[Tensor, Tensor, Tensor]:
        """The center (d,), the Gram matrix's eigenvectors (d, d) and the eigenvalues (d,) over n.

        The eigenvectors are found in float64, so that they are orthogonal to the last bit of float32: the rotation is
        exact then. That they are of a rounded Gram matrix is no matter: another basis is as exact, and hardly slower.
        """
        near = torch.from_numpy(np.array(feats[:1024])).to(self.device, torch.float64).mean(0).to(self.dtype)
        gram = torch.zeros(self.d, self.d, dtype=self.dtype, device=self.device)
        total = torch.zeros(self.d, dtype=torch.float64, device=self.device)
        for _, rows in self.read(feats, near):
            total += rows.sum(0, dtype=torch.float64)
            for i in range(0, self.d, STRIPE):
                gram[i : i + STRIPE, i:].addmm_(rows[:, i : i + STRIPE].T, rows[:, i:], alpha=1 / self.n)
        gram = gram.double().addr_(total, total, alpha=-1 / self.n**2)
        center = near + (total / self.n).to(self.dtype)
        values, vectors = (each.to(self.dtype) for each in torch.linalg.eigh(gram, UPLO="U"))
        return center, vectors, values.clamp_min(0)

    def row_space(self, feats) -> tuple[Tensor, Tensor, Tensor]:
        """As `eigenbasis`, of fewer rows than features: the basis is (d, n), the eigenvalues (n,)."""
        rows = torch.from_numpy(np.array(feats[:])).to(self.device, torch.float64)
        center = rows.mean(0).to(self.dtype)
        turn, triangle = torch.linalg.qr(rows.sub_(center).T)
        values, vectors = torch.linalg.eigh(triangle @ triangle.T / self.n)
        return center, (turn @ vectors).to(self.dtype), values.clamp_min(0).to(self.dtype)

    @property
    def few(self) -> bool:
        """Whether Newton's method (models/logreg/few.py) solves."""
        return self.n <= FEW and self.dtype == torch.float64

    def trains(self, without: Sequence[int]) -> np.ndarray:
        """(blocks,) bool: those whose rows are not held out."""
        return ~np.isin(np.arange(self.blocks), list(without))

    def rows(self, piece: slice) -> Tensor:
        rows = self.z[piece]
        self.let_go(rows.nbytes)
        return rows.to(self.device)

    def let_go(self, size: int) -> None:
        """Makes room in memory for so many more bytes of the file, which keeps those before."""
        self.held += size
        if self.file is not None and self.held > HELD and hasattr(mmap, "MADV_DONTNEED"):
            self.file.madvise(mmap.MADV_DONTNEED)
            self.held = size

    def __exit__(self, *_) -> None:
        self.z = self.file = None  # unmapped with the last piece of it


def file_of(size: int, folder: Path) -> mmap.mmap | None:
    """A mapped file of so many bytes, or None where the folder's disk has no room for it.

    It has no name: it is gone with the process, whatever happens.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # room that is missed later ends the process
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return mmap.mmap(file.fileno(), size)
    except OSError:
        return None
