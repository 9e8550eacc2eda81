"""Lists of class names: classes/<name>.txt has a class on each line, as `label` or as `label = phrase; phrase`.

The phrases are what zero-shot calls the class; a label without any is its own phrase. Lines that begin with # say where
the names are from.
"""

from pathlib import Path
from typing import NamedTuple

from src.base.errors import UserError, unknown

FOLDER = Path(__file__).parent / "classes"


class Classes(NamedTuple):
    """A list of classes, in the order of its file."""

    labels: tuple[str, ...]
    phrases: dict[str, tuple[str, ...]]  # label: its phrases; a label that is its own phrase is not here


def read(name: str) -> Classes:
    """The classes of classes/<name>.txt.

    Raises:
        UserError: No such list exists, or it is not UTF-8; or a line is empty, lacks a label or a phrase, or repeats a
            label.
    """
    path = FOLDER / f"{name}.txt"
    if not path.is_file():
        names = sorted(path.stem for path in FOLDER.glob("*.txt"))
        raise UserError(unknown("list of classes", name, names) + f" (each is a text file in {FOLDER})")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8 text ({error.reason}): save the file as UTF-8") from error
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        label, equals, rest = (part.strip() for part in line.partition("="))
        phrases = tuple(phrase.strip() for phrase in rest.split(";")) if equals else ()
        if not all((label, *phrases)):
            raise UserError(f"{path}, line {number}: {line!r} is neither 'label' nor 'label = phrase; phrase'")
        if label in found:
            raise UserError(f"{path}, line {number}: the class {label!r} is listed twice: take one out")
        found[label] = phrases
    return Classes(tuple(found), {label: phrases for label, phrases in found.items() if phrases})
