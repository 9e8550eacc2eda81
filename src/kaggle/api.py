"""The Kaggle API, by way of the `kaggle` package, which is imported only inside the functions that call it.

Importing that package authenticates, and a failure in it prints a page and raises SystemExit: both stay in here. What
Kaggle refuses becomes a Refusal: one sentence, with the cause told apart by the answer's body and an exit code of its
own. No token is printed, logged or written.
"""

import contextlib
import importlib.metadata
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from src.kaggle import credentials
from src.kaggle.refusals import TIMEOUT, Refusal, is_transient, page_of, refusal, retry_transient

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi

T = TypeVar("T")
PAGE = 100  # submissions that are asked for at once


@contextmanager
def session(slug: str, doing: str, instead: str = "") -> Iterator["KaggleApi"]:
    """The real client, authenticated; in the block, what goes wrong between it and Kaggle becomes a Refusal.

    Args:
        slug: The competition's.
        doing: What for, such as `the download of corn`: for the sentence.
        instead: What else the user can do, for the same.

    Raises:
        Refusal: There are no credentials, or Kaggle refuses them; it refuses what is asked, or cannot be reached.
    """
    from requests.exceptions import HTTPError, JSONDecodeError, RequestException

    api, or_else = None, instead and f", or {instead}"
    if credentials.winner() is None:
        raise Refusal(
            "credentials",
            f"there are no Kaggle credentials for {doing}: make a token at {credentials.TOKENS} and set "
            f"KAGGLE_API_TOKEN to it{or_else}",
        )
    try:
        api = authenticated()
        yield api
    except HTTPError as error:
        raise refusal(api, slug, doing, error, instead) from error
    except JSONDecodeError as error:
        raise Refusal("broken", f"Kaggle answered {doing} with a page and no data: try later{or_else}") from error
    except RequestException as error:
        raise Refusal(
            "network",
            f"Kaggle could not be reached for {doing} ({type(error).__name__}): check the network{or_else}",
        ) from error


def authenticated() -> "KaggleApi":
    """The client with the credentials that it takes, on connections that are given up after TIMEOUT."""
    try:
        api = suppress_output(client)
        api.clock = timedelta(0)  # Kaggle's, less this machine's
        build = api.build_kaggle_client
        api.build_kaggle_client = lambda: watched(api, build())
        retry_transient(suppress_output, api.authenticate)
    except SystemExit as error:
        raise Refusal(
            "token",
            f"Kaggle did not accept the credentials in {credentials.where()}: make a new token at {credentials.TOKENS}",
        ) from error
    return api


def client() -> "KaggleApi":
    with temporary_config_dir():
        from kaggle.api.kaggle_api_extended import KaggleApi

        return KaggleApi()


@contextmanager
def temporary_config_dir() -> Iterator[None]:
    """Lets the client find a folder for its configuration: where there is none it would make one in the home."""
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


def suppress_output(call: Callable[[], T]) -> T:
    """Calls what prints: the client's page of help would bury our one sentence."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        return call()


def watched(api: "KaggleApi", client: Any) -> Any:
    """The client with a time limit on each connection, and an eye on the time that Kaggle has."""
    from requests.adapters import HTTPAdapter

    class Watched(HTTPAdapter):
        def send(self, request, timeout=None, **more):
            response = super().send(request, timeout=timeout or TIMEOUT, **more)
            with contextlib.suppress(KeyError, ValueError):
                api.clock = parsedate_to_datetime(response.headers["Date"]) - datetime.now(UTC)
            return response

    http = client.http_client()
    http._init_session()  # there is no public way to it in 2.2.4
    for scheme in ("https://", "http://"):
        http._session.mount(scheme, Watched())
    return client


def now(api: "KaggleApi") -> datetime:
    """The time in UTC by Kaggle's clock: this machine's may be wrong."""
    return datetime.now(UTC) + api.clock


def version() -> str | None:
    """Of the client; None: it is not installed."""
    try:
        return importlib.metadata.version("kaggle")
    except importlib.metadata.PackageNotFoundError:
        return None


def ask(api: "KaggleApi", method: str, **fields: Any) -> Any:
    """One call of the competitions' service: `get_competition`, with the fields of its request."""
    from kagglesdk.competitions.types import competition_api_service as types

    request = getattr(types, f"Api{''.join(part.title() for part in method.split('_'))}Request")()
    for name, value in fields.items():
        setattr(request, name, value)
    with api.build_kaggle_client() as client:
        return getattr(client.competitions.competition_api_client, method)(request)


def competition(api: "KaggleApi", slug: str) -> Any:
    """What Kaggle says of a competition: an ApiCompetition."""
    return retry_transient(lambda: ask(api, "get_competition", competition_name=slug))


def limits(api: "KaggleApi", slug: str) -> Any:
    """How many submissions were made and are left: an ApiSubmissionLimits. All zero before a team's first."""
    return retry_transient(api.competition_get_submission_limits, slug)


def submissions(api: "KaggleApi", slug: str) -> list[Any]:
    """All of the team's, newest first: ApiSubmissions."""
    found, token = [], ""
    while True:
        fields = {"competition_name": slug, "page_size": PAGE, "page_token": token}
        answer = retry_transient(lambda fields=fields: ask(api, "list_submissions", **fields))
        found += answer.submissions or []
        token = answer.next_page_token
        if not token or not answer.submissions:
            return found


def submission(api: "KaggleApi", ref: int) -> Any:
    """One that was sent: an ApiSubmission."""
    return retry_transient(lambda: ask(api, "get_submission", ref=ref))


def upload(api: "KaggleApi", slug: str, path: Path) -> str:
    """Uploads a file, which sends nothing yet, and returns the token to send it with.

    The client's own `upload_complete` waits for ever on a silent server, and on one that hangs up tries for six minutes
    without a word; a CSV is small enough to be begun again.

    Raises:
        Refusal: It did not arrive.
    """
    import requests

    stat, content = path.stat(), path.read_bytes()
    fields = {"file_name": path.name, "content_length": len(content), "last_modified_epoch_seconds": int(stat.st_mtime)}

    def once() -> str:
        start = ask(api, "start_submission_upload", competition_name=slug, **fields)
        try:
            requests.put(start.create_url, data=content, timeout=TIMEOUT).raise_for_status()
        except requests.RequestException as error:
            if is_transient(error):
                raise
            status = error.response.status_code
            raise Refusal(
                "upload", f"{path.name} did not arrive at Kaggle ({status}): nothing was sent: run again"
            ) from error
        return start.token

    try:
        return retry_transient(once)
    except requests.HTTPError:
        raise
    except requests.RequestException as error:
        raise Refusal(
            "upload",
            f"{path.name} did not arrive at Kaggle ({type(error).__name__}): nothing was sent: run again",
        ) from error


def create(api: "KaggleApi", slug: str, token: str, message: str) -> Any:
    """Sends what was uploaded: an ApiCreateSubmissionResponse. Called once: a second call is a second submission."""
    return ask(api, "create_submission", competition_name=slug, blob_file_tokens=token, submission_description=message)


def leaderboard(api: "KaggleApi", slug: str) -> bytes:
    """The public leaderboard: a zip with a CSV in it."""
    return retry_transient(lambda: ask(api, "download_leaderboard", competition_name=slug).content)


def download(slug: str, folder: Path) -> Path:
    """Downloads all files of a competition as one zip into `folder` and returns its path; resumes where it broke off.

    Raises:
        Refusal: Kaggle refused or could not be reached, or what it sent is no zip; says what it answered.
    """
    from src.kaggle import downloads

    archive = folder / f"{slug}.zip"
    instead = f"put {slug}.zip from {page_of(slug)}/data into {folder.parent}"
    with session(slug, f"the download of {slug}", instead) as api:
        downloads.fetch(lambda: ask(api, "download_data_files", competition_name=slug), archive)
    return archive
