"""Tables of predictions keyed by id: the one writer and the one reader of every oof.parquet and test.parquet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import compute, parquet

from src.base.errors import UserError
from src.base.files import write_parquet
from src.data.texts import Texts
from src.results import sparse_predictions
from src.schema.competition import Competition
from src.scoring.blocks import blocks
from src.scoring.sparse import SparseTable
from src.scoring.tables import Table, sparsely


def write(path: Path, competition: Competition, ids: Sequence[str], table: Table) -> None:
    """Write ids and predictions (n, k) as float32, a column an output; a UserError if the reader would refuse them.

    A sparse table has two columns of lists instead: see sparse_predictions.py.
    """
    names = Texts(ids)
    table = table.cut() if isinstance(table, SparseTable) else np.asfortranarray(table, np.float32)
    if fault := find_row_fault(names, competition, table):
        raise UserError(f"{path}: {fault}")
    if isinstance(table, SparseTable):
        sparse_predictions.write(path, competition, names.array, table)
        return
    df = pd.DataFrame(table, columns=list(competition.outputs), copy=False)
    df.insert(0, competition.id, names.series)
    write_parquet(path, df)


def read(path: Path, competition: Competition, ids: Sequence[str]) -> Table:
    """Read the predictions (n, k) of exactly `ids`, in their order; a UserError if the file is no such table.

    A dense one lies in memory column after column, as it does in the file.
    """
    try:
        is_sparse = sparse_predictions.is_sparse(path)
        names, table = (read_sparse if is_sparse else read_dense)(path, competition)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run the stage that makes it") from error
    except OSError as error:  # pyarrow's ArrowInvalid is a ValueError, its read errors are OSErrors
        raise UserError(f"{path} cannot be read ({error}): delete it and run again") from error
    except ValueError as error:
        raise UserError(f"{path} is not a parquet file ({error}): delete it and run again") from error
    if fault := find_row_fault(names, competition, table):
        raise UserError(f"{path}: {fault}")
    if names != (wanted := Texts(ids)):
        at = find(path, names, wanted)
        table = table[at] if is_sparse else np.take(table.T, at, axis=1).T
    return table if is_sparse or not competition.target.is_sparse(*table.shape) else sparsely(table)


def read_dense(path: Path, competition: Competition) -> tuple[Texts, np.ndarray]:
    """The ids of a dense table, and its float32 (n, k); a UserError where it is none of the competition's.

    Few columns are read at a time: memory holds the table once.
    """
    file, outputs = parquet.ParquetFile(path), list(competition.outputs)
    columns, wanted = file.schema_arrow.names, [competition.id, *outputs]
    if not competition.classes and len(columns) == 2:
        wanted, outputs = columns, columns[1:]  # of a number, whose column may be called otherwise now
    if columns != wanted:
        raise UserError(f"{path}: its columns are {', '.join(columns)}, not {', '.join(wanted)}")
    if others := [kind for kind in file.schema_arrow.types[1:] if kind != pa.float32()]:
        kind = np.dtype(others[0].to_pandas_dtype())
        raise UserError(f"{path}: its probabilities are {kind}, not float32")
    n, k = file.metadata.num_rows, len(outputs)
    table = np.empty((n, k), np.float32, order="F")
    for some in blocks((k, n)):
        part = file.read(outputs[some])
        for j in range(k)[some]:
            table[:, j] = part[outputs[j]].to_numpy()
    return Texts(file.read(columns[:1])[columns[0]]), table


def read_sparse(path: Path, competition: Competition) -> tuple[Texts, SparseTable]:
    """The ids of a sparse table, and the table; a UserError where it is none of the competition's."""
    try:
        names, table = sparse_predictions.read(path, competition)
    except ValueError as error:
        raise UserError(f"{path}: {error}: delete it and run again") from error
    return Texts(names), table


def find(path: Path, names: Texts, wanted: Texts) -> np.ndarray:
    """The places of the wanted ids among a file's, of which no two are alike; a UserError if it has not exactly these.

    Raises:
        UserError: Some are missing, or there are others.
    """
    missing, others = (one[~one.are_in(other)].array.unique() for one, other in ((wanted, names), (names, wanted)))
    if len(missing) or len(others):
        example = compute.min(missing if len(missing) else others).as_py()
        raise UserError(
            f"{path} is of other rows: {len(missing)} ids are missing and {len(others)} are not ours "
            f"(such as {example!r}): delete it and run again"
        )
    return wanted.places_in(names)


def count_rows(path: Path) -> int | None:
    """Count a table's rows by its footer; None where it cannot be read."""
    try:
        return parquet.read_metadata(path).num_rows
    except (OSError, ValueError):  # pyarrow's ArrowInvalid is a ValueError
        return None


def find_row_fault(ids: Texts, competition: Competition, table: Table) -> str | None:
    """The reason why rows with these ids are not predictions of the competition's target; None if they are."""
    id = competition.id
    if len(ids.array.unique()) < len(ids):
        names = ids.series
        return f"{id} {names[names.duplicated()].iloc[0]!r} stands in more than one row"
    if (fault := competition.target.find_fault(table)) is None:
        return None
    what, bad = fault
    first = int(np.flatnonzero(bad)[0])
    return f"{int(bad.sum())} rows are not {what}, the first of {id} {ids[first]!r}: {table[first]}"
