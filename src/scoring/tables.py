"""Tables of predictions, dense or sparse as their size has it: put together, stacked, averaged."""

from collections.abc import Callable, Iterator, Sequence

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

    def toarray(self) -> np.ndarray:
        """(m, n, k) dense."""
        return np.stack([table.toarray() for table in self])

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


def unknown(table: Table) -> Table:
    """A table of the same shape and kind of which nothing is known: NaN."""
    if isinstance(table, SparseTable):
        return of_weights(sparse.csr_array(table.shape), np.full(len(table), np.nan))
    return np.full(table.shape, np.nan)


def sparsely(table: Table) -> SparseTable:
    return table if isinstance(table, SparseTable) else of_dense(table)


def of_dense(table: np.ndarray, most: int = KEPT) -> SparseTable:
    """The table of the likeliest classes of probabilities (n, k) of sum 1."""
    parts = []
    for part in blocks(table.shape):
        own = table[part]
        classes = np.argpartition(-own, most - 1, axis=1)[:, :most]
        parts.append(of_likeliest(classes, np.take_along_axis(own, classes, axis=1), table.shape[1]))
    return vstack(parts)


def of_whole_rows(of: Callable[[slice], np.ndarray], n: int, cells: int) -> SparseTable:
    """The table of what `of` makes of each of n rows, dense, some at a time; `cells` are those that a row takes."""
    return vstack([of_dense(of(rows)) for rows in blocks((n, cells))])


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
    """Tables below each other."""
    if any(isinstance(part, SparseTable) for part in parts):
        return vstack([sparsely(part) for part in parts])
    return np.concatenate(parts)


def stack(tables: Sequence[Table]) -> Tables:
    """Tables of models as one: (m, n, k)."""
    if any(isinstance(table, SparseTable) for table in tables):
        return SparseTables([sparsely(table) for table in tables])
    return np.stack(tables)


def mean(tables: Sequence[Table]) -> Table:
    """The mean of models' tables."""
    if any(isinstance(table, SparseTable) for table in tables):
        return stack(tables).weighted(np.full(len(tables), 1 / len(tables)))
    return np.mean(tables, axis=0)


def grouped(table: SparseTable, which: np.ndarray, by: str) -> SparseTable:
    """Rows of one group as one row, by `which` (n,): their mean, or the greatest of each class, divided by the sum."""
    n, (rows, k) = int(which.max()) + 1, table.shape
    sizes = np.bincount(which)
    if by == "mean":
        groups = sparse.csr_array((1 / sizes[which], (which, np.arange(rows))), shape=(n, rows))
        return of_weights(groups @ table.above, groups @ table.rest).cut()
    rest = np.zeros(n, np.float32)
    np.maximum.at(rest, which, table.rest)
    cells = which[table.row].astype(np.int64) * k + table.above.indices
    probs = table.above.data + table.rest[table.row]
    order = np.lexsort((probs, cells))
    last = np.flatnonzero(np.diff(cells[order], append=-1))  # of each cell that with the greatest probability
    group, label = np.divmod(cells[order][last], k)
    above = np.maximum(probs[order][last] - rest[group], 0)
    whole = SparseTable(sparse.csr_array((above, (group, label)), shape=(n, k)), rest)
    return of_weights(sparse.diags_array(1 / whole.sum()) @ whole.above, rest / whole.sum()).cut()


class Gathered:
    """A table (n, k) that is put together of parts, each of some rows; where it is sparse dense ones are cut."""

    def __init__(self, n: int, k: int, is_sparse: bool):
        self.shape, self.parts = (n, k), []
        self.dense = None if is_sparse else np.zeros((n, k))

    def __setitem__(self, rows: np.ndarray, part: Table) -> None:
        """Put in the predictions of some rows, by their places or a mask."""
        if self.dense is not None:
            self.dense[rows] = part
        else:
            self.parts.append((np.arange(self.shape[0])[rows], sparsely(part)))

    def table(self) -> Table:
        """All of it, once every row has been put in."""
        if self.dense is not None:
            return self.dense
        places = np.concatenate([rows for rows, _ in self.parts])
        if not np.array_equal(np.sort(places), np.arange(self.shape[0])):
            raise ValueError("some rows were put in twice, or not at all")
        return vstack([part for _, part in self.parts])[np.argsort(places)]
