"""The top of the page: the run, its best score, and what is left out."""

from typing import Any

from src.base.errors import counted
from src.leaderboard import counts
from src.report import forecast, tasks
from src.report.evidence import BLEND, Evidence
from src.report.figures import measured


def head(evidence: Evidence) -> dict[str, Any]:
    """The data of page.html's top: lead (texts), tiles (name, value, more) and left_out."""
    competition = evidence.competition
    lead = [
        competition.name,
        competition.metric,
        f"{len(evidence.train):,} train and {len(evidence.test):,} test rows",
        tasks.of(competition).lead,
        "no folds yet" if evidence.fold is None else f"{evidence.fold.max() + 1} folds",
    ]
    if competition.limit is not None:
        lead.append(f"a smoke run of {competition.limit} rows")
    return {"lead": lead, "tiles": tiles(evidence), "left_out": evidence.left_out}


def tiles(evidence: Evidence) -> list[dict[str, str]]:
    competition, best, found = evidence.competition, evidence.best, []
    if best is not None:
        made = best.made
        cv = measured(competition.metric, made["cv"], made["se"], len(evidence.train))
        found.append(tile(f"CV {competition.metric}", cv, best.name))
        for one in forecast.intervals(evidence, [best]).itertuples():
            name = f"Expected {'test' if one.part == forecast.WHOLE else one.part} score"
            value = f"{one.low:.4f} to {one.high:.4f}"
            found.append(tile(name, value, f"19 times of 20, {counted(one.rows, 'row')}"))
    for part, shown in forecast.shown_parts(evidence).items():
        if (top := best_score(evidence, part)) is not None:
            found.append(tile(f"Best {shown}", *top))
    if (audit := evidence.audit) is not None:
        kinds = audit.found["kind"]
        labels = str(int((kinds == "label").sum()))
        what, how = ("labels", "by confident learning") if evidence.classes else ("numbers", "far off")
        found.append(tile(f"Doubtful {what}", labels, f"of {len(evidence.train):,}, {how}"))
        if n := audit.found.loc[kinds == "leak", "id"].nunique():
            found.append(tile("In train and test", counted(n, "picture"), f"of {len(evidence.test):,} in test"))
    finished = len(evidence.models) - (BLEND in evidence.models)
    found.append(tile("Models", str(finished), f"of {len(competition.models)} in the config"))
    return found


def tile(name: str, value: str, more: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "more": more}


def best_score(evidence: Evidence, part: str) -> tuple[str, str] | None:
    """The best score of a part of the leaderboard, and the name of its model, with the count."""
    scores = [(name, ours.scores[part]) for name, ours in evidence.ours.items() if part in ours.scores]
    if not scores:
        return None
    name, score = max(scores, key=lambda one: evidence.metric.sign * float(one[1].text))
    count = "" if score.k is None else f" = {score.k}/{score.n} {counts.error_text(score.k, score.n)}"
    return score.text, f"{name}{count}"
