"""The faults of a submission CSV, from its bytes to its answers: each is one line, with its fix."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from src.base.errors import counted, unknown
from src.base.spellings import SPELLINGS, respellings
from src.data import tables
from src.leaderboard.reading import match_columns, parse_cells
from src.schema.competition import Competition

BLANK = {"", "nan", "none", "null", "na", "n/a", "<na>", "nat"}
SLACK = 1e-6  # by so much a float32 probability may be above 1
CLASSES_NAMED = 12  # classes in a line at most


@dataclass(frozen=True)
class Requirements:
    """The required ids and columns of a submission."""

    ids: Sequence[str]  # in any order
    columns: Sequence[str]  # in this order
    source: str  # the tables of these ids and columns
    more: bool = False  # whether it may have rows of other ids


def requirements(competition: Competition, more: bool = False) -> list[Requirements]:
    """Return the requirements of a submission: two where test and sample_submission have not the same ids, else one.

    Raises:
        UserError: The competition's tables have other faults.
    """
    tables.require_data(competition)
    id, paths = competition.id, [Path(path) for path in (competition.test, competition.sample_submission)]
    test, sample = frames = [tables.read_part(competition, part) for part in ("test", "sample_submission")]
    columns, source = list(sample.columns), " and ".join(path.name for path in paths)
    whole = id in test and set(columns) == set(tables.columns_needed(competition)["sample_submission"])
    if not whole or competition.limit is not None or not all(df[id].is_unique for df in frames):
        rows = tables.read(competition)  # which has a smoke run's rows, or refuses the tables
        return [Requirements(rows.sample_submission[id].tolist(), columns, f"{source} of this smoke run", more)]
    ids = [df[id].tolist() for df in frames]
    if set(ids[0]) == set(ids[1]):
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
    """Return the faults; where there are none, the answers: the probabilities by id, a column a class.

    They are float64, since Kaggle reads what the file has. Labels are answers of probability 1.
    """
    df, faults = parse_cells(raw)
    if df is None:
        return faults, None
    df, more = match_columns(competition, df, required.columns)
    faults += more
    if competition.id in df:
        faults += id_faults(competition, df, required)
    answers = None
    if set(required.columns) <= set(df):
        read = labels if competition.scorer.of_labels else probabilities
        probs, more = read(competition, df)
        faults += more
        if not faults:
            answers = pd.DataFrame(probs, index=df[competition.id].tolist(), columns=list(competition.classes))
    return faults, answers


def id_faults(competition: Competition, df: pd.DataFrame, required: Requirements) -> list[str]:
    """Check the ids, which may be in any order."""
    id, known, faults = competition.id, set(required.ids), []
    ids = df[id]
    if (blank := ids.str.strip() == "").any():
        n = counted(int(blank.sum()), "row")
        faults.append(f"{n} without {id}, the first in line {df.index[blank][0]}: write it in, or take the row out")
    ids = ids[~blank]
    for kind, pairs in respellings(ids[~ids.isin(known)], known - set(ids)).items():
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
    present = set(ids)
    missing = [one for one in required.ids if one not in present]
    if len(missing) > blank.sum():  # else the rows without an id are a fault already
        faults.append(f"{counted(len(missing), 'id')} missing, the first {missing[0]!r} ({size}): add a row for each")
    if not required.more and (other := ~ids.isin(known)).any():
        faults.append(
            f"{counted(ids[other].nunique(), 'id')} unknown, the first {ids[other].iloc[0]!r} "
            f"(line {ids.index[other][0]}; {size}): leave these rows out"
        )
    return faults


def place(competition: Competition, df: pd.DataFrame, rows: np.ndarray) -> str:
    """Return `the first of id '100' (line 2)` of the rows (n,) where a mask is true."""
    id = f" of {competition.id} {df.loc[rows, competition.id].iloc[0]!r}" if competition.id in df else ""
    return f"the first{id} (line {df.index[rows][0]})"


def labels(competition: Competition, df: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Return (n, k) with 1 where a row's label is the class, and the faults of the labels."""
    column, classes, faults = df[competition.label], list(competition.classes), []
    wrong = ~column.isin(classes)
    if (blank := wrong & column.str.strip().str.lower().isin(BLANK)).any():
        n = counted(int(blank.sum()), "row")
        faults.append(f"{n} without {competition.label}, {place(competition, df, blank)}: give each row a class")
    wrong &= ~blank
    for kind, pairs in respellings(column[wrong], classes).items():
        rows = column.isin(pairs)
        first = column[rows].iloc[0]
        faults.append(
            f"{counted(int(rows.sum()), 'label')} {kind}, {place(competition, df, rows)} {first!r} "
            f"for {pairs[first]!r}: {SPELLINGS[kind][1]}"
        )
        wrong &= ~rows
    if wrong.any():
        values = column[wrong]
        fix = unknown("class", values.iloc[0], classes)
        if pd.to_numeric(values, errors="coerce").notna().all():
            fix = f"{values.iloc[0]!r} is a number: write the classes' names, {', '.join(classes[:CLASSES_NAMED])}"
        n = counted(len(values), "label")
        faults.append(f"{n} of no class, {place(competition, df, wrong)}: {fix}")
    return (column.to_numpy()[:, None] == np.array(classes, object)).astype(np.float32), faults


def probabilities(competition: Competition, df: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Return the probabilities (n, k) in the order of the config's classes, and their faults."""
    cells = df[list(competition.classes)]
    text = cells.apply(lambda column: column.str.strip().str.lower())
    blank = text.isin(BLANK).to_numpy()
    probs = text.apply(pd.to_numeric, errors="coerce").to_numpy(float)
    finite = np.isfinite(probs)
    rescaled = competition.scorer.board_per_row is not None
    ranks = "" if rescaled else ", and ranks divided by their number"
    kinds = {
        "without a probability, blank or NaN": (blank, "fill them in"),
        "with a cell that is no number": (np.isnan(probs) & ~blank, "write probabilities such as 0.25"),
        "with an infinite probability": (np.isinf(probs), "write probabilities from 0 to 1"),
        "with a probability that is not in 0 to 1": (
            finite & ((probs < 0) | (probs > 1 + SLACK)),
            "write the softmax, not the logits or per cent" + ranks,
        ),
    }
    faults, wrong = [], np.full(len(df), False)
    for kind, (mask, fix) in kinds.items():
        if mask.any():
            rows = mask.any(axis=1)
            column = mask[rows][0].argmax()
            cell = f"{cells.to_numpy()[rows][0, column]!r} in the column {cells.columns[column]!r}"
            faults.append(f"{counted(int(rows.sum()), 'row')} {kind}, {place(competition, df, rows)}, {cell}: {fix}")
            wrong |= rows
    if rescaled and (none := ~wrong & (probs.sum(axis=1) == 0)).any():
        n = counted(int(none.sum()), "row")
        faults.append(f"{n} of zeros alone, {place(competition, df, none)}, whose sum Kaggle divides by: fill it in")
    return probs, faults
