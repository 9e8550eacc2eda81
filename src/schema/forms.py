"""The forms of a submission: what its cells say of a row. Written and read by src/leaderboard/cells.py.

  Label            the label                                   id,label            7,rust
  Probabilities    a column of probabilities a class           id,rust,scab        7,0.9,0.1
  OneProbability   that of a class, or of the sum of some      id,has_rust         7,0.9
  Ranking          the k likeliest labels, the best first      Image,Id            7,rust scab healthy
  LabelList        all labels of a row                         id,labels           7,rust scab
  LabelRows        a row a (picture, label)                    row_id,probability  7_rust,0.9
  OneNumber        a number                                    id,score            7,31.5

Without one in the config it is the form that the metric wants. `id` and `column` are the sample submission's names of
its columns, where these are others than the train table's.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, field_validator

from src.base.errors import unknown
from src.schema.strict import Strict, Text
from src.scoring.class_metrics import ranking
from src.scoring.metrics import Answers, Metric


class Form(Strict):
    kind: ClassVar[str]  # its name in src/leaderboard/cells.py
    tasks: ClassVar[tuple[str, ...]]
    answers: ClassVar[tuple[Answers, ...]]  # of the metrics that it serves
    id: Text | None = None  # the sample's column of ids; None: the config's
    column: Text | None = None  # the sample's column of answers; None: the config's label

    def check(self, classes: Sequence[str]) -> None:
        """Raises ValueError: It names a class that there is not."""

    def columns(self, label: str, classes: Sequence[str]) -> list[str]:
        """The columns of answers."""
        return [self.column or label]

    def row_ids(self, ids: Iterable[str], classes: Sequence[str]) -> list[str]:
        """The ids of the submission's rows, of pictures with these ids: those of one are beside each other."""
        return list(ids)

    def parse(self, row: str, classes: Sequence[str]) -> tuple[str, str | None]:
        """The picture's id in a row's, and its label where there is a row a label."""
        return row, None

    def asked(self, classes: Sequence[str]) -> np.ndarray | None:
        """(k,) the classes of whose probabilities the sum is asked for; None where each class counts for itself."""
        return None

    def scored(self, metric: Metric, classes: Sequence[str]) -> Metric:
        """The metric as this form is scored by it, of tables that have all classes."""
        return metric


class Label(Form):
    kind, tasks, answers = "label", ("class",), ("labels",)


class Probabilities(Form):
    kind, tasks, answers = "probabilities", ("class", "labels"), ("probabilities",)

    def check(self, classes: Sequence[str]) -> None:
        if self.column is not None:
            raise ValueError(
                f"submission.column: a column a class is called as that, not {self.column!r}: leave it out"
            )

    def columns(self, label: str, classes: Sequence[str]) -> list[str]:
        return list(classes)


class OneProbability(Form):
    kind, tasks, answers = "one_probability", ("class",), ("probabilities",)

    positive: Annotated[tuple[Text, ...], Field(min_length=1)]  # the classes whose probabilities are summed

    def __init__(self, *positive: str, **fields):
        super().__init__(**({"positive": positive} if positive else {}), **fields)

    def check(self, classes: Sequence[str]) -> None:
        for label in self.positive:
            if label not in classes:
                raise ValueError("submission.positive: " + unknown("class", label, classes))
        if set(self.positive) >= set(classes):
            raise ValueError("submission.positive: their sum is 1 in every row: leave a class out of it")

    def asked(self, classes: Sequence[str]) -> np.ndarray:
        return np.isin(np.array(classes, object), self.positive)

    def scored(self, metric: Metric, classes: Sequence[str]) -> Metric:
        return metric.of_positive(self.asked(classes))


class Ranking(Form):
    kind, tasks, answers = "ranking", ("class",), ("ranking",)

    k: int = Field(default=5, ge=1)  # labels in a cell
    separator: str = Field(default=" ", min_length=1)
    none: Text | None = None  # the class of a picture that is of none of the others, such as new_whale

    def check(self, classes: Sequence[str]) -> None:
        check_separator(self.separator, classes)
        if self.none is not None and self.none not in classes:
            raise ValueError("submission.none: " + unknown("class", self.none, classes))

    def scored(self, metric: Metric, classes: Sequence[str]) -> Metric:
        """Labels that are not sent are of no worth, though the metric has places for them."""
        if self.k < metric.places:
            metric = ranking(self.k)
        return metric if self.none is None else replace(metric, none=list(classes).index(self.none))


class LabelList(Form):
    kind, tasks, answers = "label_list", ("labels",), ("labels",)

    separator: str = Field(default=" ", min_length=1)
    nothing: str = ""  # what stands in the cell of a row without a label

    def check(self, classes: Sequence[str]) -> None:
        check_separator(self.separator, classes)
        if self.nothing in classes:
            raise ValueError(f"submission.nothing: {self.nothing!r} is a class, which rows have or not: leave it out")


class LabelRows(Form):
    kind, tasks, answers = "label_rows", ("class", "labels"), ("probabilities",)

    row: Text = "{id}_{label}"  # a row's id

    @field_validator("row")
    @classmethod
    def has_both(cls, row):
        if row.count("{id}") != 1 or row.count("{label}") != 1:
            raise ValueError(f"a row's id needs one {{id}} and one {{label}}, as '{{id}}_{{label}}' has, not {row!r}")
        return row

    def row_ids(self, ids: Iterable[str], classes: Sequence[str]) -> list[str]:
        return [self.row.replace("{id}", id).replace("{label}", label) for id in ids for label in classes]

    def parse(self, row: str, classes: Sequence[str]) -> tuple[str, str | None]:
        found = self._compiled(self.row, tuple(classes)).fullmatch(row)
        return (found["id"], found["label"]) if found else (row, None)

    @staticmethod
    @cache
    def _compiled(row: str, classes: tuple[str, ...]) -> re.Pattern:
        labels = "|".join(re.escape(label) for label in sorted(classes, key=len, reverse=True))
        parts = {"{id}": "(?P<id>.+?)", "{label}": f"(?P<label>{labels})"}
        return re.compile("".join(parts.get(part, re.escape(part)) for part in re.split(r"(\{id\}|\{label\})", row)))


class OneNumber(Form):
    kind, tasks, answers = "one_number", ("number",), ("number",)


def check_separator(separator: str, classes: Sequence[str]) -> None:
    """Raises ValueError: A class has the separator in its name, so that a cell could not be read."""
    if inside := [label for label in classes if separator in label]:
        raise ValueError(f"submission.separator: {separator!r} is in the name of the class {inside[0]!r}: give another")


AnyForm = Label | Probabilities | OneProbability | Ranking | LabelList | LabelRows | OneNumber
DEFAULTS = {  # by the task and what the metric's submissions hold
    ("class", "labels"): Label,
    ("class", "probabilities"): Probabilities,
    ("class", "ranking"): Ranking,
    ("labels", "labels"): LabelList,
    ("labels", "probabilities"): Probabilities,
    ("number", "number"): OneNumber,
}
