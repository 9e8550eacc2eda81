"""scores: updates the ledger from Kaggle, and shows CV beside the public and private scores, as counts.

Reads and writes scores.csv, with scores that came late and submissions that were made by hand. Prints the rank and the
correlation of CV and public score. The public leaderboard is read for ranks, and not kept.
"""

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from src.base import text
from src.base.errors import counted
from src.kaggle import api as kaggle_api
from src.leaderboard import counts, preflight, sending
from src.leaderboard.forecast import AS_EXPECTED, BOARD_PARTS, NAME, Standing, sha_of
from src.results import ledger
from src.results.ledger import Entry
from src.schema.competition import Competition
from src.scoring.intervals import error_text
from src.scoring.metrics import METRICS

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi


def run(competition: Competition) -> None:
    preflight.require_kaggle_competition(competition, "grade FILE gives its scores")
    slug = competition.source.slug
    with kaggle_api.session(slug, f"the submissions of {slug}") as api:
        synchronise(competition, kaggle_api.submissions(api, slug))
        public = leaderboard(api, slug)
    entries, standing = ledger.read(competition.scores_csv), Standing(competition)
    if not entries:
        print(f"nothing was sent to {slug} yet: ./run.sh {competition.name} submit")
        return
    print(counts.sizes_sentence(competition, entries, standing.rows[1]))
    print(table(competition, standing, entries, public))
    for entry in entries:
        for line in remarks(competition, standing, entry):
            print(f"{entry.file}: {line}")
    if (said := correlation(entries)) is not None:
        print(said)


def synchronise(competition: Competition, listed: list[Any]) -> None:
    """Puts what Kaggle lists into the ledger: new scores of its entries, and what was sent without it."""
    book, changes = competition.scores_csv, 0
    for one in reversed([one for one in listed if one is not None]):  # oldest first
        entry = sending.entry_of(ledger.read(book), one)
        if entry is None:
            named = NAME.fullmatch(one.file_name or "")
            fresh = Entry(
                sending.stamp(one.date) if one.date else "",
                one.file_name or "",
                sha_of(competition, one.file_name) if one.file_name else "",
                cv=named["cv"] if named else "",
            )
            ledger.put(book, sending.updated(fresh, one))
            changes += 1
        elif (now := sending.updated(entry, one)) != entry:
            ledger.put(book, now, instead_of=entry)
            changes += 1
    print(f"{book.name}: {counted(changes, 'row')} brought up to date" if changes else f"{book.name} is up to date")


@dataclass(frozen=True)
class Leaderboard:
    """The public one: a score for each of its teams."""

    scores: np.ndarray

    def rank(self, score: str, greater_is_better: bool) -> str:
        """`12 of 69 (top 18 %)`: where that score stands."""
        better = self.scores > float(score) if greater_is_better else self.scores < float(score)
        rank, teams = int(better.sum()) + 1, max(len(self.scores), 1)
        return f"{rank} of {teams} (top {min(rank / teams, 1):.0%})"


def leaderboard(api: "KaggleApi", slug: str) -> Leaderboard | None:
    """The public one; None, with a word, where it is not available: scores are worth having without ranks."""
    from requests.exceptions import RequestException

    try:
        return read(kaggle_api.leaderboard(api, slug))
    except (RequestException, zipfile.BadZipFile, ValueError, KeyError) as error:
        print(f"the leaderboard is not available ({type(error).__name__}): no ranks")
        return None


def read(archive: bytes) -> Leaderboard:
    """The leaderboard of Kaggle's zip: a CSV with a column Score.

    Raises:
        BadZipFile, ValueError, KeyError: It is none.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped, zipped.open(zipped.namelist()[0]) as file:
        scores = pd.read_csv(file)["Score"]
    return Leaderboard(pd.to_numeric(scores, errors="coerce").dropna().to_numpy())


def table(competition: Competition, standing: Standing, entries: list[Entry], public: Leaderboard | None) -> str:
    """One line a submission, oldest first."""
    best = METRICS[competition.metric].greater_is_better
    head = ["sent (UTC)", "file", "cv", *BOARD_PARTS, *(["rank"] if public else []), "status"]
    rows = []
    for entry in entries:
        cv = cv_text(competition, entry, standing.rows[0])
        scores = [standing.shown(getattr(entry, part), part) for part in BOARD_PARTS]
        rank = [public.rank(entry.public, best) if entry.public else ""] if public else []
        rows.append([entry.time.replace("T", " ").rstrip("Z"), entry.file, cv, *scores, *rank, entry.status])
    return "\n".join(text.align([head, *rows]))


def cv_text(competition: Competition, entry: Entry, rows: int) -> str:
    """`0.9910 ± 0.0025`; the bare CV where its standard error is not known.

    Args:
        rows: Train rows, that CV is of.
    """
    if not (entry.cv and entry.se):
        return entry.cv
    return f"{entry.cv} {error_text(competition.metric, float(entry.cv), float(entry.se), rows)}"


def remarks(competition: Competition, standing: Standing, entry: Entry) -> list[str]:
    """What is to be said of a submission beside its line."""
    said = []
    if entry.status == ledger.SENDING:
        said.append(
            "it is not known whether it arrived, and Kaggle does not list it: "
            f"./run.sh {competition.name} submit sends it"
        )
    if entry.reason:
        said.append(entry.reason)
    if (verdict := standing.verdict(entry)) and verdict != AS_EXPECTED:
        said.append(verdict)
    return said


def correlation(entries: list[Entry]) -> str | None:
    """How CV and the public score go together; None where too few have both, or one does not vary."""
    both = np.array([(float(entry.cv), float(entry.public)) for entry in entries if entry.cv and entry.public])
    return counts.cv_correlation("public", *both.reshape(-1, 2).T, "submissions")
