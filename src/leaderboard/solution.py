"""The competition's solution, where it is there: public and private scores without Kaggle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.base.csvs import read_csv
from src.base.errors import UserError, counted, unknown
from src.data.labels import add_labels, by_picture, read_targets, unreadable
from src.data.texts import Texts
from src.leaderboard import counts
from src.schema.competition import Competition
from src.scoring.intervals import score_text

USAGES = ("Public", "Private", "Ignored")


@dataclass(frozen=True)
class Answers:
    """A solution's answers to some rows, but for those that nobody scores."""

    rows: np.ndarray  # (m,) the positions of the scored rows
    targets: np.ndarray  # of each: see src/scoring/targets.py
    usage: np.ndarray  # (m,) Public or Private


def answers(competition: Competition, ids: Sequence[str]) -> Answers | None:
    """Read the answers to test rows; rows whose Usage is Ignored are left out. None without a solution.

    Its columns, and its rows where these are of a picture and a label each, may be called as in the sample submission.

    Raises:
        UserError: The solution lacks a column or a test row, or has an unknown label or Usage, or an id twice.
    """
    path, id = competition.input(competition.solution), competition.id
    if not path.is_file():
        return None
    solution = by_picture(competition, as_in_train(competition, read_csv(path)))
    if not {id, "Usage"} <= set(solution.columns):
        raise UserError(f"{path} lacks the column {('Usage' if id in solution else competition.sample_id)!r}: add it")
    if (again := solution[id].duplicated()).any():
        raise UserError(f"{path}: {id} {solution[id][again].iloc[0]!r} stands in more than one row: keep the right one")
    solution = solution.set_index(id)
    ids = pd.Index(ids)
    if len(missing := ids[~Texts(ids).are_in(solution.index)]):
        raise UserError(f"{path} lacks {counted(len(missing), 'test id')}, such as {min(missing)!r}: add them")
    solution = solution.loc[ids]
    usage = solution["Usage"].str.strip().str.capitalize()
    if strange := set(usage) - set(USAGES):
        raise UserError(f"{path}: {unknown('Usage', sorted(strange)[0], USAGES)}")
    rows = np.flatnonzero((usage != "Ignored").to_numpy())
    solution = solution.iloc[rows].copy()
    add_labels(competition, solution)
    if competition.label not in solution:
        raise UserError(f"{path} lacks the column {competition.label!r}: add it")
    labels = solution[competition.label]
    if strange := unreadable(competition, labels):
        raise UserError(f"{path} has labels that are no classes, such as {sorted(strange)[0]!r}: fix them")
    return Answers(rows, read_targets(competition, labels), usage.iloc[rows].to_numpy())


def as_in_train(competition: Competition, df: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns may be called as the sample submission's with the train table's names."""
    id, label, form = competition.id, competition.label, competition.form
    if (asked := competition.sample_id) in df and (id not in df or competition.unit is not None):
        df = df.drop(columns=[id] if asked != id and id in df else []).rename(columns={asked: id})
    return df if form.column is None or label in df else df.rename(columns={form.column: label})


def graded(competition: Competition, ids: Sequence[str], probs: np.ndarray) -> dict[str, tuple[float, float, int]]:
    """Return {part: (score, standard error, rows)} of `probs` (n, k) of `ids`; empty where there is no solution.

    The scores are Kaggle's: see `Metric.on_board`. The parts are public, private and test, which is both.

    Raises:
        UserError: As `answers`.
    """
    known = answers(competition, ids)
    if known is None:
        return {}
    probs, usage, metric = probs[known.rows], known.usage, competition.scorer.on_board
    masks = {"public": usage == "Public", "private": usage == "Private", "test": np.full(len(usage), True)}
    return {
        part: (*metric.score(known.targets[mask], probs[mask]), int(mask.sum()))
        for part, mask in masks.items()
        if mask.any()
    }


def lines(competition: Competition, ids: Sequence[str], probs: np.ndarray) -> list[str]:
    """`public: accuracy 0.8333 ± 0.0141 on 696 rows (580/696, cut to 0.83333)`, and so on; empty without a solution.

    Where nobody takes submissions, a part that is all test rows is one line, of `test`.

    Raises:
        UserError: As `graded`.
    """
    parts, texts, on_kaggle = graded(competition, ids, probs), [], competition.source.page is not None
    if not on_kaggle and len(parts) == 2:
        parts = {"test": parts["test"]}
    for part, (score, se, n) in parts.items():
        text = score_text(competition.metric, score, se, n)
        texts.append(f"{part}: {competition.metric} {text} on {counted(n, 'row')}")
        if competition.scorer.is_share:
            hits = round(score * n)
            cut = f", cut to {counts.cut(hits, n)} as Kaggle does" if on_kaggle else ""
            texts[-1] += f" ({hits}/{n}{cut})"
    return texts
