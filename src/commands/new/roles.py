"""The roles of a competition's tables and columns, by their names and by the values that they share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from src.base.errors import UserError, unknown
from src.commands.new import answering
from src.commands.new.looking import Contents, examples, still_packed
from src.data.labels import to_numbers
from src.data.tables import is_index
from src.scoring.metrics import METRICS

FEWEST_GROUPS = 10  # values of a column that may group rows: twice as many as folds
GROUP = re.compile(
    r"patient|subject|person|driver|individual|plant|tree|animal|location|site|camera|session|sequence|video|group",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Roles:
    sample_file: str
    sample: pd.DataFrame
    id: str  # the column
    why_id: str
    answer: list[str]  # the sample submission's other columns
    test_file: str  # the sample submission itself, where no other table has the test rows
    test: pd.DataFrame
    others: Mapping[str, pd.DataFrame]  # neither of these, nor a solution
    solution: str | None

    @property
    def labelled(self) -> dict[str, pd.DataFrame]:
        """The tables that could be that of the train rows: those with the classes of rows, by id."""
        return {name: df for name, df in self.others.items() if self.id in df and has_answers(df, self.answer)}


def find(contents: Contents, id: str | None) -> Roles:
    """The roles, by one sample submission with one column of ids; `id` is the value of --id.

    Raises:
        UserError: There is no sample submission, or several; it names no rows, or they are named in several ways.
    """
    sample_file = find_sample(contents)
    sample = without_index(contents.tables[sample_file], id)
    if not len(sample):
        raise UserError(f"{sample_file} has no rows: is the competition's data whole?")
    answering.check_columns(sample_file, list(sample))
    solutions = [name for name, df in contents.tables.items() if is_solution(name, df)]
    others = {name: df for name, df in contents.tables.items() if not is_sample(name) and name not in solutions}
    id, why = find_id(sample_file, sample, others, id)
    answer = [column for column in sample if column != id]
    if not answer:
        raise UserError(f"{sample_file} has one column, {id!r}: it does not say what to predict")
    test_file = find_test(others, sample_file, sample, id)
    test = others.pop(test_file, sample)
    return Roles(sample_file, sample, id, why, answer, test_file, test, others, next(iter(solutions), None))


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
        f"own, name the folder: ./run.sh new {contents.root}){damaged}{still_packed(contents)}"
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
        raise UserError(f"no column of {sample_file} names its rows: each of {examples(sample)} has values twice")
    if len(ids) > 1:
        several = f"several columns of {sample_file} could name the rows, {examples(ids)}"
        raise UserError(f"{several}: choose by --id {ids[0]}")
    return ids[0], f"its values in {sample_file} are all different"


def find_test(others: Mapping[str, pd.DataFrame], sample_file: str, sample: pd.DataFrame, id: str) -> str:
    """The table that has the sample submission's ids; itself where there is no other."""
    wanted, candidates = set(sample[id]), {}
    answer = [column for column in sample if column != id]
    for name, df in others.items():
        has_ids = id in df and 2 * len(wanted & set(df[id])) >= max(len(wanted), len(df))
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


def choose_metric(sample_file: str, answer: Sequence[str], flag: str | None) -> tuple[str, str]:
    """The metric that fits the sample submission's columns, and the reason; `flag` is the value of --metric."""
    of_labels = len(answer) == 1
    has = "labels" if of_labels else "a column of probabilities a class"
    if flag is None:
        return ("accuracy" if of_labels else "log_loss"), f"{sample_file} has {has}"
    if METRICS[flag].of_labels != of_labels:
        fitting = ", ".join(name for name, metric in METRICS.items() if metric.of_labels == of_labels)
        raise UserError(f"--metric {flag} does not fit {sample_file}, which has {has}: one of {fitting}")
    return flag, "as you said"
