"""The kind of answer that a competition wants, by its labels: one class a picture, or what is not offered here."""

import re
import unicodedata
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from src.base import spellings
from src.base.errors import UserError
from src.commands.new.looking import examples
from src.data.labels import to_numbers

ONLY = "here each picture has one class"
BOXES = re.compile(r"box|^[xy]_?(min|max)$|predictionstring")
MASKS = re.compile(r"encodedpixels|\brle|_rle|segmentation|mask")
RUNS = re.compile(r"\d+ \d+( \d+ \d+)+")  # run-length encoding: starts and lengths
SEPARATORS = ("|", ";", ",", " ")


def check_columns(where: str, columns: list[str]) -> None:
    """Raise a UserError if a column's name tells of masks or boxes."""
    for column in columns:
        for pattern, kind in ((MASKS, "masks (segmentation)"), (BOXES, "boxes (detection)")):
            if pattern.search(column.lower()):
                raise UserError(f"{where} has the column {column!r}, which is of {kind}: {ONLY}")


def check_labels(where: str, labels: pd.Series) -> None:
    """Raise a UserError if the labels of train rows are not one class each; it says what they are."""
    labels = labels[labels != ""]
    values, n = labels.unique(), len(labels)
    if n and labels.str.fullmatch(RUNS).mean() > 0.5 and len(values) > n / 2:
        raise UserError(f"{where} is of masks (segmentation), run-length encoded as {quoted(values[0])}: {ONLY}")
    if n and labels.str.match(r"[\[{(]").mean() > 0.5:
        raise UserError(f"{where} holds lists, boxes or the like, as {quoted(values[0])}: {ONLY}")
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(float)
    if len(values) and np.isfinite(numbers).all() and (numbers % 1 != 0).any():
        example = quoted(values[numbers % 1 != 0][0])
        raise UserError(f"{where} holds numbers with decimals, as {example} (regression): {ONLY}")
    if separator := label_separator(values):
        example = quoted(next(value for value in values if separator in value))
        cells = f"several labels in a cell, parted by {separator!r}, as {example}"
        raise UserError(f"{where} has {cells} (multi-label): {ONLY}")
    if len(values) < 2:
        raise UserError(f"{where} has {'one value only' if len(values) else 'no values'}: two classes are needed")
    if 2 * len(values) > n:
        kind = "a number to predict (regression), or " if np.isfinite(numbers).all() else "a text, or "
        raise UserError(
            f"{where} has {len(values)} values in {n} rows, as {examples(map(quoted, values), 2)}: it is {kind}classes "
            f"too small to learn: {ONLY}, and a class needs two rows"
        )


def label_separator(values) -> str | None:
    """The separator of several labels in one cell; None where each is one label, which may have blanks in it.

    Labels that are put together are few words in many combinations, and mostly stand alone too; names of several words
    bring a word of their own each.
    """
    for separator in SEPARATORS:
        several = [value.split(separator) for value in values if separator in value.strip()]
        words = {word.strip() for value in several for word in value if word.strip()}
        if not several or len(words) < 2:
            continue
        alone = words & set(values)
        counted = all(word.isdigit() for word in words)
        if len(alone) >= 0.75 * len(words) or len(words) < len(several) or (separator in " ,;|" and counted):
            return separator
    return None


def check_one_hot(where: str, df: pd.DataFrame) -> None:
    """Raise a UserError if a row is not 1 in exactly one of the columns, one a class; it says what they are."""
    numbers = to_numbers(df)
    columns = f"{where} has a column for each of {examples(df.columns)}"
    if not np.isin(numbers, (0, 1)).all():
        kind = "several targets a picture, or shares of classes"
        raise UserError(f"{columns} whose cells are not 0 and 1: {kind}: {ONLY}")
    ones = numbers.sum(axis=1)
    if (ones != 1).any():
        rows = f"{int((ones > 1).sum())} rows have several that are 1 and {int((ones == 0).sum())} have none"
        raise UserError(f"{columns}, of which {rows} (multi-label): {ONLY}")


def check_spellings(where: str, classes: Sequence[str]) -> list[str]:
    """Remarks on classes that are one name in two spellings, or that have blanks around them.

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


def check_sample(where: str, column: pd.Series, labels: pd.Series) -> str | None:
    """A remark on odd answers of a sample submission of labels, if there are any.

    Raises:
        UserError: They are no labels, but probabilities, numbers or several labels.
    """
    values, known = [value for value in column.unique() if value != ""], set(labels)
    strange = [value for value in values if value not in known]
    if not strange:
        return None
    numbers = pd.to_numeric(pd.Series(strange), errors="coerce").to_numpy(float)
    if (numbers % 1 > 0).any():
        raise UserError(
            f"{where} has numbers with decimals, as {quoted(strange[0])}, where the labels are "
            f"{examples(sorted(known))}: one probability, or a number, a picture is not offered here: a "
            "submission has labels, or a column a class"
        )
    if all(len(words := value.split()) > 1 and set(words) <= known for value in strange):
        raise UserError(f"{where} has several labels in a cell, as {quoted(strange[0])}, best first: {ONLY}")
    return f"its {quoted(strange[0])} is no label of a train row"


def quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
