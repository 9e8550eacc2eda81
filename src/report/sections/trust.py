"""The section 'trust': the honesty of the probabilities, and the expected scores on the leaderboard."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import charts, forecast, reliability
from src.report.evidence import Evidence
from src.report.figures import chosen, coloured, gained, known, number, spread, switch, tips, with_interval
from src.report.page import Section
from src.report.reliability import Calibration
from src.scoring import agreement

HISTOGRAM_BINS = 20  # of the histogram of confidence
MANY = 50  # classes, above which mixes are compared of the best model alone: a test of each takes half a second
CLASSES_SHOWN = 20  # classes whose shares are shown: those that differ most
AS_IS, SCALED = "as it is", "with a temperature"


def section(evidence: Evidence) -> Section:
    best, competition = evidence.best, evidence.competition
    if best is None:
        return Section("trust", "Trust", {"command": competition.command, "best": None})
    rows = reliability.sample(*best.oof.shape)
    curves = {name: reliability.calibrated(evidence, model, rows) for name, model in evidence.models.items()}
    intervals = forecast.intervals(evidence, evidence.models.values())
    mixes = {name: mix for name, model in evidence.models.items() if (mix := forecast.mix(evidence, model)) is not None}
    few = len(evidence.classes) <= MANY
    about = {
        "metric": competition.metric,
        "best": best.name,
        "switch": switch("trust", list(evidence.models), best.name, ("reliability", "confidence", "classes")),
        "sampled": None if isinstance(rows, slice) else (len(rows), len(best.oof)),
        "calibration": [calibration_line(evidence, name, curve) for name, curve in curves.items()],
        "expected": (expected := [expected_line(one) for one in intervals.to_dict("records")]),
        "outside": outside_text(expected),
        "left": len(evidence.models) - intervals["model"].nunique(),
        "shift": [shift_line(evidence, name, mix) for name, mix in mixes.items() if few or name == best.name],
        "classes": (min(CLASSES_SHOWN, len(evidence.classes)), len(evidence.classes)),
    }
    drawn = {"reliability": reliability_chart(curves, best.name)}
    drawn["confidence"] = confidence_chart(evidence, best.name, rows)
    if len(intervals):
        drawn["expected"] = expected_chart(evidence, intervals)
    if mixes:
        drawn["classes"] = classes_chart(evidence, mixes, best.name if best.name in mixes else next(iter(mixes)))
    return Section("trust", "Trust", about, drawn)


def calibration_line(evidence: Evidence, name: str, found: Calibration) -> dict[str, Any]:
    chance, most = found.before.by_chance
    own = evidence.models[name].made.get("temperature")
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


def reliability_chart(curves: dict[str, Calibration], first: str) -> alt.LayerChart:
    df = pd.concat(
        [
            state.table().assign(model=name, state=label)
            for name, found in curves.items()
            for label, state in ((AS_IS, found.before), (SCALED, found.after))
        ]
    )
    df["rows"] = df["rows"].astype(int)
    scale = alt.Scale(domain=[0, 1])
    x, y = alt.X("confidence:Q", scale=scale, title="confidence"), alt.Y("share:Q", scale=scale, title="share of hits")
    color = alt.Color("state:N", scale=coloured([AS_IS, SCALED]), legend=alt.Legend(title=None))
    hover = tips(df, state="probabilities", confidence="mean confidence", share="share of hits", rows="rows")
    marks = chosen(alt.Chart(df), first).encode(x=x, color=color, tooltip=hover)
    equal = pd.DataFrame([{"low": 0, "high": 1}])
    return alt.layer(
        alt.Chart(equal).mark_rule(strokeDash=[4, 4]).encode(x="low:Q", x2="high:Q", y="low:Q", y2="high:Q"),
        marks.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q"),
        marks.mark_line(strokeWidth=1.5).encode(y=y),
        marks.mark_point(filled=True, size=45, opacity=1).encode(y=y),
    ).properties(width="container", height=320)


def confidence_chart(evidence: Evidence, first: str, rows: np.ndarray | slice) -> alt.Chart:
    """The frequency of each confidence, among hits and among misses."""
    edges, found = np.linspace(0, 1, HISTOGRAM_BINS + 1), []
    for name, model in evidence.models.items():
        probs = model.oof[rows]
        right = probs.argmax(axis=1) == evidence.targets[rows]
        for kind, which in (("right", right), ("wrong", ~right)):
            counted = np.histogram(probs.max(axis=1)[which], edges)[0]
            found += [
                (name, kind, low, high, n, n / len(probs))
                for low, high, n in zip(edges[:-1].tolist(), edges[1:].tolist(), counted.tolist(), strict=True)
                if n
            ]
    df = pd.DataFrame(found, columns=["model", "kind", "low", "high", "rows", "share"])
    scale = alt.Scale(domain=["right", "wrong"], range=list(charts.COLOURS[2:4]))
    marks = chosen(alt.Chart(df, width="container", height=320), first).mark_bar()
    return marks.encode(
        x=alt.X("low:Q", bin="binned", scale=alt.Scale(domain=[0, 1]), title="confidence"),
        x2="high:Q",
        y=alt.Y("share:Q", stack="zero", axis=alt.Axis(format=".0%"), title="share of rows"),
        color=alt.Color("kind:N", scale=scale, legend=alt.Legend(title=None)),
        tooltip=tips(df, kind="likeliest class", low="from", high="to", rows="rows"),
    )


def expected_line(one: dict[str, Any]) -> dict[str, Any]:
    score, outside = one["score"], ""
    if known(score) and not one["low"] <= score <= one["high"]:
        outside = "below" if score < one["low"] else "above"
    return {
        "name": one["model"],
        "part": one["part"],
        "rows": one["rows"],
        "interval": f"{one['low']:.4f} to {one['high']:.4f}",
        "score": number(score, 5) if known(score) else "",
        "outside": outside,
    }


def outside_text(lines: list[dict[str, Any]]) -> str:
    """Name the scores that are not where CV predicted them, in a sentence; empty where all are."""
    wrong = ", ".join(f"{one['name']} ({one['part']} {one['score']})" for one in lines if one["outside"])
    n, scored = sum(bool(one["outside"]) for one in lines), sum(bool(one["score"]) for one in lines)
    text = f"{n} of {scored} scores are outside of their intervals, where 1 in 20 would be by chance: {wrong}."
    return text if wrong else ""


def expected_chart(evidence: Evidence, df: pd.DataFrame) -> alt.LayerChart:
    """The intervals and scores less CV, so that models of all kinds are on one scale."""
    parts, names = list(dict.fromkeys(df["part"])), list(dict.fromkeys(df["model"]))
    df = df.assign(score=df["score"].astype(float))
    df = df.assign(**{f"{end}_off": df[end] - df["cv"] for end in ("low", "high", "score")})
    scale = alt.Scale(domain=spread(pd.concat([df["low_off"], df["high_off"], df["score_off"]])), nice=False)
    color = alt.Color("part:N", scale=coloured(parts), legend=alt.Legend(title=None, symbolOpacity=1))
    hover = tips(df, model="model", part="part", rows="rows", cv="CV", low="from", high="to", score="scored")
    y, offset = alt.Y("model:N", sort=names, title=None), alt.YOffset("part:N", sort=parts)
    marks = alt.Chart(df).encode(y=y, yOffset=offset, color=color, tooltip=hover)
    title = f"{evidence.competition.metric} beside CV"
    x = alt.X("low_off:Q", scale=scale, title=title, axis=alt.Axis(format="+"))
    return alt.layer(
        alt.Chart(pd.DataFrame([{"none": 0.0}])).mark_rule(strokeDash=[4, 4]).encode(x=alt.X("none:Q", scale=scale)),
        marks.mark_rule(strokeWidth=5, opacity=0.6).encode(x=x, x2="high_off:Q"),
        marks.mark_point(filled=True, size=80, opacity=1, shape="diamond").encode(x=alt.X("score_off:Q", scale=scale)),
    ).properties(width="container", height=(8 + 14 * len(parts)) * len(names))


def shifts(mix: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """(k,) how much greater each class's share is on the test rows than out of fold, and the classes by it."""
    shares = mix / mix.sum()
    apart = (shares["test"] - shares["out of fold"]).to_numpy()
    return apart, np.argsort(-np.abs(apart), kind="stable")


def shift_line(evidence: Evidence, name: str, mix: pd.DataFrame) -> dict[str, Any]:
    (apart, order), shares = shifts(mix), mix["test"] / mix["test"].sum()
    most = [i for i in order[: agreement.SHARES_SHOWN] if abs(apart[i]) >= 5e-4]
    p = agreement.chance(mix["out of fold"].to_numpy(), mix["test"].to_numpy())
    return {
        "name": name,
        "p": "< 0.001" if p < 0.001 else number(p, 3),
        "more": p < agreement.RARE,
        "most": ", ".join(f"{evidence.classes[i]} {shares[i]:.1%} ({apart[i]:+.1%})" for i in most),
    }


def classes_chart(evidence: Evidence, mixes: dict[str, pd.DataFrame], first: str) -> alt.LayerChart:
    order, rows = shifts(mixes[first])[1][:CLASSES_SHOWN], []
    for name, mix in mixes.items():
        for kind, n in mix.sum().items():
            share = mix[kind] / n
            rows += [
                (name, evidence.classes[i], kind, share[i], np.sqrt(share[i] * (1 - share[i]) / n), n) for i in order
            ]
    df = pd.DataFrame(rows, columns=["model", "class", "kind", "share", "se", "rows"])
    df = with_interval(df, "accuracy", "share", "se", df["rows"])
    classes, kinds = [evidence.classes[i] for i in sorted(order)], list(dict.fromkeys(df["kind"]))
    y, offset = alt.Y("class:N", sort=classes, title=None), alt.YOffset("kind:N", sort=kinds)
    color = alt.Color("kind:N", scale=coloured(kinds), legend=alt.Legend(title=None))
    hover = tips(df, **{"class": "class", "kind": "share of", "share": "share", "error": "error"})
    marks = chosen(alt.Chart(df), first).encode(y=y, yOffset=offset, color=color, tooltip=hover)
    x = alt.X("share:Q", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False), title="share of rows")
    return alt.layer(
        marks.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q"),
        marks.mark_point(filled=True, size=50, opacity=1).encode(x=x),
    ).properties(width="container", height=36 * len(classes))
