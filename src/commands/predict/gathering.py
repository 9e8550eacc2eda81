"""The pictures that somebody names: files, folders of files, and URLs; what cannot be read is told apart, with why."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.base.errors import UserError
from src.base.threads import parallel
from src.commands.predict import urls
from src.data import images


@dataclass(frozen=True)
class Word:
    """A file, a folder or a URL, as it was asked for and where it is."""

    text: str
    path: Path | None = None  # None: a URL


@dataclass(frozen=True)
class Picture:
    name: str  # by which it was asked for, as one line of text
    path: Path


@dataclass(frozen=True)
class Unreadable:
    name: str
    why: str  # `is missing`, `is not an image`


def check(words: Sequence[Word], allow_urls: bool) -> None:
    """Refuses what can be refused without a look at any picture.

    Raises:
        UserError: Nothing is named, or a URL that is not allowed, or not of the web, or a folder without a picture.
    """
    if not words:
        raise UserError("no picture is named: ./run.sh predict IMAGE|FOLDER|URL ...")
    for word in words:
        if word.path is None:
            urls.check(word.text)
            if not allow_urls:
                raise UserError(f"{word.text} is a URL, and nothing is fetched unasked: add --allow-urls")
        elif word.path.is_dir() and not inside(word.path):
            deeper = any(one.is_dir() for one in word.path.iterdir())
            more = ", and folders in it are not looked into: name them" if deeper else ""
            raise UserError(f"the folder {word.text} has no picture in it ({', '.join(images.ENDINGS)}){more}")


def gather(words: Sequence[Word], scratch: Path) -> tuple[list[Picture], list[Unreadable]]:
    """The whole pictures in the order of the words, a folder's by name, each file once; and the others.

    Args:
        scratch: A folder for what is fetched.
    """
    found: dict[Path, str] = {}
    faults = []
    for i, word in enumerate(words):
        if word.path is None:
            target = scratch / str(i)
            if why := urls.fetch(word.text, target):
                faults.append(Unreadable(line_of(word.text), why))
            else:
                found.setdefault(target, line_of(word.text))
        elif word.path.is_dir():
            files = inside(word.path)
            deeper = sum(one.is_dir() for one in word.path.iterdir())
            print(f"{word.text}: {len(files)} pictures" + (f" ({deeper} folders in it are left out)" * (deeper > 0)))
            for path in files:
                found.setdefault(path.resolve(), line_of(f"{word.text.rstrip('/')}/{path.name}"))
        else:
            found.setdefault(word.path.resolve(), line_of(word.text))
    pictures = []
    for (path, name), why in zip(found.items(), parallel(fault_of, list(found), "reading"), strict=True):
        if why is None:
            pictures.append(Picture(name, path))
        else:
            faults.append(Unreadable(name, why))
    return pictures, faults


def line_of(name: str) -> str:
    """The name, with a sign in the place of each that cannot be shown: a file's may have line breaks, or be no text."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name)


def inside(folder: Path) -> list[Path]:
    """The pictures in a folder, by name; those of hidden files and of folders in it are left out."""
    files = (path for path in folder.iterdir() if images.is_picture(path.name) and not images.is_hidden(path.name))
    return sorted((path for path in files if not path.is_dir()), key=lambda path: path.name)


def fault_of(path: Path) -> str | None:
    """Why a file is not a whole picture; None if it is."""
    try:
        return images.fault_of(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
