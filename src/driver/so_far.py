"""The submission so far: while models are still to come, a checked CSV of the blend of those that are finished."""

import contextlib
import io
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any, TextIO

from src.base import files
from src.base.errors import UserError, counted
from src.base.paths import from_here
from src.data.rows import Dataset
from src.leaderboard.faults import Requirements
from src.models.at_hand import only
from src.results import ledger
from src.results.model import BLEND, cv_text, read_model
from src.schema.competition import Competition
from src.stages import blend, submission


class Others(io.TextIOBase):
    """A standard output for the lines of other threads alone: units that run meanwhile are heard by one."""

    def __init__(self, output: TextIO):
        self.output, self.thread = output, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self.thread else self.output.write(text)

    def flush(self) -> None:
        self.output.flush()


def write(competition: Competition, finished: Collection[str], data: Dataset, asked: Requirements) -> None:
    """Blend the finished models, and replace the submission so far if their blend is better; one line says so.

    The blend lies where that of all models will: it is recomputed when these are finished.
    """
    names = [name for name in competition.blend.models or competition.models if name in finished]
    if not names:
        return
    some = only(competition, names)
    try:
        with contextlib.redirect_stdout(Others(sys.stdout)):
            blend.run(some, data)
            made = read_model(some.model_folder(BLEND))
            about = {"cv": made["cv"], "models": names, "of": what_of(made["key"], asked)}
            if not is_better(competition, about):
                return
            before = {path.name for path in competition.folder.glob("*.csv")}
            path, _ = submission.answer(some, data.scored, asked, BLEND)
    except UserError as error:  # the run itself goes on, to whatever end it has
        print(f"no submission so far: {error}")
        return
    if path.name not in before - noted(competition):
        replace(competition, path, about)
    if path.name not in before:
        score = f"{made['metric']} {cv_text(some.model_folder(BLEND), made)}"
        print(f"submission so far: {from_here(path)}  {score}  {counted(len(names), 'model')}: {', '.join(names)}")


def what_of(key: dict[str, Any], asked: Requirements) -> str:
    """A digest of what two blends must share, for one of them to be better: the rows, the metric and what is asked."""
    shared = {name: value for name, value in key.items() if name not in ("code", "blend", "models")}
    return files.digest([shared, list(asked.columns)])


def is_better(competition: Competition, new: dict[str, Any]) -> bool:
    """Whether a blend is better than the one that the submission so far is of, if there is one.

    One of other rows, of another metric, or of a model that the config has no more, is worse than any.
    """
    about, blended = files.read_json(note(competition)) or {}, competition.blend.models or competition.models
    if not about.keys() >= {"csvs", *new} or about["csvs"][0] not in noted(competition):
        return True
    if about["of"] != new["of"] or not {*about["models"]} <= {*blended}:
        return True
    return competition.scorer.sign * new["cv"] > competition.scorer.sign * about["cv"]


def replace(competition: Competition, path: Path, about: dict[str, Any]) -> None:
    """Note the new submission so far, and remove the one before; killed between the two, it is removed another time."""
    csvs = [path.name, *sorted(noted(competition) - {path.name})]
    files.write_json(note(competition), {"csvs": csvs, **about})
    remove(competition, csvs[1:])


def clear(competition: Competition, final: Path) -> None:
    """Remove the submission so far, once there is the final one; nothing is touched where there is none."""
    if not note(competition).is_file():
        return
    remove(competition, noted(competition) - {final.name})
    note(competition).unlink(missing_ok=True)


def remove(competition: Competition, names: Collection[str]) -> None:
    """Remove CSVs, but for those that were sent."""
    for name in {*names} - {one.file for one in ledger.read(competition.scores_csv)}:
        (competition.folder / name).unlink(missing_ok=True)


def noted(competition: Competition) -> set[str]:
    """The names of the CSVs that are there and are, or were, the submission so far."""
    names = (files.read_json(note(competition)) or {}).get("csvs", ())
    return {name for name in names if (competition.folder / name).is_file()}


def leave_blend(competition: Competition) -> None:
    """Let go of the blend that the submission so far is of, before that of all models is made."""
    if note(competition).is_file():
        (competition.model_folder(BLEND) / "model.json").unlink(missing_ok=True)


def note(competition: Competition) -> Path:
    return competition.folder / ".so-far.json"
