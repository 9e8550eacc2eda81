"""Suspicions of a submission that has no faults: it is compared with the train rows and earlier submissions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from src.base import files
from src.base.errors import counted
from src.data import tables
from src.data.labels import read_targets
from src.leaderboard import faults
from src.leaderboard.faults import Requirements
from src.results import ledger
from src.results.ledger import Entry
from src.results.model import oof_labels
from src.schema.competition import Competition
from src.scoring.agreement import ERRORS, agreement, agreement_error, are_unrelated, chance_agreement, mix
from src.scoring.metrics import BOARD_MIN_PROB
from src.scoring.targets import TOLERANCE


def find_suspicions(
    competition: Competition, path: Path, probs: pd.DataFrame, required: Sequence[Requirements]
) -> tuple[list[str], list[str]]:
    """Return a line for each suspicion, with what to look at; and a line if Kaggle has the same answers already."""
    train = tables.read_scored(competition).train
    labels, lines = probs.to_numpy().argmax(axis=1), []
    if not competition.scorer.of_labels:
        lines += check_probabilities(competition, probs)
    if len(labels) > 1 and (labels == labels[0]).all():
        name = competition.classes[labels[0]]
        lines.append(f"the answer is {name!r} in all {len(labels)} rows: is this sample_submission itself?")
    else:
        lines += check_mix(competition, path, labels, train)
    unrelated, repeats = compare_with_others(competition, path, probs, required, train)
    return lines + unrelated, repeats


def check_probabilities(competition: Competition, df: pd.DataFrame) -> list[str]:
    """Warn of what the metric takes and a model does not give."""
    probs = df.to_numpy()
    if np.isin(probs, (0, 1)).all():
        return [f"all probabilities are 0 or 1: send {competition.metric} those of the model, not its labels"]
    lines = check_rescaled(competition, df) if competition.scorer.board_per_row is not None else []
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


def check_mix(competition: Competition, path: Path, labels: np.ndarray, train: pd.DataFrame) -> list[str]:
    """Compare the classes' shares with its model's out of fold, or the blend's; without either, the train labels'."""
    ids = train[competition.id].tolist()
    for name in (model_of(path), "blend"):
        theirs, whose = oof_labels(competition, name, ids), f"{name} out of fold"
        if theirs is not None:
            break
    else:
        theirs, whose = read_targets(competition, train[competition.label]), "the train table"
    if not (shares := mix(competition.target, labels, theirs, competition.outputs)):
        return []
    return [f"its mix of classes is not that of {whose}: {shares}: are rows or classes mixed up?"]


def compare_with_others(
    competition: Competition, path: Path, probs: pd.DataFrame, required: Sequence[Requirements], train: pd.DataFrame
) -> tuple[list[str], list[str]]:
    """Compare the folder's other submissions: are rows mixed up in this one, and was it sent already?"""
    sent = [one for one in ledger.read(competition.scores_csv) if one.status in (ledger.PENDING, ledger.COMPLETE)]
    target, repeats, unrelated, labels = competition.target, [], [], probs.to_numpy().argmax(axis=1)
    ours = oof_labels(competition, model_of(path), train[competition.id].tolist())
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
        if are_unrelated(target, labels, theirs := theirs.to_numpy().argmax(axis=1), expected):
            alike = agreement(target, labels, theirs), chance_agreement(target, labels, theirs)
            unrelated.append((*alike, other.name))
    if not unrelated:
        return [], repeats
    found, chance, name = max(unrelated)
    look, fix = "rows look misaligned", f"join the answers by {competition.id}, not by the order of rows"
    if found < chance - ERRORS * agreement_error(target, chance, len(labels)):
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
    """Return the share of rows on which another submission agrees with ours out of fold; None: its model is unknown."""
    theirs = oof_labels(competition, model_of(other), train[competition.id].tolist())
    if theirs is None or len(np.unique(theirs)) == 1:
        return None
    if ours is None:  # then our labels count as right
        ours = read_targets(competition, train[competition.label])
    return float(np.mean(theirs == ours))
