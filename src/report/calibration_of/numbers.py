"""Calibration of numbers: the mean of the true ones, of rows of about one prediction; and how the errors spread."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report.evidence import Evidence, Model
from src.report.figures import chosen, gained, number, rounded, tips
from src.scoring.metrics import Z

BINS, MIN_BIN_ROWS = 15, 20  # bins at most; and rows that a bin has at least
ERROR_BINS = 30
SWITCHED = ("reliability", "errors")  # charts of one model


def part(evidence: Evidence, best: Model) -> tuple[dict[str, Any], dict[str, alt.TopLevelMixin]]:
    """The template's data, and charts."""
    about = {"calibration": [calibration_line(evidence, model) for model in evidence.models.values()]}
    bins = [binned(evidence, model).assign(model=name) for name, model in evidence.models.items()]
    errors = [histogram(evidence, model).assign(model=name) for name, model in evidence.models.items()]
    drawn = {"reliability": reliability_chart(pd.concat(bins), best.name)}
    drawn["errors"] = errors_chart(pd.concat(errors), best.name)
    return about, drawn


def calibration_line(evidence: Evidence, model: Model) -> dict[str, Any]:
    """The bias with its standard error, the slope of the true numbers on the predictions, and the errors' quantiles."""
    errors, said = evidence.errors(model), evidence.answers(model).astype(float)
    bias, se = float(errors.mean()), float(errors.std() / np.sqrt(len(errors)))
    slope, slope_se = slope_of(said, evidence.targets)
    middle, far = np.quantile(np.abs(errors), [0.5, 0.95])
    return {
        "name": model.name,
        "bias": gained(bias, se),
        "leans": abs(bias) > Z * se,
        "slope": f"{number(slope, 2)} ± {number(slope_se, 2)}",
        "off": abs(slope - 1) > Z * slope_se,
        "median": f"{middle:.4g}",
        "far": f"{far:.4g}",
    }


def slope_of(said: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """The slope of the least-squares line of the true numbers (n,) over the predictions, and its standard error.

    Of predictions that are right on average, whatever they are, it is 1; below 1 they spread too far (Mincer and
    Zarnowitz 1969). The error is White's (1980), which lets rows spread unlike. NaN where all are the same.
    """
    apart = said - said.mean()
    size = float(apart @ apart)
    if size == 0:
        return float("nan"), float("nan")
    slope = float(apart @ targets) / size
    rest = targets - targets.mean() - slope * apart
    return slope, float(np.sqrt(np.square(apart * rest).sum()) / size)


def binned(evidence: Evidence, model: Model) -> pd.DataFrame:
    """Bins of equally many rows by the prediction: its mean, the mean of the true numbers with its 95 % interval."""
    said = evidence.answers(model).astype(float)
    order = np.argsort(said, kind="stable")
    rows = []
    for places in np.array_split(order, min(BINS, max(1, len(order) // MIN_BIN_ROWS))):
        true = evidence.targets[places]
        middle, reach = true.mean(), Z * true.std() / np.sqrt(len(true))
        rows.append((said[places].mean(), middle, middle - reach, middle + reach, len(places)))
    df = pd.DataFrame(rows, columns=["prediction", "true", "low", "high", "rows"])
    return df.assign(**{name: rounded(df[name]) for name in ("prediction", "true", "low", "high")})


def reliability_chart(df: pd.DataFrame, first: str) -> alt.LayerChart:
    ends = [float(df[["prediction", "low"]].min(axis=None)), float(df[["prediction", "high"]].max(axis=None))]
    scale = alt.Scale(zero=False, domain=ends, nice=True)
    x, y = (
        alt.X("prediction:Q", scale=scale, title="mean prediction"),
        alt.Y("true:Q", scale=scale, title="mean true number"),
    )
    hover = tips(df, prediction="mean prediction", true="mean true number", low="from", high="to", rows="rows")
    marks = chosen(alt.Chart(df), first).encode(x=x, tooltip=hover)
    equal = pd.DataFrame([{"low": ends[0], "high": ends[1]}])
    return alt.layer(
        alt.Chart(equal).mark_rule(strokeDash=[4, 4]).encode(x="low:Q", x2="high:Q", y="low:Q", y2="high:Q"),
        marks.mark_rule().encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        marks.mark_line(strokeWidth=1.5).encode(y=y),
        marks.mark_point(filled=True, size=45, opacity=1).encode(y=y),
    ).properties(width="container", height=320)


def histogram(evidence: Evidence, model: Model) -> pd.DataFrame:
    """The frequency of each error: columns low, high, rows, share."""
    errors = evidence.errors(model)
    reach = float(np.abs(errors).max()) or 1.0
    edges = np.linspace(-reach, reach, ERROR_BINS + 1)
    n = np.histogram(errors, edges)[0]
    df = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "rows": n, "share": n / len(errors)})[n > 0]
    return df.assign(**{name: rounded(df[name]) for name in ("low", "high", "share")})


def errors_chart(df: pd.DataFrame, first: str) -> alt.Chart:
    return (
        chosen(alt.Chart(df, width="container", height=320), first)
        .mark_bar()
        .encode(
            x=alt.X("low:Q", bin="binned", title="prediction less true number"),
            x2="high:Q",
            y=alt.Y("share:Q", axis=alt.Axis(format=".0%"), title="share of rows"),
            tooltip=tips(df, low="from", high="to", rows="rows"),
        )
    )
