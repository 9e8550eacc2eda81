"""Pictures that are no files of one picture a row: slices of a volume, and numbers in JSON. Both are refused."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from src.base.errors import UserError
from src.data.patterns import visible_files

SLICES = (".dcm", ".dicom")
FEWEST = 2  # slices of a volume, in the median
READ = 200_000  # characters of a JSON file: a picture's numbers begin with its first row
NUMBER = r"\s*-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\s*"
NUMBERS = re.compile(rf'"([^"]+)"\s*:\s*(?:\[\s*)+(?:{NUMBER},){{50}}')


def refuse(root: Path, pictures: Iterable[str], tables: Mapping[str, pd.DataFrame]) -> None:
    """Raise a UserError where a table names folders of DICOM slices, and none names the slices."""
    paths = [PurePosixPath(path) for path in pictures]
    slices = [path for path in paths if path.suffix.lower() in SLICES]
    if 2 * len(slices) <= len(paths):
        return
    names = {name for path in slices for name in (path.name, path.stem, str(path))}
    inside = Counter(parent.name for path in slices for parent in path.parents)
    columns = [(file, df[column]) for file, df in tables.items() for column in df if len(df)]
    # a slice may be called 0, as a label may be: what names pictures has another value in most rows
    if any(2 * cells[~cells.duplicated()].isin(names).sum() > len(cells) for _, cells in columns):
        return
    for file, cells in columns:
        counts = cells[cells.isin(inside.keys())].map(inside)
        if 2 * len(counts) > len(cells) and counts.median() >= FEWEST:
            name = cells[counts.index[0]]
            raise UserError(
                f"{root}: a row of {file} is a folder of DICOM slices, as {cells.name} {name!r} with {inside[name]}: "
                "volumes are not offered, and only a table that names single pictures is read"
            )


def refuse_numbers(root: Path) -> None:
    """Raise a UserError where a JSON file has pictures in it as lists of numbers."""
    for path in sorted(visible_files(root)):
        if path.suffix.lower() == ".json" and path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                found = NUMBERS.search(file.read(READ))
            if found:
                raise UserError(
                    f"{root} has no picture, but {path.relative_to(root).as_posix()} has lists of numbers in it, "
                    f"{found[1]!r} first, which are not read as pictures: write each as a .npy or PNG file, and a table"
                )
