"""A number a row."""

import itertools
from typing import Any

import numpy as np

from src.report.tasks.base import Groups, Task

PARTS = 5  # quantiles of numbers that have a colour, and of errors
COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00")  # from cold to warm
DIGITS, FEW = 6, 4  # significant ones of a number as text, and of a limit between numbers


class Numbers(Task):
    kind, what = "number", "number"

    @property
    def lead(self) -> str:
        least, greatest = self.competition.span
        return f"a number from {least:g} to {greatest:g}"

    def words(self, targets: np.ndarray) -> list[str]:
        return [number_text(value) for value in targets]

    def coded(self, answers: np.ndarray) -> list[float]:
        return [float(number_text(value)) for value in answers]

    def values(self, table: np.ndarray, targets: np.ndarray | None) -> list[Any]:
        return [None] * len(table)

    def misses(self, targets: np.ndarray, table: np.ndarray) -> np.ndarray:
        return table[:, 0].astype(float) - targets

    def confidence(self, targets: np.ndarray, table: np.ndarray) -> None:
        return None

    def members(self, targets: np.ndarray, most: int) -> list[tuple[str, np.ndarray]]:
        groups = self.groups(targets, targets)
        return [(name, np.flatnonzero(groups.of_row == i)) for i, name in enumerate(groups.names)]

    def groups(self, targets: np.ndarray, answers: np.ndarray) -> Groups:
        """By the quantiles of the targets."""
        inner = np.unique(np.quantile(targets, np.linspace(0, 1, PARTS + 1)[1:-1]))
        inner = inner[(inner > targets.min()) & (inner <= targets.max())]
        ends = [float(targets.min()), *inner.tolist(), float(targets.max())]
        return Groups(spans(ends), coldest(len(inner) + 1), np.searchsorted(inner, answers, side="right"))

    def verdicts(self, targets: np.ndarray, table: np.ndarray) -> Groups:
        """By the quantiles of the error's size."""
        size = np.abs(self.misses(targets, table))
        inner = np.unique(np.quantile(size, np.linspace(0, 1, PARTS + 1)[1:-1]))
        inner = inner[inner > 0]
        names = [*(f"off by less than {number_text(end, FEW)}" for end in inner), "further off"]
        return Groups(names, coldest(len(names)), np.searchsorted(inner, size, side="right"))


def number_text(value: float, digits: int = DIGITS) -> str:
    """`38.12`: without an exponent where that can be."""
    short = float(f"{value:.{digits}g}")
    return f"{int(short)}" if short == int(short) and abs(short) < 1e15 else f"{short:.{digits}g}"


def spans(ends: list[float]) -> list[str]:
    """`1 to 12`, `12 to 25`, ...: the names of what lies between each two ends."""
    return [f"{number_text(low, FEW)} to {number_text(high, FEW)}" for low, high in itertools.pairwise(ends)]


def coldest(n: int) -> list[str]:
    """n of COLOURS, the first and the last among them where n allows."""
    places = np.rint(np.linspace(0, len(COLOURS) - 1, n)).astype(int) if n > 1 else [0]
    return [COLOURS[i] for i in places]
