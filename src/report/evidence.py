"""What the report is made from: all that a run has left on the disk so far, read without a complaint about the rest.

A run may have stopped half-way, a model may be of other folds, an image may have gone. What cannot be used is left out
and named in `left_out`; nothing is computed again, and nothing but the report is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src.base.errors import UserError
from src.leaderboard import scored
from src.leaderboard.scored import Known, Ours
from src.results import audit, ledger
from src.results.ab import Comparison, read_ab
from src.results.audit import PARTS, Audit
from src.results.ledger import Entry
from src.results.model import BLEND, best_model
from src.schema.competition import Competition
from src.scoring.metrics import METRICS, Metric

__all__ = ["BLEND", "PARTS", "Evidence", "LeftOut", "Model"]


@dataclass(frozen=True)
class Model:
    """A finished model, or the blend."""

    name: str
    folder: Path
    made: Mapping[str, Any]  # its model.json
    oof: np.ndarray  # (n, k) probabilities of the train rows, in their order
    decided: np.ndarray  # (n, k) the same as the metric scores them: see `decisions`
    test: np.ndarray | None  # (m, k) of the test rows; None where the table is of other rows

    @cached_property
    def labels(self) -> np.ndarray:
        """(n,) the class index that each train row is given."""
        return self.decided.argmax(axis=1)


@dataclass(frozen=True)
class LeftOut:
    """What the report does not show, and why."""

    what: str
    why: str


@dataclass
class Evidence:
    """Rows are in the order of the tables, sorted by id. n train rows, m test rows, k classes."""

    competition: Competition
    train: pd.DataFrame  # (n) the table's own columns, all text, and `path`
    test: pd.DataFrame  # (m) likewise
    targets: np.ndarray  # (n,) class indices
    fold: np.ndarray | None  # (n,) the fold that holds out each row; None before the folds are made
    record: pd.DataFrame | None  # what the data stage knows of the images: see `images.RECORD`, by path
    models: dict[str, Model]  # those that are finished, in the config's order; the blend is the last
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.competition.classes

    @property
    def metric(self) -> Metric:
        return METRICS[self.competition.metric]

    @cached_property
    def ids(self) -> list[str]:
        """Of the train rows."""
        return self.train[self.competition.id].tolist()

    @cached_property
    def test_ids(self) -> list[str]:
        return self.test[self.competition.id].tolist()

    @property
    def best(self) -> Model | None:
        """The model that the page begins with: the blend, or else the one of the best CV."""
        return self.models.get(best_model(self.competition, {name: one.made for name, one in self.models.items()}))

    @cached_property
    def entries(self) -> list[Entry]:
        """The ledger's."""
        try:
            return ledger.read(self.competition.scores_csv)
        except UserError as error:
            self.leave_out("the ledger", str(error))
            return []

    @cached_property
    def audit(self) -> Audit | None:
        """The audit of these rows; None before one, and where it cannot be used."""
        try:
            return audit.read(self.competition, self.ids, self.test_ids)
        except UserError as error:
            self.leave_out("the audit", str(error))
            return None

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """The lines of ab.csv."""
        try:
            return read_ab(self.competition.ab_csv)
        except UserError as error:
            self.leave_out("comparisons of the config", str(error))
            return []

    @cached_property
    def known(self) -> Known | None:
        """What is known of the leaderboard; None where a file that tells it has faults."""
        try:
            return scored.read(self.competition, self.test_ids)
        except UserError as error:
            if not any(one.why == str(error) for one in self.left_out):
                self.leave_out("the leaderboard", str(error))
            return None

    @cached_property
    def ours(self) -> dict[str, Ours]:
        """What each finished model scored there."""
        found = {}
        for name in self.models if self.known is not None else ():
            try:
                found[name] = scored.of(self.known, name)
            except UserError as error:
                self.leave_out(f"{name} on the leaderboard", str(error))
        return found

    def leave_out(self, what: str, why: str) -> None:
        """Says so once, however many sections miss it."""
        if (one := LeftOut(what, why)) not in self.left_out:
            self.left_out.append(one)

    def sizes(self, part: str) -> np.ndarray | None:
        """(n, 2) width and height in pixels of the images of a part's rows, NaN of those that nobody has checked yet.

        None before the data stage has checked any.
        """
        if self.record is None:
            return None
        known = self.record[["width", "height"]].reindex(self.rows(part)["path"].astype(str))
        return None if known.isna().all(axis=None) else known.to_numpy(float)

    def rows(self, part: str) -> pd.DataFrame:
        return {"train": self.train, "test": self.test}[part]

    @cached_property
    def row_of(self) -> dict[str, dict[str, int]]:
        """{part: {id: its row}}."""
        return {part: {id: i for i, id in enumerate(self.rows(part)[self.competition.id])} for part in PARTS}
