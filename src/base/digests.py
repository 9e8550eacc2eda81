"""Digests of long lists, which are those of `files.digest`, piece by piece: no list or text of all of it is made."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

PIECE = 1 << 14  # cells of a column that are objects at a time


def digest(texts: Iterable[str]) -> str:
    """sha256 of these texts behind each other."""
    sha = hashlib.sha256()
    for text in texts:
        sha.update(text.encode())
    return sha.hexdigest()


def listing(column: Sequence | np.ndarray) -> Iterator[str]:
    """The pieces of a list in JSON."""
    return brackets(json.dumps(part, ensure_ascii=False) for part in pieces(column))


def rows_listing(*columns: Sequence | np.ndarray) -> Iterator[str]:
    """The pieces of a list of rows in JSON, each a list of a cell of each column; all columns are of one length."""
    return brackets(
        json.dumps([*zip(*parts, strict=True)], ensure_ascii=False) for parts in zip(*map(pieces, columns), strict=True)
    )


def pieces(column: Sequence | np.ndarray) -> Iterator[list]:
    for start in range(0, len(column), PIECE):
        part = column[start : start + PIECE]
        yield part.tolist() if isinstance(part, np.ndarray) else [*part]


def brackets(lists: Iterable[str]) -> Iterator[str]:
    """One list in JSON of several of them."""
    yield "["
    for i, one in enumerate(lists):
        yield f"{', ' if i else ''}{one[1:-1]}"
    yield "]"
