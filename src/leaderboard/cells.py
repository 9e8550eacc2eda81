"""The cells of a submission, by its form: written from a table of predictions, and read back into one.

A form that says less than a table has is read as the table that would say the same: a label as a probability of 1, one
probability as equal ones of its classes, a ranking as weights that fall with the rank.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from src.base.errors import counted, unknown
from src.base.spellings import SPELLINGS, respellings
from src.leaderboard.sparse_answers import SparseAnswers
from src.schema.competition import Competition
from src.scoring.metric import two_columns
from src.scoring.sparse import SparseTable
from src.scoring.tables import Table, of_labels, of_weights

BLANK = {"", "nan", "none", "null", "na", "n/a", "<na>", "nat"}
SLACK = 1e-6  # by so much a float32 probability may be above 1
CLASSES_NAMED = 12  # classes in a line at most

Read = tuple[Table, list[str]]  # one row a line of the file, and the faults of its cells


@dataclass(frozen=True)
class Cells:
    """How the cells of a form are written, of a table (n, k), and read: one column of answers a column of the form."""

    write: Callable[[Competition, Table], dict[str, Sequence]]
    read: Callable[[Competition, pd.DataFrame], Read]


def write(competition: Competition, ids: Sequence[str], table: Table) -> pd.DataFrame:
    """Return the rows of a submission, by their ids: its answers to pictures, by a table (n, k) that is decided."""
    form = competition.form
    rows = pd.Index(form.row_ids(ids, competition.classes), name=competition.sample_id)
    return pd.DataFrame(CELLS[form.kind].write(competition, table), index=rows)


def read(competition: Competition, df: pd.DataFrame) -> Read:
    """Return what each line says, and the faults of the cells, which are text; lines are the index of `df`."""
    return CELLS[competition.form.kind].read(competition, df)


def table(competition: Competition, row_ids: pd.Index, said: Table) -> pd.DataFrame | SparseAnswers:
    """Return the table by picture of what `read` gives for rows that lack none."""
    form, classes, outputs = competition.form, competition.classes, list(competition.outputs)
    if isinstance(said, SparseTable):
        return SparseAnswers(row_ids, said)
    if not len(row_ids) or form.parse(row_ids[0], classes)[1] is None:
        return pd.DataFrame(said, index=row_ids, columns=outputs)
    rows, columns, k = {}, {label: j for j, label in enumerate(outputs)}, len(outputs)
    parts = (form.parse(row, classes) for row in row_ids)
    places = np.fromiter((k * rows.setdefault(id, len(rows)) + columns[label] for id, label in parts), int)
    wide = np.full(k * len(rows), np.nan)
    wide[places] = said[:, 0]
    return pd.DataFrame(wide.reshape(-1, k), index=list(rows), columns=outputs)


def place(competition: Competition, df: pd.DataFrame, rows: np.ndarray) -> str:
    """Return `the first of id '100' (line 2)` of the rows (n,) where a mask is true."""
    id = competition.sample_id
    of = f" of {id} {df.loc[rows, id].iloc[0]!r}" if id in df else ""
    return f"the first{of} (line {df.index[rows][0]})"


def answer_column(competition: Competition) -> str:
    """Return the one column of answers."""
    return competition.sample_columns[1]


def label_faults(
    competition: Competition, df: pd.DataFrame, labels: pd.Series, blank: np.ndarray, column: str
) -> list[str]:
    """Check labels by their lines; a line may have several. `blank` (n,) masks the lines without any."""
    classes, faults = list(competition.classes), []
    if blank.any():
        n = counted(int(blank.sum()), "row")
        faults.append(f"{n} without {column}, {place(competition, df, blank)}: give each row a class")
    wrong = labels[~labels.isin(classes)]
    for kind, pairs in respellings(wrong, classes).items():
        rows = wrong[wrong.isin(pairs)]
        first = rows.iloc[0]
        faults.append(
            f"{counted(len(rows), 'label')} {kind}, {place(competition, df, df.index.isin(rows.index))} {first!r} "
            f"for {pairs[first]!r}: {SPELLINGS[kind][1]}"
        )
        wrong = wrong[~wrong.isin(pairs)]
    if len(wrong):
        fix = unknown("class", wrong.iloc[0], classes)
        if pd.to_numeric(wrong, errors="coerce").notna().all():
            fix = f"{wrong.iloc[0]!r} is a number: write the classes' names, {', '.join(classes[:CLASSES_NAMED])}"
        n = counted(len(wrong), "label")
        faults.append(f"{n} of no class, {place(competition, df, df.index.isin(wrong.index))}: {fix}")
    return faults


def repeat_faults(competition: Competition, df: pd.DataFrame, cells: pd.Series) -> list[str]:
    """Check that no line, a list of labels, names one twice, which not all of Kaggle's scorers accept."""
    rows = cells.map(lambda row: len(set(row)) < len(row)).to_numpy(bool)
    if not rows.any():
        return []
    return [f"{counted(int(rows.sum()), 'row')} with a label twice, {place(competition, df, rows)}: name each once"]


def is_blank(competition: Competition, column: pd.Series) -> np.ndarray:
    """Mask the cells that say nothing (n,): a class may be called None, and `none` is another spelling of it."""
    return column.str.strip().str.lower().isin(BLANK - {label.lower() for label in competition.classes}).to_numpy()


def write_label(competition: Competition, table: np.ndarray) -> dict[str, Sequence]:
    names = np.asarray(competition.classes)
    return {answer_column(competition): names[competition.target.answers(table)]}


def read_label(competition: Competition, df: pd.DataFrame) -> Read:
    """Give 1 to the class of each line."""
    column = df[name := answer_column(competition)]
    known = column.isin(competition.classes).to_numpy()
    blank = is_blank(competition, column)
    faults = label_faults(competition, df, column[~blank], blank, name)
    labels = pd.Index(competition.classes).get_indexer(column)
    if competition.target.is_sparse(len(df), len(competition.classes)):
        return of_labels(labels, len(competition.classes)), faults
    table = np.zeros((len(df), len(competition.classes)), np.float32)
    table[known, labels[known]] = 1
    return table, faults


def write_probabilities(competition: Competition, table: np.ndarray) -> dict[str, Sequence]:
    return dict(zip(competition.classes, table.T, strict=True))


def write_one_probability(competition: Competition, table: np.ndarray) -> dict[str, Sequence]:
    return {answer_column(competition): two_columns(competition.asked, table)[:, 1]}


def read_one_probability(competition: Competition, df: pd.DataFrame) -> Read:
    """Spread the probability evenly over its classes, and what is left over the others."""
    probs, faults = read_probabilities(competition, df)
    mask = competition.asked
    of_each, of_others = probs / mask.sum(), (1 - probs) / (~mask).sum()
    if competition.target.is_sparse(len(df), len(mask)):
        more = sparse.csr_array(of_each - of_others) @ sparse.csr_array(mask[None].astype(float))
        return of_weights(more, of_others[:, 0]), faults
    return np.where(mask, of_each, of_others), faults


def write_label_rows(competition: Competition, table: np.ndarray) -> dict[str, Sequence]:
    return {answer_column(competition): table.ravel()}


def read_probabilities(competition: Competition, df: pd.DataFrame) -> Read:
    """Read the probabilities, a column of answers each."""
    cells = df[competition.sample_columns[1:]]
    rescaled = competition.target.is_choice and competition.scorer.board_per_row is not None and len(cells.columns) > 1
    ranks = "" if competition.scorer.board_per_row is not None else ", and ranks divided by their number"
    probs, faults, wrong = read_numbers(
        competition, cells, df, "probability", "probabilities such as 0.25", "probabilities from 0 to 1"
    )
    outside = np.isfinite(probs) & ((probs < 0) | (probs > 1 + SLACK))
    fix = f"write the {'softmax' if competition.task == 'class' else 'sigmoid'}, not the logits or per cent{ranks}"
    faults += cell_faults(competition, cells, df, {"with a probability that is not in 0 to 1": (outside, fix)})
    wrong |= outside.any(axis=1)
    if rescaled and (none := ~wrong & (probs.sum(axis=1) == 0)).any():
        n = counted(int(none.sum()), "row")
        faults.append(f"{n} of zeros alone, {place(competition, df, none)}, whose sum Kaggle divides by: fill it in")
    return probs, faults


def read_numbers(
    competition: Competition, cells: pd.DataFrame, df: pd.DataFrame, what: str, such_as: str, finite: str
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return the cells as numbers, their faults, and which rows (n,) have one."""
    numbers, blank = np.empty(cells.shape), np.empty(cells.shape, bool)
    for j in range(cells.shape[1]):
        text = cells.iloc[:, j].str.strip().str.lower()
        blank[:, j] = text.isin(BLANK)
        numbers[:, j] = pd.to_numeric(text, errors="coerce")
    kinds = {
        f"without a {what}, blank or NaN": (blank, "fill them in"),
        "with a cell that is no number": (np.isnan(numbers) & ~blank, f"write {such_as}"),
        f"with an infinite {what}": (np.isinf(numbers), f"write {finite}"),
    }
    return numbers, cell_faults(competition, cells, df, kinds), ~np.isfinite(numbers).all(axis=1)


def cell_faults(
    competition: Competition, cells: pd.DataFrame, df: pd.DataFrame, kinds: dict[str, tuple[np.ndarray, str]]
) -> list[str]:
    """Return a line for each kind of fault that cells have, by a mask (n, columns) and what to do about it."""
    faults = []
    for kind, (mask, fix) in kinds.items():
        if mask.any():
            rows = mask.any(axis=1)
            column = mask[rows][0].argmax()
            cell = f"{cells.iloc[rows.argmax(), column]!r} in the column {cells.columns[column]!r}"
            faults.append(f"{counted(int(rows.sum()), 'row')} {kind}, {place(competition, df, rows)}, {cell}: {fix}")
    return faults


def write_ranking(competition: Competition, table: np.ndarray) -> dict[str, Sequence]:
    """Write the likeliest labels of each row; of equal ones the last first, as the metric has it."""
    k = min(competition.form.k, table.shape[1])
    if isinstance(table, SparseTable):
        order = table.likeliest(k)
    else:
        order = table.shape[1] - 1 - np.argsort(-table[:, ::-1], axis=1, kind="stable")[:, :k]
    names = np.asarray(competition.classes, object)
    return {answer_column(competition): [competition.form.separator.join(names[row]) for row in order]}


def read_ranking(competition: Competition, df: pd.DataFrame) -> Read:
    """Give weights that fall with the rank, of sum 1, and -1 to labels that have no rank, which are of no worth."""
    form, column = competition.form, df[name := answer_column(competition)]
    blank = is_blank(competition, column)
    cells = column.map(lambda cell: [one for one in cell.split(form.separator) if one])
    faults = label_faults(competition, df, cells[~blank].explode(), blank, name)
    if (rows := cells.map(len).to_numpy(int) > form.k).any():
        n = counted(int(rows.sum()), "row")
        faults.append(f"{n} with more than {form.k} labels, {place(competition, df, rows)}: leave the last ones out")
    faults += repeat_faults(competition, df, cells)
    k, counts = len(competition.classes), cells.map(len).to_numpy(int)
    rows = np.repeat(np.arange(len(df)), counts)
    columns = pd.Index(competition.classes).get_indexer(cells.explode().dropna())
    ranks = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
    some = columns >= 0
    rows, columns, weights = rows[some], columns[some], (counts[rows] - ranks)[some].astype(float)
    sums = np.bincount(rows, weights, minlength=len(df))
    shares = weights / np.maximum(sums, 1)[rows]
    if competition.target.is_sparse(len(df), k):
        above = sparse.csr_array((1 + shares, (rows, columns)), shape=(len(df), k))
        return of_weights(above, np.full(len(df), -1)), faults
    table = np.full((len(df), k), -1.0)
    table[rows, columns] = shares
    return table, faults


def write_label_list(competition: Competition, table: np.ndarray) -> dict[str, Sequence]:
    form, names = competition.form, np.asarray(competition.classes, object)
    rows = competition.target.answers(table)
    return {answer_column(competition): [form.separator.join(names[row]) or form.nothing for row in rows]}


def read_label_list(competition: Competition, df: pd.DataFrame) -> Read:
    """Give 1 to each label of a line."""
    form, column = competition.form, df[name := answer_column(competition)]
    nothing = column.str.strip().isin(["", form.nothing])
    blank = np.full(len(df), False) if form.nothing == "" else column.str.strip().eq("").to_numpy()
    texts = column.where(~nothing, "").str.split(form.separator, regex=False)
    cells = texts.map(lambda parts: [one for part in parts if (one := part.strip())])
    faults = label_faults(competition, df, cells.explode().dropna(), blank, name)
    faults += repeat_faults(competition, df, cells)
    index = {label: i for i, label in enumerate(competition.classes)}
    table = np.zeros((len(df), len(index)), np.float32)
    for row, labels in enumerate(cells):
        table[row, [index[one] for one in labels if one in index]] = 1
    return table, faults


def write_one_number(competition: Competition, table: np.ndarray) -> dict[str, Sequence]:
    """Write whole numbers where the metric is of such: Kaggle's kappa takes no others."""
    numbers = competition.target.answers(table)
    return {answer_column(competition): np.rint(numbers).astype(int) if competition.scorer.is_ordinal else numbers}


def read_one_number(competition: Competition, df: pd.DataFrame) -> Read:
    cells = df[[answer_column(competition)]]
    numbers, faults, _ = read_numbers(competition, cells, df, "number", "numbers such as 31.5", "finite ones")
    if competition.scorer.is_ordinal:
        parts = np.isfinite(numbers) & (numbers != np.rint(numbers))
        faults += cell_faults(competition, cells, df, {"with a number that is not whole": (parts, "round them")})
    return numbers, faults


CELLS = {
    "label": Cells(write_label, read_label),
    "probabilities": Cells(write_probabilities, read_probabilities),
    "one_probability": Cells(write_one_probability, read_one_probability),
    "ranking": Cells(write_ranking, read_ranking),
    "label_list": Cells(write_label_list, read_label_list),
    "label_rows": Cells(write_label_rows, read_probabilities),
    "one_number": Cells(write_one_number, read_one_number),
}
