"""Suspicions of a submission that has no faults: it is compared with the train rows and earlier submissions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from src.base import files
from src.base.errors import counted
from src.base.text import either
from src.data import tables
from src.data.labels import read_targets
from src.leaderboard import faults
from src.leaderboard.faults import Requirements
from src.results import ledger
from src.results.ledger import Entry
from src.results.model import decided_oof
from src.schema.competition import Competition
from src.scoring.agreement import ERRORS, agreement, agreement_error, are_unrelated, chance_agreement, mix
from src.scoring.metric import two_columns
from src.scoring.metrics import BOARD_MIN_PROB, DIGITS
from src.scoring.sparse import SparseTable
from src.scoring.targets import TOLERANCE


def find_suspicions(
    competition: Competition, path: Path, probs: pd.DataFrame, required: Sequence[Requirements]
) -> tuple[list[str], list[str]]:
    """Return a line for each suspicion, with what to look at; and a line if Kaggle has the same answers already."""
    train = tables.read_scored(competition).train
    answers, lines = compared(competition, probs.to_numpy()), []
    if competition.scorer.answers == "probabilities":
        lines += check_probabilities(competition, probs)
    if competition.span is not None:
        lines += check_span(competition, probs)
    if are_alike(answers) and (competition.scorer.answers != "probabilities" or are_alike(probs.to_numpy())):
        text = answer_text(competition, answers[0])
        lines.append(f"the answer is {text} in all {len(answers)} rows: is this sample_submission itself?")
    else:
        lines += check_mix(competition, path, answers, train)
    unrelated, repeats = compare_with_others(competition, path, probs, required, train)
    return lines + unrelated, repeats


def are_alike(rows: np.ndarray | SparseTable) -> bool:
    """Whether several rows (n,) or (n, k) are all the same; nothing is asked of the few numbers of a sparse table."""
    return len(rows) > 1 and (isinstance(rows, SparseTable) or bool((rows == rows[0]).all()))


def compared(competition: Competition, table: np.ndarray) -> np.ndarray:
    """Return what is compared of a table (n, k): the target's answers, or of several labels the probabilities sent.

    Of one probability, the sum of some classes, the answer is which of the two sides is likelier. A rare label is below
    one half in all rows, and yet its probabilities say which rows are likelier to have it.
    """
    if not competition.target.is_choice and competition.scorer.answers == "probabilities":
        return table
    if (positive := competition.asked) is not None:
        table = two_columns(positive, table)
    return competition.target.answers(table)


def compared_names(competition: Competition) -> Sequence[str]:
    """Return the names of what `compared` returns the places of."""
    if (positive := competition.asked) is None:
        return competition.outputs
    return [either(np.array(competition.classes, object)[side]) for side in (~positive, positive)]


def answer_text(competition: Competition, answer: np.ndarray) -> str:
    """Return the answer to one row in words."""
    names = compared_names(competition)
    if competition.target.is_choice:
        return repr(names[answer])
    if competition.span is not None:
        return f"{answer:g}"
    if competition.scorer.answers == "probabilities":
        return "the same"
    return (
        repr(" ".join(name for name, given in zip(names, answer, strict=True) if given)) if answer.any() else "no label"
    )


def check_span(competition: Competition, df: pd.DataFrame) -> list[str]:
    """Warn of numbers that no train row may have."""
    (least, greatest), values = competition.span, df.to_numpy()[:, 0]
    outside = ~((values >= least) & (values <= greatest))
    if not outside.any():
        return []
    first = f"the first of {competition.sample_id} {df.index[outside][0]!r} with {values[outside][0]:g}"
    n = counted(int(outside.sum()), "number")
    return [f"{n} not in {least:g} to {greatest:g}, {first}: is it of another unit, or not clipped?"]


def check_probabilities(competition: Competition, df: pd.DataFrame) -> list[str]:
    """Warn of what the metric takes and a model does not give."""
    probs, positive = df.to_numpy(), competition.asked
    if isinstance(probs, SparseTable):
        return []
    sent = probs if positive is None else probs[:, positive].sum(axis=1).round(DIGITS)
    if np.isin(sent, (0, 1)).all():
        return [f"all probabilities are 0 or 1: send {competition.metric} those of the model, not its labels"]
    rescaled = competition.target.is_choice and competition.scorer.board_per_row is not None
    lines = check_rescaled(competition, df) if rescaled else []
    constant = (probs == probs[0]).all(axis=0)
    if constant.all():  # then the answer is the same in all rows, a suspicion of its own
        return lines
    return lines + [
        f"the column {name!r} is {df[name].iloc[0]:.4g} in all rows: is it what the model gives?"
        for name in df.columns[constant]
    ]


def check_rescaled(competition: Competition, df: pd.DataFrame) -> list[str]:
    """Warn of rows that Kaggle rescales, and of zeros, each of which may cost more than all other rows together."""
    probs, lines = df.to_numpy(), []
    sums = probs.sum(axis=1)
    if (off := np.abs(sums - 1) > TOLERANCE).any():
        first = f"the first of {competition.id} {df.index[off][0]!r} with {sums[off][0]:.4g}"
        lines.append(f"{counted(int(off.sum()), 'row')} whose sum is not 1, {first}: Kaggle divides each by its sum")
    if (zero := (probs / sums[:, None] < BOARD_MIN_PROB).any(axis=1)).any():
        name = df.columns[(probs[zero][0] / sums[zero][0] < BOARD_MIN_PROB).argmax()]
        first = f"the first of {competition.id} {df.index[zero][0]!r} in the column {name!r}"
        cost = f"where that class is right the row costs {-np.log(BOARD_MIN_PROB):.1f}"
        n = counted(int(zero.sum()), "row")
        lines.append(f"{n} with a probability of 0, {first}: {cost}: are you as sure as that?")
    return lines


def model_of(path: Path) -> str:
    """Return the model's name in a submission's: `blend` of blend-cv0.8380-1b2c3d4.csv; empty if it has none."""
    return path.name.rpartition("-cv")[0]


def check_mix(competition: Competition, path: Path, answers: np.ndarray, train: pd.DataFrame) -> list[str]:
    """Compare the mix of answers with its model's out of fold, or the blend's; without either, the train table's."""
    ids = train[competition.id]
    for name in (model_of(path), "blend"):
        theirs, whose = oof_answers(competition, name, ids), f"{name} out of fold"
        if theirs is not None:
            break
    else:
        theirs, whose = train_answers(competition, train), "the train table"
        if answers.dtype.kind == "f" and competition.span is None:  # probabilities need not be calibrated
            return []
    if not (shares := mix(competition.target, answers, theirs, compared_names(competition))):
        return []
    what = "numbers" if competition.span is not None else "classes" if competition.target.is_choice else "labels"
    mixed = "rows" if competition.span is not None else f"rows or {what}"
    return [f"its mix of {what} is not that of {whose}: {shares}: are {mixed} mixed up?"]


def oof_answers(competition: Competition, name: str, ids: Sequence[str]) -> np.ndarray | None:
    """Return what is `compared` of a model's predictions of the train rows; None without these."""
    table = decided_oof(competition, name, ids)
    return None if table is None else compared(competition, table)


def train_answers(competition: Competition, train: pd.DataFrame) -> np.ndarray:
    """Return what is `compared`, of the train rows' targets."""
    targets = read_targets(competition, train[competition.label])
    if (positive := competition.asked) is not None:
        return positive[targets].astype(int)
    return targets


def compare_with_others(
    competition: Competition, path: Path, probs: pd.DataFrame, required: Sequence[Requirements], train: pd.DataFrame
) -> tuple[list[str], list[str]]:
    """Compare the folder's other submissions: are rows mixed up in this one, and was it sent already?"""
    sent = [one for one in ledger.read(competition.scores_csv) if one.status in (ledger.PENDING, ledger.COMPLETE)]
    target, repeats, unrelated, answers = competition.target, [], [], compared(competition, probs.to_numpy())
    ours = oof_answers(competition, model_of(path), train[competition.id].tolist())
    advice = "do not spend a submission on it"
    if entry := entry_of(path, sent):
        repeats.append(f"this file was sent on {entry.time}: {advice}")
    for other in others(competition, path):
        _, theirs = faults.read(competition, other, required)
        if theirs is None:
            continue
        theirs = theirs.loc[probs.index]
        if theirs.equals(probs):
            if not repeats and (entry := entry_of(other, sent)):
                repeats.append(f"0 rows differ from {other.name}, which was sent on {entry.time}: {advice}")
            continue
        expected = expected_agreement(competition, ours, other, train)
        if are_unrelated(target, answers, theirs := compared(competition, theirs.to_numpy()), expected):
            alike = agreement(target, answers, theirs), chance_agreement(target, answers, theirs)
            unrelated.append((*alike, other.name))
    if not unrelated:
        return [], repeats
    found, chance, name = max(unrelated)
    look, fix = "rows look misaligned", f"join the answers by {competition.id}, not by the order of rows"
    is_opposite = found < chance - ERRORS * agreement_error(target, chance, len(answers))
    if not target.is_choice:
        if is_opposite:
            look, fix = "answers look reversed", "greater ones must mean more of it"
        return [f"a correlation of {found:.2f} with {name}: the {look} (chance alone gives 0): {fix}"], repeats
    if is_opposite:
        look, fix = "classes look swapped", f"number them as the config does, 0 is {competition.classes[0]!r}"
    return [f"{found:.1%} agreement with {name}: the {look} (chance alone gives {chance:.1%}): {fix}"], repeats


def others(competition: Competition, path: Path) -> list[Path]:
    """Return the folder's submissions but this one."""
    submissions = {*competition.folder.glob("*-cv*-*.csv"), *competition.folder.glob("votes-of*-*.csv")}
    return sorted(other for other in submissions if other.resolve() != path.resolve())


def entry_of(path: Path, sent: Sequence[Entry]) -> Entry | None:
    """Return the ledger's entry of a file: by its content, or where the ledger does not know that by its name."""
    sha = files.sha256(path)
    return next((one for one in sent if one.sha256 == sha or (not one.sha256 and one.file == path.name)), None)


def expected_agreement(
    competition: Competition, ours: np.ndarray | None, other: Path, train: pd.DataFrame
) -> float | None:
    """Return the agreement of another submission with ours out of fold; None: its model is unknown."""
    theirs = oof_answers(competition, model_of(other), train[competition.id])
    if theirs is None or (theirs == theirs[0]).all():
        return None
    if ours is None:  # then the train table counts as ours
        ours = train_answers(competition, train)
    return agreement(competition.target, ours, theirs)
