"""The questions that the page's sections ask of a task. Shapes are those of src/scoring/targets.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from src.schema.competition import Competition

BLUE, ORANGE = "#0072b2", "#d55e00"  # of what is right and what is wrong
EACH = 6  # classes up to which all probabilities of a row are shown, else the largest TOP and those that matter
TOP = 3


@dataclass(frozen=True)
class Groups:
    """Rows that are alike, for colours: the group of each, as a place in `names`."""

    names: Sequence[str]
    colours: Sequence[str]
    of_row: np.ndarray  # (n,)


@dataclass(frozen=True)
class Task:
    competition: Competition

    kind: ClassVar[str]  # for album.js, and in the names of templates
    what: ClassVar[str]  # a row's target in a word

    @property
    def lead(self) -> str:
        """What the rows are asked for, at the top of the page: `4 classes`."""
        raise NotImplementedError

    def words(self, targets: np.ndarray) -> list[str]:
        """The target of each row, or an answer, as text."""
        raise NotImplementedError

    def coded(self, answers: np.ndarray) -> list[Any]:
        """Targets or answers for album.js, one a row."""
        raise NotImplementedError

    def values(self, table: np.ndarray, targets: np.ndarray | None) -> list[Any]:
        """The probabilities of each row for album.js, in thousandths; None a row where there are none.

        Args:
            table: (n, k) predictions, decided as the metric scores them.
            targets: None: of test rows.
        """
        raise NotImplementedError

    def misses(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        """(c,) how far each answer is from its target, 0 where it is right; an answer a row, or several."""
        raise NotImplementedError

    def confidence(self, targets: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """(c,) the probability of each answer, and whether (c,) it is right; None where answers have none."""
        raise NotImplementedError

    def events(self, targets: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """(c,) probabilities, and whether (c,) what each is of came true: for reliability."""
        return self.confidence(targets, table)

    def members(self, targets: np.ndarray, most: int) -> list[tuple[str, np.ndarray]]:
        """Sets of rows to show examples of, `most` at most: the name of each and the positions (m,) of its rows."""
        raise NotImplementedError

    def groups(self, targets: np.ndarray, answers: np.ndarray) -> Groups:
        """The groups of answers, or of the targets themselves, drawn after the targets of all train rows."""
        raise NotImplementedError

    def verdicts(self, targets: np.ndarray, table: np.ndarray) -> Groups:
        """The groups of rows by how right predictions for them are, the best first."""
        raise NotImplementedError
