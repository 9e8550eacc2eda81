"""The faults of a submission CSV, from its bytes to its answers: each is one line, with its fix."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from src.base.errors import counted
from src.base.spellings import SPELLINGS, respellings
from src.data import tables, units
from src.data.texts import Texts
from src.leaderboard import cells
from src.leaderboard.reading import match_columns, parse_cells
from src.schema.competition import Competition


@dataclass(frozen=True)
class Requirements:
    """The required ids and columns of a submission."""

    ids: Sequence[str] | pd.Index  # in any order
    columns: Sequence[str]  # in this order
    source: str  # the tables of these ids and columns
    more: bool = False  # whether it may have rows of other ids


def requirements(competition: Competition, more: bool = False) -> list[Requirements]:
    """Return the requirements of a submission: two where test and sample_submission have not the same ids, else one.

    Raises:
        UserError: The competition's tables have other faults.
    """
    tables.require_data(competition)
    paths = [Path(path) for path in (competition.test, competition.sample_submission)]
    test, sample = [tables.read_part(competition, part) for part in ("test", "sample_submission")]
    columns, source = list(sample.columns), " and ".join(dict.fromkeys(path.name for path in paths))
    id, sample_id = competition.id, competition.sample_id
    whole = {id, *units.columns(competition)} <= set(test) and set(columns) == set(
        tables.columns_needed(competition)["sample_submission"]
    )
    if not whole or competition.limit is not None or not (test[id].is_unique and sample[sample_id].is_unique):
        rows = tables.read(competition)  # which has a smoke run's rows, or refuses the tables
        ids = pd.Index(rows.sample_submission[sample_id])
        return [Requirements(ids, columns, f"{source} of this smoke run", more)]
    asked = competition.form.row_ids(units.ids_of(competition, test).unique(), competition.classes)
    ids = [pd.Index(asked, dtype="str"), pd.Index(sample[sample_id], dtype="str")]
    if all(Texts(one).are_in(other).all() for one, other in (ids, ids[::-1])):
        return [Requirements(ids[1], columns, source, more)]
    return [Requirements(some, columns, path.name, more) for some, path in zip(ids, paths, strict=True)]


def read(
    competition: Competition, path: Path, required: Sequence[Requirements]
) -> tuple[list[str], pd.DataFrame | None]:
    """Return `check_text` of a file, by the requirements that it fits best; if there are two, that is a fault."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return [f"there is no file {path}: fix the path, or make one with {competition.command()}"], None
    except OSError as error:
        return [f"{path} cannot be read ({error.strerror}): name a CSV file that you may read"], None
    looks = [(*check_text(competition, raw, one), one) for one in required]
    faults, answers, best = min(looks, key=lambda look: len(look[0]))
    for other in required:
        if other is not best:
            apart = sorted(set(other.ids) ^ set(best.ids))
            faults.append(
                f"{best.source} has {counted(len(best.ids), 'row')}, {other.source} {len(other.ids)} and "
                f"{counted(len(apart), 'other id')}, such as {apart[0]!r}; the file fits {best.source}: one of the two "
                "tables is stale: download the competition's data again"
            )
    return faults, None if faults else answers


def check_text(competition: Competition, raw: bytes, required: Requirements) -> tuple[list[str], pd.DataFrame | None]:
    """Return the faults; where there are none, the answers: a table of predictions by the pictures' ids.

    It is float64, since Kaggle reads what the file has: see src/leaderboard/cells.py.
    """
    df, faults = parse_cells(raw)
    if df is None:
        return faults, None
    df, more = match_columns(competition, df, required.columns)
    faults += more
    if competition.sample_id in df:
        faults += id_faults(competition, df, required)
    answers = None
    if set(required.columns) <= set(df):
        said, more = cells.read(competition, df)
        faults += more
        if not faults:
            answers = cells.table(competition, pd.Index(df[competition.sample_id].array), said)
    return faults, answers


def id_faults(competition: Competition, df: pd.DataFrame, required: Requirements) -> list[str]:
    """Check the ids, which may be in any order."""
    id, known, faults = competition.sample_id, pd.Index(required.ids), []
    ids = df[id]
    if (blank := ids.str.strip() == "").any():
        n = counted(int(blank.sum()), "row")
        faults.append(f"{n} without {id}, the first in line {df.index[blank][0]}: write it in, or take the row out")
    ids = ids[~blank]
    for kind, pairs in respellings(ids[~Texts(ids).are_in(known)], set(known[~Texts(known).are_in(ids)])).items():
        rows = ids.isin(pairs)
        first = ids[rows].iloc[0]
        faults.append(
            f"{counted(int(rows.sum()), 'id')} {kind}, the first {first!r} (line {ids.index[rows][0]}) "
            f"for {pairs[first]!r}: {SPELLINGS[kind][1]}"
        )
        ids = ids.map(lambda one, pairs=pairs: pairs.get(one, one))
    if (again := ids.duplicated()).any():
        first = ids[again].iloc[0]
        lines = " and ".join(map(str, ids.index[ids == first][:2]))
        n = counted(ids[again].nunique(), "id")
        faults.append(f"{n} in more than one row, the first {first!r} (lines {lines}): keep one row of each")
    size = f"it has {counted(len(df), 'row')}, {required.source} {len(required.ids)}"
    missing = known[~Texts(known).are_in(ids)]
    if len(missing) > blank.sum():  # else the rows without an id are a fault already
        faults.append(f"{counted(len(missing), 'id')} missing, the first {missing[0]!r} ({size}): add a row for each")
    if not required.more and (other := ~Texts(ids).are_in(known)).any():
        faults.append(
            f"{counted(ids[other].nunique(), 'id')} unknown, the first {ids[other].iloc[0]!r} "
            f"(line {ids.index[other][0]}; {size}): leave these rows out"
        )
    return faults
