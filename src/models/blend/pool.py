"""The models to blend, on the same rows, and which of them have learnt anything."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from src.data.rows import Dataset
from src.models.blend import judges
from src.models.pictures import train_pictures
from src.schema.competition import Competition
from src.scoring import decisions
from src.scoring.constant import constant_table
from src.scoring.metrics import Metric
from src.scoring.tables import Table, Tables


@dataclass(frozen=True)
class Pool:
    """The models to blend, on the same n rows."""

    oofs: Tables  # (m, n, k) out-of-fold predictions
    targets: np.ndarray  # of the rows: see scoring/targets.py
    fold: np.ndarray  # (n,) from 0 up
    metric: Metric
    span: tuple[float, float] = (-np.inf, np.inf)  # of a number: the least and the greatest that it can be
    beside: np.ndarray | None = None  # (n, c) columns of the tables, which a stack reads too: see data/columns.py

    @property
    def folds(self) -> range:
        return range(int(self.fold.max()) + 1)

    def beside_of(self, rows: np.ndarray) -> np.ndarray | None:
        """The columns beside some rows, by a mask (n,)."""
        return None if self.beside is None else self.beside[rows]

    def without(self, model: int) -> "Pool":
        less = replace(self, oofs=self.oofs[np.arange(len(self.oofs)) != model])
        less._learnt.update((folds, np.delete(learnt, model)) for folds, learnt in self._learnt.items())
        return less

    def of(self, models: np.ndarray) -> "Pool":
        """The pool of some models, by a mask (m,)."""
        return self if models.all() else replace(self, oofs=self.oofs[models])

    def decide(self, table: Table, rows: np.ndarray | slice = slice(None)) -> Table:
        """Out-of-fold predictions of some rows as the metric scores them: see `decisions`."""
        return decisions.cross_fitted(self.metric, table[rows], self.targets[rows], self.fold[rows])

    def members(self, without: tuple[int, ...] = ()) -> np.ndarray:
        """(m,) the models that have learnt something by the rows outside of some folds; all, where none has."""
        learnt = self.learnt(without)
        return learnt if learnt.any() else ~learnt

    def learnt(self, without: tuple[int, ...] = ()) -> np.ndarray:
        """(m,) whether each of the models has learnt something by the rows outside of some folds."""
        if without not in self._learnt:
            rows = ~np.isin(self.fold, without)
            self._learnt[without] = np.array([self.has_learnt(oof, rows) for oof in self.oofs])
        return self._learnt[without]

    @cached_property
    def _learnt(self) -> dict[tuple[int, ...], np.ndarray]:
        return {}

    def has_learnt(self, oof: Table, rows: np.ndarray) -> bool:
        """Whether a model (n, k) beats the constant answer by the metric or one of the judges, beyond chance.

        Beyond chance is more than the 95 % interval of the paired difference, as for `no better than always ...` in the
        table at the end of a run. The constant answer has the shares of the very rows: those of other folds' would be
        worse than chance where classes are alike, since the commonest class elsewhere is the rarer one here.
        """
        table, targets, (_, k) = oof[rows], self.targets[rows], oof.shape
        shares = self.metric.target.constant(targets, k)
        if any(judge(targets, table, shares) for judge in judges.JUDGES[self.metric.task].values()):
            return True
        return self.metric.is_ahead(targets, self.decide(oof, rows), than=constant_table(self.metric, targets, k))


def pool_of(competition: Competition, data: Dataset, oofs: Tables) -> Pool:
    """The pool of models by their out-of-fold predictions (m, n, k) of data.train."""
    span = {} if competition.span is None else {"span": competition.span}
    beside = train_pictures(competition, data).columns(competition)
    return Pool(oofs, data.targets, data.fold, competition.scorer, beside=beside, **span)
