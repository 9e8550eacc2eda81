"""A column of texts as one Arrow array: a list of as many strings takes three times the memory."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

PIECE = 1 << 16  # texts that are strings at a time, where all are gone through


class Texts(Sequence[str]):
    """Texts, as a list has them and equal to one; slices, places and masks of it are columns too."""

    def __init__(self, texts: "Iterable[str] | pd.Series | pa.Array | pa.ChunkedArray"):
        if isinstance(texts, pa.ChunkedArray):
            found = texts.cast(pa.large_string())
        else:
            if not isinstance(texts, pa.Array | pd.Series | pd.Index | pd.api.extensions.ExtensionArray | Texts):
                texts = [*map(str, texts)]
            found = pa.array(texts, pa.large_string())
        self.array = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice | np.ndarray) -> "Texts": ...
    def __getitem__(self, at):
        if isinstance(at, slice):
            return type(self)(self.array[at])
        if isinstance(at, np.ndarray):
            return type(self)(self.array.take(pa.array(np.arange(len(self))[at])))
        return self.array[int(at)].as_py()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), PIECE):
            yield from self.array[start : start + PIECE].to_pylist()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return self.array.equals(other.array)
        return isinstance(other, list | tuple) and [*map(str, self)] == [*map(str, other)]

    __hash__ = None

    def __add__(self, other: Iterable[str]) -> "Texts":
        return type(self)(pa.concat_arrays([self.array, Texts(other).array]))

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.array.to_numpy(zero_copy_only=False), dtype)

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        return self.array if type is None else self.array.cast(type)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[*self[:10]]}{' ...' if len(self) > 10 else ''})"

    def are_in(self, others: "Iterable[str] | Texts") -> np.ndarray:
        """(n,) whether each text is one of the others. As pandas' isin, which goes through strings one by one."""
        return compute.is_in(self.array, Texts(others).array).to_numpy(zero_copy_only=False)

    def places_in(self, others: "Iterable[str] | Texts") -> np.ndarray:
        """(n,) the first place of each text among the others, of which it has to be one."""
        return compute.index_in(self.array, Texts(others).array).to_numpy()

    @property
    def series(self) -> pd.Series:
        """The same texts for pandas, which are not copied."""
        return pd.Series(pd.array(self.array, dtype="str"))


class Paths(Texts):
    """Paths of files, each a Path when it is asked for."""

    def __getitem__(self, at):
        found = super().__getitem__(at)
        return Path(found) if isinstance(found, str) else found

    def __iter__(self) -> Iterator[Path]:
        return map(Path, super().__iter__())
