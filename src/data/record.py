"""images.parquet: the facts on every picture that was decoded once and found whole, and the name of its pixels."""

import hashlib
import itertools
import os
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from pyarrow import compute

from src.base.errors import UserError, counted, listed
from src.base.files import write_parquet
from src.base.threads import parallel
from src.data import images
from src.data.texts import Paths, Texts

RECORD = ["path", "size", "mtime_ns", "sha256", "width", "height", "mode"]
FACTS = [*RECORD, "top", "white"]  # the greatest value of a picture of more than 8 bits, else 0; what it was scaled by
AT_ONCE = 4096  # files that a thread looks for, and rows of facts that are lists


def check_images(
    ids: Iterable[str], paths: Iterable[str | Path], record: Path, white: int = images.WHITE
) -> pd.DataFrame:
    """Decode every picture that was not decoded before, in parallel, and write its facts to `record`.

    A picture is recognised by its path, size and time of change. Returns the record's rows of `paths`, in their order,
    with the columns of FACTS: sha256 is of `identity`, width and height are the file's own.

    Raises:
        UserError: Lists the pictures that are missing or not whole, by id and path.
    """
    paths, known = Paths(paths), read_record(record)
    stats, faults = stat_all(paths)
    at = find(paths, known, stats, white)
    todo = [i for i in np.flatnonzero(at < 0).tolist() if i not in faults]
    made = decode_all(paths, stats, todo, white, faults)
    if faults:
        names = [*ids]
        lines = [f"{names[i]}: {paths[i]} {fault}" for i, fault in sorted(faults.items())]
        raise UserError(f"{counted(len(lines), 'image')} cannot be used, to be fixed or restored:\n{listed(lines)}")
    if np.array_equal(at, np.arange(len(known))):
        return known
    at[todo] = len(known) + np.arange(len(todo))
    df = pd.concat([one for one in (known, *made) if len(one)], ignore_index=True).take(at).reset_index(drop=True)
    distinct = df.drop_duplicates("path").reset_index(drop=True)
    if not distinct.equals(known):
        write_parquet(record, distinct)
    return df


def read_record(record: Path, columns: list[str] = FACTS) -> pd.DataFrame:
    """The facts of the pictures of a record; none where it is not there or not to be read."""
    try:
        return pd.read_parquet(record, columns=columns)
    except (OSError, ValueError, KeyError):
        return pd.DataFrame(columns=columns)


def stat_all(paths: Paths) -> tuple[np.ndarray, dict[int, str]]:
    """(n, 2) the size and the time of change of each file, and {place of one that is not to be had: why}."""
    stats, faults = np.zeros((len(paths), 2), np.int64), {}

    def stat_some(start: int) -> int:
        some = paths[start : start + AT_ONCE].array.to_pylist()
        for i, path in enumerate(some, start):
            try:
                found = os.stat(path)
            except OSError as error:
                faults[i] = why_not(error)
            else:
                stats[i] = found.st_size, found.st_mtime_ns
        return len(some)

    for _ in parallel(stat_some, range(0, len(paths), AT_ONCE), "files", total=len(paths), of=int):
        pass
    return stats, faults


def find(paths: Paths, known: pd.DataFrame, stats: np.ndarray, white: int) -> np.ndarray:
    """(n,) the row of `known` of each file; -1 of one that is not there, or is another since."""
    if not len(known):
        return np.full(len(paths), -1)
    at = compute.index_in(paths.array, Texts(known["path"]).array).fill_null(-1).to_numpy().astype(int)
    same = (known[["size", "mtime_ns"]].to_numpy()[at] == stats).all(axis=1)
    return np.where(same & known["white"].isin([0, white]).to_numpy()[at], at, -1)


def decode_all(
    paths: Paths, stats: np.ndarray, todo: list[int], white: int, faults: dict[int, str]
) -> list[pd.DataFrame]:
    """The facts of the files at the places `todo`, in pieces; of one that is no whole picture, `faults` says why."""

    def facts(i: int) -> tuple | None:
        path = paths[i]
        try:
            data = path.read_bytes()
        except OSError as error:
            faults[i] = why_not(error)
            return None
        if fault := images.explain_fault(data):
            faults[i] = fault
            return None
        (size, mode), top = images.header(data), images.greatest(data)
        sha = identity(data, white if top else images.WHITE)
        return (str(path), *stats[i].tolist(), sha, *size, mode, top, white if top else 0)

    rows = iter(parallel(facts, todo, "data"))
    pieces = iter(lambda: [*itertools.islice(rows, AT_ONCE)], [])
    return [pd.DataFrame([row for row in piece if row is not None], columns=FACTS) for piece in pieces]


def why_not(error: OSError) -> str:
    """Say of a file that is not to be had that it is missing, or why it is not opened."""
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return "is missing" if missing else f"cannot be opened: {error.strerror}"


def identity(data: bytes, white: int) -> str:
    """Return the name of a picture's pixels, by which stores and keys know it: the sha256 of its file's bytes.

    Of pixels that are not those that such bytes had in earlier versions, or have by default, it is another.
    """
    sha = hashlib.sha256(data)
    if all(images.scan(data)):
        overlooked = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if overlooked is not None and not np.array_equal(overlooked, images.decode(bytearray(data))):
            sha.update(b"upright")
    if white != images.WHITE:
        sha.update(f"white {white}".encode())
    return sha.hexdigest()


def has_dicom(record: Path) -> bool:
    """Return whether any picture of a record is a DICOM file; False where nothing is recorded."""
    return bool(read_record(record, ["mode"])["mode"].astype("str").str.startswith("DICOM").any())
