"""The Kaggle API, by way of the `kaggle` package, which is imported only inside the functions that call it.

Importing that package authenticates, and a failure in it prints a page and raises SystemExit: both stay in here.
"""

import contextlib
import io
import os
from pathlib import Path

from src.errors import UserError

CREDENTIAL_FILES = ("access_token", "access_token.txt", "kaggle.json", "credentials.json")


def credentials() -> str | None:
    """The name of the first credentials found, in the client's own order of trust; None if there are none.

    Only looks: reads no secret, calls nobody.
    """
    if os.environ.get("KAGGLE_API_TOKEN"):
        return "KAGGLE_API_TOKEN"
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return "KAGGLE_USERNAME and KAGGLE_KEY"
    folders = [Path("~/.kaggle").expanduser(), Path("~/.config/kaggle").expanduser()]
    if os.environ.get("KAGGLE_CONFIG_DIR"):
        folders.insert(0, Path(os.environ["KAGGLE_CONFIG_DIR"]))
    return next(
        (str(folder / name) for folder in folders for name in CREDENTIAL_FILES if (folder / name).is_file()), None
    )


def download(slug: str, folder: Path) -> Path:
    """Downloads all files of a competition as one zip into `folder` and returns its path.

    Raises:
        UserError: Kaggle refused or could not be reached; says what it answered.
    """
    page = f"https://www.kaggle.com/competitions/{slug}"
    said = io.StringIO()  # the client's page of help would bury our one sentence
    try:
        with contextlib.redirect_stdout(said):
            from kaggle.api.kaggle_api_extended import KaggleApi

            api = KaggleApi()
            api.authenticate()
    except SystemExit as error:
        raise UserError(
            f"Kaggle did not accept the credentials in {credentials()}: make a new token at "
            f"https://www.kaggle.com/settings, or put {slug}.zip from {page}/data into {folder.parent}"
        ) from error
    except OSError as error:  # requests' exceptions are OSErrors
        raise unreachable(slug, page, folder, error) from error

    from requests.exceptions import HTTPError

    try:
        api.competition_download_files(slug, path=str(folder), quiet=False)
    except HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        reason = {
            401: "the token is not valid: make a new one at https://www.kaggle.com/settings",
            403: f"are the rules accepted ({page}/rules), and is the slug right?",
            404: "is the slug right?",
            429: "too many requests: wait some minutes",
        }.get(status, "try again later")
        raise UserError(f"Kaggle refused the download of {slug} ({status or error}): {reason}") from error
    except OSError as error:
        raise unreachable(slug, page, folder, error) from error
    archive = folder / f"{slug}.zip"
    if not archive.is_file():
        raise UserError(f"Kaggle sent no {slug}.zip: download it from {page}/data and put it into {folder.parent}")
    return archive


def unreachable(slug: str, page: str, folder: Path, error: OSError) -> UserError:
    return UserError(
        f"Kaggle could not be reached for {slug} ({type(error).__name__}): check the network, "
        f"or put {slug}.zip from {page}/data into {folder.parent}"
    )
