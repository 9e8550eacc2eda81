"""The cells of a comparison: one model on one data set, with its probabilities of the rows to validate on.

A cell is a folder, compare/<cell>/: cell.json, written last, has its key and its results; valid.parquet has
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
from src.data.rows import Dataset, Rows
from src.leaderboard import solution
from src.models.work import is_result
from src.results import predictions
from src.results.compare import score_text
from src.results.model import equal_keys, none_if_nan
from src.schema.competition import Competition


@dataclass(frozen=True)
class Holdout:
    """The rows that are learnt and those that are scored, as positions in `rows`."""

    rows: Rows  # data.rows
    official: bool  # the data set's own; else fold 0 is held out of the train rows
    train: np.ndarray  # (n,)
    targets: np.ndarray  # of each: see src/scoring/targets.py
    valid: np.ndarray  # (m,)
    valid_targets: np.ndarray

    @property
    def about(self) -> dict[str, Any]:
        return {"official": self.official, "train": len(self.train), "valid": len(self.valid)}

    @functools.cached_property
    def digests(self) -> dict[str, str]:
        """Digests of the rows that are learnt and scored, for keys."""

        def digest(positions: np.ndarray, targets: np.ndarray) -> str:
            rows = self.rows.take(positions)
            return files.digest([[*row] for row in zip(rows.ids, rows.shas, targets.tolist(), strict=True)])

        return {"train": digest(self.train, self.targets), "valid": digest(self.valid, self.valid_targets)}


def split(competition: Competition, data: Dataset) -> Holdout:
    """All train rows, and the test rows that a solution knows; without one, fold 0 is scored and the others learnt.

    Raises:
        UserError: The solution has faults.
    """
    known, n = solution.answers(competition, data.test.ids), len(data.train)
    if known is None:
        held_out = data.fold == 0
        learnt, scored = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        return Holdout(data.rows, False, learnt, data.targets[learnt], scored, data.targets[scored])
    return Holdout(data.rows, True, np.arange(n), data.targets, n + known.rows, known.targets)


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
        """The ids of the rows to validate on."""
        return self.data.rows.take(self.split.valid).ids

    def table(self, what: str) -> Path:
        return self.folder / f"{what}.parquet"

    @property
    def files(self) -> list[Path]:
        """The files of a finished cell, the description last."""
        paths = sorted(path for path in self.folder.iterdir() if is_result(path.name))
        return sorted(paths, key=lambda path: path.name == "cell.json")

    def write(self, what: str, probs: np.ndarray) -> None:
        predictions.write(self.table(what), self.competition, self.ids, probs)

    def read(self, what: str = "valid") -> np.ndarray:
        """The probabilities (m, k) of the rows to validate on."""
        return predictions.read(self.table(what), self.competition, self.ids)

    def about(self) -> dict[str, Any] | None:
        """The content of cell.json; None where the cell is not finished."""
        about = files.read_json(self.folder / "cell.json")
        return about if about is not None and self.table("valid").is_file() else None

    def has(self, key: dict[str, Any]) -> bool:
        """Whether the cell is finished and of the key."""
        about = self.about()
        return about is not None and equal_keys(about["key"], key, asked=getattr(self.spec, "precision", None))

    def reused(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The content of the finished cell, if it is of the key; a line says which."""
        if (about := self.about()) is None:
            return None
        if self.has(key):
            print(f"{self.title}  reused: {about['metric']} {self.score_text(about['points'][-1])}")
            return about
        print(f"{self.title}  recomputing: {files.describe_changes(about['key'], key)}")
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
        print(f"{self.title}  {about['metric']} {self.score_text(points[-1])}  {duration(points[-1]['seconds'] or 0)}")
        return about

    def score(self, probs: np.ndarray) -> dict[str, Any]:
        """A point of the curve: the score, its standard error and the loss of predictions (m, k)."""
        score, se = self.competition.scorer.score(self.split.valid_targets, probs)
        loss = float(self.competition.target.loss(self.split.valid_targets, probs).mean())
        return {"score": none_if_nan(score), "se": none_if_nan(se), "log_loss": loss}

    def score_text(self, point: dict[str, Any]) -> str:
        """A point's score and standard error."""
        numbers = {name: float("nan") if point[name] is None else point[name] for name in ("score", "se")}
        return score_text({"metric": self.competition.metric, "rows": len(self.split.valid), **numbers})


def pair(one: Cell, other: Cell, titles: tuple[str, str], table: str = "valid") -> dict[str, Any]:
    """The paired difference, and its standard error, by which that table of the first cell is better than the other."""
    metric, targets = one.competition.scorer, one.split.valid_targets
    difference, se = metric.gain(targets, one.read(table), other.read())
    numbers = {"difference": none_if_nan(difference), "se": none_if_nan(se), "rows": len(targets)}
    return {"one": titles[0], "other": titles[1], **numbers}
