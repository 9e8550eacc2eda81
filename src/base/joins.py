"""Joins of long columns of ids, as Arrow has them: lists and sets of a million take ten times the memory."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute

Texts = Sequence[str] | pd.Series | pd.Index | np.ndarray | pa.Array | pa.ChunkedArray


def texts(ids: Texts) -> pa.Array:
    """The ids as one array."""
    found = ids.cast(pa.large_string()) if isinstance(ids, pa.ChunkedArray) else pa.array(ids, pa.large_string())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def among(ids: Texts, others: Texts) -> np.ndarray:
    """(n,) bool: whether each id is one of the others. As pandas' isin, which goes through strings one by one."""
    return compute.is_in(texts(ids), texts(others)).to_numpy(zero_copy_only=False)


def places(ids: Texts, others: Texts) -> np.ndarray:
    """(n,) the first place of each id among the others, of which it has to be one."""
    return compute.index_in(texts(ids), texts(others)).to_numpy()
