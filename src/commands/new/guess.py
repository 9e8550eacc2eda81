"""The fields of a config that are inferred from a competition's files, each with the reason."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from src.base.errors import UserError, unknown
from src.data.images import WHITE
from src.schema.forms import Form
from src.schema.settings import Parts, Unit

# What pictures raise that are none: those are the data stage's to list. UnidentifiedImageError is an OSError
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, struct.error)


@dataclass(frozen=True)
class Flags:
    """The values of the command's options."""

    id: str | None = None
    image: str | None = None
    label: str | None = None
    metric: str | None = None
    positive: str | None = None


def names_in(option: str, value: str, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes that an option names, with commas between them; a comma may be in a name too, blanks around it.

    Raises:
        UserError: A name is no class.
    """
    parts, found, known = value.split(","), [], {one.strip(): one for one in classes}
    while parts:
        names = [(n, ",".join(parts[:n]).strip()) for n in range(len(parts), 0, -1)]  # the longest first
        n = next((n for n, name in names if name in known), None)
        if n is None:
            raise UserError(f"{option}: {unknown('class', parts[0].strip(), classes)}")
        found.append(known[dict(names)[n]])
        parts = parts[n:]
    return tuple(found)


@dataclass
class Guess:
    """The fields of a config, by their names there."""

    train: str | tuple[str, ...]
    test: str
    sample_submission: str
    id: str
    image: str | Parts
    label: str
    classes: tuple[str, ...]
    metric: str
    paths: dict[str, list[str]]  # of both parts: the pictures of its rows, below the competition's folder
    images: str = ""
    white: int = WHITE
    ids_overlap: bool = False
    solution: str | None = None
    task: str = "class"
    separator: str = " "
    span: tuple[float, float] | None = None
    rare_classes: bool = False
    submission: Form | None = None
    unit: Unit | None = None
    group: str | None = None
    unused: list[str] = field(default_factory=list)  # columns of numbers that both tables have beside
    words: dict[str, str] = field(default_factory=dict)  # class: how to call it, where that is not its name
    groups: dict[str, int] = field(default_factory=dict)  # columns whose values several rows share: how many values
    why: dict[str, str] = field(default_factory=dict)  # field: what it was inferred from
    odd: list[str] = field(default_factory=list)  # what to look at, in sentences

    def note_overlap(self, train: Iterable[str], test: Iterable[str]) -> None:
        """Set `ids_overlap` if train and test have ids in common."""
        if overlap := len(set(train) & set(test)):
            self.ids_overlap, self.why["ids_overlap"] = True, f"{overlap:,} ids are in train and in test"
