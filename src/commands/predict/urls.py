"""A picture from the web: of a limited size, within a limited time, and by no other way than http and https."""

import time
from http.client import IncompleteRead
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from src.base.errors import UserError

SCHEMES = ("http", "https")
MAX_BYTES = 20 << 20  # bytes
SILENCE, TOTAL_TIMEOUT_S = 20, 60  # seconds without a byte, and for all of it
CHUNK = 1 << 16
# Some servers refuse a library's own name; and what is counted is what is written.
HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; predict)", "Accept-Encoding": "identity"}


def check(url: str) -> None:
    """Raise a UserError if it is no URL of the web."""
    scheme = url.partition("://")[0]
    if scheme.lower() not in SCHEMES:
        raise UserError(f"{url} cannot be fetched: only http:// and https:// are, and a file is named by its path")
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise UserError(f"{url} names no server: http://server/picture.jpg")


class WebSession(requests.Session):
    """A session that follows a server's redirection to another page of the web, and to nothing else."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        if (target := super().get_redirect_target(resp)) is not None:
            resp.close()  # or all that it sends would be read first, whatever its size
            if urlsplit(urljoin(resp.url, target)).scheme not in SCHEMES:
                raise requests.exceptions.InvalidSchema(f"the server sends on to {target}, which is not fetched")
        return target


def fetch(url: str, target: Path) -> str | None:
    """Write the URL's content, whatever it is, to `target`; return the reason if that failed, or None."""
    end = time.monotonic() + TOTAL_TIMEOUT_S
    try:
        with WebSession() as web, web.get(url, headers=HEADERS, stream=True, timeout=SILENCE) as response:
            if not 200 <= response.status_code < 300:
                return f"cannot be fetched: the server says {response.status_code} {response.reason}"
            size, announced = 0, response.raw.length_remaining or 0
            with target.open("wb") as file:
                # read1: what has come by now
                while max(size, announced) <= MAX_BYTES and (chunk := response.raw.read1(CHUNK)):
                    if time.monotonic() > end:
                        return f"did not arrive within {TOTAL_TIMEOUT_S} seconds"
                    size += file.write(chunk)
            if max(size, announced) > MAX_BYTES:
                return f"is larger than {MAX_BYTES >> 20} MB"
    except (OSError, HTTPError, ValueError) as error:
        causes: list[BaseException] = [error]
        while (cause := causes[-1].__context__) is not None:  # below what requests and urllib3 make of it
            causes.append(cause)
        if any(isinstance(cause, IncompleteRead) for cause in causes):
            return "broke off on its way"
        if isinstance(causes[-1], TimeoutError):
            return f"cannot be fetched: the server was silent for {SILENCE} seconds"
        return f"cannot be fetched: {causes[-1] or type(causes[-1]).__name__}"
    return None
