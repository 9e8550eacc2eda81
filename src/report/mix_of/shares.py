"""How many rows have each class, or each label."""

from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from src.report import figures
from src.report.evidence import Evidence, Model
from src.scoring import agreement

CHART = "classes"  # its name in plots/
MANY = 50  # classes, above which mixes are compared of the best model alone: a test of each takes half a second
CLASSES_SHOWN = 20  # classes whose shares are shown: those that differ most
BARS = 30  # classes of the chart of the data, those with the most rows


@dataclass(frozen=True)
class Mix:
    """The rows of each class or label by the train labels, by a model out of fold, and by it on the test rows."""

    counts: pd.DataFrame  # (k, 3) a column a kind
    rows: dict[str, int]  # of each kind

    @property
    def shares(self) -> pd.DataFrame:
        return self.counts / pd.Series(self.rows)


def count(answers: np.ndarray, k: int) -> np.ndarray:
    """(k,) the rows that have each class (n,) or label (n, k)."""
    return np.bincount(answers, minlength=k) if answers.ndim == 1 else (answers > 0).sum(axis=0)


def mix(evidence: Evidence, model: Model) -> Mix:
    """Of a model with a test table."""
    kinds = {"train labels": evidence.targets, "out of fold": evidence.answers(model)}
    kinds["test"] = evidence.answers(model, "test")
    counts = {kind: count(answers, len(evidence.classes)) for kind, answers in kinds.items()}
    return Mix(pd.DataFrame(counts), {kind: len(answers) for kind, answers in kinds.items()})


def apart(found: Mix) -> tuple[np.ndarray, np.ndarray]:
    """(k,) how much greater each share is on the test rows than out of fold, and the classes by it."""
    difference = (found.shares["test"] - found.shares["out of fold"]).to_numpy()
    return difference, np.argsort(-np.abs(difference), kind="stable")


def chance(evidence: Evidence, found: Mix) -> float:
    """The chance that the mixes out of fold and on the test rows are so unlike: see `agreement`.

    Labels are tested one by one, and their least p is multiplied by their number (Bonferroni).
    """
    ours, theirs = (found.counts[kind].to_numpy() for kind in ("test", "out of fold"))
    if evidence.target.is_choice:
        return agreement.chance(theirs, ours)
    least = agreement.label_chances(ours, found.rows["test"], theirs, found.rows["out of fold"]).min()
    return float(min(1, least * len(ours)))


def shift(evidence: Evidence, mixes: dict[str, Mix], best: str) -> list[dict[str, Any]]:
    """A line a model for the template; of many classes only the best model's."""
    few = len(evidence.classes) <= MANY
    return [shift_line(evidence, name, found) for name, found in mixes.items() if few or name == best]


def shift_line(evidence: Evidence, name: str, found: Mix) -> dict[str, Any]:
    (difference, order), shares = apart(found), found.shares["test"]
    most = [i for i in order[: agreement.SHARES_SHOWN] if abs(difference[i]) >= 5e-4]
    p = chance(evidence, found)
    return {
        "name": name,
        "p": "< 0.001" if p < 0.001 else figures.number(p, 3),
        "more": p < agreement.RARE,
        "most": ", ".join(f"{evidence.classes[i]} {shares[i]:.1%} ({difference[i]:+.1%})" for i in most),
    }


def words(evidence: Evidence) -> dict[str, str]:
    """The texts of the template."""
    k, what = len(evidence.classes), "class" if evidence.target.is_choice else "label"
    shown = min(CLASSES_SHOWN, k)
    plural = "classes" if what == "class" else "labels"
    return {
        "title": f"{plural.capitalize()} of the test rows",
        "caption": f"How often each {what} is given: if test rows are like train rows, the model gives it as often "
        "there as out of fold.",
        "less": f"The {shown} of {k} {plural} that differ most." if shown < k else "",
        "test": f"Bold: the mix of {plural} on the test rows is not that out of fold, by more than chance.",
        "most": "shares on the test rows (more or fewer than out of fold)",
    }


def chart(evidence: Evidence, mixes: dict[str, Mix], first: str) -> alt.LayerChart:
    order, rows = apart(mixes[first])[1][:CLASSES_SHOWN], []
    for name, found in mixes.items():
        for kind, n in found.rows.items():
            share = found.counts[kind] / n
            rows += [
                (name, evidence.classes[i], kind, share[i], np.sqrt(share[i] * (1 - share[i]) / n), n) for i in order
            ]
    df = pd.DataFrame(rows, columns=["model", "class", "kind", "share", "se", "rows"])
    df = figures.with_interval(df, "accuracy", "share", "se", df["rows"])
    classes, kinds = [evidence.classes[i] for i in sorted(order)], list(dict.fromkeys(df["kind"]))
    y, offset = alt.Y("class:N", sort=classes, title=None), alt.YOffset("kind:N", sort=kinds)
    color = alt.Color("kind:N", scale=figures.coloured(kinds), legend=alt.Legend(title=None))
    hover = figures.tips(df, **{"class": "class", "kind": "share of", "share": "share", "error": "error"})
    marks = figures.chosen(alt.Chart(df), first).encode(y=y, yOffset=offset, color=color, tooltip=hover)
    x = alt.X("share:Q", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False), title="share of rows")
    return alt.layer(
        marks.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q"),
        marks.mark_point(filled=True, size=50, opacity=1).encode(x=x),
    ).properties(width="container", height=36 * len(classes))


def balance(evidence: Evidence, kinds: dict[str, np.ndarray]) -> alt.TopLevelMixin:
    """The share of each class or label, a bar a kind of answers, the first of which are the train labels'."""
    classes = np.array(evidence.classes)
    counts = {kind: count(answers, len(classes)) for kind, answers in kinds.items()}
    most = np.sort(np.argsort(-next(iter(counts.values())), kind="stable")[:BARS])
    df = pd.concat(
        pd.DataFrame({"label": classes[most], "of": kind, "rows": n[most], "share": (n / len(kinds[kind]))[most]})
        for kind, n in counts.items()
    )
    df["share"] = df["share"].round(5)
    marks = alt.Chart(df, width="container", height=14 * (len(df) + len(most))).mark_bar()
    return marks.encode(
        x=alt.X("share:Q", title="share of the rows", axis=alt.Axis(format="%", tickCount=8)),
        y=alt.Y("label:N", title=None, sort=list(classes[most])),
        yOffset=alt.YOffset("of:N", sort=list(kinds)),
        color=alt.Color("of:N", title=None, scale=figures.coloured(list(kinds))),
        tooltip=figures.tips(df, label="class", of="of", share="share of the rows", rows="rows"),
    )


def balance_words(evidence: Evidence, predicted_by: str | None) -> tuple[str, str]:
    """The title of the chart `balance` and its caption."""
    k, one, many = len(evidence.classes), "class", "classes"
    if not evidence.target.is_choice:
        one, many = "label", "labels"
    text = f"The share of each {one} among the labels of the train rows"
    if predicted_by:
        text += (
            f", and among those that {predicted_by} gives the test rows: where the two differ by far, test rows are of "
            "another mix, or the model leans"
        )
    text += "." + (f" Of {k} {many}, the {BARS} with the most rows." if k > BARS else "")
    return many.capitalize(), text
