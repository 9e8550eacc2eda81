"""Advice on what is not done yet, and on what would make CV untrue. (See `src.report.sections.advice`.)"""

from collections.abc import Iterator

import numpy as np

from src.base import files
from src.base.errors import counted
from src.report import forecast, reliability, tasks
from src.report.evidence import BLEND, Evidence
from src.report.figures import Advice, constant_score, gained, measured, percent
from src.scoring.agreement import ERRORS

FEW = 0.01  # share of labels that are doubtful, below which it is not worth a try
SURE = 0.95  # confidence of mistakes that a good label would not have


def unfinished(evidence: Evidence) -> Iterator[Advice]:
    competition = evidence.competition
    every = (*competition.models, BLEND)
    missing = [name for name in every if name not in evidence.models]
    if not missing:
        return
    why = (
        f"Not there, or not as they should be, are {len(missing)} of {len(every)}: "
        f"{', '.join(missing)}. What is finished is kept."
    )
    yield Advice("Finish the run", why, competition.command())


def nothing_sent(evidence: Evidence) -> Iterator[Advice]:
    competition, blend = evidence.competition, evidence.models.get(BLEND)
    if blend is None or competition.source.page is None or competition.limit is not None or evidence.entries:
        return
    ends = forecast.intervals(evidence, [blend]).itertuples()
    expected = ", ".join(f"{one.low:.4f} to {one.high:.4f} on {one.part}" for one in ends)
    cv = measured(competition.metric, blend.made["cv"], blend.made["se"], len(evidence.train))
    cv += f" predicts {expected} (19 of 20)" if expected else ""
    why = f"The blend's CV of {cv}, and no submission says yet whether that holds."
    yield Advice("Send the blend", why, competition.command("submit"))


def learnt_nothing(evidence: Evidence) -> Iterator[Advice]:
    if (best := evidence.best) is None:
        return
    made, constant, metric = best.made, evidence.constant, evidence.competition.metric
    if constant.is_beaten(metric, made["cv"], made["se"]):
        return
    cv, without = measured(metric, made["cv"], made["se"], len(evidence.train)), constant_score(evidence)
    why = f"The CV of {best.name}, {cv}, is no better than {constant.text}, {without}"
    if evidence.competition.limit is not None:
        rows = counted(len(evidence.train), "row")
        yield Advice(
            "Make the whole run", f"{why}: {rows} are few to learn from.", f"./run.sh {evidence.competition.name}"
        )
    else:
        why += ": its models have learnt nothing, or less than so many rows can show."
        yield Advice("Check labels and pictures before any tuning", why, evidence.competition.command("audit"))


def leaks(evidence: Evidence) -> Iterator[Advice]:
    if (audit := evidence.audit) is None or not (n := audit.found.loc[audit.found["kind"] == "leak", "id"].nunique()):
        return
    why = (
        f"Of {len(evidence.test)} test pictures {n} are in train too ({percent(n / len(evidence.test))}): their labels "
        "are known, so that the leaderboard is easier than CV."
    )
    yield Advice("Look at pictures that are in train and in test", why, "audit.csv, kind leak")


def split_duplicates(evidence: Evidence) -> Iterator[Advice]:
    """Near-duplicates of which a model has learnt one and is scored on the other."""
    if (found := evidence.audit) is None or evidence.fold is None or evidence.competition.folds.groups:
        return
    pairs = found.found[found.found["kind"].isin(["duplicate", "conflict"])]
    fold_of = dict(zip(evidence.ids, evidence.fold, strict=True))
    apart = pairs[pairs["id"].map(fold_of) != pairs["other_id"].map(fold_of)]
    n = len({*apart["id"], *apart["other_id"]})
    if evidence.best is None or not n / len(evidence.train) > evidence.best.made["se"] / 2:
        return
    why = (
        f"Of {len(evidence.train)} train pictures {n} have a near-duplicate in another fold "
        f"({percent(n / len(evidence.train))}): a model has seen them, and CV is too good."
    )
    yield Advice("Keep near-duplicates in one fold", why, 'folds=Folds(groups="near-duplicates")')


def doubtful_labels(evidence: Evidence) -> Iterator[Advice]:
    """Advise to try without them; or to drop them, where that was clearly better on these folds."""
    competition = evidence.competition
    if (found := evidence.audit) is None or evidence.fold is None or not competition.of_stage("probe"):
        return
    if not evidence.target.is_choice:  # of what has several labels, or is a number, no row is dropped
        return
    sha = files.sha256(competition.folds_csv)
    tried = [one for one in evidence.comparisons if one.field == "label_noise" and one.folds == sha]
    better = [one for one in tried if one.verdict == "clearly better"]
    n, rows = int((found.found["kind"] == "label").sum()), len(evidence.train)
    if better:
        one = max(better, key=lambda one: one.difference)
        if getattr(competition.models.get(one.model), "label_noise", "keep") != one.value:
            gain = gained(one.difference, one.difference_se)
            why = f"With label_noise={one.value} {one.model} gains {gain} {one.metric}, on the same folds (paired)."
            yield Advice("Train without the doubtful labels", why, f'label_noise="{one.value}"')
    elif not tried and n >= FEW * rows:
        why = f"Confident learning doubts {n} of {rows} labels ({percent(n / rows)}): is a probe better without them?"
        yield Advice("Try without the doubtful labels", why, competition.command("ab label_noise drop"))


def sure_mistakes(evidence: Evidence) -> Iterator[Advice]:
    """More confident mistakes than confidence allows, even at the best temperature: labels, before models."""
    if evidence.best is None or not evidence.classes or evidence.competition.audit_csv.is_file():
        return
    rows = reliability.sample(evidence.best.oof)
    scaled = reliability.calibrated(evidence, evidence.best, rows).scaled
    confidence, right = tasks.of(evidence.competition).confidence(evidence.targets[rows], scaled)
    sure = confidence >= SURE
    wrong = int((~right)[sure].sum())
    expected = float((1 - confidence)[sure].sum())
    if wrong > expected + ERRORS * np.sqrt(max(expected, 1)):
        name = "the blend" if evidence.best.name == BLEND else evidence.best.name
        what = "row" if evidence.target.is_choice else "label"
        why = (
            f"Where {name} is {percent(SURE, 0)} sure or more, at its best temperature, it is "
            f"wrong on {counted(wrong, what)}; {expected:.1f} would be by chance."
        )
        yield Advice("Look for wrong labels and duplicates", why, evidence.competition.command("audit"))
