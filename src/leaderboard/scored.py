"""The scores of our models: by the leaderboard, or else by the solution; as counts of rows where these are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.base import files
from src.data import tables
from src.leaderboard import counts, solution, submission
from src.leaderboard.counts import BoardSizes
from src.leaderboard.forecast import BOARD_PARTS, NAME
from src.results import ledger, predictions
from src.results.ledger import COMPLETE, PENDING, SENDING, Entry
from src.results.model import decided_probs, read_model
from src.schema.competition import Competition


@dataclass(frozen=True)
class Score:
    """A score of one part of the leaderboard; where its count is known, k of n rows."""

    text: str
    k: int | None = None
    n: int | None = None

    def __str__(self) -> str:
        return self.text if self.k is None else f"{self.text} {self.k}/{self.n}"


@dataclass(frozen=True)
class ModelScores:
    """The scores of a model of ours."""

    scores: Mapping[str, Score]  # by part; empty where there are none
    source: str  # their place, or the reason that there are none
    probs: np.ndarray | None = None  # (n, k) its answers to the test rows, where they are there


@dataclass(frozen=True)
class Known:
    """The known facts of a competition's test rows and of their leaderboard."""

    competition: Competition
    entries: Sequence[Entry]  # the ledger's
    ids: Sequence[str]  # of the test rows
    sizes: Mapping[str, int]  # of the parts, by the solution; empty without one
    rows: int  # of the leaderboard's parts together
    splits: Sequence[BoardSizes]  # into these parts that all known scores allow, and the solution where there is one

    def score(self, part: str, text: str) -> Score:
        """Return a score of the leaderboard, with its count if that is one."""
        for split in self.splits if len(self.splits) == 1 else ():
            if (k := split.count(part, text)) is not None:
                return Score(text, k, getattr(split, part))
        return Score(text)


def read(competition: Competition, ids: Sequence[str] | None = None) -> Known:
    """Read the test table, unless the caller has its `ids`, the ledger and the solution.

    Raises:
        UserError: A table, the ledger or the solution cannot be read.
    """
    entries = ledger.read(competition.scores_csv)
    ids = tables.read_scored(competition).test[competition.id].tolist() if ids is None else ids
    usage = [] if (answers := solution.answers(competition, ids)) is None else answers.usage.tolist()
    sizes = {part: n for part in BOARD_PARTS if (n := usage.count(part.capitalize()))}
    rows = sum(sizes.values()) or len(ids)
    told = sizes.get("public", 0) if sizes else None
    return Known(competition, entries, ids, sizes, rows, counts.board_sizes(competition, entries, rows, told))


def without_rows(competition: Competition) -> Known:
    """Return what is known where the competition's files are not there: the ledger alone."""
    return Known(competition, ledger.read(competition.scores_csv), ids=(), sizes={}, rows=0, splits=())


def graded(competition: Competition, ids: Sequence[str], probs: np.ndarray) -> dict[str, tuple[float, int]]:
    """Return {part: (score, rows)} of the probabilities (n, k) of `ids` by the solution; empty where there is none."""
    parts = solution.graded(competition, ids, probs)
    return {part: (parts[part][0], parts[part][2]) for part in BOARD_PARTS if part in parts}


def model_scores(known: Known, model: str) -> ModelScores:
    """Return the scores of the model's newest scored submission; or else of its test table, by the solution.

    Raises:
        UserError: A submission or a table cannot be read.
    """
    competition = known.competition
    entries = [entry for entry in known.entries if (name := NAME.fullmatch(entry.file)) and name["what"] == model]
    if complete := [entry for entry in entries if entry.status == COMPLETE and (entry.public or entry.private)]:
        entry = max(complete, key=lambda entry: entry.time)
        scores = {part: known.score(part, text) for part in BOARD_PARTS if (text := getattr(entry, part))}
        return ModelScores(scores, f"{entry.file}, by the leaderboard", sent_answers(known, entry))
    model_json = read_model(competition.model_folder(model))
    if model_json is not None and known.sizes:
        return by_solution(known, model, model_json)
    if any(entry.status in (SENDING, PENDING) for entry in entries):
        return ModelScores({}, f"its submission has no score yet: ./run.sh {competition.name} scores")
    if model_json is None:
        return ModelScores({}, f"{model} is not made yet: {competition.command()}")
    return ModelScores(
        {}, f"{model} is made, but no submission of it has a score: ./run.sh {competition.name} submit FILE"
    )


def by_solution(known: Known, model: str, model_json: dict[str, Any]) -> ModelScores:
    """Return the scores of a finished model's test table."""
    competition = known.competition
    table = competition.model_folder(model) / "test.parquet"
    probs = predictions.read(table, competition, known.ids)
    probs, scores = decided_probs(competition, model_json, probs), {}
    for part, (score, n) in graded(competition, known.ids, probs).items():
        k, is_count = round(score * n), competition.scorer.is_share
        scores[part] = Score(counts.cut(k, n), k, n) if is_count else Score(f"{score:.5f}")
    return ModelScores(scores, f"{model}'s test table, by {competition.solution}", probs)


def sent_answers(known: Known, entry: Entry) -> np.ndarray | None:
    """Return the answers (n, k) of a submission of ours; None where its file, or the data, is not there as it was."""
    path = known.competition.folder / entry.file
    if not known.rows or not path.is_file() or files.sha256(path) != entry.sha256:
        return None
    return submission.answers(known.competition, path, known.ids)
