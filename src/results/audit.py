"""audit.csv, the doubtful rows of the data: its one writer and its one reader. audit.json says how they were found.

One row a finding. Columns: id and part (train or test) of the picture, kind, score, other_id and other_part of the
picture that it is paired with, label, suggested_label; empty where one does not apply. The worst of each kind is first.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from src.base import files
from src.base.csvs import read_csv
from src.base.errors import UserError, unknown
from src.data.labels import unreadable
from src.schema.competition import Competition

COLUMNS = ["id", "part", "kind", "score", "other_id", "other_part", "label", "suggested_label"]
PARTS = ("train", "test")
# Each kind in words, in the order of the file. The score of a pair is the correlation of the two pictures, 1 for the
# same pixels; of a label and of an outlier what cleanlab gives it, of which a small one is the worst; of a constant
# picture its pixels' standard deviation, of 255; of a tiny one its shorter side, in pixels.
FINDING_KINDS = {
    "label": "doubtful label",  # suggested: the likeliest class
    "conflict": "in train with different labels",  # suggested: the other's label
    "leak": "in train and in test",  # id is the test row's; suggested: the train row's label
    "duplicate": "twice in train",
    "test_duplicate": "twice in test",
    "outlier": "far from all others",
    "constant": "of one colour",
    "tiny": "tiny beside the others",
}


def finding_words(competition: Competition) -> dict[str, str]:
    """Each kind in words, where numbers are no labels."""
    if competition.classes:
        return FINDING_KINDS
    return {kind: words.replace("label", "number") for kind, words in FINDING_KINDS.items()}


PAIRED = ("conflict", "leak", "duplicate", "test_duplicate")


@dataclass(frozen=True)
class Audit:
    found: pd.DataFrame  # COLUMNS; the score is a number, all else text
    about: dict[str, Any]  # the content of audit.json


def write(competition: Competition, found: pd.DataFrame, about: dict[str, Any]) -> None:
    """Write audit.csv and then audit.json, which has its sha256: killed in between, both are made again."""
    text = found[COLUMNS].to_csv(index=False, lineterminator="\n", float_format="%.6f")
    files.write_text(competition.audit_csv, text)
    files.write_json(competition.audit_csv.with_suffix(".json"), {**about, "sha256": files.text_sha256(text)})


def about(competition: Competition) -> dict[str, Any] | None:
    """Read audit.json; None where it does not describe the audit.csv that is there."""
    found, path = files.read_json(competition.audit_csv.with_suffix(".json")), competition.audit_csv
    same = found is not None and path.is_file() and files.sha256(path) == found.get("sha256")
    return found if same else None


def read(competition: Competition, train: Collection[str], test: Collection[str]) -> Audit | None:
    """Read the audit of the rows with these ids; None without one, a UserError if changed or of other rows."""
    path = competition.audit_csv
    if not path.is_file():
        return None
    again = f"run {competition.command('audit')}"
    if (made := about(competition)) is None:
        raise UserError(f"{path} was changed since it was made, or its audit.json is gone: {again}")
    found = read_csv(path)
    if fault := find_fault(found, {"train": set(train), "test": set(test)}, competition):
        raise UserError(f"{path}: {fault}: {again}")
    return Audit(found.assign(score=pd.to_numeric(found["score"])), made)


def find_fault(found: pd.DataFrame, ids: dict[str, set[str]], competition: Competition) -> str | None:
    """The reason why a table of text is no audit of rows with these ids of each part; None if it is."""
    if list(found.columns) != COLUMNS:
        return f"its columns are {', '.join(found.columns)}, not {', '.join(COLUMNS)}"
    for kind in set(found["kind"]) - FINDING_KINDS.keys():
        return unknown("kind", kind, FINDING_KINDS)
    if not np.isfinite(pd.to_numeric(found["score"], errors="coerce")).all():
        return "a score is no number"
    paired = found["kind"].isin(PAIRED)
    for id, part, rows in (("id", "part", found), ("other_id", "other_part", found[paired])):
        for name in set(rows[part]) - set(PARTS):
            return unknown("part", name, PARTS)
        for name in PARTS:
            if others := set(rows.loc[rows[part] == name, id]) - ids[name]:
                return f"{id} {min(others)!r} is not in {name}: it is of other rows"
    if (found.loc[~paired, ["other_id", "other_part"]] != "").any(axis=None):
        return f"only {', '.join(PAIRED)} are of two pictures"
    for column in ("label", "suggested_label"):
        if wrong := unreadable(competition, found[column][found[column] != ""]):
            return unknown(column, min(wrong), competition.classes)
    return None
