"""The parts that the mistakes of all kinds of targets share: measures of a class or label with their intervals."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile, zip_longest
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import figures
from src.report.album import Row
from src.report.evidence import Model
from src.report.material import Material
from src.scoring.intervals import wilson

MATRIX = 20  # classes up to which the whole matrix is shown; of more, LISTED of the pairs and of the classes
LISTED = 30
SUREST, A_KIND = 60, 12  # mistakes of a model that are shown first, and of one label taken for one other, at most
PICTURES, ROOM = 1500, 3_500_000  # of all models together, and bytes that they take of the page
MEASURES = ("precision", "recall", "F1")


@dataclass(frozen=True)
class Body:
    """The part of the section that is of the target's kind."""

    kind: str  # in the names of its template and script
    about: Mapping[str, Any]
    charts: Mapping[str, alt.TopLevelMixin]
    data: Mapping[str, Any]
    switched: Sequence[str] = field(default=())  # charts of the one model that is chosen


def measures(hits: np.ndarray, rows: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, (k, 3) each as of `wilson`, and its counts, (k,).

    F1 = 2 s / (1 + s), where s is the share of hits among the rows that have the class as label or as prediction. s is
    a share of independent rows, so that Wilson's interval holds for it, and with it, as F1 grows with s, for F1.
    """
    shares = wilson(hits, rows + predicted - hits)
    found = (wilson(hits, predicted), wilson(hits, rows), 2 * shares / (1 + shares))
    return {**dict(zip(MEASURES, found, strict=True)), "rows": rows, "predicted": predicted}


def by_f1(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """The classes that a table has room for: all in their order, or those of the lowest F1."""
    k = len(table["rows"])
    return np.arange(k) if k <= MATRIX else np.argsort(table["F1"][:, 0], kind="stable")[:LISTED]


def lines(table: Mapping[str, np.ndarray], counts: Sequence[str] = ("rows", "predicted")) -> list[dict[str, Any]]:
    """A line a class or label for the template; a measure is None where it is not defined."""
    return [
        {
            "label": int(label),
            **{each: int(table[each][label]) for each in counts},
            "measures": [None if np.isnan(table[each][label, 0]) else table[each][label].tolist() for each in MEASURES],
        }
        for label in by_f1(table)
    ]


def measures_chart(
    evidence: Material, best: Model, tables: Mapping[str, Mapping[str, np.ndarray]]
) -> alt.TopLevelMixin:
    """Precision, recall and F1 of each class with their intervals, of the model that is chosen."""
    rows = [
        {"model": each, "label": evidence.classes[label], "measure": measure, "n": int(table["rows"][label])}
        | {"f1": float(table["F1"][label, 0])}
        | dict(zip(("value", "low", "high"), table[measure][label].tolist(), strict=True))
        for each, table in tables.items()
        for label in by_f1(table)
        for measure in MEASURES
        if not np.isnan(table[measure][label, 0])
    ]
    df = pd.DataFrame(rows, columns=["model", "label", "measure", "n", "f1", "value", "low", "high"]).round(4)
    whole = len(evidence.classes) <= MATRIX
    order = list(evidence.classes) if whole else alt.EncodingSortField("f1", op="mean", order="ascending")
    titles = {
        "model": "model",
        "label": "class" if evidence.target.is_choice else "label",
        "measure": "measure",
        "value": "value",
    }
    titles |= {"low": "from", "high": "to", "n": "rows"}
    base = alt.Chart(df).encode(
        y=alt.Y("label:N", title=None, sort=order),
        yOffset=alt.YOffset("measure:N", sort=list(MEASURES)),
        color=alt.Color("measure:N", title=None, scale=figures.coloured(MEASURES)),
        tooltip=figures.tips(df, **titles),
    )
    ends = alt.X("low:Q", title="95 % interval", scale=alt.Scale(zero=False)), alt.X2("high:Q")
    dots = base.mark_point(filled=True, size=50, opacity=1).encode(x="value:Q")
    chart = base.mark_rule(strokeWidth=2).encode(*ends) + dots
    height = 16 * df.groupby("model").size().max() + 16  # no step: a width of "container" goes with a number only
    return figures.chosen(chart.properties(width="container", height=int(height)), best.name)


def put(evidence: Material, mistakes: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[Row, None]:
    """The pictures in the page: the surest mistakes of each model, then some of each kind of mistake.

    Args:
        mistakes: The train rows of each model's mistakes, the surest first, and the kind of each; the models whose
            pictures matter most first.
    """
    turns = zip_longest(*(rows[:SUREST].tolist() for rows, _ in mistakes))
    wanted = [i for turn in turns for i in turn if i is not None]
    for rows, kind in mistakes:
        turn = pd.Series(kind).groupby(kind).cumcount().to_numpy()  # one of each kind before a second of another
        wanted += rows[np.argsort(turn, kind="stable")][: int((turn < A_KIND).sum())].tolist()
    rows = [("train", i) for i in dict.fromkeys(wanted)]
    return dict.fromkeys(evidence.album.put(rows[:PICTURES], ROOM))


def firsts(pictures: Collection[Row], rows: Iterable[int]) -> list[Row]:
    """The train rows in their order, as far as their pictures are there."""
    return list(takewhile(pictures.__contains__, [("train", i) for i in rows]))
