"""Tables of many rows and many labels in blocks of rows, so that what is computed of one needs little memory."""

from collections.abc import Callable, Iterator

import numpy as np

CELLS = 2**22  # of a block: 32 MB of float64


def blocks(shape: tuple[int, ...], times: int = 1) -> Iterator[slice]:
    """The rows of a table (n, k), some at a time: a multiple of `times`, but for the last ones."""
    n, rows = shape[0], max(1, CELLS // max(1, int(np.prod(shape[1:]))) // times) * times
    return (slice(start, start + rows) for start in range(0, max(n, 1), rows))


def by_rows(of: Callable[..., np.ndarray], *tables: np.ndarray) -> np.ndarray:
    """(n, ...) `of` tables of n rows, of which the last is the widest: each row's own, block after block."""
    parts = [of(*(table[rows] for table in tables)) for rows in blocks(tables[-1].shape)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
