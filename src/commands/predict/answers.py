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
NONE = "(none)"  # a picture without a label


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

    def summary(self, title: str, names: Sequence[str], labels: Sequence[str], table: np.ndarray) -> list[str]:
        """The lines to print of the predictions (n, k) of many pictures."""
        label, probability = table.argmax(axis=1), table.max(axis=1)
        counts = np.bincount(label, minlength=len(labels))
        found = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
        rows = [(title, "pictures", "share", "mean probability")]
        rows += [share_row(labels[k], counts[k], len(names), probability[label == k]) for k in found[:CLASSES_PRINTED]]
        doubtful = np.argsort(probability, kind="stable")[:EXTREMES_PRINTED]
        cells = [(names[i], f"{probability[i]:.4f}", labels[label[i]]) for i in doubtful]
        return [*align(rows), *more_of(found, "classes"), "least sure of", *indented(cells)]


CHOICE = Answers()


@dataclass(frozen=True)
class LabelAnswers(Answers):
    """Of several labels."""

    rule: Rule  # by which the model decides which labels are given

    has_given: ClassVar[bool] = True
    order: ClassVar[str] = "by the labels that are given, the least sure first"

    def given(self, table: np.ndarray) -> np.ndarray:
        """(n, k) bool: the labels that each picture gets; and none other."""
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
        order = np.lexsort((self.margin(table), [place[one] for one in name]))
        return Groups(order, name, counts)

    def margin(self, table: np.ndarray) -> np.ndarray:
        """(n,) how far the label that is nearest to its threshold is from it."""
        return np.abs(self.rule.apply(table) - 0.5).min(axis=1)

    def summary(self, title: str, names: Sequence[str], labels: Sequence[str], table: np.ndarray) -> list[str]:
        given = self.given(table)
        counts = given.sum(axis=0)
        found = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
        rows = [(title, "pictures", "share", "mean probability")]
        rows += [share_row(labels[k], counts[k], len(names), table[given[:, k], k]) for k in found[:CLASSES_PRINTED]]
        if without := int((~given.any(axis=1)).sum()):
            rows.append((NONE, str(without), f"{without / len(names):.1%}", ""))
        nearest = np.abs(self.rule.apply(table) - 0.5).argmin(axis=1)
        doubtful = np.argsort(self.margin(table), kind="stable")[:EXTREMES_PRINTED]
        cells = [(names[i], f"{table[i, nearest[i]]:.4f}", labels[nearest[i]]) for i in doubtful]
        return [*align(rows), *more_of(found, "labels"), "least sure of", *indented(cells)]


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
        spans = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
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


def share_row(label: str, count: int, n: int, probability: np.ndarray) -> tuple[str, ...]:
    return label, str(count), f"{count / n:.1%}", f"{probability.mean():.4f}"


def more_of(found: Sequence[int], what: str) -> list[str]:
    return [f"... and {len(found) - CLASSES_PRINTED} more {what}"] if len(found) > CLASSES_PRINTED else []


def indented(cells: list[tuple[str, ...]]) -> list[str]:
    return [f"  {line}" for line in align(cells)]
