"""Tables of probabilities keyed by id: the one writer and the one reader of every oof.parquet and test.parquet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import parquet

from src.base.errors import UserError
from src.base.files import write_parquet

TOLERANCE = 1e-3  # of a row's sum: float32 softmaxes of many classes and averages of them stay well within


def write(path: Path, id: str, ids: Sequence[str], classes: Sequence[str], probs: np.ndarray) -> None:
    """Write ids and probs (n, k) as float32, a column a class; a UserError if the reader would refuse the table."""
    df = pd.DataFrame(np.asarray(probs, np.float32), columns=list(classes))
    df.insert(0, id, np.asarray(ids, dtype=object).astype(str))
    check(path, df, id, classes)
    write_parquet(path, df)


def read(path: Path, id: str, ids: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Read the probabilities (n, k) of exactly `ids`, in their order; a UserError if the file is no such table."""
    try:
        df = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: run the stage that makes it") from error
    except OSError as error:  # pyarrow's ArrowInvalid is a ValueError, its read errors are OSErrors
        raise UserError(f"{path} cannot be read ({error}): delete it and run again") from error
    except ValueError as error:
        raise UserError(f"{path} is not a parquet file ({error}): delete it and run again") from error
    check(path, df, id, classes)
    missing, others = set(ids) - set(df[id]), set(df[id]) - set(ids)
    if missing or others:
        example = sorted(missing or others)[0]
        raise UserError(
            f"{path} is of other rows: {len(missing)} ids are missing and {len(others)} are not ours "
            f"(such as {example!r}): delete it and run again"
        )
    return df.set_index(id).loc[list(ids), list(classes)].to_numpy(np.float32)


def count_rows(path: Path) -> int | None:
    """Count a table's rows by its footer; None where it cannot be read."""
    try:
        return parquet.read_metadata(path).num_rows
    except (OSError, ValueError):  # pyarrow's ArrowInvalid is a ValueError
        return None


def check(path: Path, df: pd.DataFrame, id: str, classes: Sequence[str]) -> None:
    """Refuse a table that is not one of probabilities of these classes."""
    if fault := find_fault(df, id, list(classes)):
        raise UserError(f"{path}: {fault}")


def find_fault(df: pd.DataFrame, id: str, classes: list[str]) -> str | None:
    """The reason why `df` is not a table of probabilities of these classes; None if it is."""
    if list(df.columns) != [id, *classes]:
        return f"its columns are {', '.join(map(str, df.columns))}, not {', '.join([id, *classes])}"
    if (twice := df[id].duplicated()).any():
        return f"{id} {df[id][twice].iloc[0]!r} stands in more than one row"
    probs = df[classes].to_numpy()
    if probs.dtype != np.float32:
        return f"its probabilities are {probs.dtype}, not float32"
    in_range = np.isfinite(probs).all(axis=1) & (probs >= 0).all(axis=1)
    good = in_range & (np.abs(probs.sum(axis=1) - 1) <= TOLERANCE)
    if good.all():
        return None
    first = int(np.flatnonzero(~good)[0])
    return f"{int((~good).sum())} rows are not probabilities, the first of {id} {df[id].iloc[first]!r}: {probs[first]}"
