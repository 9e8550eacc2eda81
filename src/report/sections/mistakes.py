"""The section 'Mistakes': each model's mistakes, class by class, part by part, and in pictures."""

from collections.abc import Mapping, Sequence
from itertools import takewhile, zip_longest
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import figures, slices
from src.report.album import Row, name
from src.report.evidence import Model
from src.report.material import Material
from src.report.page import Section
from src.scoring.intervals import wilson

NAME, TITLE = "mistakes", "Mistakes"
MATRIX = 20  # classes up to which the whole matrix is shown; of more, LISTED of the pairs and of the classes
LISTED = 30
SWITCHED = 40  # models that can be chosen
SUREST, A_KIND = 60, 12  # mistakes of a model that are shown first, and of one label taken for one other, at most
PICTURES, ROOM = 1500, 3_500_000  # of all models together, and bytes that they take of the page
MEASURES = ("precision", "recall", "F1")


def section(evidence: Material) -> Section:
    if (best := evidence.best) is None:
        return Section(NAME, TITLE, {"chosen": None, "command": evidence.competition.command})
    models = switched(evidence, best)
    counts = {model.name: confusion(evidence, model) for model in models}
    classes = {each: class_measures(matrix) for each, matrix in counts.items()}
    ordered = [best, *(model for model in models if model is not best)]
    wrong = {model.name: surest(evidence, model) for model in ordered}
    pictures = put(evidence, list(wrong.values()), [model.labels for model in ordered])
    scores = slices.scores(evidence, best, models)
    whole = len(evidence.classes) <= MATRIX
    about = {
        "chosen": best.name,
        "ruled": bool(evidence.metric.rules),
        "models": [model.name for model in models],
        "left_out": len(evidence.models) - len(models),
        "matrices": {each: shaded(matrix) for each, matrix in counts.items()} if whole else {},
        "pairs": {} if whole else {each: most_confused(matrix) for each, matrix in counts.items()},
        "tables": {each: worst(table) for each, table in classes.items()},
        "classes": evidence.classes,
        "listed": min(LISTED, len(evidence.classes)) if not whole else None,
        "rows": len(evidence.train),
        "slices": slices.caption(evidence, best),
        "charts": " ".join(f"{NAME}-{chart}" for chart in ("classes", "slices")),
    }
    charts = {"classes": classes_chart(evidence, best, classes)}
    if scores is not None:
        charts["slices"] = slices.chart(evidence, best, scores)
    data = {"pictures": [name(row) for row in pictures], "models": {}}
    for each, rows in wrong.items():
        first = takewhile(pictures.__contains__, [("train", i) for i in rows[:SUREST].tolist()])
        data["models"][each] = {"wrong": len(rows), "surest": [name(row) for row in first]}
    return Section(NAME, TITLE, about, charts, data)


def switched(evidence: Material, best: Model) -> list[Model]:
    """The models that can be chosen, in their order; of too many, those of the best CV."""
    kept = {model.name for model in [best, *figures.by_cv(evidence)][:SWITCHED]}
    return [model for each, model in evidence.models.items() if each in kept]


def confusion(evidence: Material, model: Model) -> np.ndarray:
    """(k, k) the rows of each class, in its row of the matrix, by the label that the model gives."""
    k = len(evidence.classes)
    return np.bincount(evidence.targets * k + model.labels, minlength=k * k).reshape(k, k)


def class_measures(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each class, (k, 3) each as of `wilson`, and its counts, (k,).

    F1 = 2 s / (1 + s), where s is the share of hits among the rows that have the class as label or as prediction. s is
    a share of independent rows, so that Wilson's interval holds for it, and with it, as F1 grows with s, for F1.
    """
    hits, rows, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    shares = wilson(hits, rows + predicted - hits)
    measures = (wilson(hits, predicted), wilson(hits, rows), 2 * shares / (1 + shares))
    return {**dict(zip(MEASURES, measures, strict=True)), "rows": rows, "predicted": predicted}


def shaded(matrix: np.ndarray) -> list[list[dict[str, Any]]]:
    """Cells with their count, share of the row, and how strong their colour is, from 0 to 1.

    The colour of a hit is its share; of a mistake its share of the largest share that a mistake has.
    """
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    off = share * (1 - np.eye(len(matrix)))
    shade = np.where(np.eye(len(matrix), dtype=bool), share, off / max(off.max(), 1e-12))
    return [
        [{"count": int(n), "share": float(s), "shade": round(float(c), 3)} for n, s, c in zip(*row, strict=True)]
        for row in zip(matrix, share, shade, strict=True)
    ]


def most_confused(matrix: np.ndarray) -> list[dict[str, Any]]:
    """The pairs of label and prediction with the most rows."""
    off = matrix * (1 - np.eye(len(matrix), dtype=int))
    order = np.argsort(-off, axis=None, kind="stable")[:LISTED]
    pairs = zip(*np.unravel_index(order, off.shape), strict=True)
    rows = matrix.sum(axis=1)
    return [
        {"label": int(t), "prediction": int(p), "count": int(off[t, p]), "share": float(off[t, p] / rows[t])}
        for t, p in pairs
        if off[t, p]
    ]


def by_f1(table: Mapping[str, np.ndarray]) -> np.ndarray:
    """The classes that a table has room for: all in their order, or those of the lowest F1."""
    k = len(table["rows"])
    return np.arange(k) if k <= MATRIX else np.argsort(table["F1"][:, 0], kind="stable")[:LISTED]


def worst(table: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """A line a class; a measure is None where it is not defined."""
    return [
        {
            "label": int(label),
            "rows": int(table["rows"][label]),
            "predicted": int(table["predicted"][label]),
            "measures": [None if np.isnan(table[each][label, 0]) else table[each][label].tolist() for each in MEASURES],
        }
        for label in by_f1(table)
    ]


def classes_chart(evidence: Material, best: Model, tables: Mapping[str, Mapping[str, np.ndarray]]) -> alt.TopLevelMixin:
    rows = [
        {"model": each, "label": evidence.classes[label], "measure": measure, "n": int(table["rows"][label])}
        | {"f1": float(table["F1"][label, 0])}
        | dict(zip(("value", "low", "high"), table[measure][label].tolist(), strict=True))
        for each, table in tables.items()
        for label in by_f1(table)
        for measure in MEASURES
        if not np.isnan(table[measure][label, 0])
    ]
    df = pd.DataFrame(rows).round(4)
    whole = len(evidence.classes) <= MATRIX
    order = list(evidence.classes) if whole else alt.EncodingSortField("f1", op="mean", order="ascending")
    titles = {"model": "model", "label": "class", "measure": "measure", "value": "value"}
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


def surest(evidence: Material, model: Model) -> np.ndarray:
    """The train rows that a model gives another label, those of the highest probability first."""
    wrong = np.flatnonzero(model.labels != evidence.targets)
    return wrong[np.argsort(-model.decided[wrong].max(axis=1), kind="stable")]


def put(evidence: Material, mistakes: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> dict[Row, None]:
    """The mistakes whose pictures are in the page: the surest of each model, then some of each kind of mistake.

    Args:
        mistakes: The `surest` rows of each model, the models whose pictures matter most first.
        labels: The labels (n,) by each model.
    """
    turns = zip_longest(*(rows[:SUREST].tolist() for rows in mistakes))
    wanted = [i for turn in turns for i in turn if i is not None]
    for rows, predicted in zip(mistakes, labels, strict=True):
        kind = evidence.targets[rows] * len(evidence.classes) + predicted[rows]
        turn = pd.Series(kind).groupby(kind).cumcount().to_numpy()  # one of each kind before a second of another
        wanted += rows[np.argsort(turn, kind="stable")][: int((turn < A_KIND).sum())].tolist()
    rows = [("train", i) for i in dict.fromkeys(wanted)]
    return dict.fromkeys(evidence.album.put(rows[:PICTURES], ROOM))
