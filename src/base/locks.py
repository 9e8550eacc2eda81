"""One run at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from src.base.errors import UserError
from src.base.files import refusals


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps a second run out of it; a folder that stays empty goes again.

    Raises:
        UserError: Another process is in it, or it cannot be made.
    """
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel frees it, however the process ends
        yield
    except BlockingIOError as error:
        raise UserError(f"another run of {folder.name} is at work: wait for it, or stop it") from error
    finally:
        os.close(handle)
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time is in the block for `path`, a file that is made for that; the others wait."""
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a")
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # the kernel frees it, however the process ends
        yield
