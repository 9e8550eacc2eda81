"""Every field of a config that a competition's files tell."""

import pandas as pd

from src.base.errors import UserError, unknown
from src.commands.new import answering, class_folders, locating, looking, wording
from src.commands.new import roles as tables
from src.commands.new.guess import Flags, Guess
from src.commands.new.looking import Contents, examples
from src.commands.new.roles import Roles


def infer(contents: Contents, flags: Flags) -> Guess:
    """Infer the fields that the flags leave open; a UserError says by which flag to choose among several."""
    looking.require_pictures(contents)
    roles = tables.find(contents, flags.id)
    if len(roles.answer) > 1 and flags.label in roles.answer:
        raise UserError(
            f"{roles.sample_file} wants {len(roles.answer)} columns of answers, {examples(roles.answer)}, and --label "
            f"{flags.label} is one of them: {answering.ONLY}"
        )
    metric, why_metric = tables.choose_metric(roles.sample_file, roles.answer, flags.metric)
    labelled = roles.labelled
    if len(trains := {name: df for name, df in labelled.items() if "train" in name.lower()}) == 1:
        labelled = trains
    if len(labelled) > 1:
        remedy = "leave one of them there"
        raise UserError(f"several tables could be that of the train rows, {examples(labelled)}: {remedy}")
    guess = infer_from_tables(contents, flags, roles, next(iter(labelled))) if labelled else None
    if guess is None:
        try:
            guess = class_folders.infer(contents, flags, roles)
        except UserError as error:
            if contents.damaged:
                unread = next(iter(contents.damaged.values()))
                raise UserError(f"{unread} (without that table, {error})") from error
            if misspelt := misspelt_labels(roles):
                raise UserError(misspelt) from error
            raise
    guess.odd += [f"not read: {reason}" for reason in contents.damaged.values()]
    wording.find(contents, guess)
    guess.metric, guess.why["metric"], guess.why["id"] = metric, why_metric, roles.why_id
    if roles.solution is not None:
        guess.solution, guess.why["solution"] = roles.solution, "by its name, or its column Usage"
    guess.why["sample_submission"] = "by its name"
    return guess


def infer_from_tables(contents: Contents, flags: Flags, roles: Roles, train_file: str) -> Guess | None:
    """The competition whose train rows stand in a table; None where the folders are the classes all the same."""
    id, sample_file, test_file = roles.id, roles.sample_file, roles.test_file
    train, test, why, odd = roles.others[train_file], roles.test, {}, []
    answering.check_columns(train_file, [column for column in train if column in roles.answer])
    label, classes, why["label"], why["classes"] = infer_labels(train_file, train, roles, flags.label)
    train = one_row_each(train_file, train, id, [label] if label in train else list(classes))
    test = test.drop_duplicates(id)
    known = {id, label, *classes}
    if label in train:
        answering.check_labels(f"{train_file}: the column {label!r}", train[label])
        is_label = len(roles.answer) == 1
        if is_label and (strange := answering.check_sample(sample_file, roles.sample[label], train[label])):
            odd.append(f"{sample_file}: {strange}: should it be one?")
        known |= {column for column in train if is_one_to_one(train[column], train[label])}
    try:
        # the sample submission's own answers name no picture, though a label may be called as one
        named = test.drop(columns=roles.answer, errors="ignore") if test_file == sample_file else test
        way = locating.find(contents, {"train": train, "test": named}, flags.image)
    except locating.NotFound as error:
        if any(set(names) == set(classes) for names in contents.classes.values()):
            return None
        if lost := lost_zeros(contents, train_file, train[id]):
            raise UserError(lost) from error
        raise
    total, lacking = len(train) + len(test), sum(way.missing.values())
    if lacking:
        odd.append(f"{lacking:,} of {total:,} rows have no picture by image={way.image!r}")
    why["image"] = "as you said" if way.column is None else f"{total - lacking:,} of {total:,} rows have their file so"
    why["train"] = f"it has {id} and " + (label if label in train else "a column a class")
    why["test"] = f"it has the ids of {sample_file}" if test_file != sample_file else "no other table has the test rows"
    paths = {part: list(part_paths) for part, part_paths in way.paths.items()}
    guess = Guess(train_file, test_file, sample_file, id, way.image, label, classes, "", paths, way.images)
    guess.why, guess.odd = why, odd
    guess.note_overlap(train[id], test[id])
    guess.groups = tables.group_columns(train, known | {way.column})
    return guess


def one_row_each(train_file: str, train: pd.DataFrame, id: str, answer: list[str]) -> pd.DataFrame:
    """The train rows without those that repeat one with the same answer, as `data.tables` reads them.

    Raises:
        UserError: Rows of one id have different answers, or are of boxes.
    """
    if train[id].is_unique:
        return train
    answering.check_columns(train_file, list(train))
    train = train.drop_duplicates([id, *answer])
    again = train[train[id].duplicated(keep=False) & (train[id] != "")]
    if len(again):
        several = [f"{id} {one!r} ({', '.join(map(str, df[answer[0]]))})" for one, df in again.groupby(id, sort=False)]
        values = examples(several) if len(answer) == 1 else examples(again[id].unique())
        rows = f"several rows, with different answers, of {values}"
        raise UserError(f"{train_file} has {rows}: boxes, or several labels a picture; {answering.ONLY}")
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


def infer_labels(
    train_file: str, train: pd.DataFrame, roles: Roles, flag: str | None
) -> tuple[str, tuple[str, ...], str, str]:
    """The label's column, the classes, and the reasons for both; `flag` is the value of --label."""
    sample_file, answer = roles.sample_file, roles.answer
    if flag is not None and flag not in train:
        raise UserError("--label: " + unknown("column", flag, train) + f", which {train_file} has")
    if len(answer) == 1:
        (label,) = answer
        if flag not in (None, label):
            raise UserError(f"--label {flag}: {sample_file} has its answers in the column {label!r}, and so must train")
        if label in train:
            return label, ordered(train[label]), f"{sample_file}'s other column", f"those of {train_file}, sorted"
        names = f"{train_file}'s columns of 0 and 1"
        return label, tuple(tables.one_hot(train)), f"made of {names}", names
    order = f"the columns of {sample_file}, in their order"
    columns = tables.class_columns(train, answer)
    if flag is not None:
        if flag not in columns:
            answering.check_labels(f"{train_file}: the column {flag!r}", train[flag])
            raise UserError(f"--label {flag}: its values are not the columns of {sample_file}, {examples(answer)}")
        columns = [flag]
    if len(columns) > 1:
        remedy = f"choose by --label {columns[0]}"
        raise UserError(f"several columns of {train_file} could be the label, {examples(columns)}: {remedy}")
    if columns:
        return columns[0], tuple(answer), f"its values are the columns of {sample_file}", order
    answering.check_one_hot(train_file, train[answer])
    label = next(name for name in ("label", "class", "target") if name not in train)
    return label, tuple(answer), f"no column: made of {train_file}'s columns of 0 and 1", order


def is_one_to_one(column: pd.Series, labels: pd.Series) -> bool:
    """True if a column has the labels under other names."""
    pairs = len(pd.DataFrame({"a": column, "b": labels}).drop_duplicates())
    return pairs == column.nunique() == labels.nunique()


def ordered(labels: pd.Series) -> tuple[str, ...]:
    """The classes, sorted; numbers by their value."""
    values = [value for value in labels.unique() if value != ""]
    whole = all(value.removeprefix("-").isdecimal() for value in values)
    return tuple(sorted(values, key=int if whole else None))
