"""Parts: half-written files and folders beside their targets, each of one writer; and what killed writers leave."""

import functools
import hashlib
import math
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME_BYTES = 255  # of a file's name, on all common file systems
STRAY_S = 24 * 3600  # since the last change of what a process has left of which nothing is known here
WRITER = re.compile(r"\.(?P<machine>[0-9a-f]{8})-(?P<pid>\d{1,9})-[0-9a-f]{8}\.part$")
WRITING: set[str] = set()  # the names of this process's parts


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield the path of a part beside `path`, which no other writer has; what is there afterwards is removed."""
    writer = f".{machine()}-{os.getpid()}-{secrets.token_hex(4)}.part"
    name = path.name.encode()[: NAME_BYTES - len(writer) - 1].decode(errors="ignore")
    part = path.with_name(f".{name}{writer}")
    WRITING.add(part.name)
    try:
        yield part
    finally:
        remove(part)
        WRITING.discard(part.name)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`, of this process alone; afterwards it is gone, if it was not moved.

    What killed processes have left there is removed first: it may be as large as what is to be written.
    """
    with suppress(OSError):
        remove_all(path.parent.iterdir())
    with beside(path) as part:
        part.mkdir(parents=True)
        yield part


def remove_strays(folder: Path) -> None:
    """Remove what killed processes have left half written in `folder` and below it.

    A part of a process that is at work stays, and so does one of another machine that has changed within a day.
    """
    for parent, folders, names in os.walk(folder):
        remove_all(Path(parent, name) for name in (*folders, *names))
        folders[:] = [name for name in folders if not is_part(name)]


def remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        if is_part(path.name) and is_stray(path):
            remove(path)


def is_part(name: str) -> bool:
    return name.startswith(".") and name.endswith(".part")


def is_stray(part: Path) -> bool:
    """Whether nobody goes on with a part."""
    writer = WRITER.search(part.name)
    if writer and writer["machine"] == machine():
        return part.name not in WRITING and not is_another(int(writer["pid"]))
    return last_change(part) < time.time() - STRAY_S


@functools.cache
def machine() -> str:
    """Eight digits that another process has only if its number can be looked up here.

    Machines of a cluster, and containers on one machine, may bear one name and count their processes from 1.
    """
    known = [socket.gethostname()]
    with suppress(OSError):  # Linux alone has these
        known += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return hashlib.sha256(" ".join(known).encode()).hexdigest()[:8]


def is_another(pid: int) -> bool:
    """Whether a process of this number is there beside this one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return pid != os.getpid()


def last_change(part: Path) -> float:
    """The time when a file, or anything in a folder, was last changed; endless where it is just going."""
    try:
        return max(one.lstat().st_mtime for one in (part, *part.rglob("*")))
    except OSError:
        return math.inf


def remove(part: Path) -> None:
    with suppress(OSError):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
