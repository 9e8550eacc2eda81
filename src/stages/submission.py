"""submission: writes the blend's answers in sample_submission's columns, ids and order.

Reads models/blend/ and sample_submission.csv. Writes <what>-cv<score>-<sha7>.csv, where sha7 begins the sha256 of its
content; one more for each model that a reported score of the config is compared with; and, if the config has
blend.csvs, votes-of<n>-<sha7>.csv, the majority of the blend's labels and theirs. Prints the shares of the classes, and
the public and private score if input/<slug>/ has a solution.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from src.base import files
from src.base.paths import resolve
from src.base.text import shares
from src.data.rows import Dataset, read_dataset
from src.leaderboard import solution, submission, votes
from src.leaderboard.faults import Requirements, check_text, requirements
from src.results.model import decided_probs, model_tables, read_model, rescore
from src.schema.competition import Competition


def run(competition: Competition, data: Dataset | None = None) -> Path:
    """Return the blend's file. Each is checked before it gets its name. `data`: where the caller has read it."""
    data, (asked,) = (data or read_dataset(competition)).scored, requirements(competition)
    path, probs = answer(competition, data, asked, "blend")
    if competition.scorer.answers != "probabilities":
        print(f"predicted: {describe_answers(competition, probs)}")
    print_graded(competition, data, probs)
    for name in reported(competition):
        rescore(competition, name, data)
        print_graded(competition, data, answer(competition, data, asked, name)[1])
    if competition.blend.csvs:
        vote(competition, data, asked, probs)
    return path


def describe_answers(competition: Competition, probs: np.ndarray) -> str:
    """`oak 60.0%, elm 40.0%`, the share of rows with each label; of numbers their mean and how far they go.

    Of many labels those with the most rows.
    """
    answers = competition.target.answers(probs)
    if not competition.classes:
        return f"{competition.label} {answers.min():.4g} to {answers.max():.4g}, {answers.mean():.4g} on average"
    rows = answers.sum(axis=0) if answers.ndim == 2 else np.bincount(answers, minlength=len(competition.classes))
    return shares(dict(zip(competition.classes, rows / len(probs), strict=True)))


def check(competition: Competition) -> None:
    """Refuses CSVs that are not there, before anything is computed."""
    for path in competition.blend.csvs:
        votes.check(path, resolve(path))


def reported(competition: Competition) -> list[str]:
    """The finished models with which reported scores are compared, but for the blend."""
    names = {row.model for row in competition.on_board}
    finished = [name for name in competition.models if read_model(competition.model_folder(name)) is not None]
    return [name for name in finished if name in names]


def answer(competition: Competition, data: Dataset, asked: Requirements, what: str) -> tuple[Path, np.ndarray]:
    """Writes a model's submission and returns its path, and the probabilities (n, k) that it is made of."""
    facts = read_model(competition.model_folder(what))
    _, probs = model_tables(competition, what, data)
    probs = decided_probs(competition, facts, probs)
    return write(competition, data, asked, probs, lambda sha: competition.submission_csv(what, facts["cv"], sha)), probs


def write(
    competition: Competition, data: Dataset, asked: Requirements, probs: np.ndarray, name: Callable[[str], Path]
) -> Path:
    """Writes the submission, after it has been checked; `name` gives its path by its sha256."""
    text = submission.csv_of(competition, asked, data.test.ids, probs)
    faults, _ = check_text(competition, text.encode(), asked)
    if faults:
        raise AssertionError(f"the submission is wrong, which is our fault and not yours: {'; '.join(faults)}")
    sha = files.text_sha256(text)
    path = name(sha)
    if path.is_file() and files.sha256(path) == sha:
        print(f"{path.name}  reused")
    else:
        files.write_text(path, text)
        print(f"wrote {path.name}: {len(asked.ids)} rows, checked against {competition.sample_submission}")
    make_newest(path)
    return path


def make_newest(path: Path) -> None:
    """Let a file be the newest of its kind, by its time of change: `submit` sends that one.

    One of another config may have been written after a file that is reused, or by a clock that has gone back since.
    """
    others = [one.stat().st_mtime_ns for one in path.parent.glob(f"{path.name.partition('-')[0]}-*.csv") if one != path]
    if others and max(others) >= path.stat().st_mtime_ns:
        now = max(time.time_ns(), max(others) + 2 * 10**9)  # some file systems know no less than two seconds
        with suppress(OSError):  # it may be one that is only read
            os.utime(path, ns=(now, now))


def vote(competition: Competition, data: Dataset, asked: Requirements, probs: np.ndarray) -> None:
    """Write the majority vote of the labels of `probs` and of the config's CSVs: see `votes.elect`."""
    target, others = (
        competition.target,
        [votes.read(competition, path, data.test.ids) for path in competition.blend.csvs],
    )
    ballots = np.stack([target.answers(probs), *others])
    sure = votes.elect(target, ballots, data.targets, len(competition.classes))
    path = write(competition, data, asked, sure, lambda sha: competition.votes(len(ballots), sha))
    print(
        f"{path.name}: the vote has no CV score of its own, since its CSVs have no out-of-fold rows; "
        f"{(target.answers(sure) != ballots[0]).mean():.1%} of its labels are not the blend's"
    )
    print_graded(competition, data, sure)


def print_graded(competition: Competition, data: Dataset, probs: np.ndarray) -> None:
    for line in solution.lines(competition, data.test.ids, probs):
        print(line)
