"""Exit codes, Kaggle's refusals with the cause of each in a sentence, and retries where the cause may pass.

0    success
1    predict or compare could not do one of its pictures or models; or a bug, with its traceback
2    a mistake in the command line, in a config or in the files that were given
10   no Kaggle credentials
11   the credentials are not valid
12   no competition has this name
13   the competition's rules are not accepted
14   the competition takes no more submissions
15   no submission is left today
16   the competition takes notebooks only
17   too many requests
18   an error on Kaggle's side
19   Kaggle was not reached
20   the upload did not arrive
21   Kaggle rejected the submission
22   the submission has no score yet
23   a download is damaged
24   the same answers were sent before
25   the submission file has faults
26   Kaggle refused for another reason
130  interrupted by Ctrl-C
143  stopped by SIGTERM
"""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from src.base.errors import UserError
from src.kaggle import credentials

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi

T = TypeVar("T")
CODES = {  # the exit code of each cause
    "credentials": 10,  # there are none
    "token": 11,  # they are not accepted
    "competition": 12,  # there is none of that name
    "rules": 13,  # not accepted
    "closed": 14,  # no submissions are taken any more
    "quota": 15,  # none is left today
    "notebook": 16,  # only notebooks are taken
    "busy": 17,  # too many requests
    "broken": 18,  # an error on Kaggle's side
    "network": 19,  # not reached
    "upload": 20,
    "rejected": 21,  # taken, and found to be no answer
    "pending": 22,  # taken, and not scored in time
    "download": 23,
    "sent": 24,  # the same file was sent before
    "check": 25,  # the file has faults
    "refused": 26,  # for a reason that is Kaggle's own
}
WAITS = (1, 2, 4, 8, 16, 32)  # seconds before each new try of what may pass
LONGEST = 300  # seconds that are waited if Kaggle asks for it
TIMEOUT = 60  # seconds without a byte until a connection is given up; the client itself would wait for ever
CLOSED = ("closed", "deadline", "ended", "no longer", "not accepting", "disabled")
USED_UP = ("allowance", "limit", "quota", "maximum", "per day", "remaining")


class Refusal(UserError):
    """What Kaggle, or the way to it, does not allow: exits with the code of its cause, one of CODES."""

    def __init__(self, cause: str, message: str):
        super().__init__(message)
        self.cause, self.code = cause, CODES[cause]


def page_of(slug: str) -> str:
    return f"https://www.kaggle.com/competitions/{slug}"


def refusal(api: "KaggleApi | None", slug: str, doing: str, error: Any, instead: str = "") -> Refusal:
    """What an answer of 400 and more means, by its status and its body."""
    status, said, page = error.response.status_code, said_by(error), page_of(slug)
    quoted, told = f" ({said!r})" if said else "", f" ({status}{said and f', {said!r}'})"
    instead = instead and f", or {instead}"
    if status == 401:
        return Refusal(
            "token",
            f"Kaggle refuses {doing}: the token in {credentials.where()} is not valid: make a new one at "
            f"{credentials.TOKENS}",
        )
    text = said.lower()
    if "rule" in text and "accept" in text:
        return Refusal("rules", f"Kaggle refuses {doing}: accept the rules at {page}/rules, then run again{instead}")
    if status in (400, 403) and "only accepts" in text and "notebook" in text:
        return Refusal("notebook", f"Kaggle refuses {doing}: {slug} takes notebooks only: make one by pack: see {page}")
    if status in (400, 403) and any(word in text for word in CLOSED):
        return Refusal("closed", f"Kaggle refuses {doing}: {slug} takes no submissions{quoted}: see {page}")
    if status == 400 and "submission" in text and any(word in text for word in USED_UP):
        return Refusal("quota", f"Kaggle refuses {doing}: no submission is left{quoted}: wait for the next day (UTC)")
    if status in (403, 404):
        return forbidden(api, slug, doing, told, instead)
    if status == 429:
        return Refusal("busy", f"Kaggle had too many requests for {doing} (429): wait some minutes{instead}")
    if status >= 500:
        return Refusal("broken", f"Kaggle failed at {doing} ({status}), which is its own fault: try later{instead}")
    return Refusal("refused", f"Kaggle refuses {doing}{told}: see {page}{instead}")


def forbidden(api: "KaggleApi | None", slug: str, doing: str, quoted: str, instead: str) -> Refusal:
    """A competition that is not known answers like one that was not entered: the list of competitions tells."""
    page, listed = page_of(slug), None
    if api is not None:
        from requests.exceptions import RequestException

        with contextlib.suppress(RequestException):
            found = api.competitions_list(search=slug, category="all").competitions or []
            listed = [one.ref.rstrip("/").rpartition("/")[2] for one in found]
    if listed is None:
        return Refusal(
            "rules",
            f"Kaggle refuses {doing}{quoted}: are the rules accepted ({page}/rules), and is the slug right?{instead}",
        )
    if slug in listed:
        return Refusal(
            "rules",
            f"Kaggle refuses {doing}{quoted}: join the competition and accept its rules at {page}/rules{instead}",
        )
    near = f": did you mean {', '.join(listed[:3])}?" if listed else ": is the slug in the config right?"
    return Refusal("competition", f"Kaggle refuses {doing}: it lists no competition {slug!r}{near}{instead}")


def said_by(error: Any) -> str:
    """Kaggle's own words; empty where it has none."""
    try:
        body = error.response.json()
    except (ValueError, RuntimeError):  # no JSON, or a body that was not read
        return ""
    for part in (body, body.get("error") if isinstance(body, dict) else None):  # two of its servers, two shapes
        if isinstance(part, dict) and isinstance(part.get("message"), str):
            return " ".join(part["message"].split())[:300]
    return ""


def status_of(error: Exception) -> int | None:
    """Of the answer; None where there was none."""
    return getattr(getattr(error, "response", None), "status_code", None)


def is_transient(error: Exception) -> bool:
    """Whether a second try may have another answer."""
    from requests.exceptions import ChunkedEncodingError, ConnectionError, HTTPError, Timeout

    if isinstance(error, HTTPError) and (status := status_of(error)) is not None:
        return status == 429 or status >= 500
    return isinstance(error, (ConnectionError, Timeout, ChunkedEncodingError))


def asked_wait(error: Exception) -> float | None:
    """The seconds that an answer asks to wait: Retry-After, as seconds or as a date by its own clock."""
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After") if response is not None else None
    if asked is None:
        return None
    with contextlib.suppress(ValueError):
        return min(max(float(asked), 0.0), LONGEST)
    with contextlib.suppress(ValueError):
        date = response.headers.get("Date")
        start = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return min(max((parsedate_to_datetime(asked) - start).total_seconds(), 0.0), LONGEST)
    return None


def pause(error: Exception, wait: float) -> None:
    """Waits before the next try, and says so."""
    seconds = wait if (asked := asked_wait(error)) is None else asked
    print(f"Kaggle: {status_of(error) or type(error).__name__}; trying again in {seconds:.0f}s", flush=True)
    time.sleep(seconds)


def tried(call: Callable[..., T], again: Callable[[Exception], bool], *arguments: Any) -> T:
    """A call that is tried again, with growing waits, where `again` says so of what went wrong."""
    from requests.exceptions import RequestException

    for wait in WAITS:
        try:
            return call(*arguments)
        except RequestException as error:
            if not again(error):
                raise
            pause(error, wait)
    return call(*arguments)


def retry_transient(call: Callable[..., T], *arguments: Any) -> T:
    """A call that may be made twice: tried again while what is wrong may pass."""
    return tried(call, is_transient, *arguments)


def retry_rate_limited(call: Callable[[], T]) -> T:
    """A call that must not be made twice: tried again only while Kaggle answers 429, which says that it did nothing."""
    return tried(call, lambda error: status_of(error) == 429)


def polls(waits: Sequence[float], patience: float) -> Iterator[float]:
    """Yields the seconds so far before each look at what is not ready, and then waits; ends when patience does.

    Args:
        waits: Seconds between two looks; the last again and again.
    """
    start, left = time.monotonic(), itertools.chain(waits, itertools.repeat(waits[-1]))
    for wait in left:
        yield (spent := time.monotonic() - start)
        if spent + wait > patience:
            return
        time.sleep(wait)
