"""The competition's tables, read as text and checked against each other. Ids stay what the file says: 007 is not 7."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from src.base.csvs import pass_over, read_csv
from src.base.errors import UserError, counted, listed, unknown
from src.base.spellings import SPELLINGS, by_id, respellings
from src.data import coco, labels, locating, patterns, units
from src.data.images import LEFT_BEHIND, is_hidden
from src.data.texts import Paths, Texts
from src.schema.competition import Competition

PATH = " path"  # no file's column is called so: `read_csv` takes the blanks around their names away
NAMED = 20  # faults that are listed, as `listed` does
MAY_BE_HIDDEN = "(?i)(?:^|/)(?:[.]|" + "|".join(map(re.escape, sorted(LEFT_BEHIND))) + ")"


@dataclass(frozen=True)
class Tables:
    """The rows of a run, sorted by id. Columns are the file's own, and PATH: the image's; all of them are text."""

    train: pd.DataFrame
    test: pd.DataFrame
    sample_submission: pd.DataFrame  # in the file's own order
    notes: tuple[str, ...] = ()  # sentences: what the files have beside these rows and columns, and endings respelt

    def of_both(self, column: str) -> pd.Series:
        """A column of the train rows and behind them the test rows."""
        return pd.concat([self.train[column], self.test[column]], ignore_index=True)


def read_part(competition: Competition, part: str) -> pd.DataFrame:
    """Read all rows of train, test or sample_submission, in a smoke run too; columns are text.

    A pattern lists files (data/patterns.py), and a JSON file is read as COCO's (data/coco.py). Train rows without the
    column of labels get it from columns of 0 and 1 as `labels.add_labels` does; of several labels, those that stand in
    a row each are brought together by `labels.join_rows`. Rows of one id that agree in all that a run needs are one
    row; `df.attrs["passed_over"]` counts the others.

    Raises:
        UserError: As `read_csv`, `coco.read` or `patterns.read`.
    """
    df = below_each_other([read_table(competition, table) for table in competition.tables_of(part)])
    if part == "train":
        df = without_hidden(df, competition.id)
    if part != "sample_submission":
        df = labels.by_picture(competition, df, answered=part == "train")
    if part == "train":
        labels.add_labels(competition, df)
        df = labels.join_rows(competition, df, columns_needed(competition)[part])
        if any(map(coco.is_json, competition.tables_of(part))):
            df = labels.leave_out_unlabelled(competition, df)
    if part != "sample_submission":
        df = units.list_pictures(competition, part, df)
    needed = columns_needed(competition)[part]
    if part == "sample_submission":
        return df.drop(columns=[name for name in df if name not in needed and is_index(name, df[name])])
    return without_repeats(df, competition.id, needed)


def read_table(competition: Competition, table: str) -> pd.DataFrame:
    """Read a CSV, a JSON file, or the files that a pattern lists; a row of these without an id has its path as one."""
    if not patterns.is_pattern(table):
        return (coco.read if coco.is_json(table) else read_csv)(competition.input(table))
    others = {other for part in ("train", "test") for other in competition.tables_of(part) if other != table}
    apart = [patterns.fixed_folder(other) for other in others if patterns.is_pattern(other)]
    df = patterns.read(competition.input(""), table, competition.input(competition.images), apart)
    return df if competition.id in df else df.assign(**{competition.id: df[patterns.path_column(table)]})


def below_each_other(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of all tables; a cell of a column that one lacks is empty."""
    if len(frames) == 1:
        return frames[0]
    df = pd.concat(frames, ignore_index=True).fillna("")
    df.attrs["passed_over"] = [what for one in frames for what in one.attrs.get("passed_over", ())]
    return df


def without_hidden(df: pd.DataFrame, id: str) -> pd.DataFrame:
    """Return the rows but for those of files that are passed over in folders too, as a Mac's .DS_Store."""
    if id not in df:
        return df
    hidden = df[id].str.contains(MAY_BE_HIDDEN).to_numpy(bool, copy=True)
    hidden[hidden] = [is_hidden(PurePosixPath(one).name) for one in df.loc[hidden, id]]
    if not hidden.any():
        return df
    what = f"{counted(int(hidden.sum()), 'row')} of no picture, as {df[id][hidden].iloc[0]}"
    return pass_over(df[~hidden].reset_index(drop=True), what, df)


def without_repeats(df: pd.DataFrame, id: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return the first row of each that are alike in these columns, of which one is the id."""
    repeats = df.duplicated([*columns]) & (df[id] != "") if set(columns) <= set(df) else pd.Series(False, df.index)
    if not repeats.any():
        return df
    n = int(repeats.sum())
    what = f"{counted(n, 'row')} that only {'repeats' if n == 1 else 'repeat'} another"
    if not df[repeats].equals(df[df.duplicated()]):
        what += f" in {', '.join(columns)}"
    return pass_over(df[~repeats].reset_index(drop=True), what, df)


def to_groups(column: pd.Series, ids: pd.Series) -> list[str]:
    """Return the group of each row; where the cell is empty, one of its own, and how many these are is printed."""
    blank = column.str.strip() == ""
    if blank.any():
        print(f"{counted(int(blank.sum()), 'row')} without {column.name}: each is a group of its own")
    return column.where(~blank, "\0" + ids).tolist()  # which no cell has in it, so no other group is called so


def is_index(name: str, column: pd.Series) -> bool:
    """Return whether a column is the index, which pandas wrote beside the data."""
    if name in ("index", "level_0"):
        return column.tolist() == [str(i) for i in range(len(column))]
    return name == "" or name.startswith("Unnamed: ")


def require_data(competition: Competition) -> None:
    """Raise a UserError where the competition's files were not fetched yet."""
    if not (folder := competition.input("")).is_dir():
        raise UserError(f"there is no data of {competition.name} at {folder}: {competition.command('data')} fetches it")


def image_name(pattern: str, part: str, row: Mapping[str, str]) -> str:
    """Return the image of a row by a pattern over its columns, in which {part} is train or test, whatever they are.

    Raises:
        KeyError: A field is none of the row's columns.
        ValueError: It is no pattern.
    """
    return patterns.fill(pattern, {**row, "part": part})


def image_names(competition: Competition, df: pd.DataFrame, part: str) -> pd.Series:
    """Return the image of each row of a part, train or test, as the config's column or pattern names it."""
    if patterns.is_pattern(image := competition.image_of(part)):
        return patterns.fill_rows(image, df.assign(part=part))
    return df[image]


def image_paths(competition: Competition, df: pd.DataFrame, part: str) -> Paths:
    """Return the file of the image of each row of a part, train or test."""
    return locating.locate(competition.input(competition.images), image_names(competition, df, part))


def read(competition: Competition) -> Tables:
    """Read and check the three tables; of a smoke run, only its rows. A UserError lists all faults.

    Raises:
        UserError: Lists every fault that the tables have.
    """
    require_data(competition)
    parts = ("train", "test", "sample_submission")
    files = {part: " and ".join(str(competition.input(one)) for one in competition.tables_of(part)) for part in parts}
    frames = {part: read_part(competition, part) for part in files}
    left_out = {" and ".join(competition.tables_of(part)): df.attrs.get("passed_over") for part, df in frames.items()}
    notes = [f"passed over in {file}: {' and '.join(what)}" for file, what in left_out.items() if what]
    needed = columns_needed(competition)
    faults = [
        f"{files[part]}: {unknown('column', column, frames[part].columns)}"
        for part, columns in needed.items()
        for column in columns
        if column not in frames[part]
    ]
    sample, expected = files["sample_submission"], needed["sample_submission"]
    others = [column for column in frames["sample_submission"] if column not in expected]
    if len(frames["sample_submission"].columns) > len(expected):  # else each stands in the place of one that is missing
        faults += [f"{sample}: {unknown('column', column, expected)}" for column in others]
    if not faults:
        faults = id_faults(competition, files, frames) + labels.faults(competition, files["train"], frames["train"])
        faults += units.faults(competition, files["train"], frames["train"])
    if faults:
        n = counted(len(faults), "fault")
        raise UserError(f"{competition.name}: the tables have {n} to fix:\n{listed(faults)}")
    for part in ("train", "test"):
        df, folder = frames[part], competition.input(competition.images)
        names = image_names(competition, df, part)
        paths = locating.locate(folder, names)
        notes += [f"{part}: {note}" for note in locating.describe_other_endings(folder, names, paths)]
        frames[part] = df.assign(**{PATH: paths.series.array}).iloc[by_id(df[competition.id])].reset_index(drop=True)
    if competition.limit is not None:
        frames = limit_rows(competition, frames)
    return Tables(**frames, notes=tuple(notes))


def read_scored(competition: Competition) -> Tables:
    """`read` with a row for each that is scored: of several pictures of a unit the first, under the unit's id."""
    frames = read(competition)
    train, test = (units.scored(competition, df) for df in (frames.train, frames.test))
    return Tables(train, test, frames.sample_submission, frames.notes)


def columns_needed(competition: Competition) -> dict[str, list[str]]:
    """The columns that each table must have."""
    images = [
        [field for field in patterns.fields(image) if field != "part"] or [image]
        for image in (competition.image_of(part) for part in ("train", "test"))
    ]
    group, unit = [competition.group] if competition.group else [], units.columns(competition)
    beside = competition.columns
    return {
        "train": list(dict.fromkeys([competition.id, *images[0], competition.label, *group, *unit, *beside])),
        "test": list(dict.fromkeys([competition.id, *images[1], *unit, *beside])),
        "sample_submission": competition.sample_columns,
    }


def id_faults(competition: Competition, files: dict[str, str], frames: dict[str, pd.DataFrame]) -> list[str]:
    """Check the ids in and between tables that have their columns."""
    faults = []
    for part, df in frames.items():
        id = competition.sample_id if part == "sample_submission" else competition.id
        column = df[id]
        if not len(column):
            faults.append(f"{files[part]} has no rows")
        if blank := int((column == "").sum()):
            faults.append(f"{files[part]}: {counted(blank, 'row')} without {id}")
        repeats = column[column != ""].value_counts()
        for one, n in repeats[repeats > 1].items():
            values = differences(df[column == one], columns_needed(competition)[part]) if len(faults) < NAMED else ""
            faults.append(f"{files[part]}: {id} {one!r} stands in {n} rows{values}")
    train, test_units = (Texts(units.ids_of(competition, frames[part]).unique()) for part in ("train", "test"))
    id, sample = competition.sample_id, Texts(frames["sample_submission"][competition.sample_id])
    test = Texts(competition.form.row_ids(test_units, competition.classes))
    missing, surplus = {*test[~test.are_in(sample)]}, {*sample[~sample.are_in(test)]}
    if not competition.ids_overlap:
        faults += [f"{id} {one!r} is in train and in test" for one in sorted(test_units[test_units.are_in(train)])]
    for kind, pairs in respellings(sorted(surplus), missing).items():
        wrong, right = next(iter(pairs.items()))
        ids = f"{counted(len(pairs), 'id')} of sample_submission {kind}, {wrong!r} for {right!r} of test"
        faults.append(f"{ids}: {SPELLINGS[kind][1]}")
    faults += [f"{id} {one!r} is in test but not in sample_submission" for one in sorted(missing)]
    faults += [f"{id} {one!r} is in sample_submission but not in test" for one in sorted(surplus)]
    return faults


def differences(rows: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return `, with the label 'red' and 'blue'`: of each column in which rows differ, some values."""
    differ = [name for name in columns if rows[name].nunique() > 1]
    return "".join(f", with the {name} {' and '.join(map(repr, rows[name].unique()[:4]))}" for name in differ)


def limit_rows(competition: Competition, frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Draw a stratified `limit` of train rows, or units, at least two of each stratum, and of test; always the same."""
    train, test, limit = *(units.scored(competition, frames[part]) for part in ("train", "test")), competition.limit
    strata = np.array(labels.strata(competition, train[competition.label].tolist()), object)
    names = list(competition.classes) if competition.task == "class" else sorted(set(strata), key=lambda s: (len(s), s))
    k = len(names)
    if limit < 2 * k:
        unit = "classes" if competition.task == "class" else "kinds of rows"
        raise UserError(f"--limit {limit} is too few: {k} {unit} need at least {2 * k} rows")
    rng = np.random.default_rng(competition.folds.seed)
    counts = pd.Series(strata).value_counts().reindex(names, fill_value=0)
    share = {name: (limit - 2 * k) * max(0, n - 2) / max(1, len(train) - 2 * k) for name, n in counts.items()}
    want = {name: 2 + int(share[name]) for name in names}
    by_remainder = sorted(names, key=lambda name: int(share[name]) - share[name])
    for name in by_remainder[: limit - sum(want.values())]:
        want[name] += 1
    rows, places = [], pd.Series(np.arange(len(strata))).groupby(strata).indices
    for name in names:
        rows.extend(rng.permutation(places.get(name, np.array([], int)))[: want[name]])
    drawn = {
        "train": train[competition.id].iloc[rows],
        "test": test[competition.id].iloc[rng.permutation(len(test))[:limit]],
    }
    sample = frames["sample_submission"]
    asked = set(competition.form.row_ids(drawn["test"], competition.classes))
    parts = {part: df[units.ids_of(competition, df).isin(drawn[part])] for part, df in frames.items() if part in drawn}
    return {
        **{part: df.reset_index(drop=True) for part, df in parts.items()},
        "sample_submission": sample[sample[competition.sample_id].isin(asked)].reset_index(drop=True),
    }
