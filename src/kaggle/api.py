"""The Kaggle API, by way of the `kaggle` package, which is imported only inside the functions that call it.

Importing that package authenticates, and a failure in it prints a page and raises SystemExit: both stay in here. What
Kaggle refuses becomes a Refusal: one sentence, with the cause told apart by the answer's body and an exit code of its
own. No token is printed, logged or written.
"""

import contextlib
import io
import os
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from src.kaggle import credentials, downloads
from src.kaggle.refusals import TIMEOUT_S, Refusal, explain_http_error, is_transient, page_of, retry_transient

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi

T = TypeVar("T")
PAGE_SIZE = 100  # submissions that are asked for at once


@contextmanager
def session(slug: str, doing: str, instead: str = "") -> Iterator["KaggleApi"]:
    """Yield the real client, authenticated; in the block, what goes wrong between it and Kaggle becomes a Refusal.

    Args:
        doing: The purpose for the sentence, such as `the download of corn`.
        instead: What else the user can do, for the same.

    Raises:
        Refusal: There are no credentials, or Kaggle refuses them or the request, or it cannot be reached.
    """
    from requests.exceptions import HTTPError, JSONDecodeError, RequestException

    api, or_else = None, instead and f", or {instead}"
    if credentials.active() is None:
        raise Refusal(
            "credentials",
            f"{credentials.none_to_take()} for {doing}: make a token at {credentials.TOKEN_PAGE} and set "
            f"KAGGLE_API_TOKEN to it{or_else}",
        )
    require_certificates()
    try:
        api = authenticated()
        yield api
    except HTTPError as error:
        raise explain_http_error(api, slug, doing, error, instead) from error
    except JSONDecodeError as error:
        raise Refusal("broken", f"Kaggle answered {doing} with a page and no data: try later{or_else}") from error
    except RequestException as error:
        raise Refusal(
            "network",
            f"Kaggle could not be reached for {doing} ({type(error).__name__}): check the network{or_else}",
        ) from error


def authenticated() -> "KaggleApi":
    """Return the client with the credentials that it takes, on connections that are given up after TIMEOUT_S."""
    try:
        with credentials.handed_over():
            api = suppress_output(client)
            build = api.build_kaggle_client
            api.clock = timedelta(0)  # Kaggle's, less this machine's
            api.args = [one for one in api.args if one != "--verbose"]  # of VERBOSE=1: it prints the token
            api.build_kaggle_client = lambda: with_timeouts(api, build)
            retry_transient(suppress_output, api.authenticate)
    except SystemExit as error:
        refused = f"Kaggle did not accept the credentials in {credentials.active_source()}"
        raise Refusal("token", f"{refused}: make a new token at {credentials.TOKEN_PAGE}") from error
    return api


def client() -> "KaggleApi":
    with temporary_config_dir():
        from kaggle.api.kaggle_api_extended import KaggleApi

        return KaggleApi()


def require_certificates() -> None:
    """Refuse a file of certificates that requests is told to trust and cannot read: it would end in a traceback.

    Raises:
        Refusal: It is not there, or holds no certificates.
    """
    name = next((name for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    if name is None or (path := Path(os.environ[name])).is_dir():
        return
    remedy = f"name the file of your proxy's certificates, or unset {name}"
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        raise Refusal("network", f"{name} names {path}, which holds no certificates: {remedy}") from error
    except OSError as error:
        raise Refusal("network", f"{name} names {path}, which cannot be read ({error.strerror}): {remedy}") from error


@contextmanager
def temporary_config_dir() -> Iterator[None]:
    """Let the client find a folder for its configuration: where there is none it would make one in the home."""
    if credentials.folder().is_dir():
        yield
        return
    before = os.environ.get("KAGGLE_CONFIG_DIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KAGGLE_CONFIG_DIR"] = folder
        try:
            yield
        finally:
            os.environ.pop("KAGGLE_CONFIG_DIR")
            if before is not None:
                os.environ["KAGGLE_CONFIG_DIR"] = before


def suppress_output(function: Callable[[], T]) -> T:
    """Call a function that prints: the client's page of help would bury our one sentence."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        return function()


def with_timeouts(api: "KaggleApi", build: Callable[[], Any]) -> Any:
    """Build a client with a time limit on each connection, and an eye on the time that Kaggle has."""
    from requests.adapters import HTTPAdapter

    class TimedAdapter(HTTPAdapter):
        def send(self, request, timeout=None, **more):
            response = super().send(request, timeout=timeout or TIMEOUT_S, **more)
            with contextlib.suppress(KeyError, ValueError):
                api.clock = parsedate_to_datetime(response.headers["Date"]) - datetime.now(UTC)
            return response

    with credentials.handed_over():
        client = build()
        http = client.http_client()
        http._init_session()  # there is no public way to it in 2.2.4
    for scheme in ("https://", "http://"):
        http._session.mount(scheme, TimedAdapter())
    return client


def call(api: "KaggleApi", method: str, **fields: Any) -> Any:
    """Call a method of the competitions' service: `get_competition`, with the fields of its request."""
    from kagglesdk.competitions.types import competition_api_service as types

    request = getattr(types, f"Api{''.join(part.title() for part in method.split('_'))}Request")()
    for name, value in fields.items():
        setattr(request, name, value)
    with api.build_kaggle_client() as client:
        return getattr(client.competitions.competition_api_client, method)(request)


def competition(api: "KaggleApi", slug: str) -> Any:
    """Kaggle's own description of a competition: an ApiCompetition."""
    return retry_transient(lambda: call(api, "get_competition", competition_name=slug))


def limits(api: "KaggleApi", slug: str, most_a_day: int | None) -> Any:
    """The numbers of submissions sent and left: an ApiSubmissionLimits. All zero before a team's first.

    A client before 2.2.4 cannot ask for them, and counts what was sent, of which errors are none.
    """
    if hasattr(api, "competition_get_submission_limits"):
        return retry_transient(api.competition_get_submission_limits, slug)
    valid = [one for one in submissions(api, slug) if one.status.name != "ERROR"]
    day = (datetime.now(UTC) + api.clock).date()
    today = sum(one.date.date() == day for one in valid)
    left = max((most_a_day or today + 1) - today, 0)
    return SimpleNamespace(num_today=today, num_total=len(valid), num_allowed_now=left, limited_by_total=False)


def submissions(api: "KaggleApi", slug: str) -> list[Any]:
    """All of the team's, newest first: ApiSubmissions."""
    listed, fields = [], {"competition_name": slug, "page_size": PAGE_SIZE, "page_token": ""}
    while True:
        answer = retry_transient(lambda: call(api, "list_submissions", **fields))
        listed += answer.submissions or []
        fields["page_token"] = answer.next_page_token
        if not answer.next_page_token or not answer.submissions:
            return listed


def submission(api: "KaggleApi", ref: int) -> Any:
    """One that was sent: an ApiSubmission."""
    return retry_transient(lambda: call(api, "get_submission", ref=ref))


def upload(api: "KaggleApi", slug: str, path: Path) -> str:
    """Upload a file, which sends nothing yet, and return the token to send it with.

    The client's own `upload_complete` waits for ever on a silent server, and on one that hangs up tries for six minutes
    without a word; a CSV is small enough to be begun again.

    Raises:
        Refusal: It did not arrive.
    """
    import requests

    stat, content = path.stat(), path.read_bytes()
    fields = {"file_name": path.name, "content_length": len(content), "last_modified_epoch_seconds": int(stat.st_mtime)}

    def failure(reason: object) -> Refusal:
        return Refusal("upload", f"{path.name} did not arrive at Kaggle ({reason}): nothing was sent: run again")

    def once() -> str:
        start = call(api, "start_submission_upload", competition_name=slug, **fields)
        try:
            requests.put(start.create_url, data=content, timeout=TIMEOUT_S).raise_for_status()
        except requests.RequestException as error:
            if is_transient(error):
                raise
            raise failure(error.response.status_code) from error
        return start.token

    try:
        return retry_transient(once)
    except requests.HTTPError:
        raise
    except requests.RequestException as error:
        raise failure(type(error).__name__) from error


def create(api: "KaggleApi", slug: str, token: str, message: str) -> Any:
    """Send an uploaded file: an ApiCreateSubmissionResponse. Called once: a second call is a second submission."""
    return call(api, "create_submission", competition_name=slug, blob_file_tokens=token, submission_description=message)


def leaderboard(api: "KaggleApi", slug: str) -> bytes:
    """The public leaderboard: a zip with a CSV in it."""
    return retry_transient(lambda: call(api, "download_leaderboard", competition_name=slug).content)


def download(slug: str, folder: Path) -> Path:
    """Download all files of a competition as one zip into `folder` and return its path; resume where it broke off.

    Raises:
        Refusal: Kaggle refused or could not be reached, or what it sent is no zip; says what it answered.
    """
    archive = folder / f"{slug}.zip"
    instead = f"put {slug}.zip from {page_of(slug)}/data into {folder.parent}"
    with session(slug, f"the download of {slug}", instead) as api:
        downloads.fetch(lambda: call(api, "download_data_files", competition_name=slug), archive)
    return archive
