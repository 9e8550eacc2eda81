"""Several labels a row."""

from typing import Any

import numpy as np

from src.report.tasks.base import BLUE, EACH, ORANGE, TOP, Groups, Task
from src.report.tasks.classes import grouped

NONE = "(no label)"  # a row without a label
HALF = "#cc79a7"
VERDICTS = ("all right", "some right", "none right")


class Labels(Task):
    kind, what = "labels", "labels"

    @property
    def lead(self) -> str:
        return f"{len(self.competition.classes)} labels, any of which a row may have"

    def words(self, targets: np.ndarray) -> list[str]:
        names = np.array(self.competition.classes, object)
        return [", ".join(names[row > 0]) or NONE for row in targets]

    def coded(self, answers: np.ndarray) -> list[list[int]]:
        return [np.flatnonzero(row).tolist() for row in answers]

    def values(self, table: np.ndarray, targets: np.ndarray | None) -> list[Any]:
        """All k, or pairs of label and probability: the TOP largest, and all that the row has or is given."""
        whole = np.rint(1000 * table).astype(int)
        if table.shape[1] <= EACH:
            return whole.tolist()
        shown = self.answers(table)
        if targets is not None:
            shown = shown | (targets > 0)
        np.put_along_axis(shown, np.argsort(-table, axis=1, kind="stable")[:, :TOP], True, axis=1)
        return [
            np.stack([(places := np.flatnonzero(row)), values[places]], axis=1).ravel().tolist()
            for row, values in zip(shown, whole, strict=True)
        ]

    def answers(self, table: np.ndarray) -> np.ndarray:
        return self.competition.target.answers(table)

    def misses(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        return (self.answers(table) != (targets > 0)).ravel()

    def confidence(self, targets: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given = self.answers(table)
        return np.where(given, table, 1 - table).astype(float).ravel(), (given == (targets > 0)).ravel()

    def events(self, targets: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The probability of each label of each row, and whether the row has it."""
        return table.astype(float).ravel(), (targets > 0).ravel()

    def members(self, targets: np.ndarray, most: int) -> list[tuple[str, np.ndarray]]:
        found = [(name, np.flatnonzero(targets[:, i])) for i, name in enumerate(self.competition.classes[:most])]
        without = np.flatnonzero(~targets.any(axis=1))
        return [*found, (NONE, without)] if len(without) else found

    def groups(self, targets: np.ndarray, answers: np.ndarray) -> Groups:
        """By the rarest label that a row has: rows of the common ones are many anyway."""
        rows = targets.sum(axis=0, dtype=int)
        order = np.argsort(rows, kind="stable")
        has = answers[:, order] > 0
        places = np.where(has.any(axis=1), order[has.argmax(axis=1)], len(order))
        without = int((~targets.any(axis=1)).sum())
        return grouped((*self.competition.classes, NONE), np.append(rows, without), places, other="other labels")

    def verdicts(self, targets: np.ndarray, table: np.ndarray) -> Groups:
        given, has = self.answers(table), targets > 0
        common, wrong = (given & has).any(axis=1), (given != has).any(axis=1)
        return Groups(VERDICTS, (BLUE, HALF, ORANGE), np.where(wrong, np.where(common, 1, 2), 0))
