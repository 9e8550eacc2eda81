"""The files of sparse tables of predictions: the id, and of each row two lists, its classes and their probabilities.

Classes are numbered in the config's order, which the file names by a digest. All others share what is left of 1.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from scipy import sparse

from src.base import files
from src.schema.competition import Competition
from src.scoring.sparse import SparseTable

LISTS = ("classes", "probabilities")
NAMES = b"names of the classes"  # the entry of the file's metadata with their digest


def is_sparse(path: Path) -> bool:
    """Whether a parquet file is of a sparse table; an OSError or ValueError where it is none."""
    schema = parquet.read_schema(path)
    return NAMES in (schema.metadata or {})


def write(path: Path, competition: Competition, ids: pa.Array, table: SparseTable) -> None:
    above = table.above
    offsets, probs = pa.array(above.indptr, pa.int32()), above.data + np.repeat(table.rest, table.sizes)
    lists = [pa.ListArray.from_arrays(offsets, pa.array(values)) for values in (above.indices.astype(np.int32), probs)]
    whole = pa.table([ids.cast(pa.string()), *lists], names=[competition.id, *LISTS])
    files.write_parquet(path, whole.replace_schema_metadata({NAMES: digest(competition)}))


def read(path: Path, competition: Competition) -> tuple[pa.ChunkedArray, SparseTable]:
    """The ids and the table. Raises ValueError: It is of other classes, or its lists are no rows of a table."""
    whole = parquet.read_table(path)
    if (names := whole.schema.metadata[NAMES]) != digest(competition):
        raise ValueError(f"its classes are others than the config's, or in another order ({names.decode()[:12]})")
    if whole.column_names != [competition.id, *LISTS]:
        raise ValueError(f"its columns are {', '.join(whole.column_names)}, not {', '.join([competition.id, *LISTS])}")
    k, n = len(competition.outputs), len(whole)
    classes, probs = (whole[name].combine_chunks() for name in LISTS)
    ends, indices = (of.to_numpy(zero_copy_only=False) for of in (classes.offsets, classes.flatten()))
    values = probs.flatten().to_numpy(zero_copy_only=False)
    if not np.array_equal(ends, probs.offsets.to_numpy()) or values.dtype != np.float32:
        raise ValueError("its lists of probabilities do not fit those of classes")
    if len(indices) and not 0 <= indices.min() <= indices.max() < k:
        raise ValueError(f"it has classes that are not below {k}")
    sizes = np.diff(ends)
    sums = np.bincount(np.repeat(np.arange(n), sizes), values, minlength=n)
    rest = (np.maximum(1 - sums, 0) / np.maximum(k - sizes, 1)).astype(np.float32)
    above = sparse.csr_array((values - np.repeat(rest, sizes), indices, ends), shape=(n, k))
    if not above.has_canonical_format:
        raise ValueError("it has a class twice in a row, or not in their order")
    return whole[competition.id], SparseTable(above, rest)


def digest(competition: Competition) -> bytes:
    return files.digest(list(competition.outputs)).encode()
