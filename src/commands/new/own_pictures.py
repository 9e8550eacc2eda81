"""Pictures that are no competition: a folder a class, or a CSV of labels. Their source makes the tables of one."""

import os
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from src.base.csvs import read_csv
from src.base.errors import UserError, unknown
from src.base.paths import ROOT
from src.base.text import examples
from src.commands.new import locating, looking, roles, settling, submitting, targets, wording
from src.commands.new.class_layouts import PART
from src.commands.new.evaluation import Wanted
from src.commands.new.guess import Flags, Guess
from src.commands.new.looking import Contents, classes_in_names, not_read, picture_places
from src.data.locating import ANY_ENDING
from src.data.patterns import fields, is_pattern, pictures, visible_files
from src.data.sources import written
from src.data.sources.folder import TEST, TRAIN, Folder

# Folders called so hold the set, and are no class beside others
DATA = re.compile(r"(?i).*data.*|(all|raw)?_?(images?|imgs?|pictures|photos)|train(ing)?|all|archive|input")

USUAL = re.compile(r"(?i)labels?|class|category|species|targets?|tags?|scores?")  # columns of labels are called so
NO_ANSWERS = pd.Series([], dtype=str)  # there is no sample submission
MOST_UNUSED = 4  # folders


def are(place: Path) -> bool:
    """True of a CSV, and of a folder that has no sample submission but one that our source has written."""
    if place.is_file() or (place / written.RECORD).is_file():
        return True
    names = (path.name for path in visible_files(place) if path.name.lower().endswith((*looking.TABLES, ".txt")))
    return not any(map(roles.is_sample, names))


def source(place: Path, flags: Flags, slug: str | None = None) -> Folder:
    """The source of the pictures in a folder, or of a CSV; a UserError says by which flag to choose among columns.

    Its tables are at input/<slug>/; without a `slug` this is the folder's name.
    """
    folder = place.parent if place.is_file() else place
    contents = looking.look(folder)
    if place == folder:
        looking.require_pictures(contents)
    elif not contents.pictures and folder.parent not in (folder.parent.parent, Path.home()):
        folder = folder.parent  # as of tables/labels.csv beside images
        contents = looking.look(folder)
    if flags.id is not None:
        raise UserError(f"--id {flags.id}: {folder} has no sample submission, so rows get ids of their pictures' paths")
    inside, found = None, {}
    if place.is_file():
        found = label_table(contents, flags, place.relative_to(folder).as_posix())
    elif flags.image is not None or flags.label is not None or (inside := set_folder(contents)) is None:
        found = label_table(contents, flags)
    else:
        for name in [name for name, df in label_tables(contents).items() if namings(contents, name, df)]:
            print(f"look at this: {name} names pictures too: if the labels are in it, {again(folder / name)}")
    if not found and (needless := [name for name in ("image", "label") if getattr(flags, name)]):
        raise UserError(
            f"{folder}: no table there names pictures so, and labels that are folders' names need no --{needless[0]}"
        )
    if not found and inside is None and contents.damaged:
        raise UserError(next(iter(contents.damaged.values())))
    if not found and inside is None and not contents.classes and (unfit := label_tables(contents)):
        label_table(contents, flags, min(unfit, key=lambda name: "train" not in name.lower()))  # says why it does not
    if not found and inside is None and (hint := classes_in_names(contents)):
        raise UserError(f"{folder} has no folders of pictures, one a class: {hint}")
    if not found and inside is None and (unread := not_read(contents)):
        raise UserError(f"{folder} has no folders of pictures, one a class, and no table of labels{unread}")
    path = (folder / found.pop("table", inside or "")).resolve()
    if slug is not None or (place == folder and (found or inside)):  # not that of every train.csv
        found["slug"] = slug or written.slug_of(folder.name)
    return Folder(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path), **found)


def set_folder(contents: Contents) -> str | None:
    """The folder whose folders are the classes, or the splits of these: "" is the root; None if there is none.

    It is the root unless all pictures lie in a folder below it, or the others lie beside one that is called as data.
    """
    sets = {}
    for above, names in contents.classes.items():
        parent, _, name = above.rpartition("/")
        if not all(map(PART.fullmatch, names)):
            sets.setdefault(parent if name.lower() in (*TRAIN, *TEST) else above, names)
    outer = [one for one in sets if not any(one != other and is_below(one, other) for other in sets)]
    if not outer:
        return None
    inside = outer[0] if len(outer) == 1 else os.path.commonpath(outer)
    if not inside:
        if len(outer) > 1 and (twice := set.intersection(*map(set, map(sets.get, outer)))):
            print(
                f"look at this: the classes are the folders {examples(outer)}, and in each are "
                f"{examples(sorted(twice))}: if these are the classes, name one folder alone, or bring them together"
            )
        return ""
    beside = [path for path in contents.pictures if not is_below(path, inside)]
    name = inside.rpartition("/")[2]
    if not beside or DATA.fullmatch(name) or name == contents.root.name:
        left = f", and the {len(beside)} pictures beside it, such as {beside[0]}, are not taken" if beside else ""
        print(f"the classes are the folders in {contents.root / inside}{left}")
        return inside
    print(
        f"look at this: the classes are the folders right in {contents.root}, such as {inside.partition('/')[0]}: if "
        f"they are those in {inside}, {examples(sets[outer[0]])}, name it alone: {again(contents.root / inside)}"
    )
    return ""


def is_below(folder: str, other: str) -> bool:
    return other == "" or f"{folder}/".startswith(f"{other}/")


def again(place: Path) -> str:
    """The command for another place."""
    return f"./run.sh new {shlex.quote(str(place))}"


@dataclass(frozen=True)
class Naming:
    """A column of a table that names pictures."""

    table: str
    column: str
    image: str  # as Folder has it: the column, or a pattern over it
    paths: tuple[str, ...]  # of each row

    @property
    def simple(self) -> tuple[bool, bool, int]:
        return "{" in self.image, self.image.endswith(ANY_ENDING), len(self.image)


def namings(contents: Contents, name: str, df: pd.DataFrame) -> list[Naming]:
    """The ways in which the columns of a table name pictures: of each column those that find the most."""
    below, found = name.rpartition("/")[0], []
    for column in df:
        values, ways = df[column].tolist(), {}
        ways[column] = [os.path.normpath(os.path.join(below, value)) for value in values]
        # a column of labels or of counts may be called as pictures by chance, and no picture has two rows
        if df[column].is_unique and not locating.SPECIAL.search(column):
            for before, suffix in locating.affixes(contents, values, "train"):
                above, _, start = before.rpartition("/")
                inside = f"{os.path.relpath(above or '.', below or '.')}/".removeprefix("./")
                if before or inside or suffix:
                    ways[f"{inside}{start}{{{column}}}{suffix}"] = [f"{before}{value}{suffix}" for value in values]
        ways = {image: tuple(map(contents.picture, paths)) for image, paths in ways.items()}
        hits = {image: sum(path in contents.pictures for path in paths) for image, paths in ways.items()}
        if not any(hits.values()) and values:  # pictures that lie elsewhere
            hits[column] = sum(os.path.isfile(contents.root / path) for path in ways[column])
        found += [
            Naming(name, column, image, ways[image])
            for image, n in hits.items()
            if n and 2 * n >= len(values) and n == max(hits.values())
        ]
    return found


def label_tables(contents: Contents) -> dict[str, pd.DataFrame]:
    """The tables that somebody else than our source has written."""
    ours = written.TABLES if (contents.root / written.RECORD).is_file() else ()
    return {name: df for name, df in contents.tables.items() if name not in ours}


def label_table(contents: Contents, flags: Flags, only: str | None = None) -> dict[str, str]:
    """The one table that names pictures: its file, and its columns of these and of labels; nothing if there is none.

    Args:
        only: The table that was named; if it names no picture, that is a UserError.
    """
    if only in contents.damaged:
        raise UserError(contents.damaged[only])
    frames = label_tables(contents) if only is None else {only: contents.tables[only]}
    pattern = flags.image is not None and is_pattern(flags.image)
    if pattern:
        ways = [Naming(name, "", flags.image, ()) for name, df in frames.items() if set(fields(flags.image)) <= set(df)]
    else:
        ways = [way for name, df in frames.items() for way in namings(contents, name, df)]
        ways = [way for way in ways if flags.image in (None, way.column)]
    if not ways:
        if only is None:
            return {}
        df = contents.tables[only]
        raise UserError(
            f"no picture is found by the columns of {only}, {examples(df, 8)}: {picture_places(contents)}: give the "
            f"pattern from the folder of {only}, as --image 'images/{{{next(iter(df))}}}.jpg'"
        )
    if flags.label is not None:
        ways, needless = [way for way in ways if flags.label in contents.tables[way.table]] or ways, set()
    else:
        ways, needless = labelled(contents, ways)
    ways = sorted(ways, key=lambda way: way.simple)
    if len({(way.table, way.paths) for way in ways}) > 1:
        columns = examples(f"{way.column} of {way.table} ({way.image!r})" for way in ways)
        remedy = "choose by --image, a column or the pattern, or name one table alone"
        raise UserError(f"pictures are named in several ways, {columns}: {remedy}")
    name, image = ways[0].table, ways[0].image
    df, columns = contents.tables[name], fields(image) or [image]
    if flags.label is not None and flags.label not in df:
        raise UserError("--label: " + unknown("column", flags.label, df) + f", which {name} has")
    others = [column for column in df if column not in (*columns, *needless) and df[column].nunique() > 1]
    labels = [column for column in others if df[column].nunique() <= len(df) / 2]
    usual = [column for column in others if USUAL.fullmatch(column)]
    labels = [flags.label] if flags.label is not None else usual if len(usual) == 1 else labels or others
    if len(labels) != 1:
        several = f"several columns of {name} could be the label, {examples(labels)}"
        problem = several if labels else f"{name} has no labels"
        raise UserError(f"{problem}: choose by --label COLUMN (it has {examples(df, 8)})")
    return {"table": name, "image": image, "label": labels[0], **asked_for(name, df[labels[0]], flags)}


def asked_for(table: str, labels: pd.Series, flags: Flags) -> dict[str, str]:
    """The task and the separator as Folder has them, by a column of labels."""
    asked = targets.of_column(f"{table}: the column {labels.name!r}", labels, NO_ANSWERS, (), wanted(flags))
    fields = {"task": asked.task, "separator": asked.separator}
    return {name: value for name, value in fields.items() if value != Folder.model_fields[name].default}


def wanted(flags: Flags) -> Wanted:
    """The metric that was named."""
    return Wanted() if flags.metric is None else Wanted(flags.metric, "as you said", flagged=True)


def labelled(contents: Contents, ways: list[Naming]) -> tuple[list[Naming], set[str]]:
    """The ways without those of tables that have no labels, such as a test.csv, and the columns that these have.

    Such a table has some of the columns of another one that names pictures, and no other.
    """
    columns = {way.table: set(contents.tables[way.table]) for way in ways}
    unlabelled = {one for one, has in columns.items() if any(has < more for more in columns.values())}
    kept = [way for way in ways if way.table not in unlabelled]
    if len({way.table for way in kept}) != 1:
        return ways, set()
    for name in sorted(unlabelled):
        missing = columns[kept[0].table] - columns[name]
        lacks = examples(column for column in contents.tables[kept[0].table] if column in missing)
        print(f"{name} has no column {lacks}, so its {len(contents.tables[name]):,} rows are not used")
    return kept, set().union(*(columns[name] for name in unlabelled))


def unused(place: Path, source: Folder, guess: Guess) -> dict[Path, int]:
    """The folders all of whose pictures are left out, such as a test without labels: {folder: pictures in it}.

    Empty where there are more than a command has room for.
    """
    folder = (place.parent if place.is_file() else place).resolve()
    taken = {os.path.abspath(source.root / source.slug / path) for paths in guess.paths.values() for path in paths}
    used = {os.path.dirname(path) for path in taken}
    left = Counter(path.parent for path in pictures(folder) if str(path.parent) not in used)
    return dict(sorted(left.items())) if len(left) <= MOST_UNUSED else {}


def infer(folder: Path, source: Folder, flags: Flags) -> Guess:
    """Infer the config from the tables that the source has written to `folder`."""
    tables = {part: read_csv(folder / f"{part}.csv") for part in ("train", "test")}
    train, paths = tables["train"], {part: df["image"].tolist() for part, df in tables.items()}
    both = pd.concat([train["label"], read_csv(folder / "solution.csv")["label"]])
    asked = targets.of_labels(source.task, source.separator, both)
    choice = submitting.of_own(asked.task, asked.separator, wanted(flags))
    guess = Guess(
        *(
            "train.csv",
            "test.csv",
            "sample_submission.csv",
            "id",
            "image",
            "label",
            asked.classes,
            choice.metric,
            paths,
        ),
        task=asked.task,
        separator=asked.separator,
        span=asked.span,
        submission=None if choice.form == type(choice.form)() else choice.form,
    )
    guess.groups = roles.group_columns(train, {"id", "image", "label"})
    guess.why = {"train": "the source writes these tables", "classes": "the labels, sorted", **choice.why, **asked.why}
    guess.odd += choice.odd if asked.task != "class" else []
    settling.note_rare(guess, settling.rows_of(asked, train))
    wording.find(looking.look(folder), guess)
    return guess
