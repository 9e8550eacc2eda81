"""A picture from the web: of a limited size, within a limited time, and by no other way than http and https."""

import http.client
import string
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from src.base.errors import UserError

SCHEMES = ("http", "https")
MOST = 20 << 20  # bytes
SILENCE, PATIENCE = 20, 60  # seconds without a byte, and for all of it
CHUNK = 1 << 16
AGENT = "Mozilla/5.0 (compatible; predict)"  # some servers refuse urllib's own


def is_url(word: str) -> bool:
    """Whether it names something by a scheme; what it has is looked at by `check`."""
    return "://" in word


def check(url: str) -> None:
    """Raises UserError: It is no URL of the web."""
    scheme = url.partition("://")[0]
    if scheme.lower() not in SCHEMES:
        raise UserError(f"{url} cannot be fetched: only http:// and https:// are, and a file is named by its path")
    try:
        host = urllib.parse.urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise UserError(f"{url} names no server: http://server/picture.jpg")


class OnTheWeb(urllib.request.HTTPRedirectHandler):
    """Follows a server's redirection to another page of the web, and to nothing else."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urllib.parse.urlsplit(newurl).scheme.lower() not in SCHEMES:
            raise urllib.error.URLError(f"the server sends on to {newurl}, which is not fetched")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener() -> urllib.request.OpenerDirector:
    """One that knows http and https alone: urllib's own also opens file: and ftp:."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPDefaultErrorHandler,
        OnTheWeb,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
    ):
        made.add_handler(handler())
    return made


def fetch(url: str, target: Path) -> str | None:
    """Writes what the URL gives to `target`; returns why it could not, or None. What it is, is not asked."""
    try:
        # an address is typed as a browser shows it; what is a % already stays one
        asked = urllib.request.Request(urllib.parse.quote(url, safe=string.punctuation), headers={"User-Agent": AGENT})
        end = time.monotonic() + PATIENCE
        with opener().open(asked, timeout=SILENCE) as response, target.open("wb") as file:
            if int(response.headers.get("Content-Length") or 0) > MOST:
                return too_large()
            size = 0
            while chunk := response.read1(CHUNK):
                size += len(chunk)
                if size > MOST:
                    return too_large()
                if time.monotonic() > end:
                    return f"did not arrive within {PATIENCE} seconds"
                file.write(chunk)
            if response.length:
                return "broke off on its way"
    except urllib.error.HTTPError as error:
        return f"cannot be fetched: the server says {error.code} {error.reason}"
    except urllib.error.URLError as error:
        return f"cannot be fetched: {error.reason}"
    except TimeoutError:
        return f"cannot be fetched: the server was silent for {SILENCE} seconds"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"cannot be fetched: {error or type(error).__name__}"
    return None


def too_large() -> str:
    return f"is larger than {MOST >> 20} MB"
