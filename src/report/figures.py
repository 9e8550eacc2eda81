"""The parts that figures share: numbers as text, colours of models, dots with error bars, and the switch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.base.text import duration
from src.report import charts
from src.report.evidence import BLEND, Evidence, Model
from src.scoring import intervals

STEP = 24  # pixels of a row in a chart with a row a model: fixed, since Vega complains of its own steps
EDGE = 6  # pixels between a line and the ends of a logarithmic axis, which would cut its points in half
SLIGHT = 0.3  # opacity of a fold's line beside that of the mean
UNKNOWN = "–"  # in a cell whose number is not known, or not defined


def known(*values: Any) -> bool:
    """Whether all are finite numbers: a model.json of another version may lack one, and a metric may be undefined."""
    return all(isinstance(value, Real) and math.isfinite(value) for value in values)


def number(value: Any, digits: int = 4) -> str:
    return f"{value:.{digits}f}" if known(value) else UNKNOWN


def measured(metric: str, value: Any, se: Any, n: int) -> str:
    """`0.8415 ± 0.0152` of a score of n rows: see `intervals.score_text`."""
    return intervals.score_text(metric, value, se, n) if known(value, se) else number(value)


def constant_score(evidence: Evidence) -> str:
    """`0.3333 ± 0.0786`, the score of the constant answer."""
    constant = evidence.constant
    return measured(evidence.competition.metric, constant.score, constant.se, len(evidence.train))


def gained(value: Any, se: Any) -> str:
    """`+0.0035 ± 0.0070`: see `intervals.gain_text`."""
    if known(value, se):
        return intervals.gain_text(value, se)
    return f"{value:+.4f} ± {UNKNOWN}" if known(value) else UNKNOWN


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def by_cv(evidence: Evidence) -> list[Model]:
    """The finished models and the blend, the best CV first; of equal ones the first in the config."""
    sign = evidence.metric.sign

    def merit(model: Model) -> float:
        return sign * model.made["cv"] if known(model.made["cv"]) else -math.inf

    return sorted(evidence.models.values(), key=merit, reverse=True)


def single(evidence: Evidence) -> list[Model]:
    """The finished models without the blend."""
    return [model for name, model in evidence.models.items() if name != BLEND]


def score_title(evidence: Evidence, what: str) -> str:
    """The title of an axis: `CV accuracy`, and for a loss that less of it is better."""
    less = "" if evidence.metric.greater_is_better else " (less is better)"
    return f"{what} {evidence.competition.metric}{less}"


def coloured(names: Sequence[str]) -> alt.Scale:
    """A colour a name, the same in every chart that begins with the same names."""
    return alt.Scale(domain=list(names), range=charts.palette(len(names)))


def with_interval(df: pd.DataFrame, metric: str, value: str, se: str, rows: Any) -> pd.DataFrame:
    """The table with an error bar a score, columns low and high, and in words, column error; NaN and "" if not known.

    `value` and `se` are columns; `rows` is the number of rows that each score is of, or one a line.
    """
    scores = list(zip(df[value], df[se], np.broadcast_to(rows, len(df)).tolist(), strict=True))
    bars = np.array([intervals.error_bar(metric, *score) for score in scores]).reshape(-1, 2)
    texts = [intervals.error_text(metric, *score) if known(*score[:2]) else "" for score in scores]
    return df.assign(low=bars[:, 0], high=bars[:, 1], error=texts)


def spread(values: pd.Series, pad: float = 0.05) -> list[float]:
    """A domain for an axis: from the least to the greatest value, with some room."""
    low, high = float(values.min()), float(values.max())
    room = pad * (high - low) or 0.05
    return [low - room, high + room]


def whole_numbers() -> alt.Axis:
    """An axis of epochs or ranks: Vega puts ticks between the first few, which would read `1 2 2 3 3`."""
    return alt.Axis(format="d", tickMinStep=1, labelExpr="datum.value % 1 ? '' : datum.label")


def rounded(values: pd.Series) -> pd.Series:
    """Five digits, which is more than a chart shows: a page has thousands of them."""
    return values.map(lambda value: float(f"{value:.5g}"))


def tips(df: pd.DataFrame, **titles: str) -> list[alt.Tooltip]:
    """The lines of a hover: {column: its title}."""
    return [
        alt.Tooltip(column, title=title, format=".4f" if df[column].dtype.kind == "f" else alt.Undefined)
        for column, title in titles.items()
    ]


def switch(section: str, options: Sequence[str], chosen: str, shows: Sequence[str]) -> dict[str, Any]:
    """A choice of a model that the charts `shows` of a section follow: for switch.html, see `chosen`."""
    return {"options": list(options), "chosen": chosen, "charts": " ".join(f"{section}-{name}" for name in shows)}


def chosen(chart: alt.TopLevelMixin, model: str) -> alt.TopLevelMixin:
    """The chart of one model's rows, that of the switch; `model` to begin with, and in the picture."""
    return chart.transform_filter("datum.model === shown").add_params(alt.param(name="shown", value=model))


@dataclass(frozen=True)
class Advice:
    what: str  # to do
    why: str  # with its numbers
    how: str  # a command, or a line of the config


def took(model: Model, unknown: str = UNKNOWN) -> str:
    """The computing time of a model."""
    seconds = model.made.get("seconds")
    return duration(seconds) if known(seconds) else unknown
