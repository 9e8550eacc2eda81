"""Pictures that are no competition: a folder a class, or a CSV of labels. Their source makes the tables of one."""

import re
from pathlib import Path

from src.base.errors import UserError, unknown
from src.base.files import read_csv
from src.base.paths import ROOT
from src.commands.new import answering, inferring, looking, roles, wording
from src.commands.new.class_folders import PART
from src.commands.new.guess import Flags, Guess
from src.commands.new.looking import Contents, examples
from src.data import images
from src.data.sources import written
from src.data.sources.folder import Folder


def are(folder: Path) -> bool:
    """True if a folder has no sample submission but one that our source has written."""
    if (folder / written.RECORD).is_file():
        return True
    names = (path.name for path in folder.rglob("*") if path.name.lower().endswith((*looking.TABLES, ".txt")))
    return not any(roles.is_sample(name) for name in names if not images.is_hidden(name))


def source(folder: Path, flags: Flags) -> Folder:
    """The source of the pictures in a folder; a UserError says by which flag to choose among a CSV's columns."""
    contents = looking.look(folder)
    looking.require_pictures(contents)
    if flags.id is not None:
        raise UserError(f"--id {flags.id}: {folder} has no sample submission, so rows get ids of their pictures' paths")
    classes = any(not all(map(PART.match, names)) for names in contents.classes.values())
    fields = {} if classes else label_table(contents, flags)
    if not classes and not fields and contents.damaged:
        raise UserError(next(iter(contents.damaged.values())))
    if not fields and (needless := [name for name in ("image", "label") if getattr(flags, name)]):
        raise UserError(f"{folder}: the labels are its folders' names: leave --{needless[0]} out")
    path = (folder / fields.pop("table", "")).resolve()
    return Folder(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path), **fields)


def label_table(contents: Contents, flags: Flags) -> dict[str, str]:
    """The one table that names pictures: its file, and its columns of these and of labels; nothing if there is none."""
    ours = written.TABLES if (contents.root / written.RECORD).is_file() else ()
    ways = {}
    for name, df in contents.tables.items():
        below = name.rpartition("/")[0]
        for column in df if name not in ours else ():
            paths = [f"{below}/{value}".lstrip("/") for value in df[column]]
            if paths and 2 * sum(path in contents.pictures for path in paths) >= len(paths):
                ways[name, column] = df
    if flags.image is not None:
        ways = {way: df for way, df in ways.items() if way[1] == flags.image}
    if not ways:
        return {}
    if len(ways) > 1:
        columns = examples(f"{column} of {name}" for name, column in ways)
        remedy = "choose by --image, or leave one table there"
        raise UserError(f"pictures are named by several columns, {columns}: {remedy}")
    (((name, image), df),) = ways.items()
    if flags.label is not None and flags.label not in df:
        raise UserError("--label: " + unknown("column", flags.label, df) + f", which {name} has")
    labels = [column for column in df if column != image and 2 <= df[column].nunique() <= len(df) / 2]
    usual = [column for column in labels if re.fullmatch(r"(?i)labels?|class|category|species|target", column)]
    labels = [flags.label] if flags.label is not None else usual if len(usual) == 1 else labels
    if len(labels) != 1:
        several = f"several columns of {name} could be the label, {examples(labels)}"
        problem = several if labels else f"{name} has no labels"
        raise UserError(f"{problem}: choose by --label COLUMN (it has {examples(df, 8)})")
    answering.check_labels(f"{name}: the column {labels[0]!r}", df[labels[0]])
    return {"table": name, "image": image, "label": labels[0]}


def infer(folder: Path, flags: Flags) -> Guess:
    """Infer the config from the tables that the source has written to `folder`."""
    tables = {part: read_csv(folder / f"{part}.csv") for part in ("train", "test")}
    train, paths = tables["train"], {part: df["image"].tolist() for part, df in tables.items()}
    classes = inferring.ordered(train["label"])
    sample_file = "sample_submission.csv"
    metric, why = roles.choose_metric(sample_file, ["label"], flags.metric)
    guess = Guess("train.csv", "test.csv", sample_file, "id", "image", "label", classes, metric, paths)
    guess.groups = roles.group_columns(train, {"id", "image", "label"})
    guess.why = {"train": "the source writes these tables", "classes": "the labels, sorted", "metric": why}
    wording.find(looking.look(folder), guess)
    return guess
