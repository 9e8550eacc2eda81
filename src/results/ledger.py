"""The ledger of submissions, scores.csv: one row for each that was sent, or was about to be when the run was killed."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from src.base.csvs import read_csv
from src.base.errors import UserError, unknown
from src.base.files import write_text
from src.base.locks import locked

STATES = SENDING, PENDING, COMPLETE, ERROR, REFUSED = "sending", "pending", "complete", "error", "refused"


@dataclass(frozen=True)
class Entry:
    """A submission. All of it is text, as the file and Kaggle have it; what is not known is empty."""

    time: str  # when it was sent: UTC, ISO 8601
    file: str  # its name
    sha256: str = ""
    commit: str = ""  # of this repository
    cv: str = ""
    se: str = ""  # of cv
    public: str = ""  # the scores with the digits that Kaggle shows
    private: str = ""
    status: str = SENDING  # sending: it is not known whether it arrived; refused: it did not
    ref: str = ""  # Kaggle's number of it
    message: str = ""  # its description on Kaggle
    reason: str = ""  # why it was refused, or had an error

    @property
    def identity(self) -> tuple[str, str, str]:
        """The fields that never change."""
        return self.time, self.file, self.sha256


NUMBERS = ("cv", "se", "public", "private")
COLUMNS = [field.name for field in fields(Entry)]


def read(path: Path) -> list[Entry]:
    """Read the entries in the order of the file; none without a file, a UserError if it is no ledger."""
    if not path.is_file():
        return []
    df = read_csv(path)
    if missing := [column for column in ("time", "file", "status") if column not in df]:
        raise UserError(f"{path} is no ledger: it lacks the column {missing[0]!r}: fix it, or move it away")
    if others := [column for column in df if column not in COLUMNS]:
        raise UserError(f"{path} has the column {others[0]!r}, which no ledger has: fix it, or move it away")
    for column in NUMBERS:
        for line, cell in enumerate(df.get(column, []), start=2):
            if cell and not is_number(cell):
                raise UserError(f"{path}, line {line}: {column} {cell!r} is no number: write it as 0.71982")
    for line, cell in enumerate(df["status"], start=2):
        if cell not in STATES:
            raise UserError(f"{path}, line {line}: {unknown('status', cell, STATES)}")
    for line, cell in enumerate(df.get("ref", []), start=2):
        if cell and not cell.isdecimal():
            raise UserError(f"{path}, line {line}: ref {cell!r} is no number of a submission: leave it empty")
    return [Entry(**row) for row in df.to_dict("records")]


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def write(path: Path, entries: Sequence[Entry]) -> None:
    """Write all entries, whole or not at all; a UserError where the disk is full or the folder is not writable."""
    df = pd.DataFrame([asdict(entry) for entry in entries], columns=COLUMNS)
    write_text(path, df.to_csv(index=False, lineterminator="\n"))


def put(path: Path, entry: Entry, instead_of: Entry | None = None) -> Entry:
    """Add an entry, or puts it in the place of an older state of it, and return it.

    Two processes may do so at a time, of the same entry too.
    """
    with locked(path.with_name(f".{path.name}.lock")):
        entries = read(path)
        at = [i for i, other in enumerate(entries) if instead_of is not None and other.identity == instead_of.identity]
        place = at[-1] if at else len(entries)
        entries[place : place + 1] = [entry]
        write(path, entries)
    return entry
