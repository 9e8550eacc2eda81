"""Scores on slices of the train rows: by columns of the table with few values, by fold, by image size."""

from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from src.data.tables import PATH
from src.report import figures
from src.report.evidence import Evidence, Model

VALUES, COLUMNS = 12, 8  # values of a column, at most, and such columns
MIN_SLICE_ROWS = 5  # rows of a slice
DRAWN = 20_000  # rows on which a score is computed that takes long


@dataclass(frozen=True)
class Slice:
    """Rows that have something in common."""

    column: str
    value: str
    rows: np.ndarray  # their positions


def cut(evidence: Evidence) -> list[Slice]:
    """All slices, a column's beside each other; a row is in one slice of each column."""
    competition, train = evidence.competition, evidence.train
    others = train.drop(columns=[competition.id, competition.label, competition.image, PATH], errors="ignore")
    few = [column for column in others if 2 <= train[column].nunique() <= VALUES]
    found = [one for column in few[:COLUMNS] for one in by_value(column, train[column].replace("", "(empty)"))]
    if evidence.fold is not None:
        found += by_value("fold", pd.Series(evidence.fold))
    return [one for one in [*found, *by_size(evidence)] if len(one.rows) >= MIN_SLICE_ROWS]


def by_value(column: str, values: pd.Series) -> list[Slice]:
    groups = values.groupby(values, sort=True).indices
    return [Slice(column, str(value), np.sort(rows)) for value, rows in groups.items()]


def by_size(evidence: Evidence) -> list[Slice]:
    """The quarters of the rows by their images' pixels, where these differ."""
    if (size := evidence.sizes("train")) is None:
        return []
    pixels = size.prod(axis=1)
    there = np.flatnonzero(~np.isnan(pixels))
    edges = np.unique(np.quantile(pixels[there], [0, 0.25, 0.5, 0.75, 1])) if len(there) else []
    if len(edges) < 3:
        return []
    quarter = np.clip(np.searchsorted(edges, pixels[there], side="right") - 1, 0, len(edges) - 2)
    groups = [there[quarter == i] for i in np.unique(quarter)]
    spans = [f"{pixels[rows].min():,.0f} to {pixels[rows].max():,.0f} pixels" for rows in groups]
    return [Slice("image", span, rows) for span, rows in zip(spans, groups, strict=True)]


def scores(evidence: Evidence, best: Model, models: list[Model]) -> pd.DataFrame | None:
    """A row a model and slice: its score and standard error, and the score of all rows; None where there is none."""
    found, slices = [], cut(evidence)
    for model in [best] if evidence.metric.is_slow else models:
        for one in slices:
            rows = one.rows[:: -(-len(one.rows) // DRAWN)] if evidence.metric.is_slow else one.rows
            score, se = evidence.metric.score(evidence.targets[rows], model.decided[rows])
            found.append((model.name, one.column, one.value, len(one.rows), score, se, model.made["cv"]))
    df = pd.DataFrame(found, columns=["model", "column", "value", "rows", "score", "se", "all"])
    df = df[np.isfinite(df[["score", "se"]].astype(float)).all(axis=1)]
    return df if len(df) else None


def caption(evidence: Evidence, best: Model) -> str:
    """A sentence for the chart's caption where not all is computed."""
    if not evidence.metric.is_slow:
        return ""
    more = f", at most on {DRAWN:,} rows of each" if len(evidence.train) > DRAWN else ""
    return f"Of {best.name} alone{more}: the standard error of {evidence.competition.metric} takes long to compute."


def chart(evidence: Evidence, best: Model, df: pd.DataFrame) -> alt.TopLevelMixin:
    """Scores with their standard errors, a line a slice, and the score of all rows."""
    metric = evidence.competition.metric
    df = figures.with_interval(df, metric, "score", "se", df["rows"])
    df = df.assign(slice=df["column"] + ": " + df["value"]).round(4)
    base = alt.Chart(df).encode(
        y=alt.Y("slice:N", title=None, sort=df["slice"].unique().tolist(), axis=alt.Axis(labelLimit=230)),
        color=alt.Color("column:N", scale=figures.coloured(df["column"].unique().tolist()), legend=None),
        tooltip=figures.tips(df, model="model", slice="rows with", score=metric, error="error", rows="rows"),
    )
    title = figures.score_title(evidence, "CV")
    ends = alt.X("low:Q", title=title, scale=alt.Scale(zero=False)), alt.X2("high:Q")
    hover = alt.Tooltip("mean(all):Q", title="all rows", format=".4f")
    whole = alt.Chart(df).mark_rule(strokeDash=[4, 3]).encode(x="mean(all):Q", tooltip=hover)
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(x="score:Q")
    layers = whole + base.mark_rule(strokeWidth=2).encode(*ends) + dots
    return figures.chosen(layers.properties(width="container", height=20 * df["slice"].nunique()), best.name)
