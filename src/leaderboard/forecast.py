"""What a submission's scores say beside its CV: counts of rows, standard errors, and what was to be expected."""

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
    """(cv, its standard error) of a file that a run has written; what is not known is empty.

    Both are in the model's folder while that is the model of the file; the name keeps cv for good.
    """
    named = NAME.fullmatch(path.name)
    if named is None or named["sha"] != sha[:7]:
        return "", ""
    made = read_model(competition.model_folder(named["what"]))
    if made is None or f"{made['cv']:.4f}" != named["cv"]:
        return named["cv"], ""
    return named["cv"], f"{made['se']:.4f}"


@dataclass(frozen=True)
class Standing:
    """A competition's leaderboard, as far as its scores tell it."""

    competition: Competition

    @cached_property
    def rows(self) -> tuple[int, int]:
        """Of the train and of the test table."""
        read = tables.read(self.competition)
        return len(read.train), len(read.test)

    @cached_property
    def split(self) -> BoardSizes | None:
        """Which test rows are public; None where the known scores leave it open."""
        entries = ledger.read(self.competition.scores_csv)
        return splits[0] if len(splits := counts.board_sizes(self.competition, entries, self.rows[1])) == 1 else None

    def size(self, part: str) -> int | None:
        return None if self.split is None else getattr(self.split, part)

    def shown(self, score: str, part: str) -> str:
        """`0.83333 = 580/696 ± 0.0141`; the bare score where its count is not known."""
        n = self.size(part)
        if not score or n is None or (k := self.split.count(part, score)) is None:
            return score
        return f"{score} = {k}/{n} {counts.error_text(k, n)}"

    def expected_interval(self, entry: Entry, part: str | None) -> tuple[float, float] | None:
        """The interval in which 19 of 20 scores of that part lie, or of all test rows; None where it is not known."""
        n = self.rows[1] if part is None else self.size(part)
        metric = self.competition.metric
        if not entry.cv or n is None or not (entry.se or METRICS[metric].is_share):
            return None
        return counts.expected_interval(float(entry.cv), float(entry.se or 0), self.rows[0], n, metric=metric)

    def intervals(self, entry: Entry) -> dict[str, tuple[float, float]]:
        """`expected_interval` of the parts of which it is known."""
        return {part: interval for part in BOARD_PARTS if (interval := self.expected_interval(entry, part)) is not None}

    def promise(self, entry: Entry) -> str | None:
        """What to expect of a submission, said before it is sent."""
        if (whole := self.expected_interval(entry, None)) is None:
            return None
        said = ", ".join(
            f"{part} {low:.4f} to {high:.4f} ({self.size(part)} rows)"
            for part, (low, high) in self.intervals(entry).items()
        )
        if not said:
            low, high = whole
            said = f"{low:.4f} to {high:.4f} on all {self.rows[1]} test rows, and further off on a part of them"
        return f"its CV of {entry.cv} predicts, 19 times of 20: {said}"

    def verdict(self, entry: Entry) -> str:
        """Whether the scores are where CV predicts them, in a word; empty where that is not known."""
        known = {part: interval for part, interval in self.intervals(entry).items() if getattr(entry, part)}
        said = []
        for part, (low, high) in known.items():
            score = float(getattr(entry, part))
            if not low <= score <= high:
                way = "below" if score < low else "above"
                said.append(f"{part} is {way} what CV predicted ({low:.4f} to {high:.4f})")
        return "; ".join(said) or (AS_EXPECTED if known else "")


def sha_of(competition: Competition, file: str) -> str:
    """sha256 of a submission of the competition's folder by its name; empty where it is not there."""
    path = competition.folder / Path(file).name
    return files.sha256(path) if path.is_file() else ""
