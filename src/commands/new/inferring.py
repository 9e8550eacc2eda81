"""Every field of a config that a competition's files tell."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd

from src.base.errors import UserError, counted, unknown
from src.base.text import examples
from src.commands.new import (
    answering,
    class_folders,
    evaluation,
    grouping,
    locating,
    looking,
    melting,
    settling,
    targets,
    units,
    wording,
)
from src.commands.new import roles as tables
from src.commands.new.evaluation import Wanted
from src.commands.new.guess import Flags, Guess
from src.commands.new.looking import Contents
from src.commands.new.roles import Roles
from src.commands.new.targets import Asked
from src.data.labels import to_numbers
from src.data.patterns import path_column
from src.data.tables import without_hidden
from src.schema.settings import Unit

VALIDATION = re.compile(r"(?i)(^|[\W_])val(id(ation)?)?([\W_\d]|$)")
NOBODY = Wanted()  # has named a metric


def infer(contents: Contents, flags: Flags, wanted: Wanted = NOBODY) -> Guess:
    """Infer the fields that the flags leave open; a UserError says by which flag to choose among several."""
    looking.require_pictures(contents)
    roles = tables.find(contents, flags.id, flags.label)
    if len(roles.answer) > 1 and flags.label in roles.answer:
        raise UserError(
            f"{roles.sample_file} wants {len(roles.answer)} columns of answers, {examples(roles.answer)}, and --label "
            f"{flags.label} is one of them: a submission has all"
        )
    guess, name, files = None, *train_table(roles)
    if files:
        if len(files) > 1:
            roles = replace(roles, others={**roles.others, name: roles.labelled_rows(files)})
        guess = infer_from_tables(contents, flags, roles, name, wanted)
    if guess is not None and len(files) > 1:
        guess.train = files
    if guess is None:
        try:
            guess, labels = class_folders.infer(contents, flags, roles)
        except UserError as error:
            if contents.damaged:
                unread = next(iter(contents.damaged.values()))
                raise UserError(f"{unread} (without that table, {error})") from error
            if misspelt := misspelt_labels(roles):
                raise UserError(misspelt) from error
            raise
        settling.settle_submission(guess, roles, wanted, flags, evaluation.pages(contents.root))
        settling.note_rare(guess, Counter(labels))
    guess.odd += [f"not read: {reason}" for reason in (*contents.damaged.values(), *contents.passed_over.values())]
    wording.find(contents, guess)
    guess.why["id"] = roles.why_id
    if roles.solution is not None:
        guess.solution, guess.why["solution"] = roles.solution, "by its name, or its column Usage"
    guess.why["sample_submission"] = "by its name"
    return guess


def train_table(roles: Roles) -> tuple[str, tuple[str, ...]]:
    """The name of the table of train rows, and its files; no file where no table could be it.

    Of several it is that whose name says train, with the rows that a table of the same columns has for validation.

    Raises:
        UserError: Several could be it.
    """
    labelled = roles.labelled
    trains = [name for name in labelled if "train" in name.lower()] if len(labelled) > 1 else [*labelled]
    if len(labelled) > 1 and len(trains) != 1:
        remedy = "leave one of them there"
        raise UserError(f"several tables could be that of the train rows, {examples(labelled)}: {remedy}")
    for name, df in labelled.items() if trains else ():
        train, ids = labelled[trains[0]], {id for one in trains for id in labelled[one][roles.id]}
        if VALIDATION.search(name) and set(df) == set(train) and ids.isdisjoint(df[roles.id]):
            trains.append(name)
    return " and ".join(trains), tuple(trains)


def infer_from_tables(contents: Contents, flags: Flags, roles: Roles, train_file: str, wanted: Wanted) -> Guess | None:
    """The competition whose train rows stand in a table; None where the folders are the classes all the same."""
    id, sample_file, test_file = roles.id, roles.sample_file, roles.test_file
    train, test, why, odd = (
        melting.widened(without_hidden(roles.others[train_file], id), id, roles.answer[0], roles.melted),
        roles.test,
        {},
        [],
    )
    asked = infer_target(contents, train_file, train, roles, flags.label, wanted)
    label = asked.label
    tests = train[id].isin(roles.ids)
    if label in train and tests.any() and (train.loc[tests, label] == "").all():
        n = counted(int(tests.sum()), "row")
        raise UserError(
            f"{train_file} has the test rows too, {n} without {label} that {sample_file} names, which are none to "
            "learn: move them into a table of their own, as test.csv"
        )
    train = one_row_each(train_file, train, id, [label] if label in train else list(asked.classes))
    if test_file == sample_file:
        # the sample submission's own answers name no picture, though a label may be called as one
        test = pd.DataFrame({id: roles.ids})
    test = test.drop_duplicates(id)
    known = {id, label, *asked.classes}
    if label in train:
        known |= {column for column in train if is_one_to_one(train[column], train[label])}
    try:
        way = locating.find(contents, {"train": train, "test": test}, flags.image)
    except locating.NotFound as error:
        if any(set(names) == set(asked.classes) for names in contents.classes.values()):
            return None
        if lost := lost_zeros(contents, train_file, train[id]):
            raise UserError(lost) from error
        raise
    odd += filter(None, [way.odd])
    total, lacking = len(train) + len(test), sum(way.missing.values())
    if lacking:
        odd.append(f"{lacking:,} of {total:,} rows have no picture by image={way.image!r}")
    why["image"] = "as you said" if way.column is None else f"{total - lacking:,} of {total:,} rows have their file so"
    why["train"] = f"it has {id} and " + (label if label in train else "a column a class")
    why["test"] = f"it has the ids of {sample_file}" if test_file != sample_file else "no other table has the test rows"
    paths = {part: list(part_paths) for part, part_paths in way.paths.items()}
    if test_file == sample_file and roles.sample_id != id:
        folder, ending = class_folders.test_folder(contents, roles.ids, ["train"])
        if not set(paths["train"]).isdisjoint(f"{folder}/{name}".lstrip("/") for name in contents.folders[folder]):
            raise UserError(
                f"{train_file} calls its ids {id!r} and {sample_file} {roles.sample_id!r}, no table has the test rows "
                f"by {id!r}, and train pictures lie beside theirs: rename that column in one of the two tables"
            )
        test_file = f"{folder}/{{{id}}}{ending}".lstrip("/")
        why["test"] = f"no table has the test rows by {id}: the files are called as the ids of {sample_file}"
    guess = Guess(train_file, test_file, sample_file, id, way.image, label, asked.classes, "", paths, way.images)
    guess.task, guess.separator, guess.span = asked.task, asked.separator, asked.span
    guess.why, guess.odd = asked.why | why, odd + asked.odd
    guess.note_overlap(train[id], test[id])
    guess.groups = tables.group_columns(train, known | {way.column, roles.unit and roles.unit.column})
    if roles.unit is not None:
        units.check_labels(train_file, train, roles.unit, label)
        guess.unit = Unit(roles.unit.column)
        guess.why["unit"] = f"{test_file} has several pictures of a row of {sample_file}: the mean of their predictions"
    if roles.test_file != sample_file:
        guess.unused = unused_numbers(train, test, known | {way.column, *guess.groups})
    if way.several:
        guess.id, guess.unit, guess.ids_overlap = path_column(way.image), Unit(id), False
        guess.why["unit"] = "a row has several pictures, which have its label: the mean of their predictions"
    settling.settle_submission(guess, roles, wanted, flags, evaluation.pages(contents.root))
    settling.note_rare(guess, settling.rows_of(asked, train))
    grouping.settle(guess, train, test, train[label] if label in train and asked.task == "class" else None)
    return guess


def infer_target(
    contents: Contents, train_file: str, train: pd.DataFrame, roles: Roles, flag: str | None, wanted: Wanted
) -> Asked:
    """The target of the train rows, and the reasons; `flag` is the value of --label."""
    sample_file, answer = roles.sample_file, roles.answer
    if flag is not None and flag not in train:
        raise UserError("--label: " + unknown("column", flag, train) + f", which {train_file} has")
    lists = [df for df in roles.others.values() if roles.id not in df]
    names = [set(df[column]) for df in lists for column in df if df[column].is_unique]
    names += [set(known) for known in contents.lists.values()]
    if len(answer) == 1 and not roles.melted:
        label = flag or roles.label_in(train)
        if label is None:
            made_of = f"{train_file}'s columns of 0 and 1"
            asked = of_columns(train_file, train, tables.one_hot(train), answer[0], made_of)
            asked.why["label"] = f"made of {made_of}"
            return asked
        answers = roles.sample[answer[0]]
        asked = targets.of_column(f"{train_file}: the column {label!r}", train[label], answers, names, wanted)
        other = "other column" if label == answer[0] else f"column {answer[0]!r}, by its name or values"
        asked.why = {"label": "as you said" if flag else f"{sample_file}'s {other}"} | asked.why
        asked.why["classes"] = f"those of {train_file}, sorted"
        return asked
    wanted_columns, order = answer, f"the columns of {sample_file}, in their order"
    if roles.melted:
        wanted_columns, order = list(roles.melted.labels), f"the labels in the ids of {sample_file}"
    columns = [flag] if flag is not None else tables.class_columns(train, wanted_columns)
    if flag is not None and set(train[flag]) != set(wanted_columns):
        answering.check_cells(f"{train_file}: the column {flag!r}", train[flag])
        raise UserError(f"--label {flag}: its values are not the columns of {sample_file}, {examples(wanted_columns)}")
    if len(columns) > 1:
        remedy = f"choose by --label {columns[0]}"
        raise UserError(f"several columns of {train_file} could be the label, {examples(columns)}: {remedy}")
    if columns:
        reasons = {"label": f"its values are the columns of {sample_file}", "classes": order}
        return Asked("class", columns[0], tuple(wanted_columns), why=reasons)
    if missing := [column for column in wanted_columns if column not in train]:
        raise UserError(
            f"{train_file} has no column {missing[0]!r}, one of the {len(wanted_columns)} labels of {sample_file}, and "
            f"none whose values are these labels ({examples(train, 8)})"
        )
    is_melted = roles.melted is not None and answer[0] in roles.others[train_file]
    return of_columns(train_file, train, wanted_columns, answer[0] if is_melted else None, order)


def of_columns(train_file: str, train: pd.DataFrame, columns: list[str], label: str | None, order: str) -> Asked:
    label = label or next(name for name in ("label", "class", "target", "labels") if name not in train)
    return targets.of_columns(train_file, train[columns], label, order)


def one_row_each(train_file: str, train: pd.DataFrame, id: str, answer: list[str]) -> pd.DataFrame:
    """The train rows without those that repeat one with the same answer, as `data.tables` reads them.

    Raises:
        UserError: Rows of one id have different answers, or are of boxes.
    """
    if train[id].is_unique:
        return train
    answering.check_columns(train_file, train)
    train = train.drop_duplicates([id, *answer])
    again = train[train[id].duplicated(keep=False) & (train[id] != "")]
    if len(again):
        several = [f"{id} {one!r} ({', '.join(map(str, df[answer[0]]))})" for one, df in again.groupby(id, sort=False)]
        values = examples(several) if len(answer) == 1 else examples(again[id].unique())
        rows = f"several rows, with different answers, of {values}"
        raise UserError(f"{train_file} has {rows}: boxes, or a row a label; {answering.ONLY}, in one row")
    return train


def lost_zeros(contents: Contents, train_file: str, ids: pd.Series) -> str | None:
    """The reason why numbers name no picture: their leading zeros were lost. None where that is not it."""
    bare = ids.str.replace(r"\.0+$", "", regex=True)
    numbers = {one: digits for one, digits in zip(ids, bare, strict=True) if digits.isascii() and digits.isdigit()}
    for width in sorted({len(name) for name in contents.named if name.isdigit()}):
        named = {one: digits.zfill(width) for one, digits in numbers.items() if digits.zfill(width) in contents.named}
        lost = next((one for one, name in named.items() if one != name), None)
        if lost is None or 2 * len(named) < len(ids):
            continue
        path = contents.named[named[lost]][0]
        problem = f"{train_file}: its {ids.name} was read as numbers once, {lost!r} for {path}: write it as text"
        if "." in lost:
            return problem
        pattern = path.replace(named[lost], f"{{{ids.name}:0>{width}}}").replace("train", "{part}")
        return f"{problem}, or give the pattern by --image, such as '{pattern}'"
    return None


def misspelt_labels(roles: Roles) -> str | None:
    """The reason why a column's values are not the columns of the sample submission: they are spelt in another way."""
    wanted = {name.strip().casefold(): name for name in roles.answer}
    for file, df in roles.others.items() if len(wanted) > 1 else ():
        for column in df if roles.id in df else ():
            values = [value for value in df[column].unique() if value.strip()]
            if {value.strip().casefold() for value in values} == set(wanted):
                wrong = next((value for value in values if value not in roles.answer), None)
                if wrong is not None:
                    right = wanted[wrong.strip().casefold()]
                    return f"{file}: the {column} {wrong!r} is {right!r} in {roles.sample_file}: write both alike"
    return None


def unused_numbers(train: pd.DataFrame, test: pd.DataFrame, known: set[str]) -> list[str]:
    """The other columns of numbers that both tables have."""
    both = [column for column in train if column in test and column not in known and train[column].nunique() > 1]
    numbers = to_numbers(train[both].head(1000))
    return [column for column, cells in zip(both, numbers.T, strict=True) if np.isfinite(cells).mean() > 0.5]


def is_one_to_one(column: pd.Series, labels: pd.Series) -> bool:
    """True if a column has the labels under other names."""
    pairs = len(pd.DataFrame({"a": column, "b": labels}).drop_duplicates())
    return pairs == column.nunique() == labels.nunique()
