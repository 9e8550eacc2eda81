"""One submission from a file to its score, of which each step is in the ledger before it is taken.

Kaggle has no way to send a file twice as one submission: so a step whose outcome is not known is never repeated before
the list of submissions was looked at. What is looked for is the sha256 in the message, which is no clock's business.
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
    """What tells a submission's content in its message."""
    return f"sha={sha[:7]}"


def text_of(entry: Entry, said: str | None) -> str:
    """The message: `<file> cv=0.8312 sha=abc1234`, or the user's own words in the file's place."""
    cv = f" cv={entry.cv}" if entry.cv else ""
    return f"{said or entry.file}{cv} {marker(entry.sha256)}"


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def same(entry: Entry, one: Any) -> bool:
    """Whether the entry is that submission of Kaggle's list: by its number, its content, or its file and message."""
    if entry.ref:
        return entry.ref == str(one.ref)
    if entry.sha256:
        return marker(entry.sha256) in (one.description or "")
    return (entry.file, entry.message) == (one.file_name, one.description or "")


def found(entry: Entry, listed: Sequence[Any]) -> Any | None:
    """The entry's submission in Kaggle's list."""
    return next((one for one in listed if one is not None and same(entry, one)), None)


def entry_of(entries: Sequence[Entry], one: Any) -> Entry | None:
    """The ledger's entry of a submission in Kaggle's list. One that was refused is not there, whatever is like it."""
    likely = sorted(entries, key=lambda entry: not entry.ref)
    return next((entry for entry in likely if entry.status != ledger.REFUSED and same(entry, one)), None)


def updated(entry: Entry, one: Any) -> Entry:
    """The entry with what Kaggle says of it now. Scores keep all digits that it shows."""
    status = {"COMPLETE": ledger.COMPLETE, "ERROR": ledger.ERROR}.get(one.status.name, ledger.PENDING)
    return replace(
        entry,
        ref=str(one.ref),
        status=status,
        public=score(one.public_score) or entry.public,
        private=score(one.private_score) or entry.private,
        message=one.description or entry.message,
        reason=" ".join((one.error_description or "").split()),
    )


def score(text: str | None) -> str:
    """A score as text; Kaggle sends an empty one, or none, while it is not to be seen."""
    return (text or "").strip()


def send(api: "KaggleApi", slug: str, path: Path, entry: Entry, book: Path) -> Entry:
    """Uploads the file and sends it, unless it is there already: an entry with Kaggle's number of it.

    Args:
        entry: Of this file; is in the ledger `book`, as `sending`.

    Raises:
        Refusal: It was refused, and the entry says so; or it is not known whether it arrived, and the entry is left
            as it is: the next call looks first.
    """
    from requests.exceptions import HTTPError, RequestException

    token = kaggle_api.upload(api, slug, path)
    doing = f"the submission of {path.name}"
    try:
        ref = refusals.retry_rate_limited(lambda: kaggle_api.create(api, slug, token, entry.message)).ref
    except HTTPError as error:
        if error.response.status_code >= 500:
            return looked_for(api, slug, entry, book, error)
        refusal = refusals.explain_http_error(api, slug, doing, error)
        ledger.put(book, replace(entry, status=ledger.REFUSED, reason=str(refusal)), instead_of=entry)
        raise refusal from error
    except RequestException as error:
        return looked_for(api, slug, entry, book, error)
    if not ref:
        return looked_for(api, slug, entry, book, None)
    return ledger.put(book, replace(entry, ref=str(ref), status=ledger.PENDING), instead_of=entry)


def looked_for(api: "KaggleApi", slug: str, entry: Entry, book: Path, error: Exception | None) -> Entry:
    """The entry of what was sent and not answered, once Kaggle lists it."""
    if (now := look(api, slug, entry, book, LOOKS)) is not None:
        return now
    raise Refusal(
        "network" if refusals.status_of(error) is None else "broken",
        f"Kaggle gave no answer to the submission of {entry.file} and does not list it: it is not known whether it "
        "arrived: run the same command again, which looks first",
    ) from error


def look(api: "KaggleApi", slug: str, entry: Entry, book: Path, waits: Sequence[float]) -> Entry | None:
    """The entry brought up to date if Kaggle lists it, after so many seconds before each look; None if it does not."""
    for wait in waits:
        time.sleep(wait)
        if (one := found(entry, kaggle_api.submissions(api, slug))) is not None:
            return ledger.put(book, updated(entry, one), instead_of=entry)
    return None


def scored(api: "KaggleApi", entry: Entry, book: Path, say: Callable[[str], None]) -> Entry:
    """The entry once Kaggle has scored or rejected it, or as it is after SCORE_TIMEOUT_S seconds."""
    for seconds in refusals.polls(POLLS, SCORE_TIMEOUT_S):
        now = updated(entry, kaggle_api.submission(api, int(entry.ref)))
        if now != entry:
            entry = ledger.put(book, now, instead_of=entry)
        if entry.status != ledger.PENDING:
            break
        say(f"waiting for the score of {entry.file}: {seconds:.0f}s so far")
    return entry
