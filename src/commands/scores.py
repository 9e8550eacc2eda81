"""scores: updates the ledger from Kaggle, and shows CV beside the public and private scores, as counts.

Reads and writes scores.csv, with scores that came late and submissions that were made by hand. Prints the rank and the
correlation of CV and public score. The public leaderboard is read for ranks, and not kept.
"""

import io
import zipfile
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
    if (line := correlation(entries)) is not None:
        print(line)


def synchronise(competition: Competition, listed: list[Any]) -> None:
    """Put Kaggle's list into the ledger: new scores of its entries, and submissions that were sent without it."""
    book, changes = competition.scores_csv, 0
    for one in reversed([one for one in listed if one is not None]):  # oldest first
        entry = sending.entry_of(ledger.read(book), one)
        if entry is None:
            name, time = one.file_name or "", sending.stamp(one.date) if one.date else ""
            match = NAME.fullmatch(name)
            sha = sha_of(competition, name) if name else ""
            ledger.put(book, sending.with_state(Entry(time, name, sha, cv=match["cv"] if match else ""), one))
            changes += 1
        elif (now := sending.with_state(entry, one)) != entry:
            ledger.put(book, now, instead_of=entry)
            changes += 1
    print(f"{book.name}: {counted(changes, 'row')} brought up to date" if changes else f"{book.name} is up to date")


def leaderboard(api: "KaggleApi", slug: str) -> np.ndarray | None:
    """The public scores of all teams; None, with a line, where they are not available: ours matter without ranks."""
    from requests.exceptions import RequestException

    try:
        archive = kaggle_api.leaderboard(api, slug)
        with zipfile.ZipFile(io.BytesIO(archive)) as zipped, zipped.open(zipped.namelist()[0]) as file:
            scores = pd.read_csv(file)["Score"]
        return pd.to_numeric(scores, errors="coerce").dropna().to_numpy()
    except (RequestException, zipfile.BadZipFile, ValueError, LookupError) as error:
        print(f"the leaderboard is not available ({type(error).__name__}): no ranks")
        return None


def rank_text(scores: np.ndarray, score: str, greater_is_better: bool) -> str:
    """`12 of 69 (top 18 %)`: the rank of a score among those of all teams."""
    better = scores > float(score) if greater_is_better else scores < float(score)
    rank, teams = int(better.sum()) + 1, max(len(scores), 1)
    return f"{rank} of {teams} (top {min(rank / teams, 1):.0%})"


def table(competition: Competition, standing: Standing, entries: list[Entry], public: np.ndarray | None) -> str:
    """One line a submission, oldest first."""
    best, ranked = competition.scorer.greater_is_better, public is not None
    head = ["sent (UTC)", "file", "cv", *BOARD_PARTS, *(["rank"] if ranked else []), "status"]
    rows = []
    for entry in entries:
        cv = cv_text(competition, entry, standing.rows[0])
        scores = [standing.shown(getattr(entry, part), part) for part in BOARD_PARTS]
        rank = [rank_text(public, entry.public, best) if entry.public else ""] if ranked else []
        rows.append([entry.time.replace("T", " ").rstrip("Z"), entry.file, cv, *scores, *rank, entry.status])
    return "\n".join(text.align([head, *rows]))


def cv_text(competition: Competition, entry: Entry, rows: int) -> str:
    """`0.9910 ± 0.0025` over so many train rows; the bare CV where its standard error is not known."""
    if not (entry.cv and entry.se):
        return entry.cv
    return f"{entry.cv} {error_text(competition.metric, float(entry.cv), float(entry.se), rows)}"


def remarks(competition: Competition, standing: Standing, entry: Entry) -> list[str]:
    """Remarks on a submission beside its line."""
    verdict, lost = standing.verdict(entry), "it is not known whether it arrived, and Kaggle does not list it"
    sending_again = f"{lost}: ./run.sh {competition.name} submit sends it"
    status = sending_again if entry.status == ledger.SENDING else ""
    return [line for line in (status, entry.reason, verdict) if line and line != AS_EXPECTED]


def correlation(entries: list[Entry]) -> str | None:
    """The correlation of CV and public score; None where too few have both, or one does not vary."""
    both = np.array([(float(entry.cv), float(entry.public)) for entry in entries if entry.cv and entry.public])
    return counts.cv_correlation("public", *both.reshape(-1, 2).T, "submissions")
