"""The flips and turns that a config may use: those under which a picture was measured to keep its class or labels.

They are no free augmentation: letters and digits have another meaning in the mirror, and upside down most photographs
look like nothing that there is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from src.base import packages
from src.base.errors import UserError
from src.commands.new.guess import UNREADABLE, Guess
from src.data import tables
from src.data.decoded import Decoded
from src.data.labels import read_targets, split, unreadable
from src.schema.competition import Competition
from src.schema.models import Pixels
from src.schema.source import Source
from src.scoring.intervals import gain_text

if TYPE_CHECKING:
    from src.models.symmetry import Asked, Outcome

ROWS, PER_CLASS, MOST = 1000, 20, 2000  # that are asked: so many, or so many of each class, up to a limit
ERRORS = 2.0  # standard errors from which on a difference is taken for one
# A view is kept if beyond doubt the log loss is no more than LITTLE of it higher, or of LEAST where it is less: by
# mirroring, that of digits rises by a quarter, of CIFAR-10 and corn by nothing that is measured
LITTLE, LEAST = 0.2, 0.1
HARM = 0.02  # likewise, of what learning turned pictures does to the log loss of plain ones
NOTHING = 0.9  # of the loss of the best constant answer: a probe of more knows nothing that a flip could cost
# That are asked for, where there are more: those that most of the rows have. A probe of 1,000 classes takes minutes
CLASSES, LABELS = MOST // PER_CLASS, 20
# The first whose views are all kept is taken: the augmentations, and all the views that these lead to.
GROUPS = (
    (("hflip", "vflip", "rot90"), ("D4",), ("hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse")),
    (("hflip", "vflip"), ("HorizontalFlip", "VerticalFlip"), ("hflip", "vflip", "rot180")),
    (("hflip",), ("HorizontalFlip",), ("hflip",)),
    (("vflip",), ("VerticalFlip",), ("vflip",)),
    (("rot90",), ("RandomRotate90",), ("rot90", "rot180", "rot270")),
)


@dataclass(frozen=True)
class Finding:
    """The loss of probes on pictures in one view, beside that on the pictures as they are."""

    view: str
    plain: float
    rise: float  # where the pictures are turned
    rise_se: float
    more: float  # where the pictures are as they are, and turned ones were learnt too; less than 0: that helps
    more_se: float
    knows: bool  # whether the probe knows something
    loss: str = "log loss"  # its name

    @property
    def kept(self) -> bool:
        """Whether pictures stay of their class, beyond doubt, and learning them turned does no harm."""
        return self.knows and not self.harmful and self.most <= self.little

    @property
    def most(self) -> float:
        """What the loss of turned pictures may rise by, within the error."""
        return self.rise + ERRORS * self.rise_se

    @property
    def little(self) -> float:
        return LITTLE * max(self.plain, LEAST)

    @property
    def harmful(self) -> bool:
        return self.more > max(ERRORS * self.more_se, HARM * max(self.plain, LEAST))

    @property
    def text(self) -> str:
        """`hflip: log loss 0.226, turned +0.0880 ± 0.0102, learnt too -0.0041 ± 0.0052: changes the class`."""
        return (
            f"{self.view}: {self.loss} {self.plain:.3f}, turned {gain_text(self.rise, self.rise_se)}, learnt too "
            f"{gain_text(self.more, self.more_se)}: {self.verdict}"
        )

    @property
    def verdict(self) -> str:
        if not self.knows:
            return "not used, as the probe knows too little"
        if self.kept:
            return f"kept, as turned stays below +{self.little:.4f}"
        if self.harmful or self.rise > ERRORS * self.rise_se:
            return "changes the class" if self.loss == "log loss" else "changes what is asked"
        return f"not used, as turned may be +{self.most:.4f}, above +{self.little:.4f}"


@dataclass(frozen=True)
class Flips:
    """What was found, or why nothing was: then no flip is used."""

    how: str
    findings: tuple[Finding, ...] = ()

    @property
    def group(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The augmentations that keep the class, by name, and the views that they lead to; none where none does."""
        kept = {one.view for one in self.findings if one.kept}
        return next((group[1:] for group in GROUPS if {*group[0]} <= kept), ((), ()))

    @property
    def augments(self) -> tuple[str, ...]:
        return self.group[0]

    @property
    def views(self) -> tuple[str, ...]:
        return self.group[1]

    @property
    def lines(self) -> list[str]:
        """What was measured, a line a view; they stand in the config too."""
        if not self.findings:
            return [self.how]
        used = f"used in training: {' and '.join(self.augments) or 'none, since none is kept'}"
        return [self.how, *(one.text for one in self.findings), used]


class Checked(Decoded):
    """Pictures that nobody has looked at: one that cannot be read raises a UserError."""

    def picture(self, data: bytearray) -> np.ndarray:
        try:
            return super().picture(data)
        except UNREADABLE as error:
            raise UserError(f"a picture cannot be read: {error}") from error


def measured(guess: Guess, source: Source) -> Flips:
    """Measure each view on some train pictures, and print a line on each; takes half a minute on two cores.

    Where the pictures cannot be read, that is the trial's to say: see `command.try_config`.
    """
    try:
        found = measure(guess, source)
    except UserError:
        found = Flips("flips are not measured, since the pictures cannot be read, and none is used")
    except ModuleNotFoundError as error:
        found = Flips(f"flips are not measured, and none is used: {packages.missing_module(error)}")
    print("\n".join(found.lines))
    return found


def measure(guess: Guess, source: Source) -> Flips:
    from src.models import symmetry  # torch, which takes seconds, and may be missing

    paths, asked = train_rows(guess, source)
    rows = drawn(asked.target.strata(asked.targets), max(ROWS, min(PER_CLASS * len(guess.classes), MOST)))
    if len(rows) < symmetry.FOLDS:
        return Flips(f"flips are not measured on {len(rows)} pictures, and none is used")
    some = Checked([paths[row] for row in rows], None, guess.white)
    outcomes = symmetry.measure(some, replace(asked, targets=asked.targets[rows]))
    how = f"flips, by a probe on {symmetry.source()} of {len(rows):,} train pictures: how much its loss rises where"
    return Flips(f"{how} these are turned, and where it has learnt turned ones too", findings(outcomes, asked))


def train_rows(guess: Guess, source: Source) -> "tuple[list[Path], Asked]":
    """The pictures (n) of the train rows that can be read, and what is asked of them.

    Raises:
        UserError: The table cannot be read, or names no pictures.
    """
    from src.models.links import link
    from src.models.symmetry import Asked

    named = ("train", "test", "sample_submission", "images", "id", "image", "white", "ids_overlap", "label", "metric")
    named += ("task", "separator", "span", "submission", "unit")
    fields = {name: getattr(guess, name) for name in named}
    # its checks of names are the trial's: here nothing is made of them
    competition = Competition.model_construct(source=source, classes=guess.classes, models={"p": Pixels()}, **fields)
    df = tables.read_part(competition, "train")
    if guess.label not in df:
        raise UserError(f"train has no column {guess.label}")
    df = df[is_readable(competition, df[guess.label])]
    targets, k = read_targets(competition, df[guess.label]), len(competition.outputs)
    if competition.task == "labels" and k > LABELS:
        targets, k = targets[:, most_frequent(targets.sum(axis=0), LABELS)], LABELS
    if competition.task == "class" and k > CLASSES:
        most = most_frequent(np.bincount(targets, minlength=k), CLASSES)
        df, targets, k = df[kept := np.isin(targets, most)], np.searchsorted(most, targets[kept]), CLASSES
    return tables.image_paths(competition, df, "train"), Asked(targets, k, competition.target, link(competition))


def most_frequent(counts: np.ndarray, n: int) -> np.ndarray:
    """(n,) the places of the largest of counts (k,), in their order; of equal ones the first."""
    return np.sort(np.argsort(-counts, kind="stable")[:n])


def is_readable(competition: Competition, cells: pd.Series) -> pd.Series:
    """Whether each cell of the column of labels is a target."""
    wrong = unreadable(competition, cells)
    if competition.task == "labels":
        return cells.map(lambda cell: not wrong & {*split(competition, cell)}).astype(bool)
    return ~cells.isin(wrong)


def drawn(strata: np.ndarray, most: int) -> np.ndarray:
    """At most so many places in strata (n,), of each class or the like as large a share as of another."""
    shuffled = np.random.default_rng(0).permutation(len(strata))
    place = np.empty(len(strata))
    for one in np.unique(strata):
        mine = shuffled[strata[shuffled] == one]
        place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return np.sort(np.argsort(place, kind="stable")[:most])


def findings(outcomes: "Mapping[str, Outcome]", asked: "Asked") -> tuple[Finding, ...]:
    """What the outcomes of each view say; but of one class, losses are as shares of the best constant answer's."""
    constant = float(asked.target.loss(asked.targets, asked.target.constant(asked.targets, asked.k)).mean())
    unit, loss = (1.0, "log loss") if asked.target.task == "class" else (constant or 1.0, "loss beside a constant's")
    found = []
    for view, one in outcomes.items():
        plain = float(one.plain.mean()) / unit
        rise, more = paired((one.turned - one.plain) / unit), paired((one.beside - one.plain) / unit)
        found.append(Finding(view, plain, *rise, *more, knows=plain * unit < NOTHING * constant, loss=loss))
    return tuple(found)


def paired(difference: np.ndarray) -> tuple[float, float]:
    """The mean of differences (n,), a row each, and its standard error."""
    return float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))
