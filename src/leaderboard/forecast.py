"""A submission's scores beside its CV: counts of rows, standard errors, and expected intervals."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from src.base import files
from src.data import tables
from src.leaderboard import counts
from src.leaderboard.counts import BoardSizes
from src.results import ledger
from src.results.ledger import Entry
from src.results.model import read_model
from src.schema.competition import Competition
from src.scoring.metrics import METRICS

NAME = re.compile(r"(?P<what>.+)-cv(?P<cv>-?\d+\.\d+)-(?P<sha>[0-9a-f]{7})\.csv")  # of the files that we write
BOARD_PARTS = ("public", "private")
AS_EXPECTED = "as expected"


def score_of(competition: Competition, path: Path, sha: str) -> tuple[str, str]:
    """Return (cv, its standard error) of a file that a run has written, an unknown one empty.

    Both are in the model's folder while that is the model of the file; the name keeps cv for good.
    """
    match = NAME.fullmatch(path.name)
    if match is None or match["sha"] != sha[:7]:
        return "", ""
    model = read_model(competition.model_folder(match["what"]))
    if model is None or f"{model['cv']:.4f}" != match["cv"]:
        return match["cv"], ""
    return match["cv"], f"{model['se']:.4f}"


@dataclass(frozen=True)
class Standing:
    """A competition's leaderboard, as far as its scores tell it."""

    competition: Competition

    @cached_property
    def rows(self) -> tuple[int, int]:
        """The numbers of train and of test rows."""
        frames = tables.read_scored(self.competition)
        return len(frames.train), len(frames.test)

    @cached_property
    def split(self) -> BoardSizes | None:
        """The numbers of public and private rows; None where the known scores leave them open."""
        splits = counts.board_sizes(self.competition, ledger.read(self.competition.scores_csv), self.rows[1])
        return splits[0] if len(splits) == 1 else None

    def size(self, part: str) -> int | None:
        return None if self.split is None else getattr(self.split, part)

    def shown(self, score: str, part: str) -> str:
        """Return `0.83333 = 580/696 ± 0.0141`; the bare score where its count is not known."""
        n = self.size(part)
        if not score or n is None or (k := self.split.count(part, score)) is None:
            return score
        return f"{score} = {k}/{n} {counts.error_text(k, n)}"

    def expected_interval(self, entry: Entry, part: str | None) -> tuple[float, float] | None:
        """Return the interval of 19 in 20 scores of that part, or of all test rows; None where it is not known."""
        n = self.rows[1] if part is None else self.size(part)
        metric = self.competition.metric
        if not entry.cv or n is None or not (entry.se or METRICS[metric].is_share):
            return None
        return counts.expected_interval(float(entry.cv), float(entry.se or 0), self.rows[0], n, metric=metric)

    def intervals(self, entry: Entry) -> dict[str, tuple[float, float]]:
        """Return `expected_interval` of the parts of which it is known."""
        return {part: interval for part in BOARD_PARTS if (interval := self.expected_interval(entry, part)) is not None}

    def promise(self, entry: Entry) -> str | None:
        """Return the prediction for a submission, printed before it is sent."""
        if (whole := self.expected_interval(entry, None)) is None:
            return None
        prediction = ", ".join(
            f"{part} {low:.4f} to {high:.4f} ({self.size(part)} rows)"
            for part, (low, high) in self.intervals(entry).items()
        )
        if not prediction:
            low, high = whole
            prediction = f"{low:.4f} to {high:.4f} on all {self.rows[1]} test rows, and further off on a part of them"
        return f"its CV of {entry.cv} predicts, 19 times of 20: {prediction}"

    def verdict(self, entry: Entry) -> str:
        """Tell in a word whether the scores are where CV predicts them; empty where that is not known."""
        known = {part: interval for part, interval in self.intervals(entry).items() if getattr(entry, part)}
        misses = []
        for part, (low, high) in known.items():
            score = float(getattr(entry, part))
            if not low <= score <= high:
                way = "below" if score < low else "above"
                misses.append(f"{part} is {way} what CV predicted ({low:.4f} to {high:.4f})")
        return "; ".join(misses) or (AS_EXPECTED if known else "")


def sha_of(competition: Competition, file: str) -> str:
    """Return the sha256 of a submission of the competition's folder by its name; empty where it is not there."""
    path = competition.folder / Path(file).name
    return files.sha256(path) if path.is_file() else ""
