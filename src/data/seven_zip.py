"""Writing a 7z archive's files to the disk, in the one pass over its blocks that such an archive allows."""

from collections.abc import Callable, Mapping
from pathlib import Path

import py7zr
from py7zr.io import Py7zIO, WriterFactory


class Target(Py7zIO):
    """One file that is being written."""

    def __init__(self, path: Path, tick: Callable[[int], None]):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file, self.tick, self.written = path.open("wb"), tick, 0

    def write(self, data: bytes | bytearray) -> int:
        self.written += len(data)
        self.tick(len(data))
        return self.file.write(data)

    def read(self, size: int | None = None) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.written

    def flush(self) -> None:
        self.file.flush()

    def size(self) -> int:
        return self.written

    def close(self) -> None:
        self.file.close()


class Targets(WriterFactory):
    def __init__(self, paths: Mapping[str, Path], tick: Callable[[int], None]):
        self.paths, self.tick = {Path(name).as_posix(): path for name, path in paths.items()}, tick
        self.last: Target | None = None

    def create(self, filename: str) -> Py7zIO:
        self.last = Target(self.paths[filename], self.tick)
        return self.last


def write(archive: py7zr.SevenZipFile, paths: Mapping[str, Path], tick: Callable[[int], None]) -> None:
    """Write the files of these names to these paths; the library checks their CRC.

    Raises:
        ArchiveError: The library's own, for a damaged archive.
    """
    targets = Targets(paths, tick)
    try:
        archive.extract(targets=set(paths), factory=targets)
    finally:
        if targets.last is not None:  # where it is damaged, the library leaves the file open
            targets.last.close()
