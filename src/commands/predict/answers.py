"""What is told of predictions, by what is asked for: the likeliest classes, the labels that are given, or a number."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from src.base.text import align
from src.scoring.decisions import Rule

CLASSES_PRINTED, EXTREMES_PRINTED = 20, 10  # lines of the summary of many pictures
SPANS = 5  # of numbers, into which many pictures are sorted
NONE = "(no label)"  # a picture without a label


@dataclass(frozen=True)
class Line:
    """A line of what a model says of a picture."""

    rank: int  # from 1
    label: str
    value: float  # a probability, or the number
    text: str  # the value as it is printed
    bar: float  # 0 to 1: how long its bar is on the page
    given: bool = True  # of several labels: whether the model gives it


@dataclass(frozen=True)
class Groups:
    """Many pictures in the order in which a page shows them, those to look at first in each group."""

    order: np.ndarray  # (n,) positions
    name: list[str]  # of each picture's group, by its position
    counts: dict[str, int]  # of each group, in their order


@dataclass(frozen=True)
class Answers:
    """Of one class; the others differ from it."""

    is_number: ClassVar[bool] = False
    has_given: ClassVar[bool] = False
    what: ClassVar[str] = "classes"
    order: ClassVar[str] = "the least sure of each class first"  # of pictures on a page

    def lines(self, labels: Sequence[str], row: np.ndarray, top: int) -> list[Line]:
        """What is told of a picture by its predictions (k,): the likeliest `top`, of equal ones the first."""
        places = np.argsort(-row, kind="stable")[:top]
        return [self.line(rank, labels[k], float(row[k])) for rank, k in enumerate(places, 1)]

    def line(self, rank: int, label: str, p: float, given: bool = True) -> Line:
        return Line(rank, label, p, f"{p:.4f}", p, given)

    def groups(self, labels: Sequence[str], table: np.ndarray) -> Groups:
        """By the likeliest class, the commonest first, and in it by its probability, the least sure first."""
        label, probability = table.argmax(axis=1), table.max(axis=1)
        counts = np.bincount(label, minlength=len(labels))
        order = np.lexsort((probability, label, -counts[label]))
        found = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
        return Groups(order, [labels[k] for k in label], {labels[k]: int(counts[k]) for k in found})

    def given(self, table: np.ndarray) -> np.ndarray:
        """(n, k) bool: what each picture gets."""
        return table.argmax(axis=1)[:, None] == np.arange(table.shape[1])

    def doubt(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) how sure the model is of each picture, and (n,) the label whose probability tells."""
        return table.max(axis=1), table.argmax(axis=1)

    def summary(self, title: str, names: Sequence[str], labels: Sequence[str], table: np.ndarray) -> list[str]:
        """The lines to print of the predictions (n, k) of many pictures."""
        given, (sure, label) = self.given(table), self.doubt(table)
        counts, n = given.sum(axis=0), len(names)
        found = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
        rows = [(title, "pictures", "share", "mean probability")]
        for k in found[:CLASSES_PRINTED]:
            mean = table[given[:, k], k].mean()
            rows.append((labels[k], str(counts[k]), f"{counts[k] / n:.1%}", f"{mean:.4f}"))
        if without := int((~given.any(axis=1)).sum()):
            rows.append((NONE, str(without), f"{without / n:.1%}", ""))
        left = len(found) - CLASSES_PRINTED
        more = [f"... and {left} more {self.what}"] if left > 0 else []
        doubtful = np.argsort(sure, kind="stable")[:EXTREMES_PRINTED]
        cells = [(names[i], f"{table[i, label[i]]:.4f}", labels[label[i]]) for i in doubtful]
        return [*align(rows), *more, "least sure of", *indented(cells)]


CHOICE = Answers()


@dataclass(frozen=True)
class LabelAnswers(Answers):
    """Of several labels."""

    rule: Rule  # by which the model decides which labels are given

    has_given: ClassVar[bool] = True
    what: ClassVar[str] = "labels"
    order: ClassVar[str] = "by the labels that are given, the least sure first"

    def given(self, table: np.ndarray) -> np.ndarray:
        return self.rule.apply(table) >= 0.5

    def lines(self, labels: Sequence[str], row: np.ndarray, top: int) -> list[Line]:
        """All labels that are given, the likeliest first, and then the likeliest others, `top` in all or more."""
        given = self.given(row[None])[0]
        places = np.lexsort((np.arange(len(row)), -row, ~given))[: max(top, int(given.sum()))]
        return [self.line(rank, labels[k], float(row[k]), bool(given[k])) for rank, k in enumerate(places, 1)]

    def groups(self, labels: Sequence[str], table: np.ndarray) -> Groups:
        """By the labels that are given, the commonest set first, and in it the least sure first."""
        given = self.given(table)
        name = [" + ".join(np.array(labels, object)[row]) or NONE for row in given]
        sets = {one: name.count(one) for one in dict.fromkeys(name)}
        counts = dict(sorted(sets.items(), key=lambda one: -one[1]))
        place = {one: i for i, one in enumerate(counts)}
        order = np.lexsort((self.doubt(table)[0], [place[one] for one in name]))
        return Groups(order, name, counts)

    def doubt(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) how far the label that is nearest to its threshold is from it, and (n,) that label."""
        far = np.abs(self.rule.apply(table) - 0.5)
        return far.min(axis=1), far.argmin(axis=1)


@dataclass(frozen=True)
class NumberAnswers(Answers):
    """Of a number."""

    span: tuple[float, float]  # the least and the greatest that it can be

    is_number: ClassVar[bool] = True
    order: ClassVar[str] = "the least first"

    def lines(self, labels: Sequence[str], row: np.ndarray, top: int) -> list[Line]:
        value, (least, greatest) = float(row[0]), self.span
        return [Line(1, labels[0], value, f"{value:.5g}", (value - least) / (greatest - least))]

    def groups(self, labels: Sequence[str], table: np.ndarray) -> Groups:
        """By SPANS equal parts of what is there, and in one by the number."""
        values = table[:, 0].astype(float)
        edges = np.linspace(values.min(), values.max(), SPANS + 1)
        part = np.searchsorted(edges[1:-1], values, side="right")
        spans = [f"{low} to {high}" for low, high in itertools.pairwise(told_apart(edges))]
        name = [spans[i] for i in part]
        counts = {spans[i]: int((part == i).sum()) for i in np.unique(part)}
        return Groups(np.argsort(values, kind="stable"), name, counts)

    def summary(self, title: str, names: Sequence[str], labels: Sequence[str], table: np.ndarray) -> list[str]:
        values = table[:, 0].astype(float)
        counts = self.groups(labels, table).counts
        rows = [(title, "pictures", "share"), *((name, str(n), f"{n / len(names):.1%}") for name, n in counts.items())]
        order, half = np.argsort(values, kind="stable"), EXTREMES_PRINTED // 2
        least, greatest = ([(names[i], f"{values[i]:.5g}") for i in rows_] for rows_ in (order[:half], order[-half:]))
        return [*align(rows), "least", *indented(least), "greatest", *indented(greatest)]


def told_apart(numbers: np.ndarray) -> list[str]:
    """The numbers as texts with four digits, or with as many as those that differ need to differ."""
    texts = ([f"{number:.{digits}g}" for number in numbers + 0.0] for digits in range(4, 18))  # -0 is 0
    return next(found for found in texts if len({*found}) == len({*numbers.tolist()}))


def indented(cells: list[tuple[str, ...]]) -> list[str]:
    return [f"  {line}" for line in align(cells)]
