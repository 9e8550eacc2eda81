"""A competition whose train pictures lie in a folder a class: its tables are listings of these."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import pandas as pd

from src.base.errors import UserError
from src.base.text import examples
from src.commands.new import answering, class_layouts
from src.commands.new.class_layouts import Layout, same_names
from src.commands.new.guess import Flags, Guess
from src.commands.new.locating import SPECIAL
from src.commands.new.looking import Contents, classes_in_names, not_read, other_spelling, picture_places
from src.commands.new.roles import Roles
from src.data.images import is_picture
from src.data.locating import composed
from src.data.patterns import count_endings, fixed_folder, path_column, visible_files


def infer(contents: Contents, flags: Flags, roles: Roles) -> tuple[Guess, tuple[str, ...]]:
    """Infer the config from the folders, or names, that tell classes; and the label of each train picture.

    A row is named by its file; by its path where files of several folders have one name, or the ids are none of theirs.

    Raises:
        UserError: There are none, or several; or no pattern tells their files from all others.
    """
    id, answer, sample_file = roles.id, roles.answer, roles.sample_file
    label = answer[0] if len(answer) == 1 else next(name for name in ("label", "class") if name != id)
    for flag, value, only in (("label", flags.label, label), ("image", flags.image, path_column(f"{{{id}}}"))):
        if value not in (None, only):
            raise UserError(f"--{flag} {value}: the labels are folders' names, so it can only be {only!r}")
    layout, folder, ending = find(contents, roles, label)
    fixed = re.sub(r"/?\{[^}]*\}", "", layout.before).strip("/")
    if bad := [one for one in (fixed, folder, id, label) if SPECIAL.search(one)]:
        raise UserError(f"{bad[0]!r} has one of . [ ] {{ }} ! : in its name, which no pattern can have: rename it")
    files = [path.rpartition("/")[2] for path in layout.paths]
    by_path = layout.name is not None or same_names(layout.paths) or not all(name.endswith(ending) for name in files)
    other = next(name for name in ("file", "name", "picture") if name not in (id, label))
    name = layout.name or (f"{{{other}}}" if by_path else f"{{{id}}}{ending}")
    patterns = layout.before + name, f"{folder}/{{{id}}}{ending}"
    paths = {"train": [*layout.paths], "test": [f"{folder}/{name}" for name in contents.folders[folder]]}
    classes = tuple(answer if len(answer) > 1 else sorted(set(layout.labels)))
    guess = Guess(*patterns, sample_file, id, path_column(patterns[0]), label, classes, "", paths)
    one = "these pictures' names have them" if layout.name else "this folder has a folder a class"
    guess.why = {
        "train": f"no table has the labels, but {one}" + ("; a row's id is its path" if by_path else ""),
        "test": f"its files are called as the ids of {sample_file}",
        "image": "the path of each file that train and test list",
        "label": "the field of train's pattern",
        "classes": f"those in {layout.place}, sorted"
        if len(answer) == 1
        else f"the columns of {sample_file}, in order",
    }
    guess.note_overlap(layout.paths if by_path else (name.removesuffix(ending) for name in files), roles.ids)
    start = contents.root / fixed_folder(patterns[0])
    others = [path for path in visible_files(start) if not is_picture(path.name)]
    if start != contents.root and (endings := count_endings(others)):
        guess.odd.append(f"{endings} in {fixed_folder(patterns[0])} are not taken")
    if roles.others:
        guess.odd.append(f"{examples(roles.others)} not used: the labels are those in {layout.place}")
    return guess, layout.labels


def find(contents: Contents, roles: Roles, label: str) -> tuple[Layout, str, str]:
    """The layout of train pictures, the folder of test pictures, and the ending that the ids lack.

    Raises:
        UserError: As `test_folder` and `class_layouts.find`; or there are no classes.
    """
    several = len(roles.answer) > 1
    cells = set(roles.answer) if several else {cell for cell in roles.sample[roles.answer[0]] if cell != ""}
    trains = [above for above, names in contents.classes.items() if above and "test" not in above.lower()]
    try:
        folder, ending = test_folder(contents, roles.ids, trains)
    except UserError:
        folder, ending = None, ""
    layout = class_layouts.find(contents, cells, several, label, [folder] if folder else [])
    if layout is None:
        hint = classes_in_names(contents)
        raise UserError(unlabelled(contents, roles) + (f"; {hint}" if hint else ""))
    return layout, *(test_folder(contents, roles.ids, trains) if folder is None else (folder, ending))


def unlabelled(contents: Contents, roles: Roles) -> str:
    """The reason why train rows have no classes; that they are of a kind that is not offered has precedence."""
    id, answer, sample_file = roles.id, roles.answer, roles.sample_file
    for name, df in roles.others.items():
        answering.check_columns(name, df)
        if roles.unit is not None and roles.sample_id in df and any(column in df for column in answer):
            return (
                f"{name} has the labels of each {roles.sample_id}, and another table the pictures of each: write them "
                f"as one table with a row a picture, with the columns {id}, {roles.sample_id} and the labels"
            )
        if id not in df and any(column in df for column in answer):
            return (
                f"{sample_file} calls its ids {id!r}, and {name} has no such column ({examples(df)}): choose by --id, "
                "or rename that column so that all tables have one name"
            )
    wanted = f"the column {answer[0]!r}" if len(answer) == 1 else f"{len(answer)} columns, {examples(answer)},"
    tables = "; ".join(f"{name} has {examples(df, 6)}" for name, df in roles.others.items())
    if len(answer) == 1 and any(id in df for df in roles.others.values()):
        tables += " (if one of these columns is it: --label NAME)"
    return (
        f"{sample_file} wants {wanted} by {id!r}, and nothing tells these of train rows: "
        f"{tables or 'there is no other table'}, and no folder has a folder a class{not_read(contents)}"
    )


def test_folder(contents: Contents, ids: list[str], apart: Sequence[str]) -> tuple[str, str]:
    """The folder, not below those `apart`, whose pictures are called like the ids, and the ending that the ids lack."""
    counts = {}
    for folder, names in contents.folders.items():
        if any(f"{folder}/".startswith(f"{above}/") for above in apart) or SPECIAL.search(folder):
            continue
        for ending in {""} if is_picture(ids[0]) else {PurePosixPath(name).suffix for name in names}:
            if hits := len(set(names) & {f"{id}{ending}" for id in ids}):
                counts[folder, ending] = hits
    if not counts:
        if any(composed(id) in contents.named for id in ids):
            raise UserError(
                f"the names of pictures and the ids, such as {ids[0]!r}, spell letters with accents in two ways (NFD, "
                "as a Mac does, and NFC): rename the files, by convmv -r -f utf8 -t utf8 --nfc --notest FOLDER"
            )
        spelt = other_spelling(contents, pd.Series(ids, name="the sample submission"))
        problem = f"no folder has pictures called as the ids, such as {ids[0]!r}: {picture_places(contents)}"
        raise UserError(problem + (f": {spelt}" if spelt else ""))
    best = [pair for pair in counts if counts[pair] == max(counts.values())]
    best = best if len(best) == 1 else [pair for pair in best if "test" in pair[0].lower()]
    if len(best) != 1:
        folders = examples(folder for folder, _ in counts)
        raise UserError(f"test pictures lie in several folders, {folders}: bring them together in one")
    return best[0]
