"""The files that a table names, which may spell a name in another way than the folder: its ending, its accents."""

import contextlib
import functools
import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import compute

from src.base.errors import UserError, counted
from src.data.images import choose, is_picture
from src.data.texts import Paths, Texts

ANY_ENDING = ".*"  # of a name: that of any picture
ODD = r"(?:^|/)\.?(?:/|$)"  # a path that Path spells otherwise
ALIKE = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif", ".dicom": ".dcm"}  # endings of one format


def locate(folder: Path, names: Iterable[str]) -> Paths:
    """Return the files below `folder` that a table names.

    A name that ends with .* is that of the one picture which has it with any ending; 1.jpg is that of 1.JPG or 1.jpeg
    where there is no other. A letter with an accent may be one sign or two in the file's name (NFC, NFD), whatever it
    is in the table. A name that no file has is as it is written.

    Raises:
        UserError: Several pictures differ from a name by their ending alone.
    """
    names = Texts(names)
    listings = functools.cache(lambda inside: Listing(folder / inside))

    def located(name: str) -> str:
        inside, file = os.path.split(name)
        if not inside.isascii():
            parts, inside = PurePosixPath(inside).parts, ""
            for part in parts:
                inside = os.path.join(inside, listings(inside).spelt(part))
        return os.path.join(inside, listings(inside).spelt(file))

    elsewhere = compute.invert(are_there(folder, names))
    names = replaced(names, elsewhere, map(located, Texts(names.array.filter(elsewhere))))
    odd = compute.match_substring_regex(names.array, ODD)
    return Paths(replaced(as_written(folder, names), odd, map(folder.joinpath, Texts(names.array.filter(odd)))).array)


def replaced(texts: Texts, mask: pa.Array, others: Iterable[str | Path]) -> Texts:
    """The texts with others in place of those where the mask is true."""
    return Texts(compute.replace_with_mask(texts.array, mask, Texts(others).array))


def as_written(folder: Path, names: Texts) -> Paths:
    """The names behind their folder's."""
    return Paths(str(folder / "x")[:-1] + names.series)


def are_there(folder: Path, names: Texts) -> pa.Array:
    """Return of each name whether a file or folder below `folder` is called just so; each folder is listed once."""
    there: list[bytes] = []
    for inside in compute.replace_substring_regex(names.array, "[^/]*$", "").unique().to_pylist():
        with contextlib.suppress(OSError):  # it is not there, or not to be read: its files are missing
            there += [os.fsencode(inside) + name for name in os.listdir(os.fsencode(folder / inside))]
    return compute.is_in(names.array.cast(pa.large_binary()), pa.array(there, pa.large_binary()))


def describe_other_endings(folder: Path, names: Iterable[str], paths: Paths) -> list[str]:
    """Return a sentence on the pictures that were found by another ending than their names'; nothing where none was.

    Args:
        paths: Of the names, by `locate`.
    """
    names = Texts(names)
    differ = compute.not_equal(as_written(folder, names).array, paths.array)
    differ = compute.and_not(differ, compute.ends_with(names.array, ANY_ENDING))
    pairs = zip(Texts(names.array.filter(differ)), Paths(paths.array.filter(differ)), strict=True)
    others = [
        (os.path.basename(name), path.name)
        for name, path in pairs
        if composed(os.path.basename(name)) != composed(path.name)
    ]
    if not others:
        return []
    (name, found), n = others[0], counted(len(others), "picture")
    return [f"{n} found by another spelling of the ending, such as {found} for {name}"]


class Spellings:
    """Names of files, or their paths, and the ways in which a table may spell them."""

    def __init__(self, names: Collection[str]):
        self.names = names

    def find(self, name: str) -> list[str]:
        """Return all that a name may be: itself where it is there, or those that it spells; empty if there is none."""
        if name in self.names:
            return [name]
        if name.endswith(ANY_ENDING):
            return self.by_stem.get(composed(name.removesuffix(ANY_ENDING)), [])
        if (letters := self.by_letters.get(composed(name))) is not None:
            return [letters]
        return self.by_ending.get(plain_ending(name), [])

    @functools.cached_property
    def by_letters(self) -> dict[str, str]:
        """{a name, composed: that name}."""
        return {composed(name): name for name in self.names}

    @functools.cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """{a name without its ending, composed: the pictures that are called so}."""
        return self.pictures_by(lambda name: os.path.splitext(composed(name))[0])

    @functools.cached_property
    def by_ending(self) -> dict[str, list[str]]:
        """{a name with its ending as `plain_ending` spells it: the pictures that are called so}."""
        return self.pictures_by(plain_ending)

    def pictures_by(self, key: Callable[[str], str]) -> dict[str, list[str]]:
        pictures = defaultdict(list)
        for name in sorted(filter(is_picture, self.names)):
            pictures[key(name)].append(name)
        return {key: choose(names) if len(names) > 1 else names for key, names in pictures.items()}


class Listing(Spellings):
    """The names in a folder, and how they are found."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            super().__init__(set(os.listdir(folder)))
        except OSError:  # it is not there, or not to be read: its files are missing
            super().__init__(set())

    def spelt(self, name: str) -> str:
        """The name as the folder has it; itself where it has none."""
        found = self.find(name) or [name]
        if len(found) > 1:
            raise UserError(f"{self.folder / name} is not one picture, but {', '.join(found)}: leave one of them there")
        return found[0]


def composed(name: str) -> str:
    """The name with a sign for each letter, however it is spelt: those that look alike are alike."""
    return unicodedata.normalize("NFC", name)


def plain_ending(name: str) -> str:
    """The name, composed, with one spelling of its ending: that of 1.JPG, 1.jpeg and 1.jpg is 1.jpg."""
    stem, ending = os.path.splitext(composed(name))
    return stem + ALIKE.get(ending.lower(), ending.lower())
