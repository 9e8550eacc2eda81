"""Machines apart: files go to those that do not share the folder of the process that places, and come back from them.

A machine keeps what it was sent, and is sent it again only when it has changed: by size and time of change.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from src.base.errors import UserError
from src.base.files import replacing
from src.base.locks import locked
from src.base.paths import submissions_root

PART = 64 * 2**20  # bytes that are on their way at a time

Stamp = tuple[int, int]  # bytes, and the time of change in ns


class Shelf:
    """The files below SUBMISSIONS_DIR of the process that places: an actor on its machine."""

    def __init__(self, root: Path):
        self.root = root
        self.hosts: dict[str, str] = {}  # by the titles of units

    def begun(self, title: str, host: str) -> None:
        """Note the machine on which a unit begins."""
        self.hosts[title] = host

    def where(self, title: str) -> str:
        return self.hosts.get(title, "a machine on which it did not begin")

    def stamps(self, names: Collection[str]) -> dict[str, Stamp]:
        return {name: stamp(self.root / name) for name in names}

    def read(self, name: str, start: int) -> bytes:
        with (self.root / name).open("rb") as file:
            file.seek(start)
            return file.read(PART)

    def write(self, name: str, pieces: list[Any], made: Stamp) -> None:
        """Write a file of pieces that lie in Ray's store; nothing where it is there."""
        import ray

        write(self.root / name, map(ray.get, pieces), made)


def stamp(path: Path) -> Stamp | None:
    """What a file that was sent has in common with the one that it was made of; None: it is not there."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.st_size, stat.st_mtime_ns


def write(path: Path, pieces: Iterable[bytes], made: Stamp) -> None:
    with replacing(path) as part:
        with part.open("wb") as file:
            file.writelines(pieces)
        os.utime(part, ns=(made[1], made[1]))


def names(paths: Iterable[Path]) -> list[str]:
    """The paths as they are called below SUBMISSIONS_DIR.

    Raises:
        ValueError: One is elsewhere.
    """
    root = submissions_root().absolute()
    return [path.absolute().relative_to(root).as_posix() for path in paths]


def fetch(shelf: Any, wanted: Collection[str]) -> None:
    """Write the files that this machine lacks, one process at a time.

    Raises:
        UserError: One is not there on the machine of the process that places.
    """
    import ray

    root = submissions_root()
    for name, made in ray.get(shelf.stamps.remote(wanted)).items():
        if made is None:
            raise UserError(f"{name} is not there to be sent to this machine: run the stage that makes it")
        with locked(root / ".sent.lock"):
            if stamp(root / name) != made:
                starts = range(0, max(1, made[0]), PART)
                write(root / name, (ray.get(shelf.read.remote(name, start)) for start in starts), made)


def bring(shelf: Any, made: Collection[str]) -> None:
    """Send files that were made here, in their order, of which the last describes the others."""
    import ray

    root = submissions_root()
    there = ray.get(shelf.stamps.remote(made))
    for name in made:
        if (own := stamp(root / name)) is not None and own != there[name]:
            ray.get(shelf.write.remote(name, [ray.put(piece) for piece in pieces(root / name)], own))


def pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PART):
            yield piece
