"""rows.parquet: a dataset that was read and checked, as one file that other processes of the run read instead.

It has the rows of `Dataset.rows` one below the other, and says of what they were made. What is in it is a digest, by
which whoever starts a process tells it the rows that are meant.
"""

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from src.base import files
from src.base.errors import UserError
from src.data import columns, patterns
from src.data.rows import Dataset, Rows
from src.data.texts import Paths, Texts
from src.data.units import Units
from src.schema.competition import Competition

CODE = 1  # raised when this file writes other columns
ABOUT = b"about"  # the file's own description
# Fields of a config that change no row
NOT_OF_ROWS = {
    *("title", "solution", "symmetries", "metric", "store_gb", "prompts", "models", "compared", "phrasings", "blend"),
    *("reported", "notebook"),
}


def write(competition: Competition, data: Dataset) -> str:
    """Write the rows, unless the file has them already, and return their digest.

    Raises:
        UserError: The folder cannot be written.
    """
    about = {"digest": digest(competition, data), "made_of": made_of(competition), "white": data.train.white}
    about |= {"folds": data.folds_sha, "target": str(data.targets.dtype)}
    if describe(competition) != about:
        table = to_table(competition, data).replace_schema_metadata({ABOUT: json.dumps(about)})
        sink = pa.BufferOutputStream()  # pyarrow would hide the reason when the disk is full
        parquet.write_table(table, sink, use_dictionary=["unit"] if data.units else False)
        with files.replacing(competition.rows_parquet) as part:
            part.write_bytes(sink.getvalue())
    return about["digest"]


def read(competition: Competition, digest: str | None = None) -> Dataset:
    """Read the rows without a look at tables and pictures.

    Args:
        digest: That which `write` returned; None: the rows of the tables and folds as they are, by size and time.

    Raises:
        UserError: They are not there, or other ones.
    """
    about, path = describe(competition), competition.rows_parquet
    again = f"{competition.command()} reads and checks them again"
    if about is None:
        raise UserError(f"{path} is missing, or no file of checked rows: {again}")
    if any(map(patterns.is_pattern, tables(competition))) and digest is None:
        raise UserError(f"{path} may lack files that are there by now, which a pattern lists: {again}")
    now = made_of(competition)
    if about["made_of"]["config"] != now["config"] or about["digest"] != (digest or about["digest"]):
        raise UserError(f"{path} is of other rows than those that are asked for: {again}")
    if digest is None and about["made_of"] != now:
        raise UserError(f"{path} is older than the tables or folds: {again}")
    try:
        with parquet.ParquetFile(path) as file:
            return from_file(competition, file, about)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it; {again}") from error


def describe(competition: Competition) -> dict[str, Any] | None:
    """What the file says of itself; None where it is not there or none of ours."""
    try:
        return json.loads(parquet.read_schema(competition.rows_parquet).metadata[ABOUT])
    except (OSError, ValueError, KeyError, TypeError):  # pyarrow's ArrowInvalid is a ValueError
        return None


def digest(competition: Competition, data: Dataset) -> str:
    """A digest of all that the file has, but for where the pictures lie."""
    sizes = hashlib.sha256(np.ascontiguousarray(data.rows.sizes, np.int64).tobytes()).hexdigest()
    return files.digest([data.key, sizes, columns.columns_key(competition, data.columns), config(competition)])


def config(competition: Competition) -> str:
    """A digest of the config's fields that change the rows."""
    return files.digest({"code": CODE, **competition.model_dump(mode="json", exclude=NOT_OF_ROWS)})


def made_of(competition: Competition) -> dict[str, Any]:
    """What the rows depend on, as far as it is known without reading tables: their sizes and times."""
    stats = {}
    for table in tables(competition):
        path = competition.input(table)
        found = path.stat() if path.is_file() else None
        stats[table] = found and [found.st_size, found.st_mtime_ns]
    folds = competition.folds_csv
    return {"config": config(competition), "tables": stats, "folds": folds.is_file() and files.sha256(folds)}


def tables(competition: Competition) -> list[str]:
    return [table for part in ("train", "test", "sample_submission") for table in competition.tables_of(part)]


def to_table(competition: Competition, data: Dataset) -> pa.Table:
    """A row for each train row and behind them the test rows, whose fold is -1 and whose target is 0."""
    rows, m = data.rows, len(data.test)
    made = {
        "id": rows.ids.array,
        "path": inside(competition, rows.paths),
        "sha256": rows.shas.array,
        "width": rows.sizes[:, 0],
        "height": rows.sizes[:, 1],
        "fold": np.concatenate([data.fold, np.full(m, -1)]),
        "target": packed(np.concatenate([data.targets, np.zeros((m, *data.targets.shape[1:]), data.targets.dtype)])),
    }
    if data.units is not None:
        train, test = data.units
        made["unit"] = (train.ids[train.which] + test.ids[test.which]).array
        made["place"] = np.concatenate([train.which, test.which])
    if data.columns is not None:
        made["columns"] = packed(data.columns)
    return pa.table(made)


def from_file(competition: Competition, file: parquet.ParquetFile, about: dict[str, Any]) -> Dataset:
    """The dataset of a file with a table of `to_table`, a column after the other: twice of one is in memory at most."""

    def column(name: str) -> pa.ChunkedArray | None:
        return file.read([name])[name] if name in file.schema_arrow.names else None

    fold = column("fold").to_numpy()
    n = int((fold >= 0).sum())
    sizes = np.stack([column(side).to_numpy() for side in ("width", "height")], axis=1)
    paths = outside(competition, Texts(column("path")))
    rows = Rows(Texts(column("id")), paths, Texts(column("sha256")), sizes, about["white"])
    held = None
    if (names := column("unit")) is not None:
        unit, place = Texts(names), column("place").to_numpy()
        held = tuple(units_of(unit[part], place[part]) for part in (slice(0, n), slice(n, None)))
    targets = unpacked(column("target"), about["target"])[:n]
    beside = None if (packed := column("columns")) is None else unpacked(packed, "float32")
    train, test = rows.take(slice(0, n)), rows.take(slice(n, None))
    return Dataset(train, targets, test, held, beside, fold=fold[:n], folds_sha=about["folds"])


def units_of(unit: Texts, place: np.ndarray) -> Units:
    """The units of rows, by the name of each row's and its place among them."""
    return Units(unit[np.unique(place, return_index=True)[1]], place)


def before(competition: Competition) -> str:
    """The text in front of the paths of the competition's files, which may lie elsewhere in another process."""
    return str(competition.input("x"))[:-1]


def inside(competition: Competition, paths: Paths) -> pa.Array:
    """The paths as they are told in the file: without the competition's folder, where they lie in it."""
    return Texts(paths.series.str.removeprefix(before(competition))).array


def outside(competition: Competition, names: Texts) -> Paths:
    """The paths of which `inside` made these names."""
    paths, elsewhere = Texts(before(competition) + names.series).array, compute.starts_with(names.array, "/")
    return Paths(compute.if_else(elsewhere, names.array, paths) if compute.any(elsewhere).as_py() else paths)


def packed(array: np.ndarray) -> pa.Array | np.ndarray:
    """(n,), or (n, c) as the bytes of each row."""
    if array.ndim == 1:
        return array
    array = np.ascontiguousarray(array)
    kind = pa.binary(array.shape[1] * array.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(array), [None, pa.py_buffer(array)])


def unpacked(column: pa.ChunkedArray, dtype: str) -> np.ndarray:
    """The array that was `packed`."""
    if not pa.types.is_fixed_size_binary(column.type):
        return column.to_numpy()
    width = column.type.byte_width
    parts = [
        np.frombuffer(one.buffers()[1], np.uint8)[one.offset * width :][: len(one) * width] for one in column.chunks
    ]
    return np.concatenate(parts).view(dtype).reshape(len(column), -1)
