"""Tables of predictions keyed by id: the one writer and the one reader of every oof.parquet and test.parquet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import parquet

from src.base.errors import UserError
from src.base.files import write_parquet
from src.results import sparse_predictions
from src.schema.competition import Competition
from src.scoring.sparse import SparseTable
from src.scoring.tables import Table, sparsely


def write(path: Path, competition: Competition, ids: Sequence[str], table: Table) -> None:
    """Write ids and predictions (n, k) as float32, a column an output; a UserError if the reader would refuse them.

    A sparse table has two columns of lists instead: see sparse_predictions.py.
    """
    if isinstance(table, SparseTable):
        table, names = table.cut(), pd.Series(list(ids), dtype=object).astype(str)
        if fault := find_row_fault(names, competition, table):
            raise UserError(f"{path}: {fault}")
        sparse_predictions.write(path, competition, names.tolist(), table)
        return
    df = pd.DataFrame(np.asarray(table, np.float32), columns=list(competition.outputs))
    df.insert(0, competition.id, np.asarray(ids, dtype=object).astype(str))
    check(path, df, competition)
    write_parquet(path, df)


def read(path: Path, competition: Competition, ids: Sequence[str]) -> Table:
    """Read the predictions (n, k) of exactly `ids`, in their order; a UserError if the file is no such table."""
    try:
        is_sparse = sparse_predictions.is_sparse(path)
        df = None if is_sparse else pd.read_parquet(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run the stage that makes it") from error
    except OSError as error:  # pyarrow's ArrowInvalid is a ValueError, its read errors are OSErrors
        raise UserError(f"{path} cannot be read ({error}): delete it and run again") from error
    except ValueError as error:
        raise UserError(f"{path} is not a parquet file ({error}): delete it and run again") from error
    if is_sparse:
        names, table = read_sparse(path, competition)
    else:
        if not competition.classes and len(df.columns) == 2:
            df.columns = [df.columns[0], *competition.outputs]  # of a number, whose column may be called otherwise now
        check(path, df, competition)
        names = df[competition.id]
    missing, others = set(ids) - set(names), set(names) - set(ids)
    if missing or others:
        example = sorted(missing or others)[0]
        raise UserError(
            f"{path} is of other rows: {len(missing)} ids are missing and {len(others)} are not ours "
            f"(such as {example!r}): delete it and run again"
        )
    if is_sparse:
        return table[pd.Index(names).get_indexer(list(ids))]
    table = df.set_index(competition.id).loc[list(ids), list(competition.outputs)].to_numpy(np.float32)
    return sparsely(table) if competition.target.is_sparse(*table.shape) else table


def read_sparse(path: Path, competition: Competition) -> tuple[pd.Series, SparseTable]:
    """The ids of a sparse table, and the table; a UserError where it is none of the competition's."""
    try:
        names, table = sparse_predictions.read(path, competition)
    except ValueError as error:
        raise UserError(f"{path}: {error}: delete it and run again") from error
    if fault := find_row_fault(names, competition, table):
        raise UserError(f"{path}: {fault}")
    return names, table


def count_rows(path: Path) -> int | None:
    """Count a table's rows by its footer; None where it cannot be read."""
    try:
        return parquet.read_metadata(path).num_rows
    except (OSError, ValueError):  # pyarrow's ArrowInvalid is a ValueError
        return None


def check(path: Path, df: pd.DataFrame, competition: Competition) -> None:
    """Refuse a table that is not one of predictions of the competition's target."""
    if fault := find_fault(df, competition):
        raise UserError(f"{path}: {fault}")


def find_fault(df: pd.DataFrame, competition: Competition) -> str | None:
    """The reason why `df` is not a table of such predictions; None if it is."""
    id, outputs = competition.id, list(competition.outputs)
    if list(df.columns) != [id, *outputs]:
        return f"its columns are {', '.join(map(str, df.columns))}, not {', '.join([id, *outputs])}"
    table = df[outputs].to_numpy()
    if table.dtype != np.float32:
        return f"its probabilities are {table.dtype}, not float32"
    return find_row_fault(df[id], competition, table)


def find_row_fault(ids: pd.Series, competition: Competition, table: Table) -> str | None:
    """The reason why rows with these ids are not such predictions; None if they are."""
    id = competition.id
    if (twice := ids.duplicated()).any():
        return f"{id} {ids[twice].iloc[0]!r} stands in more than one row"
    if (fault := competition.target.find_fault(table)) is None:
        return None
    what, bad = fault
    first = int(np.flatnonzero(bad)[0])
    return f"{int(bad.sum())} rows are not {what}, the first of {id} {ids.iloc[first]!r}: {table[first]}"
