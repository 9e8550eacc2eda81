"""One class a row."""

from typing import Any

import numpy as np

from src.report import charts
from src.report.tasks.base import BLUE, EACH, ORANGE, TOP, Groups, Task
from src.scoring.sparse import SparseTable
from src.scoring.tables import Table

NAMED = 15  # classes that have a colour of their own, if there are more than the palette tells apart


class Classes(Task):
    kind, what = "class", "label"

    @property
    def lead(self) -> str:
        return f"{len(self.competition.classes)} classes"

    def words(self, targets: np.ndarray) -> list[str]:
        return [self.competition.classes[target] for target in targets]

    def coded(self, answers: np.ndarray) -> list[int]:
        return answers.tolist()

    def values(self, table: np.ndarray, targets: np.ndarray | None) -> list[Any]:
        return thousandths(table, targets)

    def misses(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        return table.argmax(axis=1) != targets

    def confidence(self, targets: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return table.max(axis=1).astype(float), table.argmax(axis=1) == targets

    def members(self, targets: np.ndarray, most: int) -> list[tuple[str, np.ndarray]]:
        return [(name, np.flatnonzero(targets == i)) for i, name in enumerate(self.competition.classes[:most])]

    def groups(self, targets: np.ndarray, answers: np.ndarray) -> Groups:
        return grouped(self.competition.classes, np.bincount(targets, minlength=len(self.competition.classes)), answers)

    def verdicts(self, targets: np.ndarray, table: np.ndarray) -> Groups:
        return Groups(("right", "wrong"), (BLUE, ORANGE), self.misses(targets, table).astype(int))


def grouped(names: tuple[str, ...], rows: np.ndarray, places: np.ndarray, other: str = "other classes") -> Groups:
    """The groups of these names, of which the many that are not the commonest share a colour.

    Args:
        rows: (k,) the rows of each name.
        places: (n,) the name of each row.
    """
    k = len(names)
    if k <= len(charts.COLOURS + charts.MORE):
        return Groups(names, charts.palette(k), places)
    most = np.sort(np.argsort(-rows, kind="stable")[:NAMED])
    group = np.full(k, NAMED)
    group[most] = np.arange(NAMED)
    return Groups([*(names[i] for i in most), other], charts.palette(NAMED + 1), group[places])


def thousandths(probs: Table, label: np.ndarray | None) -> list[list[int]]:
    """All k probabilities of each row; of many classes pairs of class and probability, the largest and the label's."""
    n, k = probs.shape
    probs = probs.toarray() if isinstance(probs, SparseTable) else probs
    whole = np.rint(1000 * probs).astype(int)
    if k <= EACH:
        return whole.tolist()
    top = np.argsort(-probs, axis=1, kind="stable")[:, :TOP]
    if label is not None:
        beside = (top != np.asarray(label)[:, None]).all(axis=1)
        top = np.concatenate([top, np.where(beside, label, -1)[:, None]], axis=1)
    values = np.take_along_axis(whole, np.maximum(top, 0), axis=1)
    pairs = np.stack([top, values], axis=2).reshape(n, 2 * top.shape[1]).tolist()
    return [pair[:-2] if pair[-2] < 0 else pair for pair in pairs]
