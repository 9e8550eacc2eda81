"""Calibration of probabilities: reliability, the frequency of each confidence, and the gain of a temperature."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import charts, reliability, tasks
from src.report.evidence import Evidence, Model
from src.report.figures import chosen, coloured, gained, known, number, tips
from src.report.reliability import Calibration

HISTOGRAM_BINS = 20  # of the histogram of confidence
AS_IS, SCALED = "as it is", "with a temperature"
SWITCHED = ("reliability", "confidence")  # charts of one model
# The words of a target whose rows are one class each, and of one whose rows have labels
CHOICE = {
    "x": "confidence",
    "y": "share of hits",
    "kinds": ("right", "wrong"),
    "kind": "likeliest class",
    "of": "share of rows",
    "reliability": "Of rows with a confidence of 0.8, eight in ten should be hits: on the dashed line they are. Bins "
    "hold equally many out-of-fold rows; bars are 95 % intervals. The temperature is fitted on the other folds.",
    "confidence": "How sure the model is of its likeliest class, out of fold: the more of the wrong ones stand at the "
    "left, the better.",
}
LABELS = {
    "x": "probability",
    "y": "share that have the label",
    "kinds": ("has it", "has it not"),
    "kind": "the row",
    "of": "share of rows and labels",
    "reliability": "Of labels with a probability of 0.8, eight in ten rows should have them: on the dashed line they "
    "do. All labels of all rows are measured together, out of fold; bins hold equally many, bars are 95 % intervals. "
    "The temperature is fitted on the other folds.",
    "confidence": "How probable labels are that rows have and that they have not, out of fold: the better they are "
    "told apart, the less of one colour stands at the other's end. The height is by its root, since most rows lack "
    "most labels.",
}


def part(evidence: Evidence, best: Model) -> tuple[dict[str, Any], dict[str, alt.TopLevelMixin]]:
    """The template's data, and charts."""
    rows = reliability.sample(best.oof)
    curves = {name: reliability.calibrated(evidence, model, rows) for name, model in evidence.models.items()}
    words = CHOICE if evidence.target.is_choice else LABELS
    about = {
        "sampled": None if isinstance(rows, slice) else (len(rows), len(best.oof)),
        "calibration": [calibration_line(evidence, name, curve) for name, curve in curves.items()],
        "words": words,
    }
    drawn = {"reliability": reliability_chart(curves, best.name, words)}
    drawn["confidence"] = confidence_chart(evidence, best.name, rows, words)
    return about, drawn


def calibration_line(evidence: Evidence, name: str, found: Calibration) -> dict[str, Any]:
    chance, most = found.before.by_chance
    own = evidence.models[name].made.get("temperature")  # of several labels, one each
    own = None if own is None else float(np.median(own))
    return {
        "name": name,
        "ece": number(found.before.ece),
        "chance": number(chance),
        "most": number(most),
        "more": found.before.ece > most,
        "after": number(found.after.ece),
        "temperature": number(found.temperature, 2),
        "gain": gained(found.gain, found.gain_se),
        "own": number(own, 2) if known(own) else "",
    }


def reliability_chart(curves: dict[str, Calibration], first: str, words: dict[str, Any]) -> alt.LayerChart:
    df = pd.concat(
        [
            state.table().assign(model=name, state=label)
            for name, found in curves.items()
            for label, state in ((AS_IS, found.before), (SCALED, found.after))
        ]
    )
    df["rows"] = df["rows"].astype(int)
    scale = alt.Scale(domain=[0, 1])
    x, y = alt.X("confidence:Q", scale=scale, title=words["x"]), alt.Y("share:Q", scale=scale, title=words["y"])
    color = alt.Color("state:N", scale=coloured([AS_IS, SCALED]), legend=alt.Legend(title=None))
    hover = tips(df, state="probabilities", confidence=f"mean {words['x']}", share=words["y"], rows="rows")
    marks = chosen(alt.Chart(df), first).encode(x=x, color=color, tooltip=hover)
    equal = pd.DataFrame([{"low": 0, "high": 1}])
    return alt.layer(
        alt.Chart(equal).mark_rule(strokeDash=[4, 4]).encode(x="low:Q", x2="high:Q", y="low:Q", y2="high:Q"),
        marks.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q"),
        marks.mark_line(strokeWidth=1.5).encode(y=y),
        marks.mark_point(filled=True, size=45, opacity=1).encode(y=y),
    ).properties(width="container", height=320)


def confidence_chart(evidence: Evidence, first: str, rows: np.ndarray | slice, words: dict[str, Any]) -> alt.Chart:
    """The frequency of each probability, among those that came true and the others."""
    task, edges, found = tasks.of(evidence.competition), np.linspace(0, 1, HISTOGRAM_BINS + 1), []
    for name, model in evidence.models.items():
        probs, right = task.events(evidence.targets[rows], model.oof[rows])
        for kind, which in zip(words["kinds"], (right, ~right), strict=True):
            counted = np.histogram(probs[which], edges)[0]
            found += [
                (name, kind, low, high, n, n / len(probs))
                for low, high, n in zip(edges[:-1].tolist(), edges[1:].tolist(), counted.tolist(), strict=True)
                if n
            ]
    df = pd.DataFrame(found, columns=["model", "kind", "low", "high", "rows", "share"])
    scale = alt.Scale(domain=list(words["kinds"]), range=list(charts.COLOURS[2:4]))
    stacked = evidence.target.is_choice
    marks = chosen(alt.Chart(df, width="container", height=320), first).mark_bar(opacity=1 if stacked else 0.65)
    stack = {"stack": "zero"} if stacked else {"stack": None, "scale": alt.Scale(type="sqrt")}
    return marks.encode(
        x=alt.X("low:Q", bin="binned", scale=alt.Scale(domain=[0, 1]), title=words["x"]),
        x2="high:Q",
        y=alt.Y("share:Q", axis=alt.Axis(format=".0%"), title=words["of"], **stack),
        color=alt.Color("kind:N", scale=scale, legend=alt.Legend(title=None)),
        tooltip=tips(df, kind=words["kind"], low="from", high="to", rows="rows"),
    )
