"""Archives of data: zip, tar, 7z, and single packed files. What one claims is checked before a byte is written."""

import bz2
import contextlib
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar

from src.base.csvs import BROKEN
from src.base.errors import UserError

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
UTF_8 = 0x800  # the flag of a zip's entry whose name is UTF-8
CHUNK = 1 << 20  # bytes
STREAMS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
TARS = (".tar", ".tgz", ".tbz2", ".tbz", ".txz", *(f".tar{ending}" for ending in STREAMS))

Tick = Callable[[int], None]  # is told how many bytes were written


@dataclass(frozen=True)
class Entry:
    """A file in an archive."""

    name: str  # its path with slashes, and without `.`
    size: int  # bytes, unpacked
    raw: Any  # what the library knows it by
    content: Any = None  # two entries of one name and another content contradict each other
    fault: str = ""  # what makes it one that is not unpacked, as `an entry that is a link`


class MissingPackage(UserError):
    """The package that reads a format is not installed."""


class Archive:
    """A file of one of the formats; `entries` are its files, without folders."""

    kind: ClassVar[str]

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def entries(self) -> list[Entry]:
        """All files that it holds.

        Raises:
            UserError: It is damaged, or wants a password.
        """
        with self.explained():
            found = list(self.listed())
        return [entry for entry in found if entry.name]

    def check(self, folder: Path) -> None:
        """Raise a UserError where an entry cannot be unpacked, or should not; `folder` is where all are to lie."""
        remedy, known = f"unpack it to {folder} yourself", {}
        for entry in self.entries:
            if fault := name_fault(entry.name) or entry.fault:
                raise UserError(f"{self.path} has {fault} ({str(self.name_of(entry))!r}): {remedy}")
            if known.setdefault(entry.name, entry.content) != entry.content:
                raise UserError(f"{self.path} has two entries that are both {entry.name!r}: {remedy}")

    def unpack(self, entries: Collection[Entry], folder: Path, tick: Tick) -> None:
        """Write these entries below `folder`.

        Raises:
            UserError: The archive is damaged.
        """
        with self.explained():
            self.write({entry.name: entry for entry in entries}.values(), folder, tick)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            if isinstance(error, OSError) and error.errno is not None:  # of the disk
                raise
            reason = str(error) or type(error).__name__
            raise UserError(f"{self.path} is not a whole {self.kind} ({reason}): download it again") from error

    def name_of(self, entry: Entry) -> str:
        return entry.name

    def listed(self) -> Iterable[Entry]:
        raise NotImplementedError

    def write(self, entries: Iterable[Entry], folder: Path, tick: Tick) -> None:
        raise NotImplementedError


class Zip(Archive):
    kind = "zip file"

    def listed(self) -> Iterable[Entry]:
        with zipfile.ZipFile(self.path) as zipped:
            for one in zipped.infolist():
                name = bare(spelt(one))
                if not name.endswith("/"):
                    yield Entry(name, one.file_size, one, (one.CRC, one.file_size), zip_fault(one))

    def write(self, entries: Iterable[Entry], folder: Path, tick: Tick) -> None:
        with zipfile.ZipFile(self.path) as zipped:
            for entry in entries:
                with zipped.open(entry.raw) as stream:  # checks the CRC, and reads no more than the declared size
                    copy(stream, folder / entry.name, entry.size, tick)

    def name_of(self, entry: Entry) -> str:
        return entry.raw.orig_filename


class Tar(Archive):
    kind = "tar file"

    def listed(self) -> Iterable[Entry]:
        with tarfile.open(self.path) as tar:
            for one in tar:
                if not one.isdir():
                    fault = "an entry that is a link" if one.issym() or one.islnk() else "an entry that is no file"
                    yield Entry(bare(one.name), one.size, one, one.size, "" if one.isreg() else fault)

    def write(self, entries: Iterable[Entry], folder: Path, tick: Tick) -> None:
        with tarfile.open(self.path) as tar:
            for entry in sorted(entries, key=lambda entry: entry.raw.offset):  # a packed tar is read forward
                with tar.extractfile(entry.raw) as stream:
                    copy(stream, folder / entry.name, entry.size, tick)


class Single(Archive):
    """One file that is packed, as train.csv.gz: it is called as its archive without the last ending."""

    kind = "packed file"

    def listed(self) -> Iterable[Entry]:
        size = 0
        with self.opened() as stream:
            while chunk := stream.read(CHUNK):
                size += len(chunk)
        yield Entry(stem(self.path.name), size, None)

    def write(self, entries: Iterable[Entry], folder: Path, tick: Tick) -> None:
        for entry in entries:
            with self.opened() as stream:
                copy(stream, folder / entry.name, entry.size, tick)

    def opened(self) -> BinaryIO:
        return STREAMS[self.path.suffix.lower()](self.path)


class SevenZip(Archive):
    kind = "7z file"

    def listed(self) -> Iterable[Entry]:
        with self.opened() as archive:
            locked = "an entry that is encrypted" if archive.needs_password() else ""
            for one in archive.list():
                if not one.is_directory:
                    fault = locked or ("an entry that is a link" if one.is_symlink else "")
                    content = (one.crc32, one.uncompressed)
                    yield Entry(bare(one.filename), one.uncompressed, one.filename, content, fault)

    def write(self, entries: Iterable[Entry], folder: Path, tick: Tick) -> None:
        from src.data import seven_zip

        with self.opened() as archive:
            seven_zip.write(archive, {entry.raw: folder / entry.name for entry in entries}, tick)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        try:
            import py7zr
        except ImportError as error:
            remedy = f"pip install py7zr, or unpack it yourself: (cd {self.path.parent} && 7z x {self.path.name})"
            raise MissingPackage(f"{self.path} is a 7z file, which the package py7zr reads: {remedy}") from error
        try:
            with self.path.open("rb") as file, py7zr.SevenZipFile(file) as archive:  # of a file, it starts no threads
                yield archive
        except py7zr.exceptions.PasswordRequired as error:
            raise UserError(f"{self.path} is encrypted: unpack it to {self.path.parent} yourself") from error
        except (py7zr.exceptions.ArchiveError, ValueError, TypeError, IndexError, KeyError) as error:
            raise EOFError(str(error) or type(error).__name__) from error


FORMATS: Mapping[str, type[Archive]] = {
    ".zip": Zip,
    ".7z": SevenZip,
    **dict.fromkeys(TARS, Tar),
    **dict.fromkeys(STREAMS, Single),
}


def ending(name: str) -> str:
    """The ending of an archive's name, of .tar.gz both; "" of another file's."""
    return next((one for one in sorted(FORMATS, key=len, reverse=True) if name.lower().endswith(one)), "")


def stem(name: str) -> str:
    """An archive's name without its ending: `train` of train.tar.gz, `labels.csv` of labels.csv.zip."""
    return name[: len(name) - len(ending(name))]


def read(path: Path) -> Archive:
    """The archive of a path with one of the endings."""
    return FORMATS[ending(path.name)](path)


def bare(name: str) -> str:
    """A path with slashes, which Windows' backslashes are too, and no `.`; a folder's ends with one; "" of `./`."""
    name = name.replace("\\", "/")
    path = PurePosixPath(name)
    if not path.name:
        return ""
    return f"{path}/" if name.endswith("/") else str(path)


def spelt(one: zipfile.ZipInfo) -> str:
    """The name of a zip's entry, also where it is UTF-8 and no flag says so, as older tools of Macs leave it."""
    if not one.flag_bits & UTF_8 and not one.filename.isascii():
        with contextlib.suppress(UnicodeError):
            return one.filename.encode("cp437").decode("utf-8")
    return one.filename


def name_fault(name: str) -> str:
    """Why nothing is unpacked under this name; "" where that is safe."""
    path = PurePosixPath(name)
    leaves = path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in name
    return "an entry that would leave its folder" if leaves else ""


def zip_fault(one: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(one.external_attr >> 16):
        return "an entry that is a link"
    if one.flag_bits & 1:
        return "an entry that is encrypted"
    if one.compress_type not in METHODS:
        name = zipfile.compressor_names.get(one.compress_type, f"method {one.compress_type}")
        return f"an entry that is packed by {name}, which is not read here"
    return ""


def copy(stream: BinaryIO, path: Path, size: int, tick: Tick) -> None:
    """Write a stream of `size` bytes to a file.

    Raises:
        EOFError: It has another number of bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        while chunk := stream.read(CHUNK):
            file.write(chunk)
            tick(len(chunk))
            if file.tell() > size:
                break
        if file.tell() != size:
            raise EOFError(f"{path.name} has not the {size:,} bytes that it claims")
