"""The section 'result': the scores of every model, and how well CV and leaderboard agree."""

import math
from typing import Any

import altair as alt
import pandas as pd

from src.leaderboard.counts import cv_correlation, digits_shown, standard_error
from src.leaderboard.forecast import BOARD_PARTS, NAME
from src.leaderboard.scored import Score
from src.report import configs, figures, forecast, histories
from src.report.evidence import BLEND, Model
from src.report.material import Material
from src.report.page import Section
from src.results import summary
from src.results.ledger import COMPLETE


def section(evidence: Material) -> Section:
    sent = submissions(evidence)
    competition, speeds = evidence.competition, evidence.histories
    rows = [row(evidence, model, speeds.get(model.name)) for model in evidence.models.values()]
    about = {
        "command": competition.command,
        "sends": competition.source.page is not None and competition.limit is None,
        "metric": competition.metric,
        "loss": evidence.loss_beside,
        "constant": (evidence.constant.text, figures.constant_score(evidence)),
        "rows": rows,
        "vote": vote(evidence),
        "noted": any(one["note"] for one in rows),
        "parts": {
            part: shown
            for part, shown in forecast.shown_parts(evidence).items()
            if any(part in ours.scores for ours in evidence.ours.values())
        },
        "reported": (theirs := reported(evidence)),
        "compared": any(line[f"our_{part}"]["score"] for line in theirs for part in BOARD_PARTS),
        "agreement": agreement(evidence, sent),
    }
    charts = {}
    if scored := [model for model in figures.by_cv(evidence) if figures.known(model.made["cv"])]:
        charts["cv"] = dots(evidence, scored)
    for part in BOARD_PARTS:
        if len(of := sent[sent["part"] == part]):
            charts[part] = scatter(evidence, of, part)
    return Section("result", "Result", about, charts)


def vote(evidence: Material) -> dict[str, Any] | None:
    """The line of the vote of the blend and CSVs: its file, what it is, and its scores; None where there is none."""
    if (path := summary.vote(evidence.competition)) is None:
        return None
    sent = [entry for entry in evidence.entries if entry.file == path.name and entry.status == COMPLETE]
    scores = {part: getattr(sent[-1], part) if sent else "" for part in BOARD_PARTS}
    return {"name": path.name, "about": summary.about_vote(evidence.competition), **scores}


def row(evidence: Material, model: Model, history: histories.History | None) -> dict[str, Any]:
    """A model's line of the table."""
    made, ours = model.made, evidence.ours.get(model.name)
    blend = evidence.models.get(BLEND)
    speed = None if history is None else history.median("images_per_second")
    whole = blend is not None and {"weights", "method"} <= blend.made.keys()
    return {
        "name": model.name,
        "best": model is figures.by_cv(evidence)[0],
        "cv": figures.measured(evidence.competition.metric, made["cv"], made["se"], len(evidence.train)),
        "folds": summary.span([score for score in made["folds"] if figures.known(score)]),
        "log_loss": figures.number(made[evidence.target.loss_name]),
        **{part: texts(ours.scores.get(part) if ours else None) for part in BOARD_PARTS},
        "weight": summary.share(blend.made, model.name) if whole else "",
        "time": figures.took(model),
        "speed": f"{speed:.0f}" if figures.known(speed) else "",
        "note": "; ".join(notes(evidence, model)),
    }


def texts(score: Score | None) -> dict[str, str]:
    """A leaderboard's score, and the count that it is."""
    if score is None:
        return {"score": "", "count": ""}
    return {"score": score.text, "count": "" if score.k is None else f"{score.k}/{score.n}"}


def notes(evidence: Material, model: Model) -> list[str]:
    found, spec = [], evidence.competition.models.get(model.name)
    if spec is None and model.name != BLEND:
        found.append("not in the config")
    stored = model.made["key"].get("model")
    if spec is not None and isinstance(stored, dict) and (changes := configs.changes(stored, evidence.scheduled(spec))):
        found.append(f"made with another config: {changes}")
    if model.test is None:
        found.append("no table of the test rows")
    if not evidence.constant.is_beaten(evidence.competition.metric, model.made["cv"], model.made["se"]):
        found.append(f"no better than {evidence.constant.text}")
    return found


def reported(evidence: Material) -> list[dict[str, Any]]:
    """The scores that others reported, each beside that of the model that it is to be compared with."""
    rows, found = evidence.competition.on_board, evidence.known
    lines = []
    for one in rows if found is not None else ():
        ours = evidence.ours.get(one.model)
        line = {"title": one.title, "model": one.model or "", "note": one.note}
        for part in BOARD_PARTS:
            theirs = getattr(one, part)
            line[part] = texts(None if theirs is None else found.score(part, digits_shown(theirs)))
            line[f"our_{part}"] = texts(ours.scores.get(part) if ours else None)
        lines.append(line)
    return lines


def submissions(evidence: Material) -> pd.DataFrame:
    """One row a score that has a CV beside it: name, file, part, cv, cv_se, score, score_se, rows, count.

    The ledger's, and those of models without one that the solution gives.
    """
    rows, there = [], evidence.known
    for entry in evidence.entries if there is not None else ():
        named = NAME.fullmatch(entry.file)
        for part in BOARD_PARTS:
            if entry.status == COMPLETE and entry.cv and (text := getattr(entry, part)):
                score, se = there.score(part, text), float(entry.se) if entry.se else math.nan
                name = named["what"] if named else entry.file
                rows.append((name, entry.file, part, float(entry.cv), se, float(text), score))
    for name, ours in evidence.ours.items():
        made = evidence.models[name].made
        for part, score in ours.scores.items():
            if figures.known(made["cv"]) and not any((row[0], row[2]) == (name, part) for row in rows):
                rows.append((name, name, part, made["cv"], made["se"], float(score.text), score))
    df = pd.DataFrame(rows, columns=["name", "file", "part", "cv", "cv_se", "score", "of"])
    df["score_se"] = [math.nan if one.k is None else standard_error(one.k, one.n) for one in df["of"]]
    df["rows"] = [one.n for one in df["of"]]
    df["count"] = ["" if one.k is None else f"{one.k} of {one.n} rows" for one in df["of"]]
    return df.drop(columns="of")


def agreement(evidence: Material, sent: pd.DataFrame) -> list[str]:
    """The correlation of CV and each part of the leaderboard, a sentence a part."""
    by_part = {part: sent[sent["part"] == part] for part in BOARD_PARTS}
    texts = [cv_correlation(part, rows["cv"], rows["score"], "scores") for part, rows in by_part.items()]
    return [text for text in texts if text is not None]


def dots(evidence: Material, models: list[Model]) -> alt.LayerChart:
    """Each model's CV ± se and its folds, the best on top."""
    loss = evidence.target.loss_name
    order, colours = [model.name for model in models], figures.coloured(list(evidence.models))
    df = pd.DataFrame([one.made for one in models])[["cv", "se", loss]].assign(model=order)
    df = figures.with_interval(df, evidence.competition.metric, "cv", "se", len(evidence.train))
    by_fold = [(model.name, i, score) for model in models for i, score in enumerate(model.made["folds"])]
    folds = pd.DataFrame([one for one in by_fold if figures.known(one[2])], columns=["model", "fold", "score"])
    y = alt.Y("model:N", sort=order, title=None)
    scale = alt.Scale(domain=figures.spread(pd.concat([df["low"], df["high"], df["cv"], folds["score"]])), nice=False)
    x = alt.X("cv:Q", scale=scale, title=figures.score_title(evidence, "CV"))
    color = alt.Color("model:N", scale=colours, legend=None)
    hover = figures.tips(
        df, model="model", cv=f"CV {evidence.competition.metric}", error="error", **{loss: evidence.loss_title}
    )
    fold_hover = figures.tips(folds, model="model", fold="fold", score=evidence.competition.metric)
    ticks = alt.Chart(folds).mark_tick(thickness=1.5, size=12, opacity=0.45)
    marks = alt.Chart(df).encode(y=y, color=color, tooltip=hover)
    return alt.layer(
        ticks.encode(x=alt.X("score:Q", scale=scale), y=y, color=color, tooltip=fold_hover),
        marks.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q"),
        marks.mark_point(filled=True, size=80, opacity=1).encode(x=x),
    ).properties(width="container", height=figures.STEP * len(models))


def scatter(evidence: Material, df: pd.DataFrame, part: str) -> alt.LayerChart:
    """CV against the score of a part, with an error bar of each, and the line on which both are the same."""
    metric = evidence.competition.metric
    df = figures.with_interval(df, metric, "cv", "cv_se", len(evidence.train))
    df = df.rename(columns={"low": "cv_low", "high": "cv_high", "error": "cv_error"})
    df = figures.with_interval(df, metric, "score", "score_se", df["rows"])
    names = list(dict.fromkeys([*evidence.models, *df["name"]]))
    domain = figures.spread(pd.concat([df[name] for name in ("cv", "cv_low", "cv_high", "score", "low", "high")]))
    scale = alt.Scale(domain=domain, nice=False)
    x = alt.X("cv:Q", scale=scale, title=figures.score_title(evidence, "CV"))
    y = alt.Y("score:Q", scale=scale, title=f"{part} {metric}")
    present = [name for name in names if name in set(df["name"])]
    legend = alt.Legend(title=None, columns=2, values=present, labelLimit=200)
    color = alt.Color("name:N", scale=figures.coloured(names), legend=legend)
    titles = {"file": "submission", "cv": "CV", "cv_error": "error of CV"}
    titles |= {"score": part, "error": f"error of {part}", "count": "count"}
    dots = alt.Chart(df).encode(color=color, tooltip=figures.tips(df, **titles))
    ends = {"x2": "high:Q", "y2": "high:Q"}
    equal = alt.Chart(pd.DataFrame([{"low": domain[0], "high": domain[1]}])).mark_rule(strokeDash=[4, 4])
    return alt.layer(
        equal.encode(x=alt.X("low:Q", scale=scale), y=alt.Y("low:Q", scale=scale), **ends),
        dots.mark_rule(strokeWidth=1.5).encode(x=alt.X("cv_low:Q"), x2="cv_high:Q", y=y),
        dots.mark_rule(strokeWidth=1.5).encode(x=x, y=alt.Y("low:Q"), y2="high:Q"),
        dots.mark_point(filled=True, size=70, opacity=1).encode(x=x, y=y),
    ).properties(width="container", height=340)
