"""Where an archive's files belong beside it, whether they lie there, and whether they are data."""

import os
from collections.abc import Collection
from pathlib import Path

from src.base.errors import UserError
from src.data import archives, patterns
from src.data.archives import Archive, Entry
from src.data.images import is_hidden, is_picture

TABLES = (".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".xlsx", ".xls", ".ods")


def archives_below(folder: Path) -> list[Path]:
    return sorted(path for path in patterns.visible_files(folder) if is_data_archive(path.name) and path.is_file())


def is_data_archive(name: str) -> bool:
    """Return whether a name is an archive's that is read here; volumes, as .nii.gz, and the like are none."""
    kind = archives.FORMATS.get(archives.ending(name))
    return kind is not None and (kind is not archives.Single or is_data(archives.stem(name)))


def is_data(name: str) -> bool:
    return is_picture(name) or name.lower().endswith(TABLES)


def visible(archive: Archive) -> list[Entry]:
    """The entries without what programs put beside files; those that lead up are there, to be refused."""
    return [one for one in archive.entries if not any(part != ".." and is_hidden(part) for part in one.name.split("/"))]


def holds_data(archive: Archive) -> bool:
    return any(is_data(entry.name) or is_data_archive(entry.name) for entry in visible(archive))


def place_of(archive: Archive) -> Path:
    """The folder for an archive's files: of its name, unless they are one table, or lie in one folder of that name."""
    path, names = archive.path, [entry.name for entry in visible(archive)]
    tops, stem = {name.partition("/")[0] for name in names}, archives.stem(archive.path.name)
    return path.parent if tops == {stem} or (len(names) == 1 and not is_picture(names[0])) else path.with_name(stem)


def is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def first_taken(place: Path, names: Collection[str]) -> Path | None:
    """The first path that something else has, of those where an archive's files belong."""
    parents = {parent for name in names for parent in (place / name).parents}
    found = (path for path in sorted(parents) if path.is_relative_to(place) and path.is_file())
    return next(found, None) or next((place / name for name in names if os.path.lexists(place / name)), None)


def lacks(path: Path) -> bool:
    """Return whether an archive's data is not there; one that cannot be listed at once is known by its folder."""
    archive = archives.read(path)
    if path.with_name(archives.stem(path.name)).exists():
        return False
    try:
        if not isinstance(archive, archives.Zip):
            return True
        place = place_of(archive)
        return holds_data(archive) and not all(is_there(place / one.name, one.size) for one in visible(archive))
    except UserError:  # which is said when it is unpacked
        return True
