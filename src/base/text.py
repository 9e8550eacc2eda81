"""Text for the terminal: tables in aligned columns, durations, and the docstrings of files."""

import ast
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from src.base.errors import UserError

SHARES_NAMED = 20  # of labels
EITHER_NAMED = 3  # of names


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows, all of as many cells, as lines; each column is as wide as its widest cell."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    padded = ([cell + " " * (most - width(cell)) for cell, most in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(cells).rstrip() for cells in padded]


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two of a wide sign, none of an accent that is a sign."""
    if text.isascii():
        return len(text)
    shown = (sign for sign in text if unicodedata.category(sign) not in ("Mn", "Me", "Cf"))
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in shown)


def duration(seconds: float) -> str:
    """Return a duration as `0.4s`, `42s`, `3m05s` or `2h07m`."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest}s"
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def examples(names: Iterable[str], most: int = 4) -> str:
    """`a, b, c, d and 3 more`."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def shares(of: Mapping[str, float]) -> str:
    """Return `rust 31.8%, scab 12.0%, ...`: the SHARES_NAMED largest; of as many or fewer all, in their order."""
    named = of.items() if len(of) <= SHARES_NAMED else sorted(of.items(), key=lambda one: -one[1])
    return examples((f"{name} {share:.1%}" for name, share in named), SHARES_NAMED)


def either(names: Sequence[str]) -> str:
    """Return `rust or scab`; of more than EITHER_NAMED names `rust or one of 97 others`."""
    if len(names) > EITHER_NAMED:
        return f"{names[0]} or one of {len(names) - 1} others"
    return " or ".join(names)


def docstring(path: Path) -> str:
    """Read a Python file's docstring without running the file.

    Raises:
        UserError: It is no Python.
    """
    try:
        return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def first_sentence(text: str, name: str) -> str:
    """Return the first sentence on one line, without `name: ` before it and its full stop."""
    line = " ".join(text.partition("\n\n")[0].split())
    return line.partition(". ")[0].removesuffix(".").removeprefix(f"{name}: ")
