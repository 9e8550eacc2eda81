"""The histories of fine-tunings, epoch by epoch: of finished folds, and of one that is in training or was stopped.

A finished model has history.csv. Before that, each checkpoint says the same of its fold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from src.report import configs
from src.report.evidence import Evidence
from src.results import checkpoints
from src.schema.models import FineTune

NEEDED = ("fold", "epoch", "loss", "valid_log_loss")
NUMBERS = (*NEEDED, "seed", "step", "lr", "images_per_second", "waited", "micro_batch", "seconds")


@dataclass(frozen=True)
class History:
    epochs: pd.DataFrame  # one row an epoch of a fold and seed; columns of history.csv, those of NEEDED at least
    unfinished: str = ""  # the missing part, as a sentence; empty where there is none

    def median(self, column: str) -> float | None:
        """The median over epochs; None where no epoch has a number."""
        known = self.epochs.get(column, pd.Series(dtype=float)).dropna()
        return float(known.median()) if len(known) else None

    def lines(self, column: str) -> pd.DataFrame:
        """(epochs, folds): the mean over seeds; NaN where an epoch is not there."""
        return self.epochs.pivot_table(index="epoch", columns="fold", values=column, aggfunc="mean", dropna=False)


def read(evidence: Evidence) -> dict[str, History]:
    """The models' that have one: the finished ones first, and those that are in training."""
    competition, found = evidence.competition, {}
    for name, model in evidence.models.items():
        path = model.folder / "history.csv"
        if path.is_file() and (epochs := read_csv(evidence, name, path)) is not None:
            found[name] = History(epochs)
    for name, spec in competition.trained.items():
        if name not in evidence.models:
            spec = evidence.scheduled(spec)
            rows = list(epochs_of_checkpoints(competition.model_folder(name), spec))
            if (epochs := checked(pd.DataFrame(rows))) is not None:
                found[name] = History(epochs, progress(epochs, spec, competition.folds.n))
    return found


def read_csv(evidence: Evidence, name: str, path: Path) -> pd.DataFrame | None:
    """Return history.csv without lines that are not whole; None, and left out, where no line is whole."""
    try:
        df = pd.read_csv(path, on_bad_lines="skip")
    except (OSError, ValueError) as error:  # pandas' errors of parsing, and of UTF-8, are ValueErrors
        evidence.leave_out(f"{name}'s history.csv", f"it cannot be read: {error}")
        return None
    whole = checked(df)
    if whole is None:
        evidence.leave_out(f"{name}'s history.csv", "it has no whole line")
    elif len(whole) < len(df):
        evidence.leave_out(f"{name}'s history.csv", f"{len(df) - len(whole)} of its lines are damaged")
    return whole


def checked(df: pd.DataFrame) -> pd.DataFrame | None:
    """The lines whose numbers are all there; None where there are none."""
    if not set(NEEDED) <= set(df.columns):
        return None
    valid = [column for column in df.columns if column.startswith("valid_")]
    columns = [column for column in df.columns if column in NUMBERS] + [c for c in valid if c not in NUMBERS]
    df = df[columns].apply(pd.to_numeric, errors="coerce")
    df = df[df.notna().all(axis=1)]
    return df.astype({"fold": int, "epoch": int}) if len(df) else None


def epochs_of_checkpoints(folder: Path, spec: FineTune) -> Iterator[dict[str, Any]]:
    """The epochs of the folds that are finished, or begun, by the config's recipe."""
    done = set()
    finished = sorted(path for path in folder.glob("fold*.safetensors") if ".running-" not in path.name)
    for path in [*finished, *sorted(folder.glob("fold*.running-*.safetensors"), reverse=True)]:
        about = checkpoints.about(path)
        if path.name.partition(".")[0] in done or not isinstance(about, dict) or not has_recipe(about, spec):
            continue
        done.add(path.name.partition(".")[0])
        yield from (row for row in about.get("history") or () if isinstance(row, dict))


def has_recipe(about: dict[str, Any], spec: FineTune) -> bool:
    """Whether a checkpoint was trained by the config's recipe."""
    try:
        return not configs.changes(about["key"]["model"], spec, {*spec.of_tables, *spec.of_model})
    except (KeyError, TypeError):
        return False


def progress(epochs: pd.DataFrame, spec: FineTune, folds: int) -> str:
    runs = epochs.groupby(["fold", "seed"] if "seed" in epochs else ["fold"])["epoch"].max()
    whole = int((runs >= spec.epochs).sum())
    text = f"{whole} of {folds * spec.seeds} {'runs' if spec.seeds > 1 else 'folds'} are trained"
    if (runs < spec.epochs).any():
        at = runs[runs < spec.epochs]
        text += f", and {int(at.iloc[0])} of {spec.epochs} epochs of the next"
    return text
