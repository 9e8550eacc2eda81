"""Tables of predictions of many classes: of each row the likeliest classes, the others all of one probability.

A table (n, k) of 700,000 rows and 15,000 classes has 10.5e9 cells, 42 GB as float32. From CELLS cells on one keeps the
KEPT likeliest classes of each row, which are 400 bytes a row; what is left of its sum is spread evenly over the others.
Where the true class is one of those that are kept, its place and its log loss stay as they are; else it has no place
that counts, and its log loss is that of a class of which nothing is known but that it is none of these.

Sums of such tables, each with a weight, are exact until they are cut to KEPT classes again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from src.scoring.blocks import blocks

CELLS = 200_000_000  # 0.8 GB of float32: a blend of five models has a dozen such tables at once
KEPT = 50  # more than any ranking asks for (20); how much of a row's sum is left out depends on the model
FEWEST = 8 * KEPT  # classes: of fewer it would save little, since a class that is kept takes 8 bytes and a cell 4


class NotDense:
    """What numpy must not turn into an array, silently and cell by cell."""

    __array_ufunc__ = None

    def __array__(self, *args, **kwargs):
        raise TypeError(f"a {type(self).__name__} is not to be made dense")


@dataclass(frozen=True, eq=False)
class SparseTable(NotDense):
    """A table (n, k) of probabilities, asked as an array would be."""

    above: sparse.csr_array  # (n, k) float32, positive: by how much a class that is kept is above those that are not
    rest: np.ndarray  # (n,) float32: the probability of each class that is not kept

    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        return self.above.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | np.ndarray) -> "SparseTable | np.ndarray":
        """Some rows; of a single one its probabilities (k,)."""
        if np.ndim(rows) == 0 and not isinstance(rows, slice):
            return self.above[[rows]].toarray()[0] + self.rest[rows]
        return SparseTable(self.above[rows], self.rest[rows])

    def astype(self, dtype: type) -> "SparseTable":
        """Itself: it is float32 whatever is asked for."""
        return self

    def toarray(self) -> np.ndarray:
        return self.above.toarray() + self.rest[:, None]

    @property
    def sizes(self) -> np.ndarray:
        """(n,) the number of classes that are kept."""
        return np.diff(self.above.indptr)

    @property
    def row(self) -> np.ndarray:
        """The row of each class that is kept, as they stand in `above`."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.sizes)

    def max(self, axis: int = 1) -> np.ndarray:
        """(n,) the greatest probability of each row."""
        return self.rest + self.greatest

    @property
    def greatest(self) -> np.ndarray:
        """(n,) the greatest of `above`, 0 where no class is kept."""
        found, some = np.zeros(len(self), np.float32), self.sizes > 0
        if some.any():
            found[some] = np.maximum.reduceat(self.above.data, self.above.indptr[:-1][some])
        return found

    def argmax(self, axis: int = 1) -> np.ndarray:
        """(n,) the likeliest class of each row, the first of equal ones, as numpy has it."""
        found, row = np.zeros(len(self), np.int64), self.row
        places = np.flatnonzero(self.above.data == self.greatest[row])[::-1]  # so that the first is written last
        found[row[places]] = self.above.indices[places]
        return found

    def sum(self, axis: int = 1) -> np.ndarray:
        """(n,) float64: 1, but for rounding."""
        return self.sum_of(np.full(self.shape[1], True))

    def sum_of(self, classes: np.ndarray) -> np.ndarray:
        """(n,) float64: the sum of the probabilities of a mask (k,) of classes."""
        return self.above @ classes.astype(float) + self.rest * float(classes.sum())

    def of(self, targets: np.ndarray) -> np.ndarray:
        """(n,) the probability of one class of each row."""
        return self.rest + self.above_of(targets)

    def above_of(self, targets: np.ndarray) -> np.ndarray:
        row, found = self.row, np.zeros(len(self), np.float32)
        hit = self.above.indices == targets[row]
        found[row[hit]] = self.above.data[hit]
        return found

    def ahead(self, targets: np.ndarray) -> np.ndarray:
        """(n,) the classes that are likelier than one of each row; of equal ones the last are."""
        row, true = self.row, self.above_of(targets)
        behind = self.above.indices > targets[row]
        own = true[row]
        likelier = (self.above.data > own) | ((self.above.data == own) & behind)
        before = np.bincount(row[likelier], minlength=len(self))
        others = self.shape[1] - 1 - targets - np.bincount(row[behind], minlength=len(self))  # that are not kept either
        return np.where(true > 0, before, before + others)

    def sum_of_squares(self) -> np.ndarray:
        """(n,) float64: over all classes."""
        above = self.above.data.astype(float)
        kept = np.bincount(self.row, above * (above + 2 * self.rest[self.row]), minlength=len(self))
        return kept + self.shape[1] * np.square(self.rest, dtype=float)

    def raised(self, power: float) -> "SparseTable":
        """The probabilities in proportion to a power of these."""
        least = np.finfo(np.float32).eps
        rest = np.maximum(self.rest, least, dtype=float) ** power
        kept = np.maximum(self.above.data + self.rest[self.row], least, dtype=float) ** power - rest[self.row]
        total = np.bincount(self.row, kept, minlength=len(self)) + self.shape[1] * rest
        above = (kept / total[self.row]).astype(np.float32)
        above = sparse.csr_array((above, self.above.indices, self.above.indptr), shape=self.shape)
        return SparseTable(above, (rest / total).astype(np.float32))

    def mean_log(self, of: "SparseTable") -> float:
        """The mean over rows of the expected log of another table's probabilities, which keeps the same classes."""
        least = np.finfo(np.float32).eps
        rest = np.log(np.maximum(of.rest, least, dtype=float))
        kept = np.log(np.maximum(of.above.data + of.rest[of.row], least, dtype=float))
        own = self.above.data + self.rest[self.row]
        some = np.bincount(self.row, own * kept, minlength=len(self))
        return float((some + (self.shape[1] - self.sizes) * self.rest * rest).mean())

    def likeliest(self, top: int) -> np.ndarray:
        """(n, top) the likeliest classes, the first of them first; of equal ones the last is, as in `ahead`."""
        found, k = np.empty((len(self), top), np.int64), self.shape[1]
        for part in blocks((len(self), top + int(self.sizes.max(initial=0)))):
            some = self[part]
            above, classes = some.padded(-1)
            order = np.argsort(-classes, axis=1)
            above, classes = (np.take_along_axis(of, order, axis=1) for of in (above, classes))
            order = np.argsort(-above, axis=1, kind="stable")[:, :top]
            own = np.take_along_axis(classes, order, axis=1)
            found[part, : own.shape[1]] = own
            for i in np.flatnonzero(some.sizes < top):
                kept = classes[i][classes[i] >= 0]
                last = np.arange(k - 1, k - 1 - min(k, top + len(kept)), -1)  # enough, whichever of them are kept
                found[part.start + i, len(kept) :] = last[~np.isin(last, kept)][: top - len(kept)]
        return found

    def padded(self, missing: int) -> tuple[np.ndarray, np.ndarray]:
        """`above` and its classes as rectangles (n, most), of shorter rows with 0 and `missing` behind."""
        sizes = self.sizes
        is_there = np.arange(sizes.max(initial=0)) < sizes[:, None]
        above = np.zeros(is_there.shape, np.float32)
        classes = np.full(is_there.shape, missing, np.int32)
        above[is_there], classes[is_there] = self.above.data, self.above.indices
        return above, classes

    def cut(self, most: int = KEPT) -> "SparseTable":
        """The table with at most so many classes of each row."""
        is_long = self.sizes > most
        if not is_long.any():
            return self
        long, parts = self[is_long], [self[~is_long]]
        for part in blocks((len(long), int(long.sizes.max()))):
            some = long[part]
            above, classes = some.padded(0)
            largest = np.argpartition(-above, most - 1, axis=1)[:, :most]  # none of them padding, which is 0
            above, classes = (np.take_along_axis(of, largest, axis=1) for of in (above, classes))
            parts.append(of_likeliest(classes, above + some.rest[:, None], self.shape[1]))
        return vstack(parts)[np.argsort(np.argsort(is_long, kind="stable"))]

    def find_bad(self, tolerance: float) -> np.ndarray:
        """(n,) whether a row is no probabilities of sum 1."""
        values = np.bincount(self.row, ~np.isfinite(self.above.data), minlength=len(self)) > 0
        return values | ~(self.rest >= -tolerance) | ~(np.abs(self.sum() - 1) <= tolerance)


@dataclass(frozen=True, eq=False)
class SameRow(NotDense):
    """A table (n, k) whose rows are all alike, such as the constant answer: none of its classes is left out."""

    values: np.ndarray  # (k,)
    n: int

    ndim = 2

    @property
    def shape(self) -> tuple[int, int]:
        return self.n, len(self.values)

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: int | slice | np.ndarray) -> "SameRow | np.ndarray":
        found = np.arange(self.n)[rows]
        return SameRow(self.values, len(found)) if np.ndim(found) else self.values

    def repeat(self, times: int, axis: int = 0) -> "SameRow":
        return SameRow(self.values, self.n * times)

    def argmax(self, axis: int = 1) -> np.ndarray:
        return np.full(self.n, self.values.argmax())

    def sum(self, axis: int = 1) -> np.ndarray:
        return np.full(self.n, self.values.sum())

    def sum_of(self, classes: np.ndarray) -> np.ndarray:
        return np.full(self.n, self.values[classes].sum())

    def sum_of_squares(self) -> np.ndarray:
        return np.full(self.n, np.square(self.values).sum())

    def of(self, targets: np.ndarray) -> np.ndarray:
        return self.values[targets]

    def ahead(self, targets: np.ndarray) -> np.ndarray:
        place = np.empty(len(self.values), int)
        place[np.lexsort((-np.arange(len(place)), -self.values))] = np.arange(len(place))
        return place[targets]


def of_likeliest(classes: np.ndarray, probs: np.ndarray, k: int) -> SparseTable:
    """The table of n rows' likeliest classes and their probabilities, both (n, K); others share what is left of 1."""
    n, most = probs.shape
    rest = np.maximum(1 - probs.sum(axis=1, dtype=float), 0) / max(k - most, 1)
    order = np.argsort(classes, axis=1)
    above = np.take_along_axis(probs, order, axis=1) - rest[:, None]
    indices = np.take_along_axis(classes, order, axis=1).ravel().astype(np.int32)
    table = sparse.csr_array((above.ravel().astype(np.float32), indices, most * np.arange(n + 1)), shape=(n, k))
    table.data = np.maximum(table.data, 0)
    table.eliminate_zeros()
    return SparseTable(table, rest.astype(np.float32))


def vstack(parts: Sequence[SparseTable]) -> SparseTable:
    """Tables below each other."""
    if len(parts) == 1:
        return parts[0]
    above = sparse.vstack([part.above for part in parts], format="csr")
    return SparseTable(above, np.concatenate([part.rest for part in parts]))
