"""The ways to find pictures by a table, and which of several is taken: of two formats, or of several pictures a row."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import PurePosixPath

import pandas as pd

from src.base.text import examples
from src.data import patterns
from src.data.images import UNUSUAL
from src.schema.settings import Parts

PARTS = ("train", "test")
TIFF, USUAL = (".tif", ".tiff"), (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
ORDER = (USUAL, TIFF, UNUSUAL)  # where a picture is there in several formats, that which is taken comes first
NO_PICTURE = re.compile(r"(?i)mask|seg|label|annot|bound|thumb|depth|heat|gt$")  # words for what lies beside a picture


@dataclass(frozen=True)
class Way:
    """One way to find the pictures."""

    image: str | Parts  # as the config has it
    images: str
    column: str | None  # None: a pattern from --image
    paths: Mapping[str, tuple[str, ...]]  # of both parts, a path a row
    missing: Mapping[str, int]  # rows without their picture
    odd: str = ""  # what to look at, in a sentence
    several: bool = False  # pictures a row, of which the paths are the first

    @property
    def strangeness(self) -> int:
        """The place of the pictures' format among ORDER: the first is what a picture of a row mostly is."""
        path = self.paths["train"][0].lower()
        return next((i for i, endings in enumerate(ORDER) if path.endswith(endings)), len(ORDER))

    def same_as(self, other: "Way") -> bool:
        """Whether it finds files of the other's names, but for their endings."""
        return all(
            PurePosixPath(one).stem == PurePosixPath(two).stem
            for part in PARTS
            for one, two in zip(self.paths[part], other.paths[part], strict=True)
        )


def of_one_format(ways: list[Way]) -> list[Way]:
    """The ways to pictures of the most usual format, which say so, where the others are of the same names."""
    least = min(way.strangeness for way in ways)
    usual, others = ([way for way in ways if (way.strangeness > least) == more] for more in (False, True))
    if not others or not all(usual[0].same_as(other) for other in others):
        return ways
    taken, other = (one[0].paths["train"][0] for one in (usual, others))
    odd = f"pictures are there in two formats, {taken} and {other}: the first are taken; --image takes others"
    return [replace(way, odd=odd) for way in usual]


def several_pictures(ways: list[Way], frames: Mapping[str, pd.DataFrame]) -> Way | None:
    """The way to several pictures of each row, of which one word in their names differs, as _red.png and _green.png."""
    columns = {way.column for way in ways}
    if len(ways) < 2 or len(columns) > 1 or not all(type(way.image) is str and "{" in way.image for way in ways):
        return None
    (column,), images = columns, [way.image for way in ways]
    before, behind = common_start(images), common_start([image[::-1] for image in images])[::-1]
    found = [path for way in ways for part in PARTS for path in way.paths[part]]
    if f"{{{column}}}" not in before or len(set(found)) < len(found):
        return None
    before, behind = re.match(r".*[}_.-]", before)[0], behind[re.search(r"[_.-]|$", behind).start() :]
    words = [image[len(before) : len(image) - len(behind)] for image in images]
    taken = {name for df in frames.values() for name in df}
    field = next(name for name in ("channel", "kind", "which") if name not in taken)
    pattern = f"{before}{{{field}}}{behind}"
    beside = any(not word or "/" in word or "{" in word or NO_PICTURE.search(word) for word in words)
    if beside or patterns.path_column(pattern) in taken:
        return None
    odd = (
        f"a row has {len(words)} pictures, as {examples(way.paths['train'][0] for way in ways)}: each is learnt, and a "
        f"row is their mean; --image '{images[0]}' --force takes one of them"
    )
    return replace(ways[0], image=pattern, several=True, odd=odd)


def common_start(texts: Sequence[str]) -> str:
    return "".join(signs[0] for signs in takewhile(lambda signs: len(set(signs)) == 1, zip(*texts, strict=False)))
