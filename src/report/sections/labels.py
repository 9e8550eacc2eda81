"""The section 'Labels and leaks': the audit's findings as contact sheets, and the results of acting on them."""

from typing import Any

from src.base import files
from src.data.labels import read_targets, write_targets
from src.report import figures, tasks
from src.report.album import Row, name
from src.report.material import Material
from src.report.page import Section
from src.results import audit
from src.results.audit import Audit
from src.scoring import intervals

SHOWN, ROOM = 60, 500_000  # findings of a kind that are shown, at most, and bytes of their pictures
# The text of a finding's score, by kind, and below it the search for that kind; pairs have the same.
SCORES = {"outlier": "score {:.2g}", "constant": "spread {:.2f}", "tiny": "{:.0f} pixels"}
PAIR = "alike {:.3f}"
METHODS = {
    "outlier": "mean distance to the nearest neighbours in the features of {encoder}, its logarithm {outlier_fence} "
    "quartile ranges or more above the upper quartile",
    "constant": "each colour's standard deviation below {constant} of 255",
    "tiny": "shorter side below {tiny_pixels} pixels and {tiny_share} of the median",
}
# The same of doubtful answers, by the task: the score's text, the search, and what a line of one says.
DOUBTS = {
    "class": (
        "p(label) {:.3f}",
        "confident learning (cleanlab) on the out-of-fold probabilities of {model}: another class is likelier than "
        "that class's own rows are on average",
        "The label that is given → the class that the model finds likeliest. p(label) is the probability that it gives "
        "the label.",
    ),
    "labels": (
        "p {:.3f}",
        "confident learning (cleanlab) on the out-of-fold probabilities of {model}, of each label beside its absence",
        "The labels that are given → those that the model finds. p is the least probability that it gives to one of "
        "its doubtful labels being as it is.",
    ),
    "number": (
        "nearness {:.2f}",
        "the out-of-fold error of {model} lies {outlier_fence} quartile ranges or more outside of the quartiles of all",
        "The number that is given → the prediction. Nearness is 1 / (1 + the quartile ranges between the error and the "
        "median one).",
    ),
}
PAIR_METHOD = "laid on each other, their fine structure correlates to {correlation} or more; 1 is the same pixels"


def section(evidence: Material) -> Section:
    competition, found = evidence.competition, evidence.audit
    about = {"command": competition.command, "groups": competition.folds.groups, "comparisons": comparisons(evidence)}
    about |= {"audited": found is not None, "kinds": [], "notes": [], "ceiling": None}
    about["drops"] = evidence.target.is_choice
    about |= {"doubts": DOUBTS[competition.task][2], "noun": "label" if evidence.classes else "number"}
    lists = {}
    if found is not None:
        about["kinds"], lists = sheets(evidence, found)
        about |= {"notes": notes(evidence, found), "ceiling": ceiling(evidence, found)}
    return Section("labels", "Labels and leaks", about, data={"lists": lists} if lists else {})


def sheets(evidence: Material, found: Audit) -> tuple[list[dict[str, Any]], dict[str, list]]:
    """Each kind for the template, and {kind: its first findings with their pictures}."""
    kinds, lists = [], {}
    for kind, title in audit.finding_words(evidence.competition).items():
        of_kind = found.found[found.found["kind"] == kind]
        entries = [(one, paired_rows(evidence, one)) for one in of_kind[:SHOWN].itertuples()]
        there = set(evidence.album.put([row for _, rows in entries for row in rows], ROOM))
        findings = [entry(evidence, one, rows) for one, rows in entries if there.issuperset(rows)]
        if findings:
            lists[kind] = findings
        about = {
            "name": kind,
            "title": title,
            "how": method(evidence, kind, found.about),
            "pairs": kind in audit.PAIRED,
        }
        kinds.append(about | {"found": len(of_kind), "shown": len(findings)})
    return kinds, lists


def paired_rows(evidence: Material, one: Any) -> list[Row]:
    """The row of a finding, and the one that it is paired with."""
    ids = [(one.part, one.id), *([(one.other_part, one.other_id)] if one.kind in audit.PAIRED else [])]
    return [(part, evidence.row_of[part][id]) for part, id in ids]


def entry(evidence: Material, one: Any, rows: list[Row]) -> dict[str, Any]:
    """A finding for album.js: its pictures with their lines, and its score."""
    cards, task = [], tasks.of(evidence.competition)
    for part, i in rows:
        label = task.words(evidence.targets[[i]])[0] if part == "train" else "test"
        line = f"{label} → {suggested(evidence, one)}" if one.kind == "label" else label
        cards.append([name((part, i)), evidence.rows(part)[evidence.competition.id].iat[i], line])
    score = DOUBTS[evidence.competition.task][0] if one.kind == "label" else SCORES.get(one.kind, PAIR)
    return {"cards": cards, "said": score.format(one.score)}


def suggested(evidence: Material, one: Any) -> str:
    """What the model says instead, in words."""
    return tasks.of(evidence.competition).words(read_targets(evidence.competition, [one.suggested_label]))[0]


def method(evidence: Material, kind: str, about: dict[str, Any]) -> str:
    """The search for a kind, and the limit from which on something is a finding."""
    limits = dict.fromkeys(("correlation", "outlier_fence", "constant", "tiny_share", "tiny_pixels"), "?")
    limits |= about.get("thresholds") or {}
    limits["correlation"] = figures.number(limits["correlation"], 3)  # as that of each pair
    how = DOUBTS[evidence.competition.task][1] if kind == "label" else METHODS.get(kind, PAIR_METHOD)
    return how.format(model=about.get("model"), encoder=about.get("encoder"), **limits)


def notes(evidence: Material, found: Audit) -> list[str]:
    """The searches that were skipped, and a warning where the audit is of other labels or an older model."""
    lines = [f"Not looked for: {why}." for why in found.about.get("skipped") or []]
    by = (found.about.get("key") or {}).get("judge") or {}
    model = evidence.models.get(by.get("model"))
    labelled = found.found[found.found["label"] != ""]
    rows = [evidence.row_of["train"][id] for id in labelled["id"]]
    labels = write_targets(evidence.competition, evidence.targets[rows])
    if by and (model is None or files.sha256(model.folder / "oof.parquet") != by.get("oof")):
        lines.append(f"The audit is older than the model {by.get('model')}: run it again.")
    elif labels != labelled["label"].tolist():
        lines.append(f"The audit is of other {'labels' if evidence.classes else 'numbers'}: run it again.")
    return lines


def ceiling(evidence: Material, found: Audit) -> dict[str, str] | None:
    """The noise ceiling, as text."""
    about = found.about.get("ceiling") or {}
    if not figures.known(about.get("noise"), about.get("se")):
        return None
    n = len(evidence.train)
    error = intervals.error_text("accuracy", about["noise"], about["se"], n, digits=1, scale=100)
    return {
        "noise": f"{figures.percent(about['noise'])} {error}",
        "accuracy": figures.measured("accuracy", 1 - about["noise"], about["se"], n),
        "method": about.get("method", ""),
        "model": found.about.get("model"),
    }


def comparisons(evidence: Material) -> list[dict[str, Any]]:
    """The lines of ab.csv, as text."""
    competition, n = evidence.competition, len(evidence.train)
    folds = files.sha256(competition.folds_csv) if competition.folds_csv.is_file() else None
    return [
        {
            **vars(one),
            "base": figures.measured(one.metric, one.base, one.base_se, n),
            "arm": figures.measured(one.metric, one.arm, one.arm_se, n),
            "difference": figures.gained(one.difference, one.difference_se),
            "verdict": one.verdict,
            "other_folds": one.folds != folds,
        }
        for one in evidence.comparisons
    ]
