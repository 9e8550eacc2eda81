"""The end of a run: a table of the models, the blend, the file, and the next command to type."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from src.base import text
from src.base.errors import counted
from src.base.paths import from_here
from src.data import tables
from src.data.labels import read_targets
from src.results.model import BLEND, cv_text, read_model
from src.schema.competition import Competition
from src.scoring.constant import constant_answer
from src.scoring.intervals import score_text


def table(competition: Competition, made: Collection[str], finished: Collection[str] | None = None) -> str:
    """The constant answer, the finished models of the config and the blend, one a line.

    Args:
        made: Names of those that this run made; the others were reused.
        finished: Those that are of this config: what lies there of others is an earlier one's. None: all.
    """
    blend = read_model(competition.model_folder(BLEND))
    targets = read_targets(competition, tables.read_scored(competition).train[competition.label])
    constant = constant_answer(competition.scorer, targets, competition.outputs)
    loss = competition.target.loss_name
    rows = [
        ("model", f"cv {competition.metric}", loss.replace("_", " "), "folds", "weight", "time", ""),
        (constant.text, score_text(competition.metric, constant.score, constant.se, len(targets)), *[""] * 5),
    ]
    for name in [*competition.models, BLEND]:
        folder = competition.model_folder(name)
        is_meant = finished is None or name in (*finished, BLEND)
        if not is_meant or (model := read_model(folder)) is None:
            rows.append((name, "not made", "", "", "", "", ""))
            continue
        scores = (cv_text(folder, model), f"{model[loss]:.4f}", span(model["folds"]), share(blend, name))
        state = "made now" if name in made else "reused"
        if not constant.is_beaten(competition.metric, model["cv"], model["se"]):
            state += f", no better than {constant.text}"
        if name == BLEND and is_below_its_model(competition, model):
            state += ", each fold chose by the others"
        rows.append((name, *scores, text.duration(model["seconds"]), state))
    if competition.is_scored_by_loss:
        rows = [row[:2] + row[3:] for row in rows]
    lines = text.align(rows)
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def share(blend: dict[str, Any] | None, name: str) -> str:
    """A model's weight in the blend; of a stack, which has none, and of the blend itself the method."""
    if blend is None:
        return ""
    if name in blend["weights"]:
        return f"{blend['weights'][name]:.3f}"
    return blend["method"] if name in (BLEND, *blend.get("models", ())) else ""


def is_below_its_model(competition: Competition, blend: dict[str, Any]) -> bool:
    """Whether the blend for the test rows is one model alone, and its CV, with the choice of it inside, is worse."""
    sign, models = competition.scorer.sign, blend.get("models", {})
    return any(share(blend, name) == "1.000" and sign * blend["cv"] < sign * models[name]["cv"] for name in models)


def span(folds: Sequence[float | None]) -> str:
    """The least and the greatest score of the folds; None is one that is undefined."""
    known = [score for score in folds if score is not None]
    return f"{min(known):.4f} to {max(known):.4f}" if known else ""


def next_step(competition: Competition, submission: Path) -> str:
    """The advice on what to do with the file."""
    submission, run = str(from_here(submission)), f"./run.sh {competition.name}"
    page = competition.source.page
    if competition.limit is not None:
        meant = "its scores say little" if page is None else f"do not send {submission}"
        return f"a smoke run of {competition.limit} rows: {meant}\nnext: {run}"
    if (path := vote(competition)) is not None:
        submission += f"\nvote: {from_here(path)}  {about_vote(competition)}"
    if competition.source.is_users_own:
        return f"answers: {submission}\nnext: {run} predict PICTURE|FOLDER says what other pictures are"
    if page is None:
        return f"submission: {submission}\nnext: ./run.sh new SLUG|FOLDER writes a config for your own competition"
    return f"submission: {submission}\nnext: {run} submit\n  or upload it at {page}/submissions"


def vote(competition: Competition) -> Path | None:
    """Return the newest vote of the blend and the config's CSVs; None where there is none."""
    paths = competition.folder.glob(competition.votes(1 + len(competition.blend.csvs), "*").name)
    return max(paths, key=lambda path: path.stat().st_mtime_ns, default=None) if competition.blend.csvs else None


def about_vote(competition: Competition) -> str:
    """`the majority of the blend and 2 CSVs, without a CV score`."""
    return f"the majority of the blend and {counted(len(competition.blend.csvs), 'CSV')}, without a CV score"
