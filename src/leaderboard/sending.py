"""One submission from a file to its score, with each step in the ledger before it is taken.

Kaggle has no way to send a file twice as one submission: so a step whose outcome is not known is never repeated before
the list of submissions was read. A submission is recognised by the sha256 in its message, independently of clocks.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.kaggle import api as kaggle_api
from src.kaggle import refusals
from src.kaggle.refusals import Refusal
from src.results import ledger
from src.results.ledger import Entry

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi

LOOKS = (0, 2, 5, 10)  # seconds before each look for a submission whose answer was lost
SECOND_LOOKS = (0, 5)  # when a run that was stopped is run again
SCORE_TIMEOUT_S = 600  # seconds that a score is waited for
POLLS = (2, 3, 5, 8, 13, 20, 30)  # seconds between two looks; the last again and again


def marker(sha: str) -> str:
    """Return the mark of a submission's content in its message."""
    return f"sha={sha[:7]}"


def message_text(entry: Entry, words: str | None) -> str:
    """Return the message: `<file> cv=0.8312 sha=abc1234`, or the user's own words in the file's place."""
    cv = f" cv={entry.cv}" if entry.cv else ""
    return f"{words or entry.file}{cv} {marker(entry.sha256)}"


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def is_entry_of(entry: Entry, one: Any) -> bool:
    """Return whether the entry is that submission of Kaggle's list: by number, content, or file and message."""
    if entry.ref:
        return entry.ref == str(one.ref)
    if entry.sha256:
        return marker(entry.sha256) in (one.description or "")
    return (entry.file, entry.message) == (one.file_name, one.description or "")


def find_listed(entry: Entry, listed: Sequence[Any]) -> Any | None:
    """Return the entry's submission in Kaggle's list."""
    return next((one for one in listed if one is not None and is_entry_of(entry, one)), None)


def entry_of(entries: Sequence[Entry], one: Any) -> Entry | None:
    """Return the ledger's entry of a submission in Kaggle's list; a refused one is never there."""
    likely = sorted(entries, key=lambda entry: not entry.ref)
    return next((entry for entry in likely if entry.status != ledger.REFUSED and is_entry_of(entry, one)), None)


def with_state(entry: Entry, one: Any) -> Entry:
    """Return the entry with its present state at Kaggle. Scores keep all digits that Kaggle shows."""
    return replace(
        entry,
        ref=str(one.ref),
        status={"COMPLETE": ledger.COMPLETE, "ERROR": ledger.ERROR}.get(one.status.name, ledger.PENDING),
        public=(one.public_score or "").strip() or entry.public,  # empty, or None, while it is hidden
        private=(one.private_score or "").strip() or entry.private,
        message=one.description or entry.message,
        reason=" ".join((one.error_description or "").split()),
    )


def send(api: "KaggleApi", slug: str, path: Path, entry: Entry, book: Path) -> Entry:
    """Upload and send the file of an entry that is `sending` in the ledger `book`; return it with Kaggle's number.

    Raises:
        Refusal: It was refused, and the entry says so; or it is not known whether it arrived, and the entry is left
            as it is: the next call looks first.
    """
    from requests.exceptions import HTTPError, RequestException

    token = kaggle_api.upload(api, slug, path)
    try:
        ref = refusals.retry_rate_limited(lambda: kaggle_api.create(api, slug, token, entry.message)).ref
    except RequestException as error:
        if not isinstance(error, HTTPError) or error.response.status_code >= 500:
            return confirm(api, slug, entry, book, error)
        refusal = refusals.explain_http_error(api, slug, f"the submission of {path.name}", error)
        ledger.put(book, replace(entry, status=ledger.REFUSED, reason=str(refusal)), instead_of=entry)
        raise refusal from error
    if not ref:
        return confirm(api, slug, entry, book, None)
    return ledger.put(book, replace(entry, ref=str(ref), status=ledger.PENDING), instead_of=entry)


def confirm(api: "KaggleApi", slug: str, entry: Entry, book: Path, error: Exception | None) -> Entry:
    """Return the entry of a submission that got no answer, once Kaggle lists it."""
    if (now := look(api, slug, entry, book, LOOKS)) is not None:
        return now
    raise Refusal(
        "network" if refusals.status_of(error) is None else "broken",
        f"Kaggle gave no answer to the submission of {entry.file} and does not list it: it is not known whether it "
        "arrived: run the same command again, which looks first",
    ) from error


def look(api: "KaggleApi", slug: str, entry: Entry, book: Path, waits: Sequence[float]) -> Entry | None:
    """Return the updated entry if Kaggle lists it, after so many seconds before each look; None if it does not."""
    for wait in waits:
        time.sleep(wait)
        if (one := find_listed(entry, kaggle_api.submissions(api, slug))) is not None:
            return ledger.put(book, with_state(entry, one), instead_of=entry)
    return None


def wait_for_score(api: "KaggleApi", entry: Entry, book: Path, say: Callable[[str], None]) -> Entry:
    """Return the entry once Kaggle has scored or rejected it, or after SCORE_TIMEOUT_S seconds."""
    for seconds in refusals.polls(POLLS, SCORE_TIMEOUT_S):
        now = with_state(entry, kaggle_api.submission(api, int(entry.ref)))
        if now != entry:
            entry = ledger.put(book, now, instead_of=entry)
        if entry.status != ledger.PENDING:
            break
        say(f"waiting for the score of {entry.file}: {seconds:.0f}s so far")
    return entry
