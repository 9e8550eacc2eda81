"""The section 'trust': the honesty of the probabilities, and the expected scores on the leaderboard."""

from typing import Any

import altair as alt
import pandas as pd

from src.report import calibration_of, forecast, mix_of, tasks
from src.report.evidence import Evidence
from src.report.figures import coloured, known, number, spread, switch, tips
from src.report.page import Section


def section(evidence: Evidence) -> Section:
    best, competition = evidence.best, evidence.competition
    if best is None:
        return Section("trust", "Trust", {"command": competition.command, "best": None})
    honesty, mixing = calibration_of.BY_TASK[competition.task], mix_of.BY_TASK[competition.task]
    calibrated, drawn = honesty.part(evidence, best)
    intervals = forecast.intervals(evidence, evidence.models.values())
    mixes = {name: mixing.mix(evidence, model) for name, model in evidence.models.items() if model.test is not None}
    about = {
        **calibrated,
        "kind": tasks.of(competition).kind,
        "metric": competition.metric,
        "best": best.name,
        "switch": switch("trust", list(evidence.models), best.name, (*honesty.SWITCHED, mixing.CHART)),
        "expected": (expected := [expected_line(one) for one in intervals.to_dict("records")]),
        "outside": outside_text(expected),
        "left": len(evidence.models) - intervals["model"].nunique(),
        "shift": mixing.shift(evidence, mixes, best.name),
        "mix": {"chart": mixing.CHART, **mixing.words(evidence)},
    }
    if len(intervals):
        drawn["expected"] = expected_chart(evidence, intervals)
    if mixes:
        drawn[mixing.CHART] = mixing.chart(evidence, mixes, best.name if best.name in mixes else next(iter(mixes)))
    return Section("trust", "Trust", about, drawn)


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
