"""The errors of numbers: predicted beside true, errors along the true number, and pictures that are furthest off."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import figures
from src.report.album import name
from src.report.evidence import Model
from src.report.material import Material
from src.report.mistakes_of import common
from src.report.mistakes_of.common import SUREST, Body

POINTS, CELLS = 400, 30  # rows that are drawn one by one, at most; of more, how many fall into each of CELLS x CELLS
BINS, MIN_BIN_ROWS = 12, 10  # of the true number
INNER = (0.05, 0.25, 0.5, 0.75, 0.95)  # quantiles of the errors in a bin


def body(evidence: Material, best: Model, models: list[Model]) -> Body:
    ordered = [best, *(model for model in models if model is not best)]
    worst = {model.name: furthest(evidence, model)[:SUREST] for model in ordered}
    pictures = common.put(evidence, [(rows, rows) for rows in worst.values()])
    points = len(evidence.train) <= POINTS
    charts = {
        "scatter": scatter(evidence, best, models, points),
        "errors": errors_chart(pd.concat(by_size(evidence, model) for model in models), best.name),
    }
    data = {
        "models": {
            each: [name(row) for row in [("train", i) for i in rows.tolist()] if row in pictures]
            for each, rows in worst.items()
        }
    }
    about = {"points": points, "tables": {model.name: figures_of(evidence, model) for model in models}}
    return Body("number", about, charts, data, tuple(charts))


def furthest(evidence: Material, model: Model) -> np.ndarray:
    """The train rows by their error, the largest first."""
    return np.argsort(-np.abs(evidence.errors(model)), kind="stable")


def figures_of(evidence: Material, model: Model) -> list[tuple[str, str]]:
    """(name, value) of how far the model is off, beside the mean of the train rows for every row."""
    errors, spread = evidence.errors(model), evidence.targets - evidence.targets.mean()
    rest = float(np.square(errors).sum() / max(np.square(spread).sum(), 1e-300))
    return [
        ("root of the mean squared error", f"{np.sqrt(np.square(errors).mean()):.4g}"),
        ("spread of the true numbers", f"{spread.std():.4g}"),
        ("share of their variance explained", figures.percent(1 - rest)),
        ("mean error's size", f"{np.abs(errors).mean():.4g}"),
        ("largest", f"{np.abs(errors).max():.4g}"),
    ]


def scatter(evidence: Material, best: Model, models: list[Model], points: bool) -> alt.LayerChart:
    """Each row's prediction over its true number, of the model that is chosen; many rows as the numbers in cells."""
    said = {model.name: evidence.answers(model).astype(float) for model in models}
    every = np.concatenate([evidence.targets, *said.values()])
    ends = [float(every.min()), float(every.max())]
    one = alone if points else crowded
    df = pd.concat(one(evidence, values, ends).assign(model=each) for each, values in said.items())
    scale = alt.Scale(domain=ends, zero=False, nice=True)
    x, y = alt.X("true:Q", title="true number", scale=scale), alt.Y("said:Q", title="prediction", scale=scale)
    marks = figures.chosen(alt.Chart(df), best.name)
    if points:
        hover = figures.tips(df, id="row", true="true number", said="prediction")
        marks = marks.mark_circle(size=34, opacity=0.65, clip=True).encode(x=x, y=y, tooltip=hover)
    else:
        size = alt.Size("rows:Q", scale=alt.Scale(range=[8, 220]), legend=None)
        hover = figures.tips(df, true="true, about", said="predicted, about", rows="rows")
        marks = marks.mark_circle(opacity=0.65, clip=True).encode(x=x, y=y, size=size, tooltip=hover)
    equal = alt.Chart(pd.DataFrame([{"low": ends[0], "high": ends[1]}])).mark_rule(strokeDash=[4, 4])
    equal = equal.encode(x="low:Q", x2="high:Q", y="low:Q", y2="high:Q")
    return alt.layer(equal, marks).properties(width="container", height=360)


def alone(evidence: Material, said: np.ndarray, ends: list[float]) -> pd.DataFrame:
    """A point a row."""
    df = pd.DataFrame({"id": evidence.ids, "true": evidence.targets, "said": said})
    return df.assign(true=figures.rounded(df["true"]), said=figures.rounded(df["said"]))


def crowded(evidence: Material, said: np.ndarray, ends: list[float]) -> pd.DataFrame:
    """A point a cell that has rows, in its middle."""
    edges = np.linspace(*ends, CELLS + 1) if ends[1] > ends[0] else np.array([ends[0], ends[0] + 1])
    n = np.histogram2d(evidence.targets, said, [edges, edges])[0].astype(int)
    middle, (i, j) = (edges[1:] + edges[:-1]) / 2, np.nonzero(n)
    df = pd.DataFrame({"true": middle[i], "said": middle[j], "rows": n[i, j]})
    return df.assign(true=figures.rounded(df["true"]), said=figures.rounded(df["said"]))


def by_size(evidence: Material, model: Model) -> pd.DataFrame:
    """Bins of the true number with about as many rows each: the quantiles of the errors in each."""
    errors, targets = evidence.errors(model), evidence.targets
    most = max(1, min(BINS, len(targets) // MIN_BIN_ROWS))
    edges = np.unique(np.quantile(targets, np.linspace(0, 1, most + 1)[1:-1]))
    rows: list[tuple[Any, ...]] = []
    which = np.searchsorted(edges, targets, side="right")
    for i in np.unique(which):
        true, off = targets[which == i], errors[which == i]
        rows.append((model.name, true.mean(), true.min(), true.max(), len(true), *np.quantile(off, INNER)))
    columns = ["model", "true", "from", "to", "rows", "lowest", "low", "middle", "high", "highest"]
    df = pd.DataFrame(rows, columns=columns)
    numbers = [column for column in columns if column not in ("model", "rows")]
    return df.assign(**{column: figures.rounded(df[column]) for column in numbers})


def errors_chart(df: pd.DataFrame, first: str) -> alt.LayerChart:
    titles = {"from": "true from", "to": "to", "rows": "rows", "middle": "median error", "low": "a quarter is below"}
    titles |= {"high": "a quarter is above", "lowest": "1 in 20 is below", "highest": "1 in 20 is above"}
    marks = figures.chosen(alt.Chart(df), first)
    x = alt.X("true:Q", title="true number", scale=alt.Scale(zero=False))
    marks = marks.encode(x=x, tooltip=figures.tips(df, **titles))
    zero = alt.Chart(pd.DataFrame([{"none": 0.0}])).mark_rule(strokeDash=[4, 4]).encode(y="none:Q")
    return alt.layer(
        zero,
        marks.mark_rule(strokeWidth=1.5).encode(
            y=alt.Y("lowest:Q", title="prediction less true number"), y2="highest:Q"
        ),
        marks.mark_rule(strokeWidth=6, opacity=0.5).encode(y=alt.Y("low:Q"), y2="high:Q"),
        marks.mark_point(filled=True, size=60, opacity=1).encode(y=alt.Y("middle:Q")),
    ).properties(width="container", height=360)
