"""Curves over thresholds and ranks: ROC, precision and recall, and how often the true class is among the likeliest."""

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import charts, figures
from src.report.evidence import Evidence, Model
from src.scoring.class_metrics import ahead
from src.scoring.metric import two_columns
from src.scoring.tables import Table

CURVES = 8  # models, or labels, that have a curve, at most
POINTS = 60  # of a curve
PLACES = 10  # ranks that are shown
BINS = 20  # of a histogram of scores


def thinned(x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Columns x and y of at most POINTS points of a curve, its ends among them."""
    kept = np.unique(np.rint(np.linspace(0, len(x) - 1, min(POINTS, len(x)))).astype(int))
    return pd.DataFrame({"x": x[kept].round(4), "y": y[kept].round(4)})


def roc(has: np.ndarray, score: np.ndarray) -> pd.DataFrame:
    """The share of the others above a threshold, and that of the rows (n,) that have it, from no rows to all."""
    from sklearn.metrics import roc_curve

    return thinned(*roc_curve(has, score)[:2])


def precision_recall(has: np.ndarray, score: np.ndarray) -> pd.DataFrame:
    """Recall, and precision at that recall."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(has, score)
    return thinned(recall, precision)


def of_labels(
    evidence: Evidence, models: Sequence[Model], labels: Sequence[int], first: str
) -> dict[str, alt.TopLevelMixin]:
    """ROC and precision over recall of some labels, of the model that is chosen; none of labels that all rows have."""
    has = {i: evidence.targets[:, i] > 0 for i in labels}
    has = {i: rows for i, rows in has.items() if 0 < rows.sum() < len(rows)}
    if not has:
        return {}

    def curves(curve: Callable[[np.ndarray, np.ndarray], pd.DataFrame]) -> pd.DataFrame:
        parts = [
            curve(rows, model.oof[:, i]).assign(model=model.name, name=evidence.classes[i])
            for model in models
            for i, rows in has.items()
        ]
        return pd.concat(parts)

    names = [evidence.classes[i] for i in has]
    titles = {"roc": ("share of rows without it", "share of rows with it"), "pr": ("recall", "precision")}
    of = {"roc": curves(roc), "pr": curves(precision_recall)}
    return {each: lines(df, names, *titles[each], chance=each == "roc", first=first) for each, df in of.items()}


def lines(
    df: pd.DataFrame, names: Sequence[str], x: str, y: str, chance: bool, first: str | None = None
) -> alt.LayerChart:
    """A line a name, from 0 to 1 both ways; with the diagonal where that is what chance gives.

    Args:
        first: The model that is chosen to begin with; None: all are drawn.
    """
    scale, legend = alt.Scale(domain=[0, 1]), alt.Legend(title=None, labelLimit=180, columns=2, symbolOpacity=1)
    # by their order along the curve: of points beside each other in x the line would go up and down
    df = df.assign(step=df.groupby(["model", "name"], sort=False).cumcount())
    chart = alt.Chart(df) if first is None else figures.chosen(alt.Chart(df), first)
    marks = chart.mark_line(strokeWidth=1.8, clip=True).encode(
        x=alt.X("x:Q", scale=scale, title=x, axis=alt.Axis(format=".0%")),
        y=alt.Y("y:Q", scale=scale, title=y, axis=alt.Axis(format=".0%")),
        order="step:Q",
        color=alt.Color("name:N", scale=figures.coloured(names), legend=legend),
        tooltip=figures.tips(df, name="of", x=x, y=y),
    )
    if not chance:
        return alt.layer(marks).properties(width="container", height=300)
    equal = alt.Chart(pd.DataFrame([{"low": 0, "high": 1}])).mark_rule(strokeDash=[4, 4])
    equal = equal.encode(x="low:Q", x2="high:Q", y="low:Q", y2="high:Q")
    return alt.layer(equal, marks).properties(width="container", height=300)


def of_positive(evidence: Evidence, models: Sequence[Model], first: str) -> dict[str, alt.TopLevelMixin]:
    """Of a form that sends the sum of some classes' probabilities: the frequency of each, and ROC curves."""
    if (mask := evidence.competition.asked) is None:
        return {}
    has = mask[evidence.targets]
    scores = {model.name: two_columns(mask, model.decided)[:, 1] for model in models}
    drawn = {"positive": figures.chosen(score_histogram(scores, has, evidence.competition.form.positive), first)}
    if 0 < has.sum() < len(has):
        shown = [model.name for model in figures.by_cv(evidence) if model.name in scores][:CURVES]
        df = pd.concat(roc(has, scores[each]).assign(model=each, name=each) for each in shown)
        drawn["roc"] = lines(df, shown, "share of the other rows", "share of the positive rows", chance=True)
    return drawn


def score_histogram(scores: dict[str, np.ndarray], has: np.ndarray, positive: Sequence[str]) -> alt.Chart:
    """The share of the positive rows and of the others that have each score."""
    kinds = {" or ".join(positive) if len(positive) < 4 else "positive": has, "other": ~has}
    edges, parts = np.linspace(0, 1, BINS + 1), []
    for name, score in scores.items():
        for kind, rows in kinds.items():
            n = np.histogram(score[rows].clip(0, 1), edges)[0]
            share = n / max(rows.sum(), 1)
            df = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "rows": n, "share": share.round(5)})
            parts.append(df[n > 0].assign(model=name, kind=kind))
    df = pd.concat(parts).round(4)
    return (
        alt.Chart(df, width="container", height=300)
        .mark_bar(opacity=0.6)
        .encode(
            x=alt.X("low:Q", bin="binned", scale=alt.Scale(domain=[0, 1]), title="score"),
            x2="high:Q",
            y=alt.Y("share:Q", stack=None, axis=alt.Axis(format=".0%"), title="share of the kind's rows"),
            color=alt.Color(
                "kind:N", title=None, scale=alt.Scale(domain=list(kinds), range=[charts.COLOURS[3], charts.COLOURS[0]])
            ),
            tooltip=figures.tips(df, kind="rows", low="from", high="to", share="share", rows="rows"),
        )
    )


def of_ranks(evidence: Evidence, models: Sequence[Model]) -> dict[str, alt.TopLevelMixin]:
    """Of a metric of rankings: how often the true class is among the likeliest, a line a model."""
    if evidence.metric.answers != "ranking":
        return {}
    shown = [model for model in figures.by_cv(evidence) if model in models][:CURVES]
    places = np.arange(1, min(PLACES, len(evidence.classes)) + 1)
    rows: list[dict[str, Any]] = []
    for model in shown:
        rank = true_rank(evidence.targets, model.decided)
        rows += [{"model": model.name, "place": int(k), "share": round(float((rank <= k).mean()), 5)} for k in places]
    df = pd.DataFrame(rows)
    names = [model.name for model in shown]
    marks = alt.Chart(df, width="container", height=240).mark_line(point={"size": 30})
    chart = marks.encode(
        x=alt.X("place:Q", title="likeliest classes", axis=figures.whole_numbers()),
        y=alt.Y(
            "share:Q", title="share of rows with the true one", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)
        ),
        color=alt.Color("model:N", scale=figures.coloured(names), legend=alt.Legend(title=None, labelLimit=200)),
        tooltip=figures.tips(df, model="model", place="likeliest", share="share"),
    )
    return {"ranks": chart}


def true_rank(targets: np.ndarray, table: Table) -> np.ndarray:
    """(n,) the place of the true class among all, 1 the likeliest; of equal ones the last are first, as in `among`."""
    return 1 + ahead(targets, table)
