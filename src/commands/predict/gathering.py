"""The pictures that somebody names: files, folders of files, and URLs; those that cannot be read have a reason."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.base.errors import UserError
from src.base.threads import parallel
from src.commands.predict import urls
from src.data import images


@dataclass(frozen=True)
class Word:
    """A file, a folder or a URL, as it was typed and where it is."""

    text: str
    path: Path | None  # None: a URL


@dataclass(frozen=True)
class Picture:
    name: str  # as it was typed, as one line of text
    path: Path
    top: int = 0  # its greatest value, if it has more than 8 bits


@dataclass(frozen=True)
class Unreadable:
    name: str
    why: str  # `is missing`, `is not an image`


def check(words: Sequence[Word], allow_urls: bool) -> None:
    """Raise a UserError without a look at any picture: no word, a bad or disallowed URL, a folder without picture."""
    if not words:
        raise UserError("no picture is named: ./run.sh predict IMAGE|FOLDER|URL ...")
    for word in words:
        if word.path is None:
            urls.check(word.text)
            if not allow_urls:
                raise UserError(f"{word.text} is a URL, and nothing is fetched unasked: add --allow-urls")
        elif os.path.isdir(word.path) and not pictures_in(word.path):
            deeper = any(one.is_dir() for one in word.path.iterdir())
            more = ", and folders in it are not looked into: name them" if deeper else ""
            raise UserError(f"the folder {word.text} has no picture in it ({', '.join(images.ENDINGS)}){more}")


def gather(words: Sequence[Word], scratch: Path) -> tuple[list[Picture], list[Unreadable]]:
    """The whole pictures in the order of the words, a folder's by name, each file once; and the others.

    What is fetched goes to `scratch`.
    """
    names: dict[Path, str] = {}
    pictures, faults = [], []
    for i, word in enumerate(words):
        if word.path is None:
            target = scratch / str(i)
            if why := urls.fetch(word.text, target):
                faults.append(Unreadable(printable(word.text), why))
            else:
                names.setdefault(target, printable(word.text))
        elif os.path.isdir(word.path):
            files = pictures_in(word.path)
            deeper = sum(one.is_dir() for one in word.path.iterdir())
            print(f"{word.text}: {len(files)} pictures" + (f" ({deeper} folders in it are left out)" * (deeper > 0)))
            for path in files:
                names.setdefault(path.resolve(), printable(f"{word.text.rstrip('/')}/{path.name}"))
        else:
            names.setdefault(word.path.resolve(), printable(word.text))
    for (path, name), found in zip(names.items(), parallel(top_or_fault, list(names), "reading"), strict=True):
        if isinstance(found, int):
            pictures.append(Picture(name, path, found))
        else:
            faults.append(Unreadable(name, found))
    return pictures, faults


def printable(name: str) -> str:
    """The name, with a sign in the place of each that cannot be shown: a file's may have line breaks, or be no text."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in name)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder, by name; those of hidden files and of folders in it are left out.

    Raises:
        UserError: The folder cannot be read.
    """
    try:
        paths = [*folder.iterdir()]
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be read: {error.strerror}") from error
    names = [path.name for path in paths if not images.is_hidden(path.name) and not os.path.isdir(path)]
    return [folder / name for name in sorted(images.choose(names))]


def top_or_fault(path: Path) -> int | str:
    """The greatest value of a picture of more than 8 bits, else 0; or the reason why a file is not a whole picture."""
    try:
        data = path.read_bytes()
        return images.explain_fault(data) or images.greatest(data)
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
