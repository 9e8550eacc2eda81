"""check: lists what is wrong with a submission CSV, before one is spent on it.

    ./run.sh corn check submissions/corn/blend-cv0.8123-0a1b2c3.csv

Each fault in ids, columns, labels, probabilities or numbers is a line that says how to fix it. Warnings are printed for
a mix of classes, labels or numbers that differs from the out-of-fold one, and for rows that look misaligned. Offline;
writes nothing.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from src.base.errors import counted
from src.base.text import either, shares
from src.kaggle.refusals import CODES
from src.leaderboard import submission
from src.schema.competition import Competition
from src.scoring.metric import two_columns
from src.scoring.sparse import SparseTable


def run(competition: Competition, file: Path) -> int:
    """Print a line for each fault and each warning, and the verdict; return the exit code."""
    findings = submission.inspect(competition, file)
    for fault in findings.faults:
        print(f"fault: {fault}")
    warnings = [*findings.warnings, *findings.repeats]
    for warning in warnings:
        print(f"warning: {warning}")
    if findings.faults:
        print(f"{file.name}: {counted(len(findings.faults), 'fault')}: do not send it")
        return CODES["check"]
    verdict = f"right, with {counted(len(warnings), 'warning')}" if warnings else "right"
    smoke = "" if competition.limit is None else "; it is of a smoke run: do not send it"
    print(f"{file.name}: {verdict}: {SUMMARIES[competition.form.kind](competition, findings.answers)}{smoke}")
    return 0


def class_shares(competition: Competition, answers: pd.DataFrame) -> str:
    """`144 rows, 4 classes used: broken 31.8%, ...`."""
    n, used = likeliest(competition, answers)
    return f"{counted(len(answers), 'row')}, {n} {'class' if n == 1 else 'classes'} used: {used}"


def probabilities(competition: Competition, answers: pd.DataFrame) -> str:
    """`144 rows, probabilities of 4 classes, the likeliest: broken 31.8%, ...`; of labels, the mean of each."""
    n, k = counted(len(answers), "row"), len(competition.classes)
    if competition.target.is_choice:
        return f"{n}, probabilities of {k} classes, the likeliest: {likeliest(competition, answers)[1]}"
    return f"{n}, probabilities of {counted(k, 'label')}, on average: {shares(answers.mean())}"


def likeliest(competition: Competition, answers: pd.DataFrame) -> tuple[int, str]:
    """The classes that are the likeliest of any row, and `broken 31.8%, ...`: of how many each is; see `shares`."""
    rows = np.bincount(competition.target.answers(answers.to_numpy()), minlength=len(competition.classes))
    of = pd.Series(rows / len(answers), competition.classes)
    return int((of > 0).sum()), shares(of[of > 0])


def one_probability(competition: Competition, answers: pd.DataFrame) -> str:
    """`144 rows, probabilities of yes from 0.0012 to 0.9871, on average 0.3120`."""
    values = two_columns(competition.asked, answers.to_numpy())[:, 1]
    ends = f"from {values.min():.4f} to {values.max():.4f}, on average {values.mean():.4f}"
    return f"{counted(len(answers), 'row')}, probabilities of {either(competition.form.positive)} {ends}"


def ranking(competition: Competition, answers: pd.DataFrame) -> str:
    """`144 rows, 4 to 5 labels in each, the first: broken 31.8%, ...`."""
    table = answers.to_numpy()
    n = table.sizes if isinstance(table, SparseTable) else (table > 0).sum(axis=1)
    likeliest = np.array(competition.classes, object)[competition.target.answers(table)]
    first = pd.Series(likeliest).value_counts(normalize=True)
    labels = f"{n.min()} to {n.max()}" if n.min() < n.max() else n.min()
    return f"{counted(len(answers), 'row')}, {labels} labels in each, the first: {shares(first)}"


def label_list(competition: Competition, answers: pd.DataFrame) -> str:
    """`144 rows, 1.31 labels in each on average: rust 31.8%, ...`."""
    given = pd.DataFrame(competition.target.answers(answers.to_numpy()), columns=answers.columns)
    n, a_row = counted(len(given), "row"), given.sum(axis=1).mean()
    return f"{n}, {a_row:.2f} labels in each on average: {shares(given.mean())}"


def one_number(competition: Competition, answers: pd.DataFrame) -> str:
    """`144 rows, numbers from 2.1 to 98.3, on average 38.12`."""
    values = answers.iloc[:, 0]
    return (
        f"{counted(len(answers), 'row')}, numbers from {values.min():.4g} to {values.max():.4g}, on average "
        f"{values.mean():.4g}"
    )


SUMMARIES: dict[str, Callable[[Competition, pd.DataFrame], str]] = {  # by the form's kind
    "label": class_shares,
    "probabilities": probabilities,
    "one_probability": one_probability,
    "ranking": ranking,
    "label_list": label_list,
    "label_rows": probabilities,
    "one_number": one_number,
}
