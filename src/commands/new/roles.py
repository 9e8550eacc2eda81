"""What the tables of a competition are, and their columns: told by names, and by which values they share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from src.base.errors import UserError, unknown
from src.commands.new import answering
from src.commands.new.looking import Contents, examples
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
    others: Mapping[str, pd.DataFrame]  # neither of these, nor a solution
    solution: str | None

    @property
    def labelled(self) -> dict[str, pd.DataFrame]:
        """The tables that could be that of the train rows: those that tell the class of rows, by id."""
        return {name: df for name, df in self.others.items() if self.id in df and has_answers(df, self.answer)}


def find(contents: Contents, id: str | None) -> Roles:
    """The roles, `id` being the column that the user named.

    Raises:
        UserError: There is no sample submission, or several; it names no rows, or they are named in several ways.
    """
    sample_file = sample_of(contents)
    sample = contents.tables[sample_file]
    if not len(sample):
        raise UserError(f"{sample_file} has no rows: is the competition's data whole?")
    answering.columns_fit(sample_file, list(sample))
    solutions = [name for name, df in contents.tables.items() if is_solution(name, df)]
    others = {name: df for name, df in contents.tables.items() if not is_sample(name) and name not in solutions}
    id, why = id_of(sample_file, sample, others, id)
    answer = [column for column in sample if column != id]
    if not answer:
        raise UserError(f"{sample_file} has one column, {id!r}: it does not say what to predict")
    test_file = test_of(others, sample_file, sample, id)
    others.pop(test_file, None)
    return Roles(sample_file, sample, id, why, answer, test_file, others, next(iter(solutions), None))


def is_sample(name: str) -> bool:
    stem = PurePosixPath(name).stem.lower()
    return stem.startswith("sample") or "submission" in stem or "submit" in stem


def is_solution(name: str, df: pd.DataFrame) -> bool:
    return PurePosixPath(name).stem.lower() == "solution" or "Usage" in df


def sample_of(contents: Contents) -> str:
    """The sample submission, by its name."""
    found = [name for name in contents.tables if is_sample(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"several tables could be the sample submission, {examples(found)}: leave one of them there")
    damaged = "".join(f"; {why}" for why in list(contents.damaged.values())[:1])
    tables = f"among {examples(contents.tables)}" if contents.tables else "and no other table"
    raise UserError(
        f"{contents.root} has no sample submission {tables}: nothing says what to predict (of pictures of your "
        f"own, name the folder: ./run.sh new {contents.root}){damaged}"
    )


def id_of(
    sample_file: str, sample: pd.DataFrame, others: Mapping[str, pd.DataFrame], asked: str | None
) -> tuple[str, str]:
    """The column that names the rows, and why it is that."""
    if asked is not None:
        if asked not in sample:
            raise UserError("--id: " + unknown("column", asked, sample) + f", which {sample_file} has")
        return asked, "as you said"
    unique = [column for column in sample if sample[column].is_unique]
    shared = [column for column in unique if any(column in df for df in others.values())]
    found = [column for column in shared if all(df[column].is_unique for df in others.values() if column in df)]
    if not (found := found or shared or unique[:1]):
        raise UserError(f"no column of {sample_file} names its rows: each of {examples(sample)} has values twice")
    if len(found) > 1:
        raise UserError(
            f"several columns of {sample_file} could name the rows, {examples(found)}: choose by --id {found[0]}"
        )
    return found[0], f"its values in {sample_file} are all different"


def test_of(others: Mapping[str, pd.DataFrame], sample_file: str, sample: pd.DataFrame, id: str) -> str:
    """The table that has the sample submission's ids; itself where there is no other."""
    wanted, found = set(sample[id]), {}
    for name, df in others.items():
        if id in df and 2 * len(wanted & set(df[id])) >= max(len(wanted), len(df)):
            found[name] = "test" in name.lower()
    answer = [column for column in sample if column != id]
    # where both parts count from 1, a table of train rows has these ids too
    found = {name: called for name, called in found.items() if called or not has_answers(others[name], answer)}
    return max(found, key=found.get, default=sample_file)


def has_answers(df: pd.DataFrame, answer: Sequence[str]) -> bool:
    """Whether a table tells the class of its rows."""
    return all(column in df for column in answer) or bool(one_hot(df) if len(answer) == 1 else columns_of(df, answer))


def one_hot(df: pd.DataFrame) -> list[str]:
    """The columns of 0 and 1, if each row has one 1 in them."""
    found = [column for column in df if set(df[column]) in ({"0", "1"}, {"0.0", "1.0"})]
    return found if len(found) > 1 and (df[found].astype(float).sum(axis=1) == 1).all() else []


def columns_of(df: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """The columns whose values are the classes."""
    return [column for column in df if set(df[column]) == set(classes)]


def groups_of(train: pd.DataFrame, known: set[str]) -> dict[str, int]:
    """Columns whose values several rows share, though no value most of them: {column: how many values}.

    Those come first that are called like what is often photographed more than once.
    """
    found = {}
    for column in train:
        if column in known:
            continue
        counts = train[column].value_counts()
        measured = train[column].str.fullmatch(r"-?\d*\.\d*").any()
        if FEWEST_GROUPS <= len(counts) <= 0.9 * len(train) and not measured and counts.iloc[0] <= 0.3 * len(train):
            found[column] = len(counts)
    return dict(sorted(found.items(), key=lambda pair: GROUP.search(pair[0]) is None))


def metric_of(roles: Roles, asked: str | None) -> tuple[str, str]:
    """The metric that fits the sample submission's columns, and why it is that."""
    of_labels = len(roles.answer) == 1
    has = "labels" if of_labels else "a column of probabilities a class"
    if asked is None:
        return ("accuracy", "log_loss")[not of_labels], f"{roles.sample_file} has {has}"
    if METRICS[asked].of_labels != of_labels:
        fitting = [name for name, metric in METRICS.items() if metric.of_labels == of_labels]
        raise UserError(
            f"--metric {asked} does not fit {roles.sample_file}, which has {has}: one of {', '.join(fitting)}"
        )
    return asked, "as you said"
