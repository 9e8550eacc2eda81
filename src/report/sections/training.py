"""The section 'training': how each model learnt, and the choices on the way."""

from typing import Any

import altair as alt
import pandas as pd

from src.report import choices, figures
from src.report.histories import History
from src.report.material import Material
from src.report.page import Section

EPOCHS = 40  # of a line of a chart, at most: of more, each second, third ... one
LOSS, VALID = "training", "validation"


def section(evidence: Material) -> Section:
    found = evidence.histories
    names = [*evidence.models, *(name for name in found if name not in evidence.models)]  # that is the order of colours
    drawn, about = {}, {"command": evidence.competition.command, "switch": None, "sweep": None}
    about["loss"] = evidence.row_loss_title
    if found:
        first = next((model.name for model in figures.by_cv(evidence) if model.name in found), next(iter(found)))
        drawn |= curves(evidence, found, first)
        about["switch"] = figures.switch("training", list(found), first, tuple(drawn))
        drawn["models"] = overview(evidence, found, names)
    swept = {name: df for name in evidence.models if (df := choices.sweep(evidence, name)) is not None}
    if swept:
        first = next(model.name for model in figures.by_cv(evidence) if model.name in swept)
        drawn["sweep"] = choices.sweep_chart(pd.concat(swept.values()), first, evidence.row_loss_title)
        about["sweep"] = figures.switch("training", list(swept), first, ("sweep",))
    if (interpolated := choices.wise_ft(evidence)) is not None:
        drawn["wise"] = choices.wise_chart(evidence, interpolated, names)
    if ranges := choices.lr_ranges(evidence):
        drawn["range"] = choices.range_chart(evidence, ranges, names)
    about |= {
        "runs": [run_line(evidence, name, history) for name, history in found.items()],
        "soups": choices.soups(evidence),
        "chosen": [choices.c_line(evidence, name) for name in swept],
        "prompts": [board for name in evidence.models if (board := choices.prompts(evidence, name)) is not None],
    }
    return Section("training", "Training", about, drawn)


def run_line(evidence: Material, name: str, history: History) -> dict[str, Any]:
    """The numbers of a model's training as a whole."""
    epochs = history.epochs
    seeds = epochs["seed"].nunique() if "seed" in epochs else 1
    last = epochs.loc[epochs.groupby(["fold", "seed"] if "seed" in epochs else "fold")["epoch"].idxmax()]
    metric = f"valid_{evidence.competition.metric}"
    return {
        "name": name,
        "epochs": int(epochs["epoch"].max()),
        "seeds": seeds,
        "loss": figures.number(last["loss"].mean()),
        "log_loss": figures.number(last["valid_log_loss"].mean()),
        "metric": figures.number(last[metric].mean()) if metric in last else figures.UNKNOWN,
        "speed": figures.number(history.median("images_per_second"), 0),
        "waited": figures.UNKNOWN if (waited := history.median("waited")) is None else figures.percent(waited, 0),
        "batch": " or ".join(f"{size:.0f}" for size in sorted(set(epochs.get("micro_batch", ())))) or figures.UNKNOWN,
        "unfinished": history.unfinished,
    }


def curves(evidence: Material, found: dict[str, History], first: str) -> dict[str, alt.TopLevelMixin]:
    """Loss, metric and learning rate of one model, by epoch."""
    metric = evidence.competition.metric
    columns = (("loss", LOSS), ("valid_log_loss", VALID))
    if not evidence.classes:  # a number is learnt as a share of its span, and scored as it is: two kinds of loss
        columns = columns[:1]
    both = [fold_lines(name, one, column, what) for name, one in found.items() for column, what in columns]
    drawn = {"loss": lines_chart(pd.concat(both), first, "loss", [LOSS, VALID])}
    if metric != "log_loss":
        column = f"valid_{metric}"
        scores = [fold_lines(name, one, column, VALID) for name, one in found.items() if column in one.epochs]
        if scores:
            title = figures.score_title(evidence, "validation")
            drawn["score"] = lines_chart(pd.concat(scores), first, title, [LOSS, VALID], legend=False)
    titles = {"lr": "learning rate", "images_per_second": "images/s", "waited": "waiting for data"}
    for column, title in titles.items():
        means = [mean_line(model, one, column) for model, one in found.items() if column in one.epochs]
        if means:
            name = "speed" if column == "images_per_second" else column
            drawn[name] = mean_chart(pd.concat(means), first, title, "%" if column == "waited" else "")
    return drawn


def fold_lines(name: str, history: History, column: str, what: str) -> pd.DataFrame:
    """Columns model, what, fold, epoch, value: of each fold, and as the fold `mean` of all that are there."""
    lines = thinned(history.lines(column))
    lines = lines.assign(mean=lines[lines.notna().all(axis=1)].mean(axis=1))
    lines.columns = [str(column) for column in lines.columns]
    df = lines.rename_axis("epoch").reset_index().melt("epoch", var_name="fold", value_name="value").dropna()
    return df.assign(model=name, what=what, value=figures.rounded(df["value"]))


def mean_line(name: str, history: History, column: str) -> pd.DataFrame:
    """Columns model, epoch, value: the mean over folds and seeds."""
    values = thinned(history.lines(column)).mean(axis=1)
    return pd.DataFrame({"model": name, "epoch": values.index, "value": figures.rounded(values)}).dropna()


def thinned(lines: pd.DataFrame) -> pd.DataFrame:
    """At most EPOCHS of the epochs, the last among them."""
    step = -(-len(lines) // EPOCHS)
    return lines.iloc[::-1].iloc[::step].iloc[::-1]


def lines_chart(df: pd.DataFrame, first: str, title: str, kinds: list[str], legend: bool = True) -> alt.LayerChart:
    """One model: a thin line a fold, a thick one for their mean."""
    key = alt.Legend(title=None, symbolOpacity=1) if legend else None
    color = alt.Color("what:N", scale=figures.coloured(kinds), legend=key)
    hover = figures.tips(df, fold="fold", epoch="epoch", value=title)
    x = alt.X("epoch:Q", title="epoch", axis=figures.whole_numbers())
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))
    marks = figures.chosen(alt.Chart(df), first).encode(x=x, y=y, color=color, tooltip=hover)
    folds = marks.transform_filter("datum.fold !== 'mean'").encode(detail="fold:N")
    mean = marks.transform_filter("datum.fold === 'mean'")
    return alt.layer(
        folds.mark_line(strokeWidth=1, opacity=figures.SLIGHT, point={"size": 8, "opacity": figures.SLIGHT}),
        mean.mark_line(strokeWidth=2.5, point={"size": 14}),
    ).properties(width="container", height=240)


def mean_chart(df: pd.DataFrame, first: str, title: str, format: str) -> alt.Chart:
    marks = figures.chosen(alt.Chart(df, width="container", height=140), first).mark_line(point={"size": 14})
    return marks.encode(
        x=alt.X("epoch:Q", title="epoch", axis=figures.whole_numbers()),
        y=alt.Y("value:Q", title=title, axis=alt.Axis(format=format) if format else alt.Axis()),
        tooltip=figures.tips(df, epoch="epoch", value=title),
    )


def overview(evidence: Material, found: dict[str, History], names: list[str]) -> alt.Chart:
    """All models beside each other: the validation loss over the share of the epochs that are done."""
    parts, title = [], f"validation {evidence.row_loss_title}"
    for name, history in found.items():
        lines = thinned(history.lines("valid_log_loss"))
        spec = evidence.competition.models.get(name)
        total = max(int(lines.index.max()), 0 if spec is None else getattr(evidence.scheduled(spec), "epochs", 0))
        done, values = (
            figures.rounded(lines.index.to_series() / total),
            figures.rounded(lines.mean(axis=1)).clip(lower=choices.LEAST),
        )
        parts.append(pd.DataFrame({"model": name, "epoch": lines.index, "done": done, "value": values}))
    df = pd.concat(parts)
    present = [name for name in names if name in found]
    legend = alt.Legend(title=None, values=present, labelLimit=200)
    marks = alt.Chart(df, width="container", height=280).mark_line(point={"size": 10})
    return marks.encode(
        x=alt.X("done:Q", title="share of the epochs", axis=alt.Axis(format="%")),
        y=alt.Y("value:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=figures.EDGE)),
        color=alt.Color("model:N", scale=figures.coloured(names), legend=legend),
        tooltip=figures.tips(df, model="model", epoch="epoch", value=title),
    )
