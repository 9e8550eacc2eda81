"""Downloads of gigabytes: resumed, checked against the announced size, and tried again while what is wrong may pass.

The client's own (`KaggleApi.download_file`) waits for ever on a silent connection, and takes the body of an error in
the middle of a download for the file: so its answer is asked for and read here.
"""

import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from src.base import files
from src.base.errors import UserError
from src.base.progress import track
from src.kaggle import refusals

if TYPE_CHECKING:
    from requests import Response

CHUNK_BYTES = 1_000_000  # one step of the bar


def fetch(request: Callable[[], "Response"], archive: Path) -> None:
    """Write the answer to `request`, a zip, to `archive`; resume what an earlier, killed call left.

    Beside it lie `<name>.part`, the bytes that have arrived, and `<name>.json`, which object they are of (its ETag or
    date, and its size): no byte is added to another object's.

    Raises:
        UserError: The disk is too small.
        Refusal: What arrived is no zip.
        RequestException: As `request`, or the connection broke too often without a byte in between.
    """
    from requests.exceptions import RequestException

    part, waits = archive.with_suffix(".part"), list(refusals.RETRY_WAITS_S)
    while True:
        before = size_of(part)
        try:
            stream(request(), part)
            break
        except RequestException as error:
            if size_of(part) > before:
                waits = list(refusals.RETRY_WAITS_S)
            if not waits or not refusals.is_transient(error):
                raise
            refusals.pause(error, waits.pop(0))
    if not zipfile.is_zipfile(part):
        size = size_of(part)
        discard(part)
        raise refusals.Refusal("download", f"Kaggle sent a damaged {archive.name} ({size:,} bytes): run again")
    part.replace(archive)
    discard(part)


def stream(response: "Response", part: Path) -> None:
    """Read an answer into `part`, from where that ends if it is of the same object.

    Raises:
        ConnectionError: It ended before the announced size.
    """
    import requests

    length = response.headers.get("Content-Length")
    size = int(length) if length else None
    tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
    identity = {"tag": tag, "size": size}
    have = size_of(part) if tag and files.read_json(identity_path(part)) == identity else 0
    if have and have == size:
        response.close()
        return
    require_space(part, size, have)
    if have:
        response.close()
        headers = {"Range": f"bytes={have}-", "If-Range": tag}
        response = requests.get(response.url, headers=headers, stream=True, timeout=refusals.TIMEOUT_S)
        response.raise_for_status()
        if response.status_code != 206:  # the whole, again
            have = 0
    if have:
        print(f"resuming from {have / 1e6:,.1f} MB")
    else:
        files.write_json(identity_path(part), identity)
    with response, part.open("ab" if have else "wb") as file:
        chunks = response.iter_content(CHUNK_BYTES)
        if size is not None:
            chunks = track(chunks, part.stem, math.ceil((size - have) / CHUNK_BYTES), "MB")
        for chunk in chunks:
            file.write(chunk)
    if size is not None and size_of(part) != size:
        raise requests.exceptions.ConnectionError(f"{size_of(part)} of {size} bytes arrived")


def require_space(part: Path, size: int | None, have: int) -> None:
    """Refuse what the disk cannot hold: the rest of a zip, and what it unpacks to, which is no less than the zip."""
    free = shutil.disk_usage(part.parent).free
    if size is not None and (need := 2 * size - have) > free:
        raise UserError(
            f"{part.stem}.zip has {size / 1e9:.1f} GB and unpacks to as much: the disk at {part.parent} has "
            f"{free / 1e9:.1f} GB free and {need / 1e9:.1f} are needed: make room, or set INPUT_DIR"
        )


def identity_path(part: Path) -> Path:
    return part.with_suffix(".json")


def discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    identity_path(part).unlink(missing_ok=True)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
