"""The cells of a comparison: one model on one data set, with its probabilities of the rows to validate on.

A cell is a folder, compare/<cell>/: cell.json, written last, says how it was made and what came out; valid.parquet has
the probabilities after the last epoch, epoch0.parquet those before the first, valid-alpha0.5.parquet WiSE-FT's. All are
predicted in one view. The weights are not kept once a cell is finished: `finetune` keeps those of its folds.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.base import files
from src.base.paths import ROOT
from src.base.provenance import current_provenance
from src.base.text import duration
from src.data.rows import Dataset
from src.leaderboard import solution
from src.results import predictions
from src.results.compare import measured
from src.results.model import equal_keys, none_if_nan
from src.schema.competition import Competition
from src.scoring.metrics import METRICS


@dataclass(frozen=True)
class Holdout:
    """Which rows are learnt and which are scored; rows are positions in data.rows."""

    official: bool  # the data set's own; else fold 0 is held out of the train rows
    train: np.ndarray  # (n,)
    targets: np.ndarray  # (n,) the class of each
    valid: np.ndarray  # (m,)
    valid_targets: np.ndarray

    @property
    def about(self) -> dict[str, Any]:
        return {"official": self.official, "train": len(self.train), "valid": len(self.valid)}


def split(competition: Competition, data: Dataset) -> Holdout:
    """All train rows, and the test rows that a solution knows; without one, fold 0 is scored and the others learnt.

    Raises:
        UserError: The solution has faults.
    """
    known, n = solution.answers(competition, data.test.ids), len(data.train)
    if known is None:
        held_out = data.fold == 0
        learnt, scored = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        return Holdout(False, learnt, data.targets[learnt], scored, data.targets[scored])
    return Holdout(True, np.arange(n), data.targets, n + known.rows, known.targets)


@dataclass(frozen=True)
class Cell:
    competition: Competition  # with nothing but what is compared, and the prompts of this cell
    model: str
    templates: str  # their kind, of an experiment with templates; empty: the config's own
    data: Dataset
    split: Holdout

    @property
    def spec(self) -> Any:
        return self.competition.models[self.model]

    @property
    def name(self) -> str:
        return self.model + (f"+{self.templates.replace(' ', '-')}" if self.templates else "")  # no model has a +

    @property
    def title(self) -> str:
        return self.model + (f", {self.templates} templates" if self.templates else "")

    @property
    def folder(self) -> Path:
        return self.competition.folder / "compare" / self.name

    @property
    def ids(self) -> list[str]:
        """Of the rows to validate on."""
        return self.data.rows.take(self.split.valid).ids

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """What names the rows that are learnt and scored, for a key."""
        found = {}
        parts = (("train", self.split.train, self.split.targets), ("valid", self.split.valid, self.split.valid_targets))
        for part, rows, targets in parts:
            taken = self.data.rows.take(rows)
            found[part] = files.digest([[*row] for row in zip(taken.ids, taken.shas, targets.tolist(), strict=True)])
        return found

    def table(self, what: str) -> Path:
        return self.folder / f"{what}.parquet"

    def write(self, what: str, probs: np.ndarray) -> None:
        predictions.write(self.table(what), self.competition.id, self.ids, self.competition.classes, probs)

    def read(self, what: str = "valid") -> np.ndarray:
        """The probabilities (m, k) of the rows to validate on."""
        return predictions.read(self.table(what), self.competition.id, self.ids, self.competition.classes)

    def about(self) -> dict[str, Any] | None:
        """What cell.json says; None where the cell is not finished."""
        made = files.read_json(self.folder / "cell.json")
        return made if made is not None and self.table("valid").is_file() else None

    def reused(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """What the finished cell says, with one line that says so, if it is of the key."""
        if (made := self.about()) is None:
            return None
        if equal_keys(made["key"], key, asked=getattr(self.spec, "precision", None)):
            print(f"{self.title}  reused: {made['metric']} {self.said(made['points'][-1])}")
            return made
        print(f"{self.title}  recomputing: {files.describe_changes(made['key'], key)}")
        return None

    def save(self, key: dict[str, Any], kind: str, points: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
        provenance = current_provenance(ROOT)
        about = {
            "model": self.model,
            "templates": self.templates,
            "kind": kind,
            "metric": self.competition.metric,
            "rows": len(self.split.valid),
            "points": points,
            "wise_ft": [],
            "memory_gb": None,
            "device": provenance["device"],
            **facts,
            "key": key,
            "made": provenance,
        }
        files.write_json(self.folder / "cell.json", about)
        print(f"{self.title}  {about['metric']} {self.said(points[-1])}  {duration(points[-1]['seconds'] or 0)}")
        return about

    def scored(self, probs: np.ndarray) -> dict[str, Any]:
        """A point of the curve: the score, its standard error and the log loss of probabilities (m, k)."""
        score, se = METRICS[self.competition.metric].score(self.split.valid_targets, probs)
        log_loss = METRICS["log_loss"].value(self.split.valid_targets, probs)
        return {"score": none_if_nan(score), "se": none_if_nan(se), "log_loss": log_loss}

    def said(self, point: dict[str, Any]) -> str:
        """A point's score and standard error."""
        numbers = {name: float("nan") if point[name] is None else point[name] for name in ("score", "se")}
        return measured({"metric": self.competition.metric, "rows": len(self.split.valid), **numbers})


def pair(one: Cell, other: Cell, said: tuple[str, str], what: tuple[str, str] = ("valid", "valid")) -> dict[str, Any]:
    """How much better the first cell's tables are: the paired difference and its standard error."""
    metric, targets = METRICS[one.competition.metric], one.split.valid_targets
    difference, se = metric.gain(targets, one.read(what[0]), other.read(what[1]))
    numbers = {"difference": none_if_nan(difference), "se": none_if_nan(se), "rows": len(targets)}
    return {"one": said[0], "other": said[1], **numbers}
