"""What a competition is, told by its files: every field of a config that they tell."""

import pandas as pd

from src.base.errors import UserError, unknown
from src.commands.new import answering, class_folders, locating, looking, roles, wording
from src.commands.new.guess import Asked, Guess
from src.commands.new.looking import Contents, examples
from src.commands.new.roles import Roles


def infer(contents: Contents, asked: Asked) -> Guess:
    """What the files say, where the user has not.

    Raises:
        UserError: There are no pictures, something is ambiguous (says by which flag to choose), or not offered here.
    """
    looking.pictured(contents)
    found = roles.find(contents, asked.id)
    if len(found.answer) > 1 and asked.label in found.answer:
        raise UserError(
            f"{found.sample_file} wants {len(found.answer)} columns of answers, {examples(found.answer)}, and --label "
            f"{asked.label} is one of them: {answering.ONLY}"
        )
    metric, of_metric = roles.metric_of(found, asked.metric)
    labelled = found.labelled
    if len(trains := {name: df for name, df in labelled.items() if "train" in name.lower()}) == 1:
        labelled = trains
    if len(labelled) > 1:
        raise UserError(
            f"several tables could be that of the train rows, {examples(labelled)}: leave one of them there"
        )
    guess = of_tables(contents, asked, found, next(iter(labelled))) if labelled else None
    if guess is None:
        guess = class_folders.infer(contents, asked, found)
    wording.find(contents, guess)
    guess.metric, guess.why["metric"], guess.why["id"] = metric, of_metric, found.why_id
    if found.solution is not None:
        guess.solution, guess.why["solution"] = found.solution, "by its name, or its column Usage"
    guess.why["sample_submission"] = "by its name"
    return guess


def of_tables(contents: Contents, asked: Asked, found: Roles, train_file: str) -> Guess | None:
    """The competition whose train rows stand in a table; None where the folders are the classes all the same."""
    id, sample_file, test_file = found.id, found.sample_file, found.test_file
    train, test, why, odd = found.others[train_file], contents.tables[test_file], {}, []
    answering.columns_fit(train_file, [column for column in train if column in found.answer])
    if not train[id].is_unique:
        twice = train[id][train[id].duplicated()].iloc[0]
        raise UserError(
            f"{train_file} has several rows of {id} {twice!r}: boxes, or several labels a picture; {answering.ONLY}"
        )
    label, classes, why["label"], why["classes"] = labels_of(train_file, train, found, asked.label)
    known = {id, label, *classes}
    if label in train:
        answering.labels_fit(f"{train_file}: the column {label!r}", train[label])
        if len(found.answer) == 1 and (
            strange := answering.sample_fits(sample_file, found.sample[label], train[label])
        ):
            odd.append(f"{sample_file}: {strange}: should it be one?")
        known |= {column for column in train if says_the_same(train[column], train[label])}
    try:
        way = locating.find(contents, {"train": train, "test": test}, asked.image)
    except locating.NotFound:
        if any(set(names) == set(classes) for names in contents.classes.values()):
            return None
        raise
    total, lacking = len(train) + len(test), sum(way.missing.values())
    if lacking:
        odd.append(f"{lacking:,} of {total:,} rows have no picture by image={way.image!r}")
    why["image"] = "as you said" if way.column is None else f"{total - lacking:,} of {total:,} rows have their file so"
    why["train"] = f"it has {id} and " + (label if label in train else "a column a class")
    why["test"] = f"it has the ids of {sample_file}" if test_file != sample_file else "no other table has the test rows"
    paths = {part: list(of_part) for part, of_part in way.paths.items()}
    guess = Guess(train_file, test_file, sample_file, id, way.image, label, classes, "", paths, way.images)
    if overlap := len(set(train[id]) & set(test[id])):
        guess.ids_overlap, why["ids_overlap"] = True, f"{overlap:,} ids are in train and in test"
    guess.groups = roles.groups_of(train, known | {way.column})
    guess.why, guess.odd = why, odd
    return guess


def labels_of(
    train_file: str, train: pd.DataFrame, found: Roles, asked: str | None
) -> tuple[str, tuple[str, ...], str, str]:
    """The label's column, the classes, and why each is that."""
    sample_file, answer = found.sample_file, found.answer
    if asked is not None and asked not in train:
        raise UserError("--label: " + unknown("column", asked, train) + f", which {train_file} has")
    if len(answer) == 1:
        (label,) = answer
        if asked not in (None, label):
            raise UserError(
                f"--label {asked}: {sample_file} has its answers in the column {label!r}, and so must train"
            )
        if label in train:
            return label, ordered(train[label]), f"{sample_file}'s other column", f"those of {train_file}, sorted"
        names = f"{train_file}'s columns of 0 and 1"
        return label, tuple(roles.one_hot(train)), f"made of {names}", names
    order = f"the columns of {sample_file}, in their order"
    columns = roles.columns_of(train, answer)
    if asked is not None:
        if asked not in columns:
            answering.labels_fit(f"{train_file}: the column {asked!r}", train[asked])
            raise UserError(f"--label {asked}: its values are not the columns of {sample_file}, {examples(answer)}")
        columns = [asked]
    if len(columns) > 1:
        raise UserError(
            f"several columns of {train_file} could be the label, {examples(columns)}: choose by --label {columns[0]}"
        )
    if columns:
        return columns[0], tuple(answer), f"its values are the columns of {sample_file}", order
    answering.is_one_hot(train_file, train[answer])
    label = next(name for name in ("label", "class", "target") if name not in train)
    return label, tuple(answer), f"no column: made of {train_file}'s columns of 0 and 1", order


def says_the_same(column: pd.Series, labels: pd.Series) -> bool:
    """Whether a column is the labels under other names."""
    pairs = len(pd.DataFrame({"a": column, "b": labels}).drop_duplicates())
    return pairs == column.nunique() == labels.nunique()


def ordered(labels: pd.Series) -> tuple[str, ...]:
    """The classes, sorted; numbers by their value."""
    values = [value for value in labels.unique() if value != ""]
    whole = all(value.removeprefix("-").isdecimal() for value in values)
    return tuple(sorted(values, key=int if whole else None))
