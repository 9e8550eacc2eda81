"""A CSV that somebody wrote: its cells as text, its columns by their right names, and the faults of both."""

import csv
import io
import zipfile
import zlib
from array import array
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from src.base.errors import counted
from src.base.spellings import respellings
from src.data.tables import is_index
from src.schema.competition import Competition

FORMATS = {  # what other files than a CSV begin with
    b"\xff\xfe": "text in UTF-16: save it as UTF-8, as df.to_csv does",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8, as df.to_csv does",
    b"\x1f\x8b": "packed by gzip: unpack it by gunzip",
    b"BZh": "packed by bzip2: unpack it by bunzip2",
    b"\xfd7zXZ": "packed by xz: unpack it by unxz",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it by unzstd",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as CSV (UTF-8)",
    b"PAR1": "a Parquet table: write it by df.to_csv(index=False)",
    b"%PDF": "a PDF: send a CSV",
}
PIECE = 1 << 14  # rows of a CSV that are strings at a time
WORKBOOKS = {"xl/": "an Excel workbook", "content.xml": "an OpenDocument sheet", "Index/": "a Numbers sheet"}

WANTED = {  # by the form: what a file of probabilities should have instead
    "label": ("labels", "the likeliest class, df[classes].idxmax(axis=1)"),
    "label_list": ("labels", "those of each row in one cell"),
    "ranking": ("the likeliest labels", "those of each row in one cell, the best first"),
    "one_probability": ("one of them", "the probability that is asked for"),
}


def unpack(raw: bytes) -> tuple[bytes, str]:
    """Return the text of a file, of a zip that of the one file in it, as Kaggle takes it; and the fault of its format.

    The fault is empty where there is none.
    """
    if raw.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(raw)) as zipped:
                names = [name for name in zipped.namelist() if not name.endswith("/") and "__MACOSX/" not in name]
                for begins, what in WORKBOOKS.items():
                    if any(name.startswith(begins) for name in names):
                        return raw, f"it is {what}: save it as CSV (UTF-8)"
                if len(names) != 1:
                    return raw, f"it is a zip of {len(names)} files, and Kaggle takes a zip of one CSV"
                raw = zipped.read(names[0])
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            return raw, f"it is a zip that cannot be read ({error}): send the CSV itself"
    for begins, what in FORMATS.items():
        if raw.startswith(begins):
            return raw, f"it is {what}"
    if b"\0" in raw:
        return raw, "it has bytes of zero, as text in UTF-16 has and a CSV has not: save it as UTF-8, as df.to_csv does"
    return raw, ""


def parse_cells(raw: bytes) -> tuple[pd.DataFrame | None, list[str]]:
    """Return the cells as text, each row by the number of its line, or None; and the faults of the text."""
    raw, fault = unpack(raw)
    if fault:
        return None, [fault]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return None, [f"line {line} is not UTF-8 text ({error.reason}): save the file as UTF-8, as df.to_csv does"]
    faults = []
    if text.startswith("\ufeff"):
        faults.append(
            "it begins with a byte order mark, which Kaggle may take for a part of the first column's name: "
            "write it with encoding='utf-8', not 'utf-8-sig'"
        )
    if not text.removeprefix("\ufeff").strip():
        return None, [*faults, "it is empty: write a header, and a row for each test id"]
    del text
    cells = TextCells()
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(raw), "utf-8-sig", newline=""), strict=True)
    try:
        for row in reader:
            if row:  # Kaggle and pandas pass over empty lines
                cells.add(row, reader.line_num)
    except csv.Error as error:
        return None, [*faults, f"line {reader.line_num} is not CSV ({error}): is a quote opened and not closed?"]
    header = cells.header
    if len(header) == 1 and (marks := [mark for mark in ";\t|" if mark in header[0]]):
        return None, [*faults, f"its cells are parted by {marks[0]!r}: write it with commas, as df.to_csv does"]
    if cells.ragged:
        line, n = cells.ragged[0]
        return None, [
            *faults,
            f"{counted(len(cells.ragged), 'row')} with another number of cells than the header ({len(header)}), the "
            f"first in line {line} ({n}): give each as many, and quote a cell that has a comma in it",
        ]
    return cells.frame(), faults


class TextCells:
    """The cells of a CSV, column by column: few rows at a time are strings of Python, of ten times the size."""

    def __init__(self):
        self.header: list[str] = []
        self.lines = array("q")  # of the rows
        self.ragged: list[tuple[int, int]] = []  # lines of rows of another length than the header, and it
        self.rows: list[list[str]] = []  # those that are not in a piece yet
        self.pieces: list[list[pa.Array]] = []

    def add(self, row: list[str], line: int) -> None:
        """The next row, of which the first is the header; what is ragged is noted and not kept."""
        if not self.header:
            self.header = row
        elif len(row) != len(self.header):
            self.ragged.append((line, len(row)))
        else:
            self.rows.append(row)
            self.lines.append(line)
            if len(self.rows) == PIECE:
                self.pack()

    def pack(self) -> None:
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.header)
        self.pieces.append([pa.array(column, pa.large_string()) for column in columns])
        self.rows = []

    def frame(self) -> pd.DataFrame:
        """All rows, each by the number of its line."""
        self.pack()
        columns = (pd.array(pa.chunked_array(pieces), dtype="str") for pieces in zip(*self.pieces, strict=True))
        df = pd.DataFrame(dict(enumerate(columns)), index=np.array(self.lines))
        return df.set_axis(self.header, axis=1)


def match_columns(competition: Competition, df: pd.DataFrame, wanted: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the wanted columns that there are, by their right names, and the faults of the header."""
    faults = []
    if df.columns.has_duplicates:
        faults.append(f"the column {df.columns[df.columns.duplicated()][0]!r} is there twice: leave one out")
        df = df.loc[:, ~df.columns.duplicated()]
    others = [name for name in df if name not in wanted]
    for name in [name for name in others if is_index(name, df[name])]:
        others.remove(name)
        if len(df) and (df[name] == "").all():
            faults.append("its lines end with a comma, which makes an empty column: take that away")
        else:
            faults.append(f"the column {name!r} is pandas' index: write the file with index=False")
    missing = [name for name in wanted if name not in df]
    if fault := wrong_answers(competition, missing, others, wanted):
        return df.filter([competition.sample_id]), [*faults, fault]
    for name, right in [pair for pairs in respellings(others, missing).values() for pair in pairs.items()]:
        if right in missing:
            faults.append(f"the column {name!r} is written wrong: name it {right!r}")
            df = df.rename(columns={name: right})
            others.remove(name)
            missing.remove(right)
    if len(missing) == len(others) == 1:
        both = f"the column {missing[0]!r} is missing and {others[0]!r} is one too many"
        faults.append(f"{both}: rename it, if it is that")
    else:
        faults += [f"the column {name!r} is missing: add it, as sample_submission has it" for name in missing]
        faults += [f"the column {name!r} is one too many: leave it out" for name in others]
    names = [name for name in df if name in wanted]
    if names != [name for name in wanted if name in names]:
        order = ", ".join(names)
        faults.append(f"its columns are in the order {order}: write them in sample_submission's, {', '.join(wanted)}")
    return df[names], faults


def wrong_answers(
    competition: Competition, missing: Collection[str], others: Collection[str], wanted: Sequence[str]
) -> str | None:
    """Return the fault of a file of probabilities where labels are wanted, or of labels where probabilities are."""
    kind, label, classes = competition.form.kind, competition.sample_columns[1], set(competition.classes)
    if kind in WANTED and label in missing and classes <= set(others):
        what, content = WANTED[kind]
        return f"it has probabilities, but {competition.metric} wants {what}: the column {label!r} with {content}"
    if kind == "probabilities" and competition.label in others and classes <= set(missing):
        sums = ", whose sum is 1 in each row" if competition.target.is_choice else ""
        return (
            f"it has labels, but {competition.metric} wants probabilities: "
            f"a column for each class, {', '.join(wanted)}{sums}"
        )
    return None
