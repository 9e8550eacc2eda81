"""Tables of predictions, dense or sparse as their size has it: put together, stacked, averaged."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

from src.scoring.blocks import blocks
from src.scoring.sparse import CELLS, FEWEST, KEPT, NotDense, SameRow, SparseTable, of_likeliest, vstack

Sparse = (SparseTable, SameRow)
Table = np.ndarray | SparseTable


def is_large(n: int, k: int) -> bool:
    """Whether the table of n rows and k classes is a SparseTable."""
    return n * k > CELLS and k > FEWEST


def gigabytes(n: int, k: int) -> tuple[float, float]:
    """What a table would take in memory, and what it takes with the likeliest classes alone."""
    return n * k * 4 / 1e9, n * (8 * KEPT + 12) / 1e9


class SparseTables(NotDense):
    """Tables of m models of the same rows, asked as an array (m, n, k) would be."""

    def __init__(self, tables: Sequence[SparseTable]):
        self.tables = list(tables)

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.tables), *self.tables[0].shape

    def __len__(self) -> int:
        return len(self.tables)

    def __iter__(self) -> Iterator[SparseTable]:
        return iter(self.tables)

    def __getitem__(self, which: int | np.ndarray | tuple[slice, np.ndarray]) -> "SparseTable | SparseTables":
        """A model's table, the tables of some models, or with `[:, rows]` all of them of some rows."""
        if isinstance(which, tuple):
            models, rows = which
            return SparseTables([table[rows] for table in self.tables[models]])
        if np.ndim(which) == 0:
            return self.tables[which]
        return SparseTables([self.tables[i] for i in np.arange(len(self))[which]])

    def weighted(self, weights: np.ndarray) -> SparseTable:
        """Their sum, each with its weight, cut to KEPT classes."""
        parts = [(float(weight), table) for weight, table in zip(weights, self, strict=True) if weight]
        if len(parts) == 1 and parts[0][0] == 1:
            return parts[0][1]
        above, rest = (
            sum(np.float32(weight) * of for weight, of in column)
            for column in zip(*(((w, one.above), (w, one.rest)) for w, one in parts), strict=True)
        )
        return SparseTable(above, rest).cut()


Tables = np.ndarray | SparseTables


def true_probs(targets: np.ndarray, table: Table | SameRow) -> np.ndarray:
    """(n,) the probability of each row's class."""
    return table.of(targets) if isinstance(table, Sparse) else table[np.arange(len(targets)), targets]


def of_dense(table: np.ndarray, most: int = KEPT) -> SparseTable:
    """The table of the likeliest classes of probabilities (n, k) of sum 1."""
    parts = []
    for part in blocks(table.shape):
        own = table[part]
        classes = np.argpartition(-own, most - 1, axis=1)[:, :most]
        parts.append(of_likeliest(classes, np.take_along_axis(own, classes, axis=1), table.shape[1]))
    return vstack(parts)


def of_weights(weights: sparse.csr_array, rest: np.ndarray | None = None) -> SparseTable:
    """The table that has these weights, and nothing or `rest` (n,) in all other cells."""
    weights = sparse.csr_array(weights, dtype=np.float32)
    weights.sum_duplicates()
    weights.eliminate_zeros()
    return SparseTable(weights, np.zeros(weights.shape[0], np.float32) if rest is None else rest.astype(np.float32))


def of_labels(labels: np.ndarray, k: int) -> SparseTable:
    """The table with a probability of 1 for one class of each row (n,); -1: a row without one, which has zeros."""
    some = labels >= 0
    ends = np.concatenate([[0], np.cumsum(some)])
    return of_weights(sparse.csr_array((np.ones(some.sum()), labels[some], ends), shape=(len(labels), k)))


def concatenate(parts: Sequence[Table]) -> Table:
    """Tables below each other, dense ones by numpy."""
    return vstack(parts) if isinstance(parts[0], SparseTable) else np.concatenate(parts)


def stack(tables: Sequence[Table]) -> Tables:
    """Tables of models as one: (m, n, k)."""
    return SparseTables(tables) if isinstance(tables[0], SparseTable) else np.stack(tables)


def mean(tables: Sequence[Table]) -> Table:
    """The mean of models' tables."""
    if isinstance(tables[0], SparseTable):
        return SparseTables(tables).weighted(np.full(len(tables), 1 / len(tables)))
    return np.mean(tables, axis=0)


class Gathered:
    """A table (n, k) that is put together of parts, each of some rows; dense ones are cut where it is large."""

    def __init__(self, n: int, k: int):
        self.shape, self.parts = (n, k), []
        self.dense = None if is_large(n, k) else np.zeros((n, k))

    def __setitem__(self, rows: np.ndarray, part: Table) -> None:
        """Put in the predictions of some rows, by their places or a mask."""
        if self.dense is not None:
            self.dense[rows] = part.toarray() if isinstance(part, SparseTable) else part
            return
        self.parts.append((np.arange(self.shape[0])[rows], part if isinstance(part, SparseTable) else of_dense(part)))

    def table(self) -> Table:
        """All of it, once every row has been put in."""
        if self.dense is not None:
            return self.dense
        places = np.concatenate([rows for rows, _ in self.parts])
        if not np.array_equal(np.sort(places), np.arange(self.shape[0])):
            raise ValueError("some rows were put in twice, or not at all")
        return vstack([part for _, part in self.parts])[np.argsort(places)]
