"""images.parquet: the facts on every picture that was decoded once and found whole, and the name of its pixels."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from src.base.errors import UserError, counted, listed
from src.base.files import write_parquet
from src.base.threads import parallel
from src.data import images

RECORD = ["path", "size", "mtime_ns", "sha256", "width", "height", "mode"]
FACTS = [*RECORD, "top", "white"]  # the greatest value of a picture of more than 8 bits, else 0; what it was scaled by


def check_images(ids: Iterable[str], paths: Iterable[Path], record: Path, white: int = images.WHITE) -> pd.DataFrame:
    """Decode every picture that was not decoded before, in parallel, and write its facts to `record`.

    A picture is recognised by its path, size and time of change. Returns the record's rows of `paths`, in their order,
    with the columns of FACTS: sha256 is of `identity`, width and height are the file's own.

    Raises:
        UserError: Lists the pictures that are missing or not whole, by id and path.
    """
    ids, paths = list(ids), [str(path) for path in paths]
    try:
        known = pd.read_parquet(record, columns=FACTS)
    except (OSError, ValueError, KeyError):
        known = pd.DataFrame(columns=FACTS)
    row_of = {row.path: row for row in known.itertuples(index=False)}

    def facts(path: str) -> tuple | str:
        try:
            stat = Path(path).stat()
            row = row_of.get(path)
            if row and (row.size, row.mtime_ns) == (stat.st_size, stat.st_mtime_ns) and row.white in (0, white):
                return tuple(row)
            data = Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return "is missing"
        except OSError as error:
            return f"cannot be opened: {error.strerror}"
        if fault := images.explain_fault(data):
            return fault
        (size, mode), top = images.header(data), images.greatest(data)
        sha = identity(data, white if top else images.WHITE)
        return (path, stat.st_size, stat.st_mtime_ns, sha, *size, mode, top, white if top else 0)

    rows = list(parallel(facts, paths, "data"))
    faults = [f"{id}: {path} {row}" for id, path, row in zip(ids, paths, rows, strict=True) if isinstance(row, str)]
    if faults:
        raise UserError(f"{counted(len(faults), 'image')} cannot be used, to be fixed or restored:\n{listed(faults)}")
    df = pd.DataFrame(rows, columns=FACTS)
    distinct = df.drop_duplicates("path").reset_index(drop=True)
    if not distinct.equals(known):
        write_parquet(record, distinct)
    return df


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
    try:
        modes = pd.read_parquet(record, columns=["mode"])["mode"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(modes.str.startswith("DICOM").any())
