"""The section 'compare': models on a data set, epoch by epoch, beside published scores, and what they cost."""

from typing import Any

import altair as alt
import pandas as pd

from src.report.evidence import Evidence
from src.report.figures import STEP, coloured, score_title, tips, whole_numbers, with_interval
from src.report.page import Section
from src.results import compare
from src.results.compare import ALPHA, FINE_TUNED, PROBE, WISE_FT, ZERO_SHOT


def section(evidence: Evidence) -> Section | None:
    path = evidence.competition.compare_csv
    if not path.is_file() or (df := evidence.usable("the comparison", compare.read_compare, path)) is None:
        return None
    if (about := evidence.usable("the comparison", compare.read_about, path)) is None or not len(df):
        return None
    models = list(dict.fromkeys(df["model"]))  # that is the order of colours
    own = df[df["templates"] == ""]
    drawn = {}
    if (own["kind"] == FINE_TUNED).any():
        drawn["curves"] = learning(evidence, own, models)
    if (own["kind"] == WISE_FT).any():
        drawn["wise"] = between(evidence, own, models)
    tried = df[df["templates"] != ""]
    if len(tried):
        drawn["templates"] = templates(evidence, tried)
    main = compare.headline(df)
    pairs = [(compare.pair_text(pair), bool(pair.get("templates"))) for pair in about["pairs"]]
    return Section(
        "compare",
        "Comparison",
        {
            "competition": evidence.competition.name,
            "metric": evidence.competition.metric,
            "rows": compare.rows_text(about),
            "alpha": f"{ALPHA:g}",
            **table(main, compare.constant_texts(about, evidence.competition.metric)),
            "setups": compare.setups(evidence.competition, df),
            "pairs": [text for text, of_templates in pairs if not of_templates],
            "kinds": [text for text, of_templates in pairs if of_templates],
            "costs": compare.costs(df),
        },
        drawn,
    )


def table(df: pd.DataFrame, constant: tuple[str, str] | None) -> dict[str, Any]:
    """The scores by epoch: `head`, and `lines` of a name and its cells, the constant answer's first."""
    head, by_model = compare.by_epoch(df)
    lines = [{"name": name, "cells": list(map(cell, rows))} for name, rows in by_model.items()]
    if constant is not None:
        name, text = constant
        score, _, error = text.partition(" ")
        first = {"score": score, "error": error, "published": ""}
        lines.insert(0, {"name": name, "cells": [first, *[cell(None)] * (len(head) - 1)]})
    return {"head": head, "lines": lines}


def cell(row: dict[str, Any] | None) -> dict[str, str]:
    """A score, its error in words and what was published; "" where there is none."""
    if row is None:
        return {"score": "", "error": "", "published": ""}
    score, _, error = compare.score_text(row).partition(" ")
    return {"score": score, "error": error, "published": compare.apart(row)}


def learning(evidence: Evidence, df: pd.DataFrame, models: list[str]) -> alt.LayerChart:
    """The curves from before any training on; zero-shot a ring at epoch 0, a probe a dashed line."""
    title = score_title(evidence, "validation")
    df = plain(evidence, df[df["kind"] != WISE_FT])
    color = alt.Color("model:N", scale=coloured(models), legend=alt.Legend(title=None, labelLimit=240, symbolOpacity=1))
    x = alt.X("epoch:Q", title="epoch", axis=whole_numbers())
    y = alt.Y("score:Q", title=title, scale=alt.Scale(zero=False))
    hover = tips(df, model="model", epoch="epoch", score=title, error="error", published="published")
    base = alt.Chart(df).encode(x=x, color=color, tooltip=hover)
    curves = base.transform_filter(f"datum.kind === '{FINE_TUNED}'")
    layers = [
        curves.mark_rule(opacity=0.5).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        curves.mark_line(strokeWidth=2, point={"size": 24}).encode(y=y),
    ]
    if (df["kind"] == ZERO_SHOT).any():
        zero = base.transform_filter(f"datum.kind === '{ZERO_SHOT}'")
        layers.append(zero.mark_point(size=110, strokeWidth=2.5).encode(y=y))
    if (df["kind"] == PROBE).any():
        probes = alt.Chart(df).transform_filter(f"datum.kind === '{PROBE}'")
        layers.append(probes.mark_rule(strokeDash=[6, 4], strokeWidth=2).encode(y=y, color=color, tooltip=hover))
    if df["published"].notna().any():
        known = base.transform_filter("isValid(datum.published)")
        marks = known.mark_point(shape="diamond", size=90, filled=True, stroke="#888", strokeWidth=1)
        layers.append(marks.encode(y=alt.Y("published:Q", title=title)))
    return alt.layer(*layers).properties(width="container", height=320)


def plain(evidence: Evidence, df: pd.DataFrame) -> pd.DataFrame:
    """The numbers for charts, None where there are none, with error bars."""
    rows = df["rows"].astype(int)
    df = df[["model", "templates", "kind", "epoch", "alpha", "score", "se", "published"]]
    df = df.astype({"se": float, "score": float, "published": float})
    return with_interval(df, evidence.competition.metric, "score", "se", rows)


def between(evidence: Evidence, df: pd.DataFrame, models: list[str]) -> alt.LayerChart:
    """WiSE-FT's curve; the alpha that was named beforehand is a ring."""
    title = score_title(evidence, "validation")
    df = plain(evidence, df[df["kind"] == WISE_FT])
    legend = alt.Legend(title=None) if df["model"].nunique() > 1 else None
    base = alt.Chart(df).encode(
        x=alt.X("alpha:Q", title="alpha: 0 as at the start, 1 fine-tuned", scale=alt.Scale(domain=[0, 1])),
        color=alt.Color("model:N", scale=coloured(models), legend=legend),
        tooltip=tips(df, model="model", alpha="alpha", score=title, error="error"),
    )
    y = alt.Y("score:Q", title=title, scale=alt.Scale(zero=False))
    return alt.layer(
        base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_line(strokeWidth=2, point={"size": 24}).encode(y=y),
        base.transform_filter(f"datum.alpha === {ALPHA}").mark_point(size=140, strokeWidth=2.5).encode(y=y),
    ).properties(width="container", height=240)


def templates(evidence: Evidence, df: pd.DataFrame) -> alt.LayerChart:
    """The score after the last epoch with each kind of templates."""
    title = score_title(evidence, "validation")
    last = df.groupby(["model", "templates"], sort=False).tail(1)
    df = plain(evidence, last)
    kinds = list(dict.fromkeys(df["templates"]))
    base = alt.Chart(df).encode(
        y=alt.Y("model:N", title=None, sort=list(dict.fromkeys(df["model"]))),
        yOffset=alt.YOffset("templates:N", sort=kinds),
        color=alt.Color("templates:N", scale=coloured(kinds), legend=alt.Legend(title="templates")),
        tooltip=tips(df, model="model", templates="templates", score=title, error="error"),
    )
    x = alt.Scale(zero=False)
    return alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title, scale=x), x2="high:Q"),
        base.mark_point(filled=True, size=70, opacity=1).encode(x=alt.X("score:Q", title=title, scale=x)),
    ).properties(width="container", height=STEP * df["model"].nunique() * len(kinds))
