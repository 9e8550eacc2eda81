"""Comparisons of a probe with the same probe with one field changed: ab.csv, its one writer and one reader."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from src.base.csvs import read_csv
from src.base.errors import UserError
from src.base.files import write_text
from src.base.locks import locked
from src.scoring.significance import verdict


@dataclass(frozen=True)
class Comparison:
    """One model with one field changed, on the same folds and features."""

    field: str
    value: str  # the new value of the field
    model: str
    metric: str
    base: float  # the score of the unchanged model
    base_se: float
    arm: float  # the score with the field changed
    arm_se: float
    difference: float  # how much better the arm is: positive is better, whatever the metric
    difference_se: float  # of the paired difference
    rows: int  # train rows that get another label
    folds: str  # sha256 of folds.csv
    key: str  # a digest of all that changes the numbers

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.field, self.value, self.model

    @property
    def verdict(self) -> str:
        return verdict(self.difference, self.difference_se)


FIELD_TYPES = {field.name: field.type for field in fields(Comparison)}


def read_ab(path: Path) -> list[Comparison]:
    """Read the comparisons in the order of the file; none without a file, a UserError if it is not ours."""
    if not path.is_file():
        return []
    df = read_csv(path)
    try:
        if list(df.columns) != list(FIELD_TYPES):
            raise ValueError(f"its columns are {', '.join(df.columns)}")
        return [
            Comparison(**{name: kind(row[name]) for name, kind in FIELD_TYPES.items()}) for row in df.to_dict("records")
        ]
    except ValueError as error:
        raise UserError(f"{path} is no table of comparisons ({error}): move it away") from error


def put_comparison(path: Path, comparison: Comparison) -> None:
    """Add a comparison, or replace an older one of the same field, value and model; processes may do so at a time."""
    with locked(path.with_name(f".{path.name}.lock")):
        kept = {one.identity: one for one in read_ab(path)}
        kept[comparison.identity] = comparison
        df = pd.DataFrame([asdict(one) for one in kept.values()], columns=list(FIELD_TYPES))
        write_text(path, df.to_csv(index=False, lineterminator="\n", na_rep="nan"))
