"""What the tables say of each row, as numbers: a class, labels, or a number; and what is wrong with it.

task="class"    the column `label`; or a column of 0 and 1 for each class, one of them 1
task="labels"   the column `label`, with labels between `separator`s; or a column of 0 and 1 for each of them
task="number"   the column `label`
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from src.base.csvs import pass_over
from src.base.errors import UserError, counted
from src.data.texts import Texts
from src.schema.competition import Competition

BETWEEN = "\x1f"  # between the labels of a cell that is made of columns or rows, and behind the last: none has it
CLASSES_NAMED = 100  # in a fault, at most
TRUTH = {"true": "1", "false": "0"}  # as pandas and Excel write 1 and 0 of a column of classes


def add_labels(competition: Competition, df: pd.DataFrame) -> None:
    """Make the column of labels of those of 0 and 1, where it is missing and there is one of these for each class.

    A blank cell counts as 0; `df.attrs["passed_over"]` says how many there are.

    Raises:
        UserError: A cell is neither 0 nor 1.
    """
    if competition.label in df or not competition.classes or not set(competition.classes) <= set(df):
        return
    labels = df[list(competition.classes)]
    blank = labels.apply(lambda column: column.str.strip() == "").to_numpy()
    if (odd := ~blank & ~np.isin(to_numbers(labels), (0, 1))).any():
        row, column = np.argwhere(odd)[0]
        of = f" of {competition.id} {df[competition.id].iloc[row]!r}" if competition.id in df else ""
        n, name = counted(int(odd.sum()), "cell"), labels.columns[column]
        raise UserError(
            f"{competition.name}: {n} neither 0 nor 1 in the classes' columns, the first{of}: "
            f"{labels.iloc[row, column]!r} in the column {name!r}: write one of both"
        )
    if blank.any():
        pass_over(df, f"{counted(int(blank.sum()), 'blank cell')} of the classes' columns, counted as 0")
    if competition.task == "class":
        df[competition.label] = labels_from_columns(labels, " + ")
    else:
        df[competition.label] = [cell and cell + BETWEEN for cell in labels_from_columns(labels, BETWEEN)]


def by_picture(competition: Competition, df: pd.DataFrame, answered: bool = True) -> pd.DataFrame:
    """Return a table that has a row a (picture, label), as a submission may have, as one with a row a picture.

    Its labels are those whose row has a 1; one that is not of this kind is returned as it is. A label that has no row
    counts as 0; `df.attrs["passed_over"]` says how many there are. Of rows that are not `answered`, as those of a
    sample submission, which may stand for the test table, no label is read.

    Raises:
        UserError: Some ids are not of this kind; or an answer is neither 0 nor 1, or differs from row to row.
    """
    id, label = competition.id, competition.label
    if id not in df or not len(df) or competition.form.parse(df[id].iloc[0], competition.classes)[1] is None:
        return df
    ids, names = map(list, zip(*(competition.form.parse(row, competition.classes) for row in df[id]), strict=True))
    other = np.array([name is None for name in names])
    if 2 * other.sum() > len(df):  # the first is called so by chance
        return df
    if other.any():
        n, first = counted(int(other.sum()), "id"), df.loc[other, id].iloc[0]
        raise UserError(f"{competition.name}: {n} without a class behind it, the first {id} {first!r}: correct it")
    rows, df = df[id], df.assign(**{id: ids})
    found = df.drop_duplicates(id).reset_index(drop=True)
    if not answered:
        return found.drop(columns=label, errors="ignore")
    if label in df:
        numbers = to_numbers(df[[label]])[:, 0]
        if (odd := ~np.isin(numbers, (0, 1))).any():
            n, cell = counted(int(odd.sum()), "row"), df.loc[odd, label].iloc[0]
            raise UserError(
                f"{competition.name}: {n} of a picture and a label with neither 0 nor 1, the first {id} "
                f"{rows[odd].iloc[0]!r} with {cell!r}: write one of both"
            )
        once = ~pd.DataFrame({"row": rows, "number": numbers}).duplicated().to_numpy()
        unlike = rows[once]
        if (again := unlike.duplicated()).any():
            raise UserError(f"{competition.name}: {id} {unlike[again].iloc[0]!r} stands there with 0 and with 1")
        if missing := len(found) * len(competition.classes) - len(unlike):
            n = counted(missing, "row")
            pass_over(found, f"{n} of a label that {'is' if missing == 1 else 'are'} not there, counted as 0", df)
        cells = pd.Series([name + BETWEEN if one else "" for name, one in zip(names, numbers == 1, strict=True)])[once]
        found[label] = cells.groupby(df[id].to_numpy()[once], sort=False).sum().reindex(found[id]).tolist()
        if competition.task == "class":
            found[label] = found[label].str.removesuffix(BETWEEN).str.replace(BETWEEN, " + ")
    return found


def join_rows(competition: Competition, df: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return one row an id where a target may have several labels and each has a row of its own; else `df` as it is.

    Rows of one id that differ in another of the `columns` that are needed stay as they are, which is a fault.
    """
    id, label = competition.id, competition.label
    if (
        competition.task != "labels"
        or not {id, label} <= set(df)
        or not df[label].isin([*competition.classes, ""]).all()
    ):
        return df
    first = ~df[id].duplicated()
    if first.all() and not df[label].str.contains(competition.separator, regex=False).any():
        return df
    if df.loc[~df[[name for name in columns if name in df and name != label]].duplicated(), id].duplicated().any():
        return df
    cells = df[df[label] != ""].drop_duplicates([id, label])
    cells = (cells[label] + BETWEEN).groupby(cells[id], sort=False).sum()
    joined = df[first].reset_index(drop=True)
    joined[label] = joined[id].map(cells).fillna("")
    if n := int((~first).sum()):
        more = f"{counted(n, 'row')} that {'gives' if n == 1 else 'give'} another label to the {id} of a row above"
        pass_over(joined, more, df)
    return joined


def leave_out_unlabelled(competition: Competition, df: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have a label, where each must have one: annotations need not be of all pictures."""
    if competition.task == "labels" or competition.label not in df or not (none := df[competition.label] == "").any():
        return df
    what = f"{counted(int(none.sum()), 'picture')} without {competition.label}"
    return pass_over(df[~none].reset_index(drop=True), what, df)


def labels_from_columns(df: pd.DataFrame, between: str = " + ") -> list[str]:
    """Return the name of the column that is 1 in each row; all of their names where it is not one alone."""
    ones = to_numbers(df) == 1
    names = df.columns.to_numpy()
    return [between.join(names[row]) for row in ones]


def to_numbers(df: pd.DataFrame) -> np.ndarray:
    """Return the cells as numbers, True as 1 and False as 0, of one shape with `df`; NaN where they are none."""
    lower = df.apply(lambda column: column.str.strip().str.lower().replace(TRUTH))
    return lower.apply(pd.to_numeric, errors="coerce").to_numpy(float)


def read_targets(competition: Competition, labels: Sequence[str]) -> np.ndarray:
    """Return the targets of cells of the column of labels, which have no fault; their shape: see scoring/targets.py."""
    if competition.task == "number":
        return np.array(labels, float)
    index = {name: i for i, name in enumerate(competition.classes)}
    which, cells = pd.factorize(Texts(labels).series)  # most rows say what others say
    if competition.task == "class":
        return np.array([index[label] for label in cells], int)[which]
    targets = np.zeros((len(cells), len(index)), np.uint8)
    for row, cell in enumerate(cells):
        targets[row, [index[label] for label in split(competition, cell)]] = 1
    return targets[which]


def write_targets(competition: Competition, targets: np.ndarray) -> list[str]:
    """Return the cells of which `read_targets` makes these targets; the labels of one are in the config's order."""
    if competition.task == "number":
        return [format(value, ".10g") for value in targets]
    names = np.array(competition.classes, object)
    if competition.task == "class":
        return names[targets].tolist()
    apart = BETWEEN if any(competition.separator in name for name in names) else competition.separator
    cells = [apart.join(names[row > 0]) for row in targets]
    return [cell + BETWEEN if apart == BETWEEN and cell else cell for cell in cells]


def split(competition: Competition, cell: str) -> list[str]:
    """Return the labels in a cell."""
    return parts(cell, BETWEEN if BETWEEN in cell else competition.separator)


def parts(cell: str, separator: str) -> list[str]:
    """Return the labels in a cell, which may be a list in brackets, of names in quotes: ['rust', 'scab']."""
    cell = cell.strip()
    listed = cell.startswith("[") and cell.endswith("]")
    names = (part.strip() for part in (cell[1:-1] if listed else cell).split(separator))
    return [label for name in names if (label := name.strip("'\"") if listed else name)]


def said(competition: Competition, cells: pd.Series) -> pd.Series:
    """Return what each cell says, known or not, so that what means the same is equal: of several labels their set."""
    if competition.task == "labels":
        return cells.map(lambda cell: frozenset(split(competition, cell)))
    return pd.to_numeric(cells, errors="coerce").astype(object).fillna(cells) if competition.task == "number" else cells


def shown(competition: Competition, cells: Sequence[str]) -> list[str]:
    """Return cells without a fault, for people: the same text for those that say the same, `no label` for none."""
    if competition.task == "class":
        return list(cells)
    texts = write_targets(competition, read_targets(competition, cells))
    return [" + ".join(split(competition, text)) or "no label" for text in texts] if competition.classes else texts


def unreadable(competition: Competition, labels: pd.Series) -> set[str]:
    """Return the labels, or cells, of which `read_targets` would not know what they are."""
    if competition.task == "number":
        return set(labels[pd.to_numeric(labels, errors="coerce").isna()])
    if competition.task == "labels":
        labels = labels.map(lambda cell: split(competition, cell)).explode().dropna()
    return set(labels) - set(competition.classes)


def count(competition: Competition, labels: Sequence[str]) -> dict[str, int]:
    """Return the rows of each class, 0 of one that has none; {} of numbers."""
    if not competition.classes:
        return {}
    targets = read_targets(competition, labels)
    rows = np.bincount(targets, minlength=len(competition.classes)) if targets.ndim == 1 else targets.sum(axis=0)
    return dict(zip(competition.classes, rows.tolist(), strict=True))


def faults(competition: Competition, file: str, train: pd.DataFrame) -> list[str]:
    """Check the labels of a train table that has its columns."""
    if competition.task == "number":
        return number_faults(competition, file, train)
    found, cells, id, name = [], train[competition.label], competition.id, competition.label
    labels = cells if competition.task == "class" else cells.map(lambda cell: split(competition, cell)).explode()
    known, like = labels.isin(competition.classes), {one.lower(): one for one in reversed(competition.classes)}
    names = ", ".join(competition.classes[:CLASSES_NAMED])
    names += " ..." if len(competition.classes) > CLASSES_NAMED else ""
    wrong = labels[~known & labels.notna()]
    for label in wrong.unique():
        rows = wrong.index[wrong == label].unique()
        more = f" and {counted(len(rows) - 1, 'more row')} have" if len(rows) > 1 else " has"
        where = f"{file}: {id} {train[id].loc[rows[0]]!r}{more}"
        if label == "":
            found.append(f"{where} no {name}")
            continue
        near = like.get(label.strip().lower())
        hint = f"the classes are {names}" if near is None else f"write it {near!r}"
        found.append(f"{where} the unknown {name} {label!r}: {hint}")
    rows = labels[known].value_counts().reindex(list(competition.classes), fill_value=0)
    for label, n in {} if competition.rare_classes else rows[rows < 2].items():
        need = "at least 2 are needed, one to learn from and one to score"
        found.append(
            f"class {label!r} has {counted(n, 'train row')}: {need} (rare_classes=True in the config allows fewer)"
        )
    return found


def number_faults(competition: Competition, file: str, train: pd.DataFrame) -> list[str]:
    """Check that each label is a number within the config's span."""
    least, greatest = competition.span
    values = pd.to_numeric(train[competition.label], errors="coerce")
    bad = train[~values.between(least, greatest)]
    return [
        f"{file}: {competition.id} {id!r} has the {competition.label} {cell!r}, which is no number of {least:g} to "
        f"{greatest:g}: correct it, or span= in the config"
        for id, cell in zip(bad[competition.id], bad[competition.label], strict=True)
    ]


def strata(competition: Competition, labels: Sequence[str]) -> Sequence[str]:
    """Return, for each row, what it has in common with the rows that folds and draws spread alike."""
    if competition.task == "class":
        return labels
    return [str(one) for one in competition.target.strata(read_targets(competition, labels))]
