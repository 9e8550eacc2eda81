"""The choices on the way to a model: the C of a probe, the alpha of WiSE-FT, the learning rate, the prompts."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import figures
from src.report.evidence import Evidence
from src.scoring.metrics import METRICS

LEAST = 1e-6  # of a loss, where it is drawn by its logarithm: what is less is written as 0
BEST, WORST = 10, 5  # prompts that are shown
FEATURE_KINDS = {"unit": "unit vectors", "raw": "as they are"}


def wise_ft(evidence: Evidence) -> pd.DataFrame | None:
    """Columns model, alpha, score, se, folds: how many folds chose that alpha."""
    rows = []
    for name, model in evidence.models.items():
        found = model.made.get("wise_ft")
        if not isinstance(found, dict):
            continue
        for point in found.get("curve", ()):
            n = sum(alpha == point.get("alpha") for alpha in found.get("chosen", ()))
            rows.append((name, point.get("alpha"), point.get("score"), point.get("se"), n))
    df = pd.DataFrame(rows, columns=["model", "alpha", "score", "se", "folds"])
    df = df[[figures.known(*row) for row in zip(df["alpha"], df["score"], strict=True)]]
    return df if len(df) else None


def wise_chart(evidence: Evidence, df: pd.DataFrame, names: list[str]) -> alt.LayerChart:
    metric, df = evidence.competition.metric, df.astype({"alpha": float, "score": float, "se": float})
    df = figures.with_interval(df, metric, "score", "se", len(evidence.train))
    present = [name for name in names if name in set(df["model"])]
    color = alt.Color("model:N", scale=figures.coloured(names), legend=alt.Legend(title=None, values=present))
    hover = figures.tips(df, model="model", alpha="alpha", score=metric, error="error", folds="folds that chose it")
    x = alt.X("alpha:Q", title="alpha: from the start (0) to fine-tuned (1)")
    y = alt.Y("score:Q", title=figures.score_title(evidence, "CV"), scale=alt.Scale(zero=False))
    marks = alt.Chart(df).encode(x=x, color=color, tooltip=hover)
    picked = marks.transform_filter("datum.folds > 0")
    return alt.layer(
        marks.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q"),
        marks.mark_line(strokeWidth=1.5).encode(y=y),
        marks.mark_point(filled=True, size=40, opacity=1).encode(y=y),
        picked.mark_point(size=200, strokeWidth=2).encode(y=y),
    ).properties(width="container", height=260)


def soups(evidence: Evidence) -> list[dict[str, Any]]:
    """The ingredients of each soup, a text a fold; the first word of one is its model, the second its seed."""
    return [
        {"name": name, "folds": [", ".join(map(str, one)) for one in folds]}
        for name, model in evidence.models.items()
        if isinstance(folds := model.made.get("ingredients"), list)
    ]


def lr_ranges(evidence: Evidence) -> dict[str, pd.DataFrame]:
    """{model: its lr.csv} for the models that find_lr has run on."""
    found = {}
    for name in evidence.competition.of_stage("finetune"):
        path = evidence.competition.model_folder(name) / "lr.csv"
        if not path.is_file():
            continue
        try:
            df = pd.read_csv(path)[["lr", "smooth"]].apply(pd.to_numeric, errors="coerce").dropna()
        except (OSError, ValueError, KeyError) as error:
            evidence.leave_out(f"{name}'s lr.csv", f"it cannot be read: {error}")
            continue
        if len(df := df[df["lr"] > 0]):
            found[name] = df
    return found


def range_chart(evidence: Evidence, ranges: dict[str, pd.DataFrame], names: list[str]) -> alt.LayerChart:
    names = [*names, *(name for name in ranges if name not in names)]
    df = pd.concat([df.assign(model=name) for name, df in ranges.items()])
    df["smooth"] = figures.rounded(df["smooth"])
    peaks = [(name, spec.lr) for name in ranges if (spec := evidence.competition.models[name]) and hasattr(spec, "lr")]
    peak = pd.DataFrame(peaks, columns=["model", "lr"])
    x = alt.X("lr:Q", scale=alt.Scale(type="log", nice=False), title="learning rate", axis=alt.Axis(format="~e"))
    color = alt.Color("model:N", scale=figures.coloured(names), legend=alt.Legend(title=None, values=list(ranges)))
    y = alt.Y("smooth:Q", title="loss, smoothed", scale=alt.Scale(zero=False))
    hover, peak_hover = figures.tips(df, model="model", smooth="loss"), figures.tips(peak, model="model")
    return alt.layer(
        alt.Chart(df).mark_line().encode(x=x, y=y, color=color, tooltip=hover),
        alt.Chart(peak).mark_rule(strokeDash=[4, 4]).encode(x=x, color=color, tooltip=peak_hover),
    ).properties(width="container", height=240)


def sweep(evidence: Evidence, name: str) -> pd.DataFrame | None:
    """A probe's loss inside the training rows: model, kind, fold, c, loss, and picked: by that fold."""
    made, rows = evidence.models[name].made, []
    folds, picks = made.get("c_curves"), made.get("chosen")
    if not isinstance(folds, list) or not isinstance(picks, list):
        return None
    for i, curve in enumerate(folds):
        pick = picks[i] if i < len(picks) else {}
        for kind, losses in curve.items():
            for c, loss in losses.items():
                picked = (kind == "unit") == pick.get("normalise") and float(c) == pick.get("c")
                rows.append((name, FEATURE_KINDS.get(kind, kind), str(i), float(c), loss, picked))
    df = pd.DataFrame(rows, columns=["model", "kind", "fold", "c", "loss", "picked"])
    if not len(df):
        return None
    mean = df.groupby(["model", "kind", "c"], as_index=False, sort=False)["loss"].mean()
    whole = pd.concat([df, mean.assign(fold="mean", picked=False, loss=figures.rounded(mean["loss"]))])
    return whole.assign(loss=whole["loss"].clip(lower=LEAST))


def c_line(evidence: Evidence, name: str) -> dict[str, str]:
    picks = evidence.models[name].made["chosen"]
    values = [f"{one.get('c', np.nan):g} ({FEATURE_KINDS['unit' if one.get('normalise') else 'raw']})" for one in picks]
    counted = [f"{value} in {values.count(value)} of {len(values)} folds" for value in dict.fromkeys(values)]
    return {"name": name, "chosen": ", ".join(counted)}


def sweep_chart(df: pd.DataFrame, first: str, title: str) -> alt.LayerChart:
    """`title` is the name of the loss."""
    legend = alt.Legend(title="features", symbolOpacity=1)
    color = alt.Color("kind:N", scale=figures.coloured(list(FEATURE_KINDS.values())), legend=legend)
    hover = figures.tips(df, kind="features", fold="fold", c="C", loss=title)
    axis = alt.Axis(format="~g", values=sorted(set(df["c"])))
    x = alt.X("c:Q", scale=alt.Scale(type="log", nice=False, padding=8), title="C", axis=axis)
    y = alt.Y(
        "loss:Q",
        scale=alt.Scale(type="log", nice=False, padding=figures.EDGE),
        title=f"{title} inside the training rows",
    )
    marks = figures.chosen(alt.Chart(df), first).encode(x=x, y=y, color=color, tooltip=hover)
    folds = marks.transform_filter("datum.fold !== 'mean'")
    return alt.layer(
        folds.mark_line(strokeWidth=1, opacity=figures.SLIGHT).encode(detail="fold:N"),
        marks.transform_filter("datum.fold === 'mean'").mark_line(strokeWidth=2.5, point={"size": 20}),
        folds.transform_filter("datum.picked").mark_point(size=120, strokeWidth=2, opacity=1),
    ).properties(width="container", height=280)


def prompts(evidence: Evidence, name: str) -> dict[str, Any] | None:
    """A zero-shot model's leaderboard of prompts: the best and the worst, and the whole ensemble."""
    path = evidence.models[name].folder / "prompts.csv"
    if not path.is_file():
        return None
    try:
        df = pd.read_csv(path, dtype={"kind": str, "class": str, "text": str}, keep_default_na=False)
        metric = next(column for column in df if column in METRICS)
        numbers = list(dict.fromkeys([metric, "se", "log_loss"]))
        df[numbers] = df[numbers].apply(pd.to_numeric, errors="coerce")
        whole = df[["kind", "class", "text", *numbers]].dropna()
    except (OSError, ValueError, KeyError, StopIteration) as error:
        evidence.leave_out(f"{name}'s prompts.csv", f"it cannot be read: {error or 'it has no score'}")
        return None
    if len(whole) < len(df):
        evidence.leave_out(f"{name}'s prompts.csv", f"{len(df) - len(whole)} of its lines are damaged")
    lines, n, rows = whole.to_dict("records"), len(whole), []
    for i, line in enumerate(lines):
        if BEST <= i < n - WORST and line["kind"] != "all":
            continue
        about = {
            "rank": i + 1,
            "gap": bool(rows) and rows[-1]["rank"] < i,
            "kind": "all prompts together" if line["kind"] == "all" else line["kind"],
            "label": line["class"],
            "text": line["text"],
            "score": figures.measured(metric, line[metric], line["se"], len(evidence.train)),
            "log_loss": figures.number(line["log_loss"]),
        }
        rows.append(about)
    return {"name": name, "metric": metric, "rows": rows, "n": n}
