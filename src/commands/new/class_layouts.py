"""Where the paths of train pictures tell their classes: a folder a class, perhaps in another folder, or their names.

train/{species}/{id}.png            a folder a class, also right beside the test pictures
train/{folder}/{species}/{id}.png   kingdoms and species, of which the sample submission has one
train/{label}.{number}.jpg          cat.0.jpg, cat_1.jpg, cat (2).jpg
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from src.base.errors import UserError
from src.base.text import examples
from src.commands.new.looking import MOST_WORDS, Contents
from src.data.patterns import compile_pattern

# Folders called so are no classes
PART = re.compile(
    r"(train|test|val)(ing|id|idation)?([_ -]?(images?|imgs?|pics|pictures|photos|data|set|files))?[_ -]?\d*"
    r"|images?|imgs?|pictures|photos|data",
    re.IGNORECASE,
)
NAME = re.compile(r"(?P<label>[^\W\d_]+(?:[_ -][^\W\d_]+)*|n\d{8})(?P<between>[._ (-]+)\d+(?P<behind>\D*)")
DIGITS, HEX = re.compile(r"\d{2,}"), re.compile(r"[0-9a-f]{1,2}", re.IGNORECASE)
HALF = 8  # of the 16 hexadecimal digits


@dataclass(frozen=True)
class Layout:
    before: str  # of train's pattern, in front of the file's name, with the field {label} if folders are classes
    name: str | None  # the file's name, with that field, if names are; None: it is the row's id, or any
    place: str  # of the folders or names, for sentences
    paths: tuple[str, ...]  # of the train pictures
    labels: tuple[str, ...]  # of each


def find(contents: Contents, cells: set[str], several: bool, label: str, tests: Sequence[str]) -> Layout | None:
    """The one layout; None where paths tell no classes.

    Args:
        cells: What the sample submission says of classes: its columns of answers if there are several, else the cells.
        several: Whether it has several columns.
        tests: The folders of test pictures.

    Raises:
        UserError: Several folders, or levels of folders, could be the classes; or folders look like parts of a number.
    """
    folders, shards = {}, []
    for above, names in contents.classes.items():
        others = [one for one in names if f"{above}/{one}".lstrip("/") not in tests and not PART.fullmatch(one)]
        if are_shards(others, cells):
            shards += [f"{above}/{name}".lstrip("/") for name in others]
        elif len(others) > 1 and (above or not several or set(others) == cells):
            folders[above] = others
    if several:
        folders = {above: names for above, names in folders.items() if set(names) == cells} or folders
    folders = {above: names for above, names in folders.items() if "train" in above.lower()} or folders
    if len(folders) > 1:
        return of_levels(contents, folders, cells, label)
    for above, names in folders.items():
        if several and set(names) != cells:
            return None
        return of_folders(contents, above, names, label)
    if (named := of_names(contents, cells, label, tests)) is None and shards:
        raise UserError(
            f"no table has the labels, and the folders {examples(shards)} look like parts of a number, not like "
            "classes: is there a JSON or CSV file with the labels, which is not here?"
        )
    return named


def are_shards(names: Sequence[str], cells: set[str]) -> bool:
    """True of folders that hold a share of the pictures each: 000, 001 ... or 0 to f; not if answers are called so."""
    if len(names) < 2 or cells & set(names):
        return False
    if all(map(DIGITS.fullmatch, names)):
        return len(set(map(len, names))) == 1 and any(name.startswith("0") for name in names)
    letters = any(name.isalpha() for name in names)
    return letters and len(names) >= HALF and all(map(HEX.fullmatch, names))


def of_folders(contents: Contents, above: str, names: Sequence[str], label: str) -> Layout:
    before, place = (f"{above}/{{{label}}}/", above) if above else (f"{{{label}}}/", str(contents.root))
    known, depth = set(names), before.count("/")
    paths = [
        path for path in contents.pictures if path.startswith(f"{above}/".lstrip("/")) and path.count("/") == depth
    ]
    paths = [path for path in paths if path.split("/")[-2] in known]
    return Layout(before, None, place, tuple(paths), tuple(path.split("/")[-2] for path in paths))


def of_levels(contents: Contents, folders: dict[str, list[str]], cells: set[str], label: str) -> Layout:
    """Classes in folders of folders, where the sample submission tells which of both they are.

    Raises:
        UserError: It does not, or they are not in one folder.
    """
    parents = {above.rpartition("/")[0] for above in folders}
    outer, inner = (
        {above.rpartition("/")[2] for above in folders},
        {name for names in folders.values() for name in names},
    )
    if len(parents) > 1:
        raise UserError(
            f"several folders have a folder a class, {examples(folders)}: put those of train into one folder, train"
        )
    is_inner, is_outer = bool(cells) and cells <= inner, bool(cells) and cells <= outer
    if is_inner == is_outer:
        raise UserError(
            f"several folders have a folder a class, {examples(folders)}, and the sample submission does not tell "
            f"whether these are the classes ({examples(sorted(outer), 2)}) or those in them "
            f"({examples(sorted(inner), 2)}): is there a JSON or CSV file with the labels?"
        )
    (parent,), other = parents, "folder" if label != "folder" else "outer"
    fields = (f"{{{other}}}", f"{{{label}}}") if is_inner else (f"{{{label}}}", f"{{{other}}}")
    before = "/".join(filter(None, (parent, *fields))) + "/"
    depth, level = before.count("/"), -2 if is_inner else -3
    paths = [
        path for path in contents.pictures if path.count("/") == depth and "/".join(path.split("/")[:-2]) in folders
    ]
    place = parent or str(contents.root)
    return Layout(before, None, place, tuple(paths), tuple(path.split("/")[level] for path in paths))


def of_names(contents: Contents, cells: set[str], label: str, tests: Sequence[str]) -> Layout | None:
    """The classes in the names of all pictures of a folder: few words, or the answers of the sample submission."""
    found = {}
    for folder, names in contents.folders.items():
        matches = [NAME.fullmatch(name) for name in names]
        if folder in tests or not all(matches):
            continue
        around = {(match["between"], match["behind"]) for match in matches}
        words = Counter(match["label"] for match in matches)
        few = len(words) <= MOST_WORDS and min(words.values()) > 1
        if len(around) == 1 and len(words) > 1 and (few or cells <= set(words)):
            (between, behind) = around.pop()
            found[folder] = f"{{{label}}}{between}{{number}}{behind}"
    found = {folder: name for folder, name in found.items() if "train" in folder.lower()} or found
    if len(found) != 1:
        return None
    ((folder, name),) = found.items()
    before = f"{folder}/".lstrip("/")
    expression, fields = compile_pattern(before + name)
    paths = [f"{before}{one}" for one in contents.folders[folder]]
    labels = [expression.fullmatch(path).group(1 + fields.index(label)) for path in paths]
    return Layout(before, name, f"the names of {folder or contents.root}", tuple(paths), tuple(labels))


def same_names(paths: Sequence[str]) -> bool:
    """True if a file's name is in several folders."""
    folders = defaultdict(set)
    for path in paths:
        folder, _, name = path.rpartition("/")
        folders[name].add(folder)
    return any(len(several) > 1 for several in folders.values())
