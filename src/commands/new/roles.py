"""The roles of a competition's tables and columns, by their names and by the values that they share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from src.base.errors import UserError, unknown
from src.base.text import examples
from src.commands.new import answering, melting, units
from src.commands.new.looking import Contents, not_read
from src.commands.new.melting import Melted
from src.data.labels import parts, to_numbers
from src.data.locating import plain_ending
from src.data.tables import is_index

FEWEST_GROUPS = 10  # values of a column that may group rows: twice as many as folds
GROUP = re.compile(
    r"patient|subject|person|driver|individual|plant|tree|animal|location|site|camera|session|sequence|video|group",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Roles:
    sample_file: str
    sample: pd.DataFrame
    sample_id: str  # the sample submission's column of ids
    id: str  # that of the other tables, which may have another name; of units, that of pictures
    why_id: str
    answer: list[str]  # the sample submission's other columns
    melted: Melted | None  # a sample submission that has a row a picture and label
    ids: list[str]  # of the test rows
    test_file: str  # the sample submission itself, where no other table has the test rows
    test: pd.DataFrame
    others: Mapping[str, pd.DataFrame]  # neither of these, nor a solution
    solution: str | None
    unit: units.Found | None = None  # where the sample submission has a row for several pictures
    label: str | None = None  # the value of --label

    @property
    def labelled(self) -> dict[str, pd.DataFrame]:
        """The tables that could be that of the train rows: those with the classes of rows, by id.

        If no table has them by the sample submission's own names, they are looked for by similar names and by values.
        """
        known = {name: df for name, df in self.others.items() if self.id in df}
        if self.label is not None and (told := {name: df for name, df in known.items() if self.label in df}):
            return told
        # the columns themselves come before a row a picture and label, as a table of annotations has it
        whole = {name: df for name, df in known.items() if set(self.answer) <= set(df)}
        if len(self.answer) > 1 and whole:
            return whole
        named = {name: df for name, df in known.items() if has_answers(df, self.answer)}
        return named or {name: df for name, df in known.items() if self.label_in(df) or self.label_columns(df)}

    def labelled_rows(self, files: Sequence[str]) -> pd.DataFrame:
        """The rows of several tables."""
        return pd.concat([self.others[name] for name in files], ignore_index=True)

    def label_in(self, df: pd.DataFrame) -> str | None:
        """The column of a train table that has what the sample submission's one column of answers is for."""
        if len(self.answer) > 1 or self.melted:
            return None
        (name,) = self.answer
        if name in df:
            return name
        cells = {cell for cell in self.sample[name] if cell != ""}
        columns = [one for one in df if one not in (self.id, self.sample_id) and df[one].nunique() > 1]
        alike = [column for column in columns if bare(column) == bare(name)]
        coded = [column for column in columns if bare(column) == f"{bare(name)}id"]  # beside the names of the codes
        holding = [column for column in columns if cells and cells <= set(df[column]) and not df[column].is_unique]
        words = {word for cell in cells for word in cell.split()}
        parted = [column for column in columns if words and words <= labels_in(df[column])]
        several = len(words) > len(cells)
        written = [column for column in columns if several and answering.are_codes_of(words, df[column].unique())]
        related = [column for column in columns if bare(name) in bare(column) or bare(column) in bare(name)]
        both = [column for column in holding if column in related]
        of_coco = [column for column in ("category_id",) if column in columns]
        ways = (alike, coded, both, of_coco, holding, related, parted, written)
        return next((found[0] for found in ways if len(found) == 1), None)

    def label_columns(self, df: pd.DataFrame) -> list[str]:
        """The columns of 0 and 1, one for each label, of a train table; [] where it has none."""
        wanted = self.melted.labels if self.melted else self.answer
        if len(wanted) > 1:
            return list(wanted) if set(wanted) <= set(df) else []
        return one_hot(df)


def labels_in(column: pd.Series) -> set[str]:
    """The labels of a column that has several in a cell; none of another."""
    separator = answering.label_separator(values := column.unique())
    return {one for value in values for one in parts(value, separator)} if separator is not None else set()


def bare(name: str) -> str:
    """A name in small letters and digits alone."""
    return re.sub(r"[\W_]+", "", name.lower())


def find(contents: Contents, id: str | None, label: str | None = None) -> Roles:
    """The roles, by one sample submission with one column of ids; `id` and `label` are the values of these options.

    Raises:
        UserError: There is no sample submission, or several; it names no rows, or they are named in several ways.
    """
    sample_file = find_sample(contents)
    sample = without_index(contents.tables[sample_file], id)
    if not len(sample):
        answering.check_tables(contents.tables)
        raise UserError(f"{sample_file} has no rows: is the competition's data whole?")
    solutions = [name for name, df in contents.tables.items() if is_solution(name, df)]
    others = {name: df for name, df in contents.tables.items() if not is_sample(name) and name not in solutions}
    sample_id, why = find_id(sample_file, sample, others, id)
    answer = [column for column in sample if column != sample_id]
    if not answer:
        raise UserError(f"{sample_file} has one column, {sample_id!r}: it does not say what to predict")
    answering.check_columns(sample_file, sample[answer])
    if len(answer) == 1:
        answering.check_confidences(sample_file, sample[answer[0]])
    melted = melting.find(contents, sample[sample_id].tolist(), others) if len(answer) == 1 else None
    ids = melted.ids if melted else sample[sample_id].tolist()
    is_shared = not melted and any(sample_id in df for df in others.values())
    id = sample_id if is_shared else other_id(contents, others, sample_id, ids)
    test_file = find_test(others, sample_file, ids, answer, id)
    unit = units.find(contents, others, test_file, id) if test_file in others and not melted else None
    if unit is not None:
        id, why = unit.id, f"its values are all different, and {sample_file} has a row for several of them"
    test = others.pop(test_file, sample)
    return Roles(
        *(sample_file, sample, sample_id, id, why, answer, melted, ids, test_file, test),
        *(others, next(iter(solutions), None), unit, label),
    )


def other_id(contents: Contents, others: Mapping[str, pd.DataFrame], sample_id: str, ids: list[str]) -> str:
    """The other tables' name for the sample submission's column of ids, which none of them has; else that name itself.

    It is the column that has its values, that is called nearly so, or, first of all others, that names pictures.
    """
    wanted, found = set(ids), {"values": [], "names": [], "pictures": []}
    for df in others.values():
        for column in df:
            if 2 * len(wanted & set(df[column])) >= len(wanted):
                found["values"].append(column)
            if bare(column) == bare(sample_id):
                found["names"].append(column)
            some = df[column].head(20)
            if df[column].is_unique and all(plain_ending(cell.rpartition("/")[2]) in contents.named for cell in some):
                found["pictures"].append(column)
    return next((columns[0] for columns in found.values() if columns), sample_id)


def is_sample(name: str) -> bool:
    stem = PurePosixPath(name).stem.lower()
    return stem.startswith("sample") or "submission" in stem or "submit" in stem


def is_solution(name: str, df: pd.DataFrame) -> bool:
    return PurePosixPath(name).stem.lower() == "solution" or "Usage" in df


def find_sample(contents: Contents) -> str:
    """The sample submission, by its name."""
    samples = [name for name in contents.tables if is_sample(name)]
    if len(samples) == 1:
        return samples[0]
    if samples:
        raise UserError(f"several tables could be the sample submission, {examples(samples)}: leave one of them there")
    if unread := [why for name, why in contents.damaged.items() if is_sample(name)]:
        raise UserError(unread[0])
    damaged = "".join(f"; {why}" for why in list(contents.damaged.values())[:1])
    tables = f"among {examples(contents.tables)}" if contents.tables else "and no other table"
    raise UserError(
        f"{contents.root} has no sample submission {tables}: nothing says what to predict (of pictures of your "
        f"own, name the folder: ./run.sh new {contents.root}){damaged}{not_read(contents)}"
    )


def without_index(sample: pd.DataFrame, id: str | None) -> pd.DataFrame:
    """The sample submission without pandas' index, unless that alone names its rows; `id` is the value of --id."""
    kept = sample[[column for column in sample if column == id or not is_index(column, sample[column])]]
    return kept if len(kept.columns) > 1 and any(kept[column].is_unique for column in kept) else sample


def find_id(
    sample_file: str, sample: pd.DataFrame, others: Mapping[str, pd.DataFrame], flag: str | None
) -> tuple[str, str]:
    """The column that names the rows, and the reason; `flag` is the value of --id."""
    if flag is not None:
        if flag not in sample:
            raise UserError("--id: " + unknown("column", flag, sample) + f", which {sample_file} has")
        return flag, "as you said"
    unique = [column for column in sample if sample[column].is_unique]
    shared = [column for column in unique if any(column in df for df in others.values())]
    ids = [column for column in shared if all(df[column].is_unique for df in others.values() if column in df)]
    if not (ids := ids or shared or unique[:1]):
        answering.check_tables({sample_file: sample, **others})
        raise UserError(f"no column of {sample_file} names its rows: each of {examples(sample)} has values twice")
    if len(ids) > 1:
        several = f"several columns of {sample_file} could name the rows, {examples(ids)}"
        raise UserError(f"{several}: choose by --id {ids[0]}")
    return ids[0], f"its values in {sample_file} are all different"


def find_test(
    others: Mapping[str, pd.DataFrame], sample_file: str, ids: Sequence[str], answer: Sequence[str], id: str
) -> str:
    """The table that has the test rows' ids; the sample submission itself where there is no other."""
    wanted, candidates = set(ids), {}
    for name, df in others.items():
        has_ids = id in df and 2 * len(wanted & set(df[id])) >= max(len(wanted), df[id].nunique())
        # where both parts count from 1, a table of train rows has these ids too
        if has_ids and ("test" in name.lower() or not has_answers(df, answer)):
            candidates[name] = "test" in name.lower()
    return max(candidates, key=candidates.get, default=sample_file)


def has_answers(df: pd.DataFrame, answer: Sequence[str]) -> bool:
    """True if a table has the classes of its rows."""
    if all(column in df for column in answer):
        return True
    return bool(one_hot(df) if len(answer) == 1 else class_columns(df, answer))


def one_hot(df: pd.DataFrame) -> list[str]:
    """The columns of 0 and 1, if each row has one 1 in them."""
    columns = [column for column in df if df[column].nunique() == 2]  # or the numbers of long texts are asked for
    numbers = to_numbers(df[columns])
    columns = [column for column, cells in zip(columns, numbers.T, strict=True) if set(cells) == {0, 1}]
    return columns if len(columns) > 1 and (to_numbers(df[columns]).sum(axis=1) == 1).all() else []


def class_columns(df: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """The columns whose values are the classes."""
    return [column for column in df if set(df[column]) == set(classes)]


def group_columns(train: pd.DataFrame, known: set[str]) -> dict[str, int]:
    """Columns whose values several rows share, though no value most of them: {column: number of values}.

    First come those that are called like what is often photographed more than once.
    """
    sizes = {}
    for column in [column for column in train if column not in known]:
        counts = train[column].value_counts()
        measured = train[column].str.fullmatch(r"-?\d*\.\d*").any()
        if FEWEST_GROUPS <= len(counts) <= 0.9 * len(train) and not measured and counts.iloc[0] <= 0.3 * len(train):
            sizes[column] = len(counts)
    return dict(sorted(sizes.items(), key=lambda pair: GROUP.search(pair[0]) is None))
