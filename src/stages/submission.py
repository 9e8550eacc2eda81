"""submission: writes the blend's answer in sample_submission's columns, ids and order.

Reads models/blend/ and sample_submission.csv; writes <what>-cv<score>-<sha7>.csv, named by the sha256 of its content.
Where the config has blend.csvs, also votes-of<n>-<sha7>.csv: the majority of the blend's labels and theirs.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from src import dataset, decisions, files, results, tables, votes
from src.config import Competition, resolve
from src.dataset import Dataset
from src.errors import UserError
from src.metrics import METRICS


def run(competition: Competition) -> Path:
    """Returns the file, which is checked before it gets its name."""
    data, what = dataset.read(competition), "blend"
    sample = tables.read(competition).sample_submission
    made = results.read(competition.model_folder(what))
    _, probs = results.tables(competition, what, data)
    if "decision" in made:  # the labels are then no plain argmax
        probs = decisions.apply(probs, np.array([made["decision"][name] for name in competition.classes]))
    path = write(competition, data, sample, probs, lambda sha: competition.submission(what, made["cv"], sha))
    if METRICS[competition.metric].of_labels:
        counts = pd.Series(np.asarray(competition.classes)[probs.argmax(axis=1)]).value_counts()
        print(
            "predicted: " + ", ".join(f"{name} {counts.get(name, 0) / len(probs):.1%}" for name in competition.classes)
        )
    print_graded(competition, data, probs)
    if competition.blend.csvs:
        vote(competition, data, sample, probs)
    return path


def check(competition: Competition) -> None:
    """Refuses CSVs that are not there, before anything is computed."""
    for path in competition.blend.csvs:
        votes.check(path, resolve(path))


def write(
    competition: Competition, data: Dataset, sample: pd.DataFrame, probs: np.ndarray, name: Callable[[str], Path]
) -> Path:
    """Writes the submission, after it has been checked; `name` gives its path by its sha256."""
    text = csv_of(competition, data, sample, probs)
    if faults := faults_of(competition, sample, text):
        raise AssertionError(f"the submission is wrong, which is our fault and not yours: {'; '.join(faults)}")
    sha = files.text_sha256(text)
    path = name(sha)
    if path.is_file() and files.sha256(path) == sha:
        print(f"{path.name}  reused")
    else:
        files.write_text(path, text)
        print(f"wrote {path.name}: {len(sample)} rows, checked against {competition.sample_submission}")
    return path


def vote(competition: Competition, data: Dataset, sample: pd.DataFrame, probs: np.ndarray) -> Path:
    """Writes the majority vote of the labels of `probs` and of the config's CSVs; ties: the more frequent class."""
    others = [votes.read(competition, path, data.test.ids) for path in competition.blend.csvs]
    ballots, k = np.stack([probs.argmax(axis=1), *others]), len(competition.classes)
    labels = votes.majority(ballots, np.bincount(data.targets, minlength=k))
    sure = np.eye(k, dtype=np.float32)[labels]
    path = write(competition, data, sample, sure, lambda sha: competition.votes(len(ballots), sha))
    print(
        f"{path.name}: the vote has no CV score of its own, since its CSVs have no out-of-fold rows; "
        f"{(labels != ballots[0]).mean():.1%} of its labels are not the blend's"
    )
    print_graded(competition, data, sure)
    return path


def csv_of(competition: Competition, data: Dataset, sample: pd.DataFrame, probs: np.ndarray) -> str:
    """The submission: `sample` with its ids and columns in their order, and the answers joined by id."""
    answers = pd.DataFrame(probs, columns=list(competition.classes))
    if METRICS[competition.metric].of_labels:
        answers = pd.DataFrame({competition.label: np.asarray(competition.classes)[probs.argmax(axis=1)]})
    answers.insert(0, competition.id, data.test.ids)
    sub = sample[[competition.id]].merge(answers, on=competition.id, how="left", validate="one_to_one")
    return sub[list(sample.columns)].to_csv(index=False, lineterminator="\n")


def faults_of(competition: Competition, sample: pd.DataFrame, text: str) -> list[str]:
    """What is wrong with a submission's text, read back as Kaggle would read it."""
    sub, faults = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False), []
    if list(sub.columns) != list(sample.columns):
        return [f"its columns are {', '.join(sub.columns)}, not {', '.join(sample.columns)}"]
    if sub[competition.id].tolist() != sample[competition.id].tolist():
        faults.append("its ids are not those of sample_submission in their order")
    if METRICS[competition.metric].of_labels:
        if unknown := set(sub[competition.label]) - set(competition.classes):
            faults.append(f"its labels {', '.join(map(repr, sorted(unknown)))} are no classes")
    else:
        probs = sub[list(competition.classes)].apply(pd.to_numeric, errors="coerce").to_numpy()
        if not np.isfinite(probs).all() or (np.abs(probs.sum(axis=1) - 1) > 1e-3).any():
            faults.append("its rows are not probabilities")
    return faults


def print_graded(competition: Competition, data: Dataset, probs: np.ndarray) -> None:
    for usage, (score, se, n) in graded(competition, data, probs).items():
        print(f"{usage}: {competition.metric} {score:.4f} ± {se:.4f} on {n} rows")


def graded(competition: Competition, data: Dataset, probs: np.ndarray) -> dict[str, tuple[float, float, int]]:
    """{public, private and test, which is both: (score, standard error, rows)} where there is a solution; else empty.

    Raises:
        UserError: The solution lacks a column or a test row, or has an unknown label.
    """
    path = competition.input(competition.solution)
    if not path.is_file():
        return {}
    solution = tables.read_csv(path)
    if missing := {competition.id, competition.label, "Usage"} - set(solution.columns):
        raise UserError(f"{path} lacks the column {sorted(missing)[0]!r}")
    solution = solution.drop_duplicates(competition.id).set_index(competition.id)
    if missing := set(data.test.ids) - set(solution.index):
        raise UserError(f"{path} lacks {len(missing)} test ids, such as {sorted(missing)[0]!r}")
    solution = solution.loc[data.test.ids]
    if unknown := set(solution[competition.label]) - set(competition.classes):
        raise UserError(f"{path} has labels that are no classes, such as {sorted(unknown)[0]!r}")
    targets = solution[competition.label].map(list(competition.classes).index).to_numpy()
    usage, metric = solution["Usage"].str.lower().to_numpy(), METRICS[competition.metric]
    parts = {"public": usage == "public", "private": usage == "private", "test": np.full(len(usage), True)}
    return {
        part: (*metric.score(targets[rows], probs[rows]), int(rows.sum())) for part, rows in parts.items() if rows.any()
    }
