"""The section 'blend': the worth of each model to it, and how the models differ."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import charts, tasks
from src.report.evidence import BLEND, Evidence, Model
from src.report.figures import STEP, UNKNOWN, coloured, constant_score, gained, known, measured, number, single, tips
from src.report.page import Section
from src.scoring import agreement

LABELLED = 16  # models, up to which each cell of a heat map has its number
CELL = 30  # pixels of its height
CELLS = 2**24  # answers of a model whose errors are correlated, at most: of more, each second row, third ...
# The words of a target whose rows are one class each, and of the others
CHOICE = {
    "apart": "The share of train rows to which two models give different labels, out of fold: the darker, the more.",
    "errors": "The correlation of being wrong: 1 where two models are wrong on the same rows, 0 where one's mistakes "
    "say nothing of the other's.",
}
OTHERS = {
    "apart": "1 less the correlation of two models' predictions, out of fold, the mean over labels where there are "
    "several: the darker, the less alike.",
    "errors": "The correlation of errors: 1 where two models are wrong on the same rows and by the same, 0 where one's "
    "errors say nothing of the other's.",
}


def section(evidence: Evidence) -> Section:
    models, blend = single(evidence), evidence.models.get(BLEND)
    about: dict[str, Any] = {"command": evidence.competition.command, "metric": evidence.competition.metric}
    about |= {"loss": evidence.loss_beside, "models": len(models), "blend": None, "closest": None}
    drawn = {}
    if blend is not None:
        about["blend"] = facts(evidence, blend)
        if len(parts := part_table(evidence, blend)):
            drawn["weights"] = weights_chart(evidence, parts)
        if len(lost := parts.dropna(subset=["lost"])):
            drawn["lost"] = lost_chart(evidence, lost)
    if len(models) > 1:
        apart = agreement.disagreement(evidence.competition.target, [model.oof for model in models])
        alike = error_correlation(evidence, models)
        names = [model.name for model in models]
        how, form = agreement.disagreement_name(evidence.target), ".1%" if evidence.target.is_choice else ".3f"
        drawn["disagreement"] = heat_map(frame(models, apart), names, how, form)
        if len(pairs := frame(models, alike)):
            drawn["errors"] = heat_map(pairs, names, "correlation", ".2f")
        about["closest"] = closest(evidence, models, apart)
        about["words"] = CHOICE if evidence.target.is_choice else OTHERS
    return Section("blend", "Blend", about, drawn)


def facts(evidence: Evidence, blend: Model) -> dict[str, Any]:
    """The facts of the blend's model.json, as text; empty where its version did not write them."""
    made, metric, n = blend.made, evidence.competition.metric, len(evidence.train)
    methods = [
        {
            "name": name,
            "chosen": name == made.get("method"),
            "cv": measured(metric, one.get("cv"), one.get("se"), n),
            "gain": gained(one.get("gain"), one.get("gain_se")) if name != "mean" else "",
            "loss": number(one.get(evidence.target.loss_name)),
        }
        for name, one in (made.get("methods") or {}).items()
    ]
    auto = made.get("auto") or {}
    picks = auto.get("chosen_by_fold", [])
    return {
        "cv": measured(metric, made["cv"], made["se"], n),
        "method": made.get("method", UNKNOWN),
        "methods": methods,
        "picks": ", ".join(f"{name} in {picks.count(name)} of {len(picks)} folds" for name in dict.fromkeys(picks)),
        "gain": gained(auto.get("gain"), auto.get("gain_se")) if auto.get("gain") else "",
        "parts": [
            {
                "name": one.model,
                "share": number(one.share, 3),
                "cv": measured(metric, one.cv, one.cv_se, n),
                "lost": gained(one.lost, one.lost_se),
            }
            for one in part_table(evidence, blend).itertuples()
        ],
        "left_out": list((made.get("left_out") or {}).items()),
        "constant": (evidence.constant.text, constant_score(evidence)),
    }


def part_table(evidence: Evidence, blend: Model) -> pd.DataFrame:
    """The worth of each blended model: model, share, cv, cv_se, lost, lost_se; the greatest share first."""
    made = blend.made
    weights, parts = made.get("weights") or {}, made.get("models") or {}
    rows = []
    for name in dict.fromkeys([*parts, *weights]):
        part = parts.get(name, {})
        found = [part.get("share", weights.get(name)), *(part.get(key) for key in ("cv", "se", "lost", "lost_se"))]
        rows.append((name, *(float(value) if known(value) else np.nan for value in found)))
    df = pd.DataFrame(rows, columns=["model", "share", "cv", "cv_se", "lost", "lost_se"])
    return df.sort_values("share", ascending=False, kind="stable")


def weights_chart(evidence: Evidence, parts: pd.DataFrame) -> alt.Chart:
    marks = alt.Chart(parts, width="container", height=STEP * len(parts)).mark_bar(size=12)
    return marks.encode(
        x=alt.X("share:Q", title="weight"),
        y=alt.Y("model:N", sort=parts["model"].tolist(), title=None),
        color=alt.Color("model:N", scale=coloured(list(evidence.models)), legend=None),
        tooltip=tips(parts, model="model", share="weight", cv=f"CV {evidence.competition.metric}"),
    )


def lost_chart(evidence: Evidence, parts: pd.DataFrame) -> alt.LayerChart:
    ends = {"low": parts["lost"] - parts["lost_se"], "high": parts["lost"] + parts["lost_se"]}
    df = parts.assign(**ends, text=[gained(*one) for one in zip(parts["lost"], parts["lost_se"], strict=True)])
    metric, zero = evidence.competition.metric, pd.DataFrame([{"none": 0.0}])
    y = alt.Y("model:N", sort=df["model"].tolist(), title=None)
    color = alt.Color("model:N", scale=coloured(list(evidence.models)), legend=None)
    hover = tips(df, model="model", text=f"{metric} lost without it")
    marks = alt.Chart(df).encode(y=y, color=color, tooltip=hover)
    return alt.layer(
        alt.Chart(zero).mark_rule(strokeDash=[4, 4]).encode(x="none:Q"),
        marks.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q"),
        marks.mark_point(filled=True, size=70, opacity=1).encode(x=alt.X("lost:Q", title=f"{metric} lost without it")),
    ).properties(width="container", height=STEP * len(df))


def closest(evidence: Evidence, models: list[Model], apart: np.ndarray) -> str:
    """The two models that differ least, as a sentence."""
    i, j = np.triu_indices(len(models), 1)
    best = int(apart[i, j].argmin())
    a, b, share = models[i[best]].name, models[j[best]].name, apart[i[best], j[best]]
    beside = f"{a} and {b} are nearest to each other"
    if evidence.target.is_choice:
        return f"{beside}: they give {share:.1%} of the train rows different labels"
    return f"{beside}: their predictions of the train rows correlate to {1 - share:.3f}"


def error_correlation(evidence: Evidence, models: list[Model]) -> np.ndarray:
    """(m, m) Pearson's correlation of being wrong on a row or cell, or of errors; NaN where these are all the same."""
    task = tasks.of(evidence.competition)
    rows = slice(None, None, -(-evidence.targets.size // CELLS))
    misses = [task.misses(evidence.targets[rows], model.oof[rows]) for model in models]
    wrong = np.stack(misses).astype(np.float32)
    wrong -= wrong.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(wrong).sum(axis=1, dtype=float))
    sizes = np.outer(size, size)
    return np.divide(wrong @ wrong.T, sizes, out=np.full(sizes.shape, np.nan), where=sizes > 0)


def frame(models: list[Model], values: np.ndarray) -> pd.DataFrame:
    """Columns a, b, value: a row for each two models of which the value is known."""
    names = [model.name for model in models]
    rows = [(a, b, values[i, j]) for i, a in enumerate(names) for j, b in enumerate(names) if i != j]
    return pd.DataFrame(rows, columns=["a", "b", "value"]).dropna()


def heat_map(df: pd.DataFrame, names: list[str], title: str, format: str) -> alt.LayerChart:
    """A cell a pair of models; nothing on the diagonal."""
    n, ends = len(names), [float(df["value"].min()), float(df["value"].max())]
    scale = alt.Scale(scheme="blues", domain=ends)
    x = alt.X("a:N", sort=names, title=None, axis=alt.Axis(labelAngle=-45), scale=alt.Scale(domain=names))
    y = alt.Y("b:N", sort=names, title=None, scale=alt.Scale(domain=names))
    value = alt.Tooltip("value", title=title, format=format)
    hover = [alt.Tooltip("a", title="model"), alt.Tooltip("b", title="and"), value]
    marks = alt.Chart(df).encode(x=x, y=y, tooltip=hover)
    cells = marks.mark_rect().encode(color=alt.Color("value:Q", scale=scale, legend=None))
    if n > LABELLED:
        return alt.layer(cells).properties(width="container", height=max(200, 12 * n))
    # on the cell and not on the page: light on dark cells, whatever the theme
    dark, light = charts.INK["light"][0], charts.INK["dark"][0]
    ink = alt.condition(f"datum.value > {sum(ends) / 2}", alt.value(light), alt.value(dark))
    room = alt.ExprRef(f"width > {34 * n} ? 1 : 0")  # a phone has none for many models
    numbers = marks.mark_text(fontSize=10, opacity=room).encode(text=alt.Text("value:Q", format=format), color=ink)
    return alt.layer(cells, numbers).properties(width="container", height=CELL * n)
