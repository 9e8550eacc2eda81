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
RETRY_WAITS_S = (1, 2, 4, 8, 16, 32)  # seconds before each new try of what may pass
MAX_WAIT_S = 300  # seconds that are waited if Kaggle asks for it
TIMEOUT_S = 60  # seconds without a byte until a connection is given up; the client itself would wait for ever
CLOSED = ("closed", "deadline", "ended", "no longer", "not accepting", "disabled")
USED_UP = ("allowance", "limit", "quota", "maximum", "per day", "remaining")


class Refusal(UserError):
    """A refusal by Kaggle, or on the way to it: exits with the code of its cause, one of CODES."""

    def __init__(self, cause: str, message: str):
        super().__init__(message)
        self.cause, self.code = cause, CODES[cause]


def page_of(slug: str) -> str:
    return f"https://www.kaggle.com/competitions/{slug}"


def explain_http_error(api: "KaggleApi | None", slug: str, doing: str, error: Any, instead: str = "") -> Refusal:
    """Return the meaning of an answer of 400 and more, by its status and its body."""
    status, message, page = error.response.status_code, message_of(error), page_of(slug)
    quoted, reason = f" ({message!r})" if message else "", f" ({status}{message and f', {message!r}'})"
    instead = instead and f", or {instead}"
    if status == 401:
        invalid = f"the token in {credentials.active_source()} is not valid: make a new one at {credentials.TOKEN_PAGE}"
        return Refusal("token", f"Kaggle refuses {doing}: {invalid}")
    text = message.lower()
    if "rule" in text and "accept" in text:
        return Refusal("rules", f"Kaggle refuses {doing}: accept the rules at {page}/rules, then run again{instead}")
    if status in (400, 403) and "only accepts" in text and "notebook" in text:
        return Refusal("notebook", f"Kaggle refuses {doing}: {slug} takes notebooks only: make one by pack: see {page}")
    if status in (400, 403) and any(word in text for word in CLOSED):
        return Refusal("closed", f"Kaggle refuses {doing}: {slug} takes no submissions{quoted}: see {page}")
    if status == 400 and "submission" in text and any(word in text for word in USED_UP):
        return Refusal("quota", f"Kaggle refuses {doing}: no submission is left{quoted}: wait for the next day (UTC)")
    if status in (403, 404):
        return explain_forbidden(api, slug, doing, reason, instead)
    if status == 429:
        return Refusal("busy", f"Kaggle had too many requests for {doing} (429): wait some minutes{instead}")
    if status >= 500:
        return Refusal("broken", f"Kaggle failed at {doing} ({status}), which is its own fault: try later{instead}")
    return Refusal("refused", f"Kaggle refuses {doing}{reason}: see {page}{instead}")


def explain_forbidden(api: "KaggleApi | None", slug: str, doing: str, reason: str, instead: str) -> Refusal:
    """Tell a competition that is not known from one that was not entered by the list: both answer alike."""
    page, listed = page_of(slug), None
    if api is not None:
        from requests.exceptions import RequestException

        with contextlib.suppress(RequestException):
            matches = api.competitions_list(search=slug, category="all").competitions or []
            listed = [one.ref.rstrip("/").rpartition("/")[2] for one in matches]
    if listed is None or slug in listed:
        advice = f"join the competition and accept its rules at {page}/rules"
        if listed is None:
            advice = f"are the rules accepted ({page}/rules), and is the slug right?"
        return Refusal("rules", f"Kaggle refuses {doing}{reason}: {advice}{instead}")
    near = f": did you mean {', '.join(listed[:3])}?" if listed else ": is the slug in the config right?"
    return Refusal("competition", f"Kaggle refuses {doing}: it lists no competition {slug!r}{near}{instead}")


def message_of(error: Any) -> str:
    """The message in Kaggle's answer; empty where it has none."""
    try:
        body = error.response.json()
    except (ValueError, RuntimeError):  # no JSON, or a body that was not read
        return ""
    for part in (body, body.get("error") if isinstance(body, dict) else None):  # two of its servers, two shapes
        if isinstance(part, dict) and isinstance(part.get("message"), str):
            return " ".join(part["message"].split())[:300]
    return ""


def status_of(error: Exception) -> int | None:
    """The HTTP status of the answer; None where there was none."""
    return getattr(getattr(error, "response", None), "status_code", None)


def is_transient(error: Exception) -> bool:
    """Return whether a second try may have another answer."""
    from requests.exceptions import ChunkedEncodingError, ConnectionError, HTTPError, Timeout

    if isinstance(error, HTTPError) and (status := status_of(error)) is not None:
        return status == 429 or status >= 500
    return isinstance(error, (ConnectionError, Timeout, ChunkedEncodingError))


def retry_after(error: Exception) -> float | None:
    """The seconds that an answer asks to wait: Retry-After, as seconds or as a date by its own clock."""
    response = getattr(error, "response", None)
    header = response.headers.get("Retry-After") if response is not None else None
    if header is None:
        return None
    with contextlib.suppress(ValueError):
        return min(max(float(header), 0.0), MAX_WAIT_S)
    with contextlib.suppress(ValueError):
        date = response.headers.get("Date")
        start = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return min(max((parsedate_to_datetime(header) - start).total_seconds(), 0.0), MAX_WAIT_S)
    return None


def pause(error: Exception, wait: float) -> None:
    """Wait before the next try, and print so."""
    after = retry_after(error)
    seconds = wait if after is None else after
    print(f"Kaggle: {status_of(error) or type(error).__name__}; trying again in {seconds:.0f}s", flush=True)
    time.sleep(seconds)


def retry(function: Callable[..., T], may_pass: Callable[[Exception], bool], *arguments: Any) -> T:
    """Call the function, again after growing waits while `may_pass` is true of the error."""
    from requests.exceptions import RequestException

    for wait in RETRY_WAITS_S:
        try:
            return function(*arguments)
        except RequestException as error:
            if not may_pass(error):
                raise
            pause(error, wait)
    return function(*arguments)


def retry_transient(function: Callable[..., T], *arguments: Any) -> T:
    """Make a call that may be made twice: again while what is wrong may pass."""
    return retry(function, is_transient, *arguments)


def retry_rate_limited(function: Callable[[], T]) -> T:
    """Make a call that must not be made twice: again only while Kaggle answers 429, which says that it did nothing."""
    return retry(function, lambda error: status_of(error) == 429)


def polls(waits: Sequence[float], patience: float) -> Iterator[float]:
    """Yield the seconds so far before each look, then wait, the last of `waits` again and again, until `patience`."""
    start, left = time.monotonic(), itertools.chain(waits, itertools.repeat(waits[-1]))
    for wait in left:
        yield (spent := time.monotonic() - start)
        if spent + wait > patience:
            return
        time.sleep(wait)
