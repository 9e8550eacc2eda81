"""A competition whose train pictures lie in a folder a class: its tables are listings of these."""

import re
from collections import Counter
from pathlib import PurePosixPath

from src.base.errors import UserError
from src.commands.new import answering
from src.commands.new.guess import Flags, Guess
from src.commands.new.locating import SPECIAL
from src.commands.new.looking import Contents, classes_in_names, examples, picture_places, still_packed
from src.commands.new.roles import Roles
from src.data.images import is_picture
from src.data.patterns import composed, count_endings, path_column, visible_files

PART = re.compile(r"(train|test|val|images?|pictures|data)", re.IGNORECASE)  # folders called so are no classes


def infer(contents: Contents, flags: Flags, roles: Roles) -> Guess:
    """Infer the config from the folders, whose files a pattern must tell from all others.

    Raises:
        UserError: There are no such folders, or several; or no pattern tells their files from all others.
    """
    id, answer, sample_file = roles.id, roles.answer, roles.sample_file
    above = above_classes(contents, roles)
    names = contents.classes[above]
    label = answer[0] if len(answer) == 1 else next(name for name in ("label", "class") if name != id)
    for flag, value, only in (("label", flags.label, label), ("image", flags.image, path_column(f"{{{id}}}"))):
        if value not in (None, only):
            raise UserError(f"--{flag} {value}: the labels are the folders in {above}, so it can only be {only!r}")
    if bad := [one for one in (above, id, label) if SPECIAL.search(one)]:
        raise UserError(f"{bad[0]!r} has one of . [ ] {{ }} ! : in its name, which no pattern can have: rename it")
    folder, ending = test_folder(contents, roles.ids, above)
    depth = above.count("/") + 2
    train = [path for path in contents.pictures if path.startswith(f"{above}/") and path.count("/") == depth]
    files = [path.rpartition("/")[2] for path in train]
    if strange := [name for name in files if not name.endswith(ending)]:
        raise UserError(f"{strange[0]} in {above} does not end with {ending}, as the test pictures do: write all alike")
    twice, n = Counter(files).most_common(1)[0]
    if n > 1:
        raise UserError(f"{twice} is in several folders of {above}, and a row is named by its file: rename them")
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
    guess.note_overlap((name.removesuffix(ending) for name in files), roles.ids)
    files = [path for path in visible_files(contents.root / above) if not is_picture(path.name)]
    if others := count_endings(files):
        guess.odd.append(f"{others} in {above} are not taken")
    if roles.others:
        guess.odd.append(f"{examples(roles.others)} not used: the labels are the folders in {above}")
    return guess


def above_classes(contents: Contents, roles: Roles) -> str:
    """The folder that has a folder for each class."""
    folders = {above: names for above, names in contents.classes.items() if not all(map(PART.match, names))}
    if len(roles.answer) > 1:
        folders = {above: names for above, names in folders.items() if set(names) == set(roles.answer)}
    folders = {above: names for above, names in folders.items() if "train" in above.lower()} or folders
    if not folders:
        hint = classes_in_names(contents)
        raise UserError(unlabelled(contents, roles) + (f"; {hint}" if hint else ""))
    if len(folders) > 1:
        remedy = "call one of them train, or leave one"
        raise UserError(f"several folders have a folder a class, {examples(folders)}: {remedy}")
    ((above, names),) = folders.items()
    if not above:
        place = f"beside all else in {contents.root}"
        raise UserError(f"the classes' folders, {examples(names)}, lie {place}: move them into one folder, train")
    return above


def unlabelled(contents: Contents, roles: Roles) -> str:
    """The reason why train rows have no classes; that they are of a kind that is not offered has precedence."""
    id, answer, sample_file = roles.id, roles.answer, roles.sample_file
    for name, df in roles.others.items():
        answering.check_columns(name, df)
        if id not in df and any(column in df for column in answer):
            return (
                f"{sample_file} calls its ids {id!r}, and {name} has no such column ({examples(df)}): choose by --id, "
                "or rename that column so that all tables have one name"
            )
    wanted = f"the column {answer[0]!r}" if len(answer) == 1 else f"{len(answer)} columns, {examples(answer)},"
    tables = "; ".join(f"{name} has {examples(df, 6)}" for name, df in roles.others.items())
    return (
        f"{sample_file} wants {wanted} by {id!r}, and nothing tells these of train rows: "
        f"{tables or 'there is no other table'}, and no folder has a folder a class{still_packed(contents)}"
    )


def test_folder(contents: Contents, ids: list[str], above: str) -> tuple[str, str]:
    """The folder whose pictures are called like the ids, and the ending that the ids lack."""
    counts = {}
    for folder, names in contents.folders.items():
        if f"{folder}/".startswith(f"{above}/") or SPECIAL.search(folder):
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
        raise UserError(f"no folder has pictures called as the ids, such as {ids[0]!r}: {picture_places(contents)}")
    best = [pair for pair in counts if counts[pair] == max(counts.values())]
    best = best if len(best) == 1 else [pair for pair in best if "test" in pair[0].lower()]
    if len(best) != 1:
        folders = examples(folder for folder, _ in counts)
        raise UserError(f"test pictures lie in several folders, {folders}: leave one there")
    return best[0]
