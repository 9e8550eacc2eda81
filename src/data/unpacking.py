"""Archives among a competition's files: each is unpacked beside itself, once, and so are those that lie in it.

What train.zip holds comes to lie in train/; beside it, if it is one table, or all of it lies in a folder train. What is
there already stays as it is. An archive without pictures, tables and JSON stays packed.
"""

import collections
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.base import files, locks, parts
from src.base.errors import UserError
from src.base.paths import nearest
from src.base.progress import track
from src.data import archives, patterns
from src.data.archives import Archive, Entry
from src.data.placing import archives_below, first_taken, holds_data, is_there, lacks, place_of, visible

# A photograph hardly shrinks in an archive, a CSV perhaps 20 times: what claims 200 times is a bomb, if it is large.
MOST_SHRUNK, LEAST_BOMB = 200, 1 << 30
RECORD = ".unpacked.json"  # in the folder: {archive: [its size, its time, what it became]}


@dataclass
class Allowance:
    """The bytes that an archive may take, unpacked, with all that are in it."""

    archive: Path
    left: int

    @classmethod
    def of(cls, archive: Path) -> "Allowance":
        return cls(archive, max(MOST_SHRUNK * archive.stat().st_size, LEAST_BOMB))

    def take(self, archive: Path, size: int, folder: Path) -> None:
        """Raise a UserError where an archive is larger than the disk of `folder`, or than data can be."""
        if size > self.left:
            raise UserError(
                f"{archive} claims to unpack to {size:,} bytes, more than {MOST_SHRUNK} times its size: "
                "download it again"
            )
        if size > (free := shutil.disk_usage(nearest(folder)).free):
            raise UserError(f"{archive} unpacks to {size:,} bytes and the disk has {free:,} free: make room")
        self.left -= size


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive to `folder`, which is not there yet, with the archives in it; all of it or nothing.

    Raises:
        UserError: It is no archive, damaged, encrypted, packed in a way that is not read here, larger than the disk or
            than data can be, or has an entry that is a link or would land outside of `folder`; or one in it is so.
    """
    archive, allowance = archives.read(path), Allowance.of(path)
    with files.replacing_folder(folder) as part:
        write(archive, archive.entries, part, folder, allowance)
        unpack_within(part, folder, path, allowance)


def unpack_linked(there: Path, folder: Path) -> None:
    """Make `folder`, not there yet, of links to all that `there` has, and unpack the archives in it.

    Raises:
        UserError: As `unpack` raises it.
    """
    with files.replacing_folder(folder) as part:
        link(there, part)
        unpack_within(part, folder, there, None)


def unpack_beside(folder: Path) -> None:
    """Unpack the archives of a folder that is there, and leave them there; what became of each is remembered.

    Where the folder has pictures that are no archive's, one that cannot be unpacked is only said.

    Raises:
        UserError: As `unpack` raises it.
    """
    if not any(pending(folder)):
        return
    with locks.locked(folder / f"{RECORD}.lock"):
        for path in pending(folder):
            name, stat = path.relative_to(folder).as_posix(), path.stat()
            try:
                became = unpack_one(path, folder, folder, Allowance.of(path))
            except UserError as error:
                if not any(patterns.pictures(folder)):
                    raise
                print(f"{name} stays packed: {error}")
                continue
            if became is None:
                continue
            record = files.read_json(folder / RECORD) or {}
            files.write_json(folder / RECORD, {**record, name: [stat.st_size, stat.st_mtime_ns, became]})


def pending(folder: Path) -> Iterator[Path]:
    """The archives below a folder that were not unpacked yet, or whose files are no longer there."""
    record = files.read_json(folder / RECORD) or {}
    for path in archives_below(folder):
        stat, known = path.stat(), record.get(path.relative_to(folder).as_posix())
        done = known and known[:2] == [stat.st_size, stat.st_mtime_ns]
        if not done or not all((folder / one).exists() for one in known[2]):
            yield path


def settled(folder: Path) -> set[str]:
    """The archives below a folder, by path from it, that were unpacked there, or hold no data."""
    record = files.read_json(folder / RECORD) or {}
    return record.keys() - {path.relative_to(folder).as_posix() for path in pending(folder)}


def has_packed_data(folder: Path) -> bool:
    """Return whether an archive below a folder has pictures or tables, and they do not lie where these belong."""
    return any(map(lacks, archives_below(folder)))


def link(there: Path, part: Path) -> None:
    """Link all of a folder into `part`; a folder that has archives is not linked, but made, and its files are."""
    apart = {parent for path in archives_below(there) for parent in path.parents}
    for path in there.iterdir():
        if path in apart:
            (part / path.name).mkdir()
            link(path, part / path.name)
        else:
            (part / path.name).symlink_to(path.absolute())


def unpack_within(part: Path, folder: Path, whole: Path, allowance: Allowance | None) -> None:
    """Unpack the archives in `part`, which is to become `folder` and has what `whole` has, and remove them there."""
    stay = set()
    while found := [path for path in archives_below(part) if path not in stay]:
        for path in found:
            inner, where = path.relative_to(part), f" in {whole.name}"
            try:
                became = unpack_one(path, part, folder, allowance or Allowance.of(path), where)
            except archives.MissingPackage as error:
                became = []
                print(
                    f"{inner}{where} stays packed: {str(error).replace(str(path.parent), str(folder / inner.parent))}"
                )
            except UserError as error:
                raise UserError(str(error).replace(str(path), f"{inner} in {whole}")) from error
            if became:
                path.unlink()
            else:
                stay.add(path)


def unpack_one(path: Path, root: Path, folder: Path, allowance: Allowance, where: str = "") -> list[str] | None:
    """Unpack an archive below `root`, which is or becomes `folder`, beside itself.

    Return what it became, by path from `root`; where it stays packed, which is said, nothing, as it holds no data, or
    None, as something else is where its files belong.

    Raises:
        UserError: As `unpack` raises it.
    """
    archive, name = archives.read(path), path.relative_to(root)
    place = place_of(archive)
    if not holds_data(archive):
        print(f"{name}{where} stays packed: it has no picture and no table")
        return []
    todo = [entry for entry in visible(archive) if not is_there(place / entry.name, entry.size)]
    if (taken := first_taken(place, [entry.name for entry in todo])) is not None:
        print(f"{name}{where} stays packed: {taken.relative_to(root)} is there, and is another file")
        return None
    if todo:
        print(f"unpacking {name}{where}")
        with files.explain_os_errors(path.parent):
            bring(archive, todo, place, folder / place.relative_to(root), allowance)
    tops = {entry.name.partition("/")[0] for entry in visible(archive)} if place == path.parent else [""]
    return sorted((place / top).relative_to(root).as_posix() for top in tops)


def bring(archive: Archive, todo: Collection[Entry], place: Path, final: Path, allowance: Allowance) -> None:
    """Unpack these entries to `place`, by way of a folder beside the archive; the next run goes on after a killed one.

    `final` is the place as messages call it.
    """
    with parts.folder_beside(archive.path) as part:
        write(archive, todo, part, final, allowance)
        unpack_within(part, final, archive.path, allowance)
        move(part, place)


def move(part: Path, place: Path) -> None:
    """Move what `part` has to `place`, a folder at once where there is none of its name; a file that is there stays."""
    if not place.exists():
        os.replace(part, place)
        return
    for path in sorted(part.iterdir()):
        target = place / path.name
        if path.is_dir() and target.is_dir():
            move(path, target)
        elif not target.exists():
            os.replace(path, target)


def write(archive: Archive, entries: Collection[Entry], part: Path, final: Path, allowance: Allowance) -> None:
    """Check an archive and write these entries of it to `part`, which is to become `final`."""
    archive.check(final)
    size = sum(entry.size for entry in entries)
    allowance.take(archive.path, size, final)
    archive.unpack(entries, part, ticker(archive.path.name, size))


def ticker(what: str, size: int) -> Callable[[int], Any]:
    """A function that is told how many bytes were written, and shows how many of all `size` are."""
    written: collections.deque[int] = collections.deque()
    bar = track(iter(written.popleft, None), what, size, "bytes", of=int)

    def tick(n: int) -> None:
        written.append(n)
        next(bar)

    return tick
