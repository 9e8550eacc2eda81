"""What the train table says of a row: one class, several labels, or a number."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from src.base.errors import UserError
from src.base.text import examples
from src.commands.new import answering, submitting
from src.commands.new.answering import quoted
from src.commands.new.evaluation import Wanted
from src.data.labels import parts, to_numbers
from src.scoring.metrics import METRICS_OF

GRADES = 20  # whole numbers of so many values are classes
SMOOTH = 0.5  # the correlation of a value's rows with the next one's, above which whole numbers are no codes
ALONE = 0.5  # the share of rows whose label no other has, from which on it is a text
OF_CODES = re.compile(
    r"(?i)(^|[_\W])(ids?|class|category|species|breed|code|type|kind)([_\W]|$)|(?-i:Id|Class|Category)$"
)
OF_NUMBERS = re.compile(
    r"(?i)score|age$|^age|count|price|weight|height|length|width|area|percent|ratio|rating|temperature|number_of|num_"
)
ROUND = (1, 5, 10, 20, 50, 100, 200, 255, 360, 500, 1000)  # the greatest values that scales end with
DECIMAL = r"-?\d+,\d+"  # a number as half of Europe writes it, or two labels
# Thousands, as 1,087, or several labels; codes of labels that are parted by commas are not all of three digits
THOUSANDS, UNEVEN = r"-?[1-9]\d{0,2}(,\d{3})*|0", r"-?\d{1,2},\d.*"
PERCENT = r"-?\d+([.,]\d+)?\s*%"
NEAR, LITTLE = 0.9, 0.1  # from this share of it on the greatest label tells of it, and up to this the least one of 0


@dataclass
class Asked:
    """The target of the train rows, with the reason for each field of the config."""

    task: str
    label: str  # the column; the name of one that is made of columns of 0 and 1
    classes: tuple[str, ...] = ()
    separator: str = " "
    span: tuple[float, float] | None = None
    why: dict[str, str] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)


def of_columns(where: str, df: pd.DataFrame, label: str, why_classes: str) -> Asked:
    """The target of columns of 0 and 1: a class where each row has one 1, else labels.

    Raises:
        UserError: A cell is neither.
    """
    numbers, columns = to_numbers(df), f"{where}'s columns of 0 and 1"
    if not np.isin(numbers, (0, 1)).all():
        raise UserError(
            f"{where} has a column for each of {examples(df.columns)} whose cells are not 0 and 1: several numbers a "
            f"picture, or shares of classes: {answering.ONLY}"
        )
    ones = numbers.sum(axis=1)
    task = "class" if (ones == 1).all() else "labels"
    why = {"label": f"no column: made of {columns}", "classes": why_classes}
    asked = Asked(task, label, tuple(df.columns), why=why)
    if task == "labels":
        asked.why["task"] = f"{(ones > 1).sum():,} train rows have several labels, {(ones == 0).sum():,} have none"
    return asked


def of_column(
    where: str, cells: pd.Series, answers: pd.Series, names: Sequence[Collection[str]], wanted: Wanted
) -> Asked:
    """The target of a column of labels.

    Args:
        where: The table and the column, for messages.
        answers: The sample submission's cells for it; none where there is no sample submission.
        names: The codes in each table of names that could be theirs.

    Raises:
        UserError: The cells are of masks, of boxes, texts, or all alike.
    """
    answering.check_cells(where, cells)
    filled = cells[cells != ""]
    values, label = filled.value_counts(), str(cells.name)
    separator = "," if answering.is_listed(filled) else answering.label_separator(values.index.to_numpy(object))
    shown = examples(map(quoted, values.index), 2)
    if separator == "," and wanted.of("labels") is None:
        comma = "a decimal comma? write them with a point" if filled.str.fullmatch(DECIMAL).all() else None
        if filled.str.fullmatch(THOUSANDS).all() and filled.str.fullmatch(UNEVEN).any():
            comma = "commas between thousands? write them without, or as decimals with a point"
        if comma is not None:
            raise UserError(
                f"{where} has {shown}: numbers with {comma}; or several labels each? then name the metric of labels by "
                "--metric, as micro_f1"
            )
    if separator is not None and wanted_task(wanted) != "class":
        asked = of_labels("labels", separator, filled)
        parted = next((cell for cell in values.index if len(parts(cell, separator)) > 1), values.index[0])
        asked.why["task"] = f"several labels in a cell of {where}, as {quoted(parted)}"
        return asked
    if len(values) > GRADES and wanted.of("class") is None and filled.str.fullmatch(PERCENT).all():
        undo = "or classes? then name their metric by --metric, as accuracy"
        raise UserError(f"{where} has {len(values)} values, as {shown}: numbers? write them without the sign; {undo}")
    numbers = pd.to_numeric(pd.Series(values.index), errors="coerce").to_numpy(float)
    are_numbers = bool(np.isfinite(numbers).all())
    why = reason_for_number(label, numbers, values.to_numpy(), answers, names, wanted) if are_numbers else []
    if why:
        asked = of_labels("number", separator, filled)
        asked.why["task"] = why[0]
        asked.odd += why[1:]
        return asked
    if values[values == 1].sum() > ALONE * len(filled) and not are_labels(answers, set(values.index)):
        few = "a number, or classes" if are_numbers else "a text, or classes"
        raise UserError(
            f"{where} has {len(values)} values in {len(filled)} rows, as {shown}: it is "
            f"{few} of a row each, which are too small to learn: {answering.ONLY}"
        )
    return of_labels("class", separator, filled)


def of_labels(task: str, separator: str | None, cells: pd.Series) -> Asked:
    """The target of cells whose kind is known: the classes in them, or the least and the greatest number."""
    label, values = str(cells.name), cells[cells != ""].unique()
    if task == "number":
        numbers = values.astype(float)
        reasons = {"span": f"the labels are {numbers.min():g} to {numbers.max():g}"}
        return Asked(task, label, span=span(numbers), why=reasons)
    if task == "labels":
        values = sorted({one for cell in values for one in parts(cell, separator)}, key=by_value)
        return Asked(task, label, tuple(values), separator)
    return Asked(task, label, tuple(sorted(values, key=by_value if are_whole(values) else str)))


def wanted_task(wanted: Wanted) -> str | None:
    """The task that the metric alone decides; None where it is not known, or one of several tasks."""
    fitting = [task for task in METRICS_OF if wanted.of(task) is not None]
    if wanted.is_of_numbers:
        return "number"
    return fitting[0] if len(fitting) == 1 else None


def are_labels(answers: pd.Series, known: set[str]) -> bool:
    """Whether the sample submission's cells are labels of train rows, one or several in a cell."""
    words = {word for cell in answers.unique() if cell != "" for word in ({cell} if cell in known else cell.split())}
    return bool(words) and 2 * len(words & known) >= len(words)


def are_whole(values: Sequence[str]) -> bool:
    return all(value.removeprefix("-").isdecimal() for value in values)


def by_value(name: str) -> tuple[int, int, str]:
    """Whole numbers by their value, before other names."""
    return (0, int(name), name) if are_whole([name]) else (1, 0, name)


def reason_for_number(
    label: str,
    values: np.ndarray,
    counts: np.ndarray,
    answers: pd.Series,
    names: Sequence[Collection[str]],
    wanted: Wanted,
) -> list[str]:
    """Why labels that are numbers are to be predicted as such, and a remark where it is a guess; [] for classes.

    Args:
        values: (m,) the different ones.
        counts: (m,) their rows.
    """
    if wanted_task(wanted) == "number":
        return [wanted.why]
    if wanted.of("class") is not None or len(values) == 2:
        return []
    undo = "--metric accuracy --force takes them for classes"
    shown = f"{len(values):,} values, {values.min():g} to {values.max():g}, in {counts.sum():,} rows"
    if (fractions := values[values % 1 != 0]).size:
        return [f"{label} has decimals, as {fractions[0]:g}", f"{label}: {shown}: taken as numbers; {undo}"]
    if submitting.ranked(answers[answers != ""].unique(), {f"{value:.0f}" for value in values}) is not None:
        return []
    asked = pd.to_numeric(answers[answers != ""], errors="coerce").dropna().to_numpy(float)
    if len(values) > 2 and asked.size and (asked % 1 != 0).any() and (values.max() > 2 or asked.max() > 1):
        return [f"the sample submission has decimals, as {asked[asked % 1 != 0][0]:g}"]
    codes = {f"{value:.0f}" for value in values}
    named = any(len(table) <= 2 * len(codes) and codes <= set(table) for table in names)
    if len(values) <= GRADES or named:
        return []
    sparse = counts[counts == 1].sum() > ALONE * counts.sum()
    if (OF_NUMBERS.search(label) or sparse or is_smooth(values, counts)) and not OF_CODES.search(label):
        return [f"whole numbers, {shown}", f"{label}: whole numbers, {shown}: taken as numbers, no classes; {undo}"]
    return []


def is_smooth(values: np.ndarray, counts: np.ndarray) -> bool:
    """Whether neighbours among whole numbers (m,) have much the same counts (m,), as measures have, and codes not."""
    order = np.argsort(values)
    if values.max() - values.min() > 3 * len(values):
        return False
    rows = np.sqrt(counts[order].astype(float))  # whose noise is of one size
    return bool(rows.std() > 0 and np.corrcoef(rows[:-1], rows[1:])[0, 1] > SMOOTH)


def span(values: np.ndarray) -> tuple[float, float]:
    """The least and the greatest value, or the round ends of the scale that they tell of: 0 to 100, 1 to 10."""
    least, greatest = float(values.min()), float(values.max())
    end = next((one for one in ROUND if NEAR * one <= greatest <= one), greatest)
    from_one = least == 1 and (values % 1 == 0).all()
    start = 0.0 if 0 <= least <= LITTLE * end and not from_one else least
    return tuple(int(one) if one == int(one) else one for one in (start, end))
