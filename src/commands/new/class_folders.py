"""A competition whose train pictures lie in a folder a class: its tables are listings of these."""

import re
from collections import Counter
from pathlib import PurePosixPath

import pandas as pd

from src.base.errors import UserError
from src.commands.new import answering
from src.commands.new.guess import Asked, Guess
from src.commands.new.locating import SPECIAL
from src.commands.new.looking import Contents, examples, lying
from src.commands.new.roles import Roles
from src.data.images import is_picture
from src.data.patterns import path_column

PART = re.compile(r"(train|test|val|images?|pictures|data)", re.IGNORECASE)  # folders called so are no classes


def infer(contents: Contents, asked: Asked, found: Roles) -> Guess:
    """What the folders say.

    Raises:
        UserError: There are no such folders, or several; or no pattern tells their files from all others.
    """
    id, answer, sample_file = found.id, found.answer, found.sample_file
    above = above_classes(contents, found)
    names = contents.classes[above]
    label = answer[0] if len(answer) == 1 else next(name for name in ("label", "class") if name != id)
    for flag, given, only in (("label", asked.label, label), ("image", asked.image, path_column(f"{{{id}}}"))):
        if given not in (None, only):
            raise UserError(f"--{flag} {given}: the labels are the folders in {above}, so it can only be {only!r}")
    if bad := [one for one in (above, id, label) if SPECIAL.search(one)]:
        raise UserError(f"{bad[0]!r} has one of . [ ] {{ }} ! : in its name, which no pattern can have: rename it")
    folder, ending = test_folder(contents, found.sample[id].tolist(), above)
    depth = above.count("/") + 2
    train = [path for path in contents.pictures if path.startswith(f"{above}/") and path.count("/") == depth]
    files = [path.rpartition("/")[2] for path in train]
    if strange := [name for name in files if not name.endswith(ending)]:
        raise UserError(f"{strange[0]} in {above} does not end with {ending}, as the test pictures do: write all alike")
    twice, n = Counter(files).most_common(1)[0]
    if n > 1:
        raise UserError(f"{twice} is in several folders of {above}, and a row is named by its file: rename them")
    if len(answer) == 1:
        answering.sample_fits(sample_file, found.sample[label], pd.Series(names))
    paths = {"train": train, "test": [f"{folder}/{name}" for name in contents.folders[folder]]}
    patterns = f"{above}/{{{label}}}/{{{id}}}{ending}", f"{folder}/{{{id}}}{ending}"
    classes = tuple(answer if len(answer) > 1 else sorted(names))
    guess = Guess(*patterns, sample_file, id, path_column(patterns[0]), label, classes, "", paths)
    guess.why = {
        "train": "no table has the labels, but this folder has a folder a class",
        "test": f"its files are called as the ids of {sample_file}",
        "image": "the path of each file that train and test list",
        "label": "the field of train's pattern",
        "classes": f"the folders in {above}, sorted" if len(answer) == 1 else f"the columns of {sample_file}, in order",
    }
    if overlap := len({name.removesuffix(ending) for name in files} & set(found.sample[id])):
        guess.ids_overlap, guess.why["ids_overlap"] = True, f"{overlap:,} ids are in train and in test"
    if found.others:
        guess.odd.append(f"{examples(found.others)} not used: the labels are the folders in {above}")
    return guess


def above_classes(contents: Contents, found: Roles) -> str:
    """The folder that has a folder for each class."""
    folders = {above: names for above, names in contents.classes.items() if not all(map(PART.match, names))}
    if len(found.answer) > 1:
        folders = {above: names for above, names in folders.items() if set(names) == set(found.answer)}
    folders = {above: names for above, names in folders.items() if "train" in above.lower()} or folders
    if not folders:
        raise UserError(unlabelled(found))
    if len(folders) > 1:
        raise UserError(
            f"several folders have a folder a class, {examples(folders)}: call one of them train, or leave one"
        )
    ((above, names),) = folders.items()
    if not above:
        raise UserError(
            f"the classes' folders, {examples(names)}, lie beside all else in {contents.root}: move them into one "
            "folder, train"
        )
    return above


def unlabelled(found: Roles) -> str:
    """Why nothing tells the classes of train rows; that they are of a kind that is not offered has precedence."""
    for name, df in found.others.items():
        answering.columns_fit(name, list(df))
        if found.id not in df and any(column in df for column in found.answer):
            return (
                f"{found.sample_file} calls its ids {found.id!r}, and {name} has no such column ({examples(df)}): "
                "choose by --id, or rename that column so that all tables have one name"
            )
    answer = found.answer
    asked = f"the column {answer[0]!r}" if len(answer) == 1 else f"{len(answer)} columns, {examples(answer)},"
    tables = (
        "; ".join(f"{name} has {examples(df, 6)}" for name, df in found.others.items()) or "there is no other table"
    )
    return (
        f"{found.sample_file} wants {asked} by {found.id!r}, and nothing tells these of train rows: {tables}, and no "
        "folder has a folder a class"
    )


def test_folder(contents: Contents, ids: list[str], above: str) -> tuple[str, str]:
    """The folder whose pictures are called like the ids, and the ending that the ids lack."""
    found = {}
    for folder, names in contents.folders.items():
        if f"{folder}/".startswith(f"{above}/") or SPECIAL.search(folder):
            continue
        for ending in {""} if is_picture(ids[0]) else {PurePosixPath(name).suffix for name in names}:
            if hits := len(set(names) & {f"{id}{ending}" for id in ids}):
                found[folder, ending] = hits
    if not found:
        raise UserError(f"no folder has pictures called as the ids, such as {ids[0]!r}: {lying(contents)}")
    best = [pair for pair in found if found[pair] == max(found.values())]
    best = best if len(best) == 1 else [pair for pair in best if "test" in pair[0].lower()]
    if len(best) != 1:
        raise UserError(
            f"test pictures lie in several folders, {examples(folder for folder, _ in found)}: leave one there"
        )
    return best[0]
