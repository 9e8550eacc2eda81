"""The evidence: all that a run has left on the disk so far, read without a complaint about the rest.

A run may have stopped half-way, a model may be of other folds, an image may have gone. What cannot be used is left out
and named in `left_out`; nothing is computed again, and nothing but the report is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from src.base.errors import UserError
from src.data.tables import PATH
from src.leaderboard import scored
from src.leaderboard.scored import Known, ModelScores
from src.results import audit, ledger
from src.results.ab import Comparison, read_ab
from src.results.audit import PARTS, Audit
from src.results.ledger import Entry
from src.results.model import BLEND, best_model, decided_probs
from src.schema.competition import Competition
from src.schema.models import AnyModel
from src.scoring.constant import ConstantAnswer, constant_answer
from src.scoring.metrics import Metric
from src.scoring.tables import Table
from src.scoring.targets import Target

__all__ = ["BLEND", "PARTS", "Evidence", "LeftOut", "Model"]

T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """A finished model, or the blend."""

    name: str
    folder: Path
    made: Mapping[str, Any]  # its model.json
    oof: Table  # (n, k) predictions of the train rows, in their order
    decided: Table  # (n, k) the same as the metric scores them: see `decisions`
    test: Table | None  # (m, k) of the test rows; None where the table is of other rows


@dataclass(frozen=True)
class LeftOut:
    """A thing that the report does not show, and the reason."""

    what: str
    why: str


@dataclass
class Evidence:
    """Rows are in the order of the tables, sorted by id. n train rows, m test rows, k classes."""

    competition: Competition
    train: pd.DataFrame  # (n) the table's own columns, all text, and `path`
    test: pd.DataFrame  # (m) likewise
    targets: np.ndarray  # of the train rows: see src/scoring/targets.py
    fold: np.ndarray | None  # (n,) the fold that holds out each row; None before the folds are made
    record: pd.DataFrame | None  # the data stage's facts on the images: see `record.RECORD`, by path
    models: dict[str, Model]  # those that are finished, in the config's order; the blend is the last
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.competition.classes

    @property
    def metric(self) -> Metric:
        return self.competition.scorer

    @property
    def target(self) -> Target:
        return self.competition.target

    @property
    def loss_title(self) -> str:
        """The target's loss in words: that of all models, whatever the metric is."""
        return self.target.loss_name.replace("_", " ")

    @property
    def loss_beside(self) -> str | None:
        """That title, where the loss is told beside the metric; None where the metric is that loss."""
        return None if self.competition.is_scored_by_loss else self.loss_title

    @property
    def row_loss_title(self) -> str:
        """That of a row in words, whose mean is written down at each epoch and for each C."""
        return self.target.loss_title

    def decided(self, model: Model, part: str) -> Table | None:
        """(n, k) of that part, as the model's rule for the labels has them; None where it has no test table."""
        if part == "train":
            return model.decided
        return None if model.test is None else decided_probs(self.competition, model.made, model.test)

    def answers(self, model: Model, part: str = "train") -> np.ndarray | None:
        """What the model says of each row: class indices (n,), labels (n, k), or numbers (n,); None as `decided`."""
        return None if (table := self.decided(model, part)) is None else self.target.answers(table)

    def errors(self, model: Model) -> np.ndarray:
        """(n,) prediction less true number, where these are numbers."""
        return self.answers(model).astype(float) - self.targets

    @cached_property
    def ids(self) -> list[str]:
        """The ids of the train rows."""
        return self.train[self.competition.id].tolist()

    @cached_property
    def test_ids(self) -> list[str]:
        return self.test[self.competition.id].tolist()

    @property
    def best(self) -> Model | None:
        """The model that the page begins with: the blend, or else the one of the best CV."""
        return self.models.get(best_model(self.competition, {name: one.made for name, one in self.models.items()}))

    @cached_property
    def constant(self) -> ConstantAnswer:
        """The score without a look at any picture."""
        return constant_answer(self.metric, self.targets, self.competition.outputs)

    @cached_property
    def entries(self) -> list[Entry]:
        """The ledger's entries."""
        return self.usable("the ledger", ledger.read, self.competition.scores_csv) or []

    @cached_property
    def audit(self) -> Audit | None:
        """The audit of these rows; None before one, and where it cannot be used."""
        if self.competition.unit is not None and self.competition.audit_csv.is_file():
            self.leave_out("the audit", f"it is of pictures, and this page of units: see {self.competition.audit_csv}")
            return None
        return self.usable("the audit", audit.read, self.competition, self.ids, self.test_ids)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """The lines of ab.csv."""
        return self.usable("comparisons of the config", read_ab, self.competition.ab_csv) or []

    @cached_property
    def known(self) -> Known | None:
        """The facts on the leaderboard; None where a file with them has faults."""
        try:
            return scored.read(self.competition, self.test_ids)
        except UserError as error:
            if not any(one.why == str(error) for one in self.left_out):
                self.leave_out("the leaderboard", str(error))
            return None

    @cached_property
    def ours(self) -> dict[str, ModelScores]:
        """The leaderboard scores of each finished model."""
        names = self.models if self.known is not None else ()
        found = {
            name: self.usable(f"{name} on the leaderboard", scored.model_scores, self.known, name) for name in names
        }
        return {name: ours for name, ours in found.items() if ours is not None}

    def usable(self, what: str, read: Callable[..., T], *args: Any) -> T | None:
        """Return `read(*args)`; None where that is a UserError, with which it is then left out."""
        try:
            return read(*args)
        except UserError as error:
            self.leave_out(what, str(error))
            return None

    def leave_out(self, what: str, why: str) -> None:
        """Note it once, however many sections miss it."""
        if (one := LeftOut(what, why)) not in self.left_out:
            self.left_out.append(one)

    def scheduled(self, spec: AnyModel) -> AnyModel:
        """A model of the config as it is trained on these rows."""
        folds = self.competition.folds.n if self.fold is None else int(self.fold.max()) + 1
        return spec.scheduled(len(self.targets) - len(self.targets) // folds)

    def sizes(self, part: str) -> np.ndarray | None:
        """(n, 2) width and height in pixels of the images of a part's rows, NaN of those that nobody has checked yet.

        None before the data stage has checked any.
        """
        if self.record is None:
            return None
        known = self.record[["width", "height"]].reindex(self.rows(part)[PATH])
        return None if known.isna().all(axis=None) else known.to_numpy(float)

    def rows(self, part: str) -> pd.DataFrame:
        return {"train": self.train, "test": self.test}[part]

    @cached_property
    def row_of(self) -> dict[str, dict[str, int]]:
        """{part: {id: its row}}."""
        return {part: {id: i for i, id in enumerate(self.rows(part)[self.competition.id])} for part in PARTS}
