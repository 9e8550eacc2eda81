"""What else can be typed, one command a file or folder, and the table of what each takes."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from src.base.paths import from_caller


def count(text: str) -> int:
    """Raises ValueError: Not a whole number of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number, 1 or more")
    return int(text)


@dataclass(frozen=True)
class Option:
    """An option with a value."""

    name: str  # of the argument
    value: str = "TEXT"  # what stands for it in a synopsis
    read: Callable[[str], Any] = str
    many: bool = False  # takes all words up to the next option


@dataclass(frozen=True)
class Command:
    """What acts on finished files, or on what is named, with the arguments that it takes."""

    file: bool | None = None  # needed, may be left out, or None: takes none
    options: Mapping[str, Option] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # names of words that are needed, in their order
    rest: str | None = None  # name of the list of all further words
    stands: Literal["behind", "alone", "both"] = "behind"  # a competition, without one, either
    after_stages: bool = False  # may stand behind stages, which then run first


MESSAGE = Option("message")
COMMANDS = {
    "doctor": Command(),
    "check": Command(file=True),
    "grade": Command(file=True),
    "submit": Command(False, {"-m": MESSAGE, "--message": MESSAGE}, flags=("--anyway",), after_stages=True),
    "scores": Command(),
    "reproduce": Command(),
    "pack": Command(flags=("--push",), after_stages=True),
    "ab": Command(words=("field", "value"), after_stages=True),
    "report": Command(after_stages=True),
    "predict": Command(
        options={
            "--models": Option("models", "MODEL", many=True),
            "--classes": Option("classes", "imagenet|A,B,C|FILE"),
            "--top": Option("top", "N", count),
            "--csv": Option("csv", "FILE", from_caller),
            "--html": Option("html", "FILE", from_caller),
        },
        flags=("--allow-urls",),
        rest="words",
        stands="both",
    ),
    "compare": Command(rest="names", stands="alone"),
    "new": Command(
        options={f"--{name}": Option(name, name.upper()) for name in ("name", "id", "image", "label", "metric")},
        flags=("--small", "--force"),
        words=("what",),
        stands="alone",
    ),
}
WORDS = {"what": "SLUG|FOLDER", "words": "IMAGE|FOLDER|URL ...", "names": "[NAME ...]"}  # where the name says little
NEEDED = {"what": "a competition's slug, or a folder"}
ALONE = tuple(name for name, command in COMMANDS.items() if command.stands != "behind")


def module(name: str) -> ModuleType:
    """The module of a command, imported when it is wanted, since most import torch."""
    in_folder = (Path(__file__).parent / name).is_dir()
    return importlib.import_module(f"src.commands.{name}" + (".command" if in_folder else ""))
