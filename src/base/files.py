"""Files that are whole or not there: everything is written beside its target and moved over it when complete."""

import errno
import functools
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from src.base.errors import UserError
from src.base.parts import beside, folder_beside

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

OS_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your disk quota is used up",
    errno.EFBIG: "a file may not be larger (ulimit -f), or its file system takes none so large",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.EROFS: "that file system is read-only",
    errno.ENOTDIR: "a parent of that path is a file, not a folder",
    errno.EEXIST: "there is a file of that name",
    errno.EISDIR: "there is a folder of that name",
    errno.ENOENT: "its folder is not there and cannot be made",
}

REMEDY = "fix that and run the same command again; what was finished is kept"
NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}  # of file systems without fsync


class DiskFull(UserError):
    """There is no room for a file, nor for what would be written after it."""


@contextmanager
def explain_os_errors(path: Path, remedy: str = REMEDY):
    """Turn the operating system's refusal to write `path` into a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno not in OS_ERRORS:
            raise
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else UserError
        raise kind(f"cannot write {path}: {OS_ERRORS[error.errno]}: {remedy}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to, and move it over `path` if the block ends well.

    Each writer has a path of its own: two that write the same file both end well, and the later one's stays. A killed
    process leaves at most a hidden `.<name>.<writer>.part`, which `parts.remove_strays` takes away.

    Raises:
        UserError: The disk is full or the folder is not writable.
    """
    with explain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            yield part
            with part.open("rb") as written:
                flush_to_disk(written)  # or a power cut could leave the name without the bytes
            os.replace(part, path)


def flush_to_disk(file: BinaryIO) -> None:
    """Wait until a file's bytes are on the disk; where the file system knows no such call (FUSE), go on without."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Do the same as `replacing` for a folder that is not there yet: yield an empty one beside it.

    If another process has made it in the meantime, that one's stays.
    """
    with explain_os_errors(path), folder_beside(path) as part:
        yield part
        try:
            os.replace(part, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def write_text(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_parquet(path: Path, table: "pd.DataFrame | pa.Table") -> None:
    """Write a table, of a DataFrame without its index."""
    import pyarrow as pa  # with pandas a third of a second, in each process that writes no table
    from pyarrow import parquet

    whole = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
    with replacing(path) as part, part.open("wb") as file:  # by its name pyarrow would hide why it cannot be written
        parquet.write_table(whole, file)


def read_json(path: Path) -> Any | None:
    """Return the file's value; None if there is no such file or it is not JSON (then it is not ours)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_sha256(path: Path) -> str:
    """`sha256` of a large file that is asked for again and again in one run."""
    stat = path.stat()
    return _sha256(path, stat.st_size, stat.st_mtime_ns)


@functools.cache
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    return sha256(path)


def text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def as_json_value(value: Any) -> Any:
    """Return the value as JSON gives it back, so that a key can be compared with one read: tuples are lists."""
    return json.loads(json.dumps(value))


def digest(value: Any) -> str:
    """sha256 of a JSON-like value, independent of the order of a dictionary's keys."""
    return text_sha256(json.dumps(value, sort_keys=True, ensure_ascii=False))


def describe_changes(old: Any, new: dict[str, Any], inside: str = "") -> str:
    """Return the differences between a stored key and the wanted one: `seed changed (42 to 43), data changed`."""
    if not isinstance(old, dict):
        return f"{inside or 'its key'} is not known"
    changes = []
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if a == b:
            continue
        if isinstance(b, dict):
            changes.append(describe_changes(a, b, inside=name))
        else:
            changes.append(f"{name} changed" + (f" ({a} to {b})" if len(f"{a}{b}") <= 40 else ""))
    return ", ".join(changes)
