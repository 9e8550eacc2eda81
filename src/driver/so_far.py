"""The submission so far: while models are still to come, a checked CSV of the blend of those that are finished."""

import contextlib
import io
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

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
            if not is_better(competition, made["cv"]):
                return
            before = {path.name for path in competition.folder.glob("*.csv")}
            path, _ = submission.answer(some, data.scored, asked, BLEND)
    except UserError as error:  # the run itself goes on, to whatever end it has
        print(f"no submission so far: {error}")
        return
    if path.name not in before:
        replace(competition, path, made["cv"])
        score = f"{made['metric']} {cv_text(some.model_folder(BLEND), made)}"
        print(f"submission so far: {from_here(path)}  {score}  {counted(len(names), 'model')}: {', '.join(names)}")


def is_better(competition: Competition, cv: float) -> bool:
    """Whether a blend of this CV is better than the one that the submission so far is of, if there is one."""
    about = files.read_json(note(competition))
    if about is None or not (competition.folder / about["csv"]).is_file():
        return True
    return competition.scorer.sign * cv > competition.scorer.sign * about["cv"]


def replace(competition: Competition, path: Path, cv: float) -> None:
    """Note the new submission so far, and remove the one before."""
    clear(competition, path)
    files.write_json(note(competition), {"csv": path.name, "cv": cv})


def clear(competition: Competition, final: Path) -> None:
    """Remove the submission so far, once there is a better one or the final one; not one that was sent."""
    about = files.read_json(note(competition))
    if about is None:
        return
    path = competition.folder / about["csv"]
    note(competition).unlink(missing_ok=True)
    if path != final and path.name not in {one.file for one in ledger.read(competition.scores_csv)}:
        path.unlink(missing_ok=True)


def leave_blend(competition: Competition) -> None:
    """Let go of the blend that the submission so far is of, before that of all models is made."""
    if note(competition).is_file():
        (competition.model_folder(BLEND) / "model.json").unlink(missing_ok=True)


def note(competition: Competition) -> Path:
    return competition.folder / ".so-far.json"
