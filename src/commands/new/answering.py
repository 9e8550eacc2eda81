"""What the cells of labels are: one name, several, a list, runs of a mask, boxes; and names that may be one."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from src.base import spellings
from src.base.errors import UserError
from src.base.text import examples
from src.data.labels import parts, to_numbers

ONLY = "here a picture has a class, several labels or a number"
# Columns of boxes, by their bare names: one of numbers in lists, or four of numbers
BOXES = (
    *(("predictionstring",), ("bbox",), ("bboxes",), ("boundingbox",), ("boundingboxes",)),
    *(("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("x0", "y0", "x1", "y1"), ("x", "y", "w", "h")),
    *(("x", "y", "width", "height"), ("left", "top", "right", "bottom")),
)
MASKS = ("encodedpixels", "rle", "rlemask", "maskrle", "encodedmask")
RUNS = re.compile(r"\d+ \d+( \d+ \d+)+")  # run-length encoding: starts and lengths
NUMBERS = re.compile(r"[\[{(][-\d.,;:\s\[\](){}]+[\])}]")  # lists of numbers, such as a box's
SURE = re.compile(r"(\S+ (0?\.\d+|1\.0+|\d[.\d]*e-\d+) ?)+")  # a label and a share of 1, perhaps again
BRACKETS = re.compile(r"\[.*\]")
SEPARATORS = ("|", ";", ",", " ")
MISSING = {"na", "n/a", "#n/a", "<na>", "nan", "null"}  # as programs write a cell that is empty, in small letters
MOVING = 0.3  # of labels that are put together by blanks, the share that stands in several places


def check_columns(where: str, df: pd.DataFrame) -> None:
    """Raise a UserError if a table has columns of masks or boxes, by their names and by the numbers in them.

    A class may be called as one of them, or as a part of it: boxer, with_mask.
    """
    names = {re.sub(r"[\W_]+", "", column.lower()): column for column in df}
    for name in [name for name in MASKS if name in names]:
        raise UserError(f"{where} has the column {names[name]!r}, which is of masks (segmentation): {ONLY}")
    for columns in [columns for columns in BOXES if set(columns) <= set(names)]:
        cells = df[[names[name] for name in columns]].head(1000)
        if columns == ("predictionstring",) or are_coordinates(cells[(cells != "").all(axis=1)]):
            raise UserError(f"{where} has the column {names[columns[0]]!r}, which is of boxes (detection): {ONLY}")


def check_tables(frames: Mapping[str, pd.DataFrame]) -> None:
    """Raise a UserError if one of the tables, of which nothing else is understood, is of masks or boxes."""
    for name, df in frames.items():
        check_columns(name, df)
        for column in df:
            cells = df[column].head(1000)
            if (cells := cells[cells != ""]).str.fullmatch(RUNS).mean() > 0.5:
                raise UserError(f"{name}: {column!r} is of masks (segmentation), as {quoted(cells.iloc[0])}: {ONLY}")


def check_confidences(where: str, answers: pd.Series) -> None:
    """Raise a UserError if the cells of a sample submission are a label and how sure it is: 8815 0.00001."""
    cells = answers[answers != ""]
    if len(cells) and cells.str.fullmatch(SURE).mean() > 0.5:
        raise UserError(
            f"{where}: a cell of {answers.name!r} is a label and how sure it is, as {quoted(cells.iloc[0])}, which is "
            "scored by the order of all rows (global average precision): a submission of that kind is not offered"
        )


def are_coordinates(cells: pd.DataFrame) -> bool:
    """Whether cells are lists of numbers, or in four columns numbers that are not all 0 and 1."""
    if len(cells.columns) == 1:
        return bool(cells.iloc[:, 0].str.contains(r"\d[\s,;]+[-.\d]+[\s,;]+[-.\d]").mean() > 0.5)
    numbers = to_numbers(cells)
    return len(numbers) > 0 and bool(np.isfinite(numbers).all() and not np.isin(numbers, (0, 1)).all())


def check_cells(where: str, labels: pd.Series) -> None:
    """Raise a UserError if the cells of a column of labels are masks, or boxes, or all alike."""
    labels = labels[labels != ""]
    values, n = labels.unique(), len(labels)
    words = {word for value in values[:10_000] for word in value.split()}
    if n and labels.str.fullmatch(RUNS).mean() > 0.5 and len(values) > n / 2 and len(words) > min(n, 10_000):
        raise UserError(f"{where} is of masks (segmentation), run-length encoded as {quoted(values[0])}: {ONLY}")
    if n and labels.str.fullmatch(NUMBERS).mean() > 0.5 and labels.str.contains(",").mean() > 0.5:
        raise UserError(f"{where} holds boxes, points or the like, as {quoted(values[0])}: {ONLY}")
    if len(values) < 2:
        raise UserError(f"{where} has {'one value only' if len(values) else 'no values'}: two are needed")


def label_separator(values) -> str | None:
    """The separator of several labels in one cell; None where each is one label, which may have blanks in it.

    Labels that are put together are few words in many combinations, and mostly stand alone too; names of several words
    bring a word of their own each, or have each word in one place, as a genus is before its species.
    """
    for separator in SEPARATORS:
        several = [labels for value in values if len(labels := parts(value, separator)) > 1]
        words = Counter(label for labels in several for label in labels)
        if len(words) < 2:
            continue
        first = Counter(labels[0] for labels in several)
        alone = sum(word in words for word in set(values))
        moving = sum(0 < first[word] < n for word, n in words.items())
        fewest_alone = 0.75 if separator == " " else 0.5
        put_together = len(words) < len(several) and (separator != " " or moving >= MOVING * len(words))
        if alone >= fewest_alone * len(words) or put_together or all(word.isdigit() for word in words):
            return separator
    return None


def are_codes_of(words: Collection[str], known: Collection[str]) -> bool:
    """Whether words with digits are made of the same kinds of signs as some known ones: digits, letters, others."""
    kinds = {signs(word) for word in words}
    return all("0" in kind for kind in kinds) and kinds <= {signs(one) for one in known}


def signs(word: str) -> str:
    """The kinds of a word's signs: 0 for digits, a for letters, other signs as they are."""
    return "".join(sorted({"0" if one.isdigit() else "a" if one.isalpha() else one for one in word}))


def is_listed(labels: pd.Series) -> bool:
    """Whether most cells are lists in brackets."""
    labels = labels[labels != ""]
    return len(labels) > 0 and bool(labels.str.fullmatch(BRACKETS).mean() > 0.5)


def check_spellings(where: str, classes: Sequence[str]) -> list[str]:
    """Remarks on classes that are one name in two spellings, have blanks around them, or may stand for no label.

    Raises:
        UserError: They differ only by blanks, or by how a sign is encoded.
    """
    odd, seen = [], {}
    for name in classes:
        if (other := seen.setdefault(visible(name), name)) != name:
            both = f"the classes {other!r} and {name!r} differ only by blanks or hidden signs"
            raise UserError(f"{where}: {both}: write them alike")
    if outer := [name for name in classes if name != name.strip()]:
        odd.append(f"classes have blanks around them, as {outer[0]!r}, and so will the submission's: is it so?")
    if missing := [name for name in classes if name.strip().lower() in MISSING]:
        odd.append(
            f"{where}: the class {missing[0]!r} is called as cells without a label are: if these are none, take their "
            "rows out"
        )
    for kind, plain in (("in another case", str.casefold), ("as another number", number)):
        names = {}
        for name in classes:
            names.setdefault(plain(name), []).append(name)
        twice = [" and ".join(map(repr, same)) for same in names.values() if len(same) > 1]
        if twice:
            odd.append(f"classes that are one name {kind}, {examples(twice)}: write them alike if they are one")
    return odd


def visible(name: str) -> str:
    """A name as one sees it: signs in one encoding, one blank for several, and nothing that is not shown."""
    shown = (sign for sign in unicodedata.normalize("NFC", name) if unicodedata.category(sign) != "Cf")
    return " ".join("".join(shown).split())


def number(name: str) -> Hashable:
    """A whole number's value, or the name."""
    return spellings.number(name) if spellings.NUMBER.fullmatch(name) else name


def quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
