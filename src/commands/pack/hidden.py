"""A made-up hidden test set: the competition's folder as Kaggle mounts it, with as many test rows as wanted."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from src.data import coco, images, locating, patterns, tables, units
from src.leaderboard import faults
from src.leaderboard.faults import Requirements
from src.schema.competition import Competition


@dataclass(frozen=True)
class Hidden:
    rows: int  # of the test set: pictures
    asked: Requirements  # what a submission must have
    copied_from: Mapping[str, str]  # of each picture, or unit, that is new: the real one whose pixels it has


def lay_out(competition: Competition, rows: int | None, folder: Path) -> Hidden:
    """Write test and sample_submission with `rows` rows, the real ones and these again under new ids, into `folder`.

    All else in it are links to the competition's files. The solution is not there, as on Kaggle. Without `rows` it has
    as many as there are, and for a smoke run always those. Units are whole, for which there may be a few rows more.
    """
    source, sample_id = competition.input(""), competition.sample_id
    test, sample = (tables.read_part(competition, part) for part in ("test", "sample_submission"))
    files = patterns.is_pattern(competition.test)  # a row is a file, and there are no fewer than there are
    if rows is None or competition.limit is not None or (files and rows < len(test)):
        rows = len(test)
    turns = whole_units(units.ids_of(competition, test), rows)
    real, again = test.iloc[np.sort(turns[: len(test)])], test.iloc[turns[len(test) :]]
    added = renamed(competition, again, pd.concat([tables.read_part(competition, "train"), test]))
    copied_from = dict(zip(*(units.ids_of(competition, df) for df in (added, again)), strict=True))
    if not copied_from.keys().isdisjoint(units.ids_of(competition, test)):  # the units' names are a part of their ids
        again, added, copied_from = again[:0], added[:0], {}
    larger = pd.concat([real, added])
    ids = (copied_from, copied_from.values(), units.ids_of(competition, real).unique())
    new, old, kept = (competition.form.row_ids(some, competition.classes) for some in ids)
    copies = sample.set_index(sample_id, drop=False).loc[old].assign(**{sample_id: new})
    sample = pd.concat([sample[sample[sample_id].isin(kept)], copies])
    pairs = zip(*(tables.image_paths(competition, df, "test") for df in (added, again)), strict=True)
    links = {named_as(new, there).relative_to(source): there for new, there in pairs if new != there}
    written = (*(() if files else (competition.test,)), competition.sample_submission, competition.solution)
    overlay(source, folder, {*map(Path, written), *links})
    if coco.is_json(competition.test):
        coco.write(folder / competition.test, larger)
    elif not files:
        larger.to_csv(folder / competition.test, index=False, lineterminator="\n")
    sample.to_csv(folder / competition.sample_submission, index=False, lineterminator="\n")
    for path, there in links.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)  # of a unit, or a row, that has a folder of its own
        (folder / path).symlink_to(there.resolve())
    if competition.limit is not None:
        return Hidden(len(tables.read(competition).test), *faults.requirements(competition), copied_from)
    asked = Requirements(sample[sample_id].tolist(), list(sample.columns), "the rehearsal's sample_submission")
    return Hidden(len(larger), asked, copied_from)


def whole_units(names: pd.Series, rows: int) -> np.ndarray:
    """The places of so many rows, all of them again and again, a unit at a time; a few more, to the end of the last."""
    which = pd.factorize(names)[0]
    order = np.argsort(which, kind="stable")
    turns = np.resize(order, -(-rows // len(order)) * len(order))
    ends = 1 + np.flatnonzero(np.resize(np.append(np.diff(which[order]) != 0, True), len(turns)))
    return turns[: ends[np.searchsorted(ends, rows)]]


def renamed(competition: Competition, again: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Rows that are there again with new ids, and with a new name for each round of a unit's.

    Where rows are files, they get new paths; if these are the ids, it is a field of the pattern that gets a new name.
    """
    id, test, added = competition.id, competition.test, again.copy()
    columns = [name for name in units.columns(competition) if name != id]
    for column in columns[:1]:
        turn = again.groupby(id).cumcount()  # the round in which a row is there once more
        of_unit = pd.MultiIndex.from_arrays([turn, again[column]])
        found = of_unit.unique()
        names = unused_ids(found.get_level_values(1).tolist(), {*known[column]})
        added[column] = pd.Series(names, found)[of_unit].to_numpy()
    fields = patterns.fields(test)
    name = id if not fields or id in fields else fields[-1]
    added[name] = unused_ids(again[name].tolist(), {*known[name]})
    if fields:
        images_folder = competition.input(competition.images)
        at = (competition.input(path).relative_to(images_folder).as_posix() for path in patterns.fill_rows(test, added))
        added[patterns.path_column(test)] = paths = [*at]
        added[id] = added[id] if id in fields else paths
    return added


def named_as(new: Path, there: Path) -> Path:
    """The path of a picture that is not there yet, with the ending of the one that it is a copy of."""
    return new.with_suffix(there.suffix) if new.name.endswith(locating.ANY_ENDING) else new


def unused_ids(ids: list[str], taken: set[str]) -> list[str]:
    """A new id for each, like none before; for an id that is a picture's name, the name of another."""
    taken, new_ids = set(taken), []
    for id in ids:
        stem, dot, ending = id.rpartition(".") if images.is_picture(id) else (id, "", "")
        candidates = (f"{stem}x{k}{dot}{ending}" for k in itertools.count(1))
        new_ids.append(next(new for new in candidates if new not in taken))
        taken.add(new_ids[-1])
    return new_ids


def overlay(source: Path, folder: Path, own: set[Path]) -> None:
    """Links to all in `source` but for the paths in `own`, which the caller writes: the folders of these are real."""
    folder.mkdir(parents=True)
    for entry in sorted(source.iterdir()):
        inside = {Path(*path.parts[1:]) for path in own if path.parts[0] == entry.name}
        if not inside:
            (folder / entry.name).symlink_to(entry.resolve())
        elif entry.is_dir():
            overlay(entry, folder / entry.name, inside)
