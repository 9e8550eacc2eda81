"""One run at a time in a folder, one process at a time at a file."""

import errno
import functools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import lock_descriptor

from src.base.errors import UserError
from src.base.files import explain_os_errors

# Of file systems without locks: network drives, and buckets as drives, of which some know no such call at all
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY, errno.EINVAL)
SILENT_S = 2  # that a lock is waited for without a word
OPEN: set[int] = set()  # the handles of this process that locks are at


class Busy(UserError):
    """Another run is at work in a folder."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make the folder and keep a second run out of it; a folder that stays empty is removed.

    Raises:
        Busy: Another process is in it.
        UserError: It cannot be made.
    """
    while True:
        with explain_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with opened(folder, os.O_RDONLY) as handle:
            if not lock(handle, blocking=False):
                raise Busy(f"another run of {folder.name} is at work: wait for it, or stop it")
            if not is_at(handle, folder):  # whoever was in it has removed it in the meantime
                continue
            try:
                yield
            finally:
                with suppress(OSError):
                    folder.rmdir()
            return


def is_at(handle: int, path: Path) -> bool:
    """Whether an open file or folder is still what is at `path`."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time into the block for `path`, a file that is created for that; the others wait.

    Whoever waits for more than a moment says for what: `.pictures.lock` is that of pictures.
    """
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with opened(path, os.O_WRONLY | os.O_CREAT) as handle:
        start = time.monotonic()
        while not (has_lock := lock(handle, blocking=False)) and time.monotonic() - start < SILENT_S:
            time.sleep(0.05)
        if not has_lock:
            what = path.name.removeprefix(".").removesuffix(".lock")
            print(f"waiting for another process that is at work on {what}", flush=True)
            lock(handle, blocking=True)
        yield


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """A handle of this process alone: a forked one closes it, else a lock would outlive a process by its workers."""
    with explain_os_errors(path):
        handle = os.open(path, flags, 0o666)
    OPEN.add(handle)
    try:
        yield handle
    finally:
        close(handle)


def close(handle: int) -> None:
    if handle in OPEN:
        OPEN.remove(handle)
        os.close(handle)


def close_all() -> None:
    """Close what a new process has inherited. That frees no lock while its parent has the handle open."""
    for handle in list(OPEN):
        close(handle)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=close_all)


def lock(handle: int, blocking: bool) -> bool:
    """Lock an open file; return whether this process may go on. Without locks on the file system it may, with a note.

    The kernel frees the lock when `handle` is closed, however the process ends.
    """
    try:
        return lock_descriptor(handle, blocking=blocking)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        say(f"no locks on this file system ({error.strerror}): start no second run of a competition beside this one")
        return True


@functools.cache
def say(text: str) -> None:
    """Print the text the first time."""
    print(text)
