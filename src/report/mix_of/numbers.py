"""How often numbers are given."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import figures
from src.report.evidence import PARTS, Evidence, Model
from src.report.tasks.numbers import number_text
from src.scoring import agreement

CHART = "numbers"  # its name in plots/
BINS = 24
KINDS = ("train rows", "out of fold", "test")
Mix = dict[str, np.ndarray]  # by KINDS: the numbers of the train rows, of a model out of fold, and for the test rows


def mix(evidence: Evidence, model: Model) -> Mix:
    """Of a model with a test table."""
    answers = (evidence.answers(model, part) for part in PARTS)
    return dict(zip(KINDS, (evidence.targets, *answers), strict=True))


def shift(evidence: Evidence, mixes: dict[str, Mix], best: str) -> list[dict[str, Any]]:
    """A line a model for the template, by Welch's test of the means: see `agreement.number_mix`."""
    lines = []
    for name, found in mixes.items():
        ours, theirs = found["test"], found["out of fold"]
        p = float(agreement.number_chance(ours, theirs))
        low, middle, high = (number_text(value, 4) for value in np.quantile(ours, [0.05, 0.5, 0.95]))
        more = float(ours.mean() - theirs.mean())
        lines.append(
            {
                "name": name,
                "p": "< 0.001" if p < 0.001 else figures.number(p, 3),
                "more": p < agreement.RARE,
                "most": f"mean {number_text(ours.mean(), 4)} ({more:+.3g}), median {middle}, "
                f"9 of 10 from {low} to {high}",
            }
        )
    return lines


def words(evidence: Evidence) -> dict[str, str]:
    """The texts of the template."""
    return {
        "title": "Numbers of the test rows",
        "caption": "How often each number is given: if test rows are like train rows, the model's numbers for them are "
        "those that it gives out of fold. Predictions spread less than the true numbers, the less the weaker the "
        "model.",
        "less": "",
        "test": "Bold: the mean of the test rows is not that out of fold, by more than chance (Welch's test).",
        "most": "of the test rows (more or less than out of fold)",
    }


def chart(evidence: Evidence, mixes: dict[str, Mix], first: str) -> alt.TopLevelMixin:
    """Three histograms beside each other, of the model that is chosen."""
    df = pd.concat(histograms(found).assign(model=name) for name, found in mixes.items())
    return figures.chosen(steps(df, KINDS), first)


def balance(evidence: Evidence, kinds: dict[str, np.ndarray]) -> alt.TopLevelMixin:
    """The frequency of each number, a histogram a kind of answers."""
    return steps(histograms(kinds), list(kinds))


def balance_words(evidence: Evidence, predicted_by: str | None) -> tuple[str, str]:
    """The title of the chart `balance` and its caption."""
    text = "How often each number is given to the train rows"
    if predicted_by:
        text += (
            f", and by {predicted_by} to the test rows. Predictions spread less than the true numbers, the less the "
            "weaker the model; where they lie elsewhere, test rows are of another mix, or the model leans"
        )
    return "Numbers", text + "."


def histograms(numbers: dict[str, np.ndarray]) -> pd.DataFrame:
    """Columns kind, low, high, rows, share: bins of equal width over all of them, and the last one's end once more."""
    every = np.concatenate([np.asarray(one, float) for one in numbers.values()])
    low, high = float(every.min()), float(every.max())
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    parts = []
    for kind, values in numbers.items():
        n = np.histogram(values, edges)[0]
        n, highs = np.append(n, n[-1]), np.append(edges[1:], edges[-1])
        parts.append(pd.DataFrame({"kind": kind, "low": edges, "high": highs, "rows": n, "share": n / len(values)}))
    df = pd.concat(parts)
    return df.assign(**{column: figures.rounded(df[column]) for column in ("low", "high", "share")})


def steps(df: pd.DataFrame, kinds: Sequence[str]) -> alt.Chart:
    """The share of rows in steps, a line a kind: bars would hide each other."""
    marks = alt.Chart(df, width="container", height=260).mark_line(interpolate="step-after", strokeWidth=2)
    return marks.encode(
        x=alt.X("low:Q", title="number", scale=alt.Scale(zero=False)),
        y=alt.Y("share:Q", axis=alt.Axis(format="%"), title="share of the rows"),
        color=alt.Color("kind:N", title=None, scale=figures.coloured(list(kinds))),
        tooltip=figures.tips(df, kind="of", low="from", high="to", share="share", rows="rows"),
    )
