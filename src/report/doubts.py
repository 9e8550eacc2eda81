"""Advice on what is not done yet, and on what would make CV untrue. (See `src.report.sections.advice`.)"""

from collections.abc import Iterator

import numpy as np

from src.base import files
from src.base.errors import counted
from src.report import foretold, reliability
from src.report.evidence import BLEND, Evidence
from src.report.figures import Advice, called, command, gained, known, measured, percent
from src.scoring import agreement, calibration

ERRORS = 3  # standard errors that make a difference worth a word
FEW = 0.01  # share of labels that are doubtful, below which it is not worth a try
SURE = 0.95  # confidence of mistakes that a good label would not have


# What is not done yet


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
    yield Advice("Finish the run", why, command(competition))


def nothing_sent(evidence: Evidence) -> Iterator[Advice]:
    competition, blend = evidence.competition, evidence.models.get(BLEND)
    if blend is None or competition.source.page is None or competition.limit is not None or evidence.entries:
        return
    ends = foretold.intervals(evidence, [blend]).itertuples()
    said = ", ".join(f"{one.low:.4f} to {one.high:.4f} on {one.part}" for one in ends)
    cv = measured(blend.made["cv"], blend.made["se"]) + (f" foretells {said} (19 of 20)" if said else "")
    why = f"The blend's CV of {cv}, and no submission says yet whether that holds."
    yield Advice("Send the blend", why, command(competition, "submit"))


# What would make CV untrue


def off_the_board(evidence: Evidence) -> Iterator[Advice]:
    """A score that is as far beyond its interval as chance would have it once in hundreds."""
    for one in foretold.intervals(evidence, [evidence.best]).itertuples() if evidence.best else ():
        middle, reach = (one.low + one.high) / 2, (one.high - one.low) / 2
        if known(one.score) and abs(one.score - middle) > ERRORS / 2 * reach:  # which is of two standard errors
            why = (
                f"The {one.part} score of {called(one.model)} is {one.score:.5f}, and CV foretold {one.low:.4f} to "
                f"{one.high:.4f} (19 of 20): test rows are unlike train rows, or rows of different folds are alike."
            )
            yield Advice("Find out why CV and leaderboard differ", why, command(evidence.competition, "audit"))


def shifted(evidence: Evidence) -> Iterator[Advice]:
    if evidence.best is None or (mix := foretold.mix(evidence, evidence.best)) is None or mix.p >= agreement.RARE:
        return
    i = int(np.abs(mix.apart).argmax())
    share = mix.shares["test"][i]
    why = (
        f"As {evidence.classes[i]!r} {called(evidence.best.name)} names {share:.1%} of the test rows, and of the train "
        f"rows, out of fold, {share - mix.apart[i]:.1%} (p {mix.p:.4f}): CV is of another mix of classes."
    )
    yield Advice("Compare test pictures with train pictures", why, command(evidence.competition, "audit"))


# What the audit has found


def leaks(evidence: Evidence) -> Iterator[Advice]:
    found = evidence.audit
    n = 0 if found is None else found.found.loc[found.found["kind"] == "leak", "id"].nunique()
    if n == 0:
        return
    why = (
        f"Of {len(evidence.test)} test pictures {n} are in train too ({percent(n / len(evidence.test))}): their labels "
        "are known, so that the leaderboard is easier than CV."
    )
    yield Advice("Look at pictures that are in train and in test", why, "audit.csv, kind leak")


def parted(evidence: Evidence) -> Iterator[Advice]:
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
    """To try without them; or what came of that, where it was tried on these folds."""
    competition = evidence.competition
    if (found := evidence.audit) is None or evidence.fold is None or not competition.of_stage("probe"):
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
        yield Advice("Try without the doubtful labels", why, command(competition, "ab label_noise drop"))


def sure_mistakes(evidence: Evidence) -> Iterator[Advice]:
    """More confident mistakes than confidence allows, even at the best temperature: labels, before models."""
    if evidence.best is None or evidence.competition.audit_csv.is_file():
        return
    rows = reliability.sample(*evidence.best.oof.shape)
    targets = evidence.targets[rows]
    probs = calibration.cross_fitted(evidence.best.oof[rows], targets, evidence.fold[rows])
    sure = probs.max(axis=1) >= SURE
    wrong = int((probs.argmax(axis=1) != targets)[sure].sum())
    expected = float((1 - probs.max(axis=1))[sure].sum())
    if wrong > expected + ERRORS * np.sqrt(max(expected, 1)):
        why = (
            f"Where {called(evidence.best.name)} is {percent(SURE, 0)} sure or more, at its best temperature, it is "
            f"wrong on {counted(wrong, 'row')}; {expected:.1f} would be by chance."
        )
        yield Advice("Look for wrong labels and duplicates", why, command(evidence.competition, "audit"))


def never_given(evidence: Evidence) -> Iterator[Advice]:
    if evidence.best is None:
        return
    rows = np.bincount(evidence.targets, minlength=len(evidence.classes))
    given = np.bincount(evidence.best.labels, minlength=len(evidence.classes))
    never = [i for i in np.argsort(-rows, kind="stable") if given[i] == 0 and rows[i]]
    share, se = rows[never].sum() / rows.sum(), evidence.best.made["se"]
    if not never or (evidence.competition.metric == "accuracy" and not share > se):
        return
    some = ", ".join(f"{evidence.classes[i]} ({counted(int(rows[i]), 'row')})" for i in never[:3])
    more = f" and {len(never) - 3} more" if len(never) > 3 else ""
    why = f"Out of fold {called(evidence.best.name)} never gives {some}{more}: {percent(share)} of the train rows."
    yield Advice("Give rare classes more weight", why, 'class_weight="balanced"  # or sampling="balanced"')
