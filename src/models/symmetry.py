"""Whether a mirrored or turned picture keeps its class, labels or number, by probes that are fitted in seconds.

A probe learns pictures as they are, and is asked about held-out ones as they are and turned: where turning changes the
class, or gives what no picture looks like, its loss is higher. A second probe learns the turned pictures beside
these, as augmentation does, and is asked about held-out pictures as they are. Differences are paired by picture, and of
the loss, since accuracy hides them: of 1,000 digits in the mirror, one is found at 9 standard errors and not at 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from src.base import machine, packages
from src.data import folds
from src.data.decoded import Pictures
from src.models.links import Link, Softmax
from src.models.logreg.design import Design
from src.models.logreg.linear import Linear
from src.models.logreg.solve import Problem, solve
from src.models.pixels import descriptors
from src.networks import encoders, inference
from src.networks.features import l2_normalise
from src.schema.networks import Encoder, lite
from src.scoring.targets import TARGETS, Target

# 96 pixels a side: a picture and its three views take 40 ms of one core, and at 64 a sixth more answers are wrong
ENCODER = Encoder(**lite(0), img_size=96)
PACKAGE = packages.package_of(ENCODER.weights_file)
VIEWS = ("hflip", "vflip", "rot90")  # of which all flips and quarter turns are made
FOLDS = 5
CS = (10.0, 100.0)  # of unit features; each probe takes the better of the two
TOL = 1e-4  # of the gradient


@dataclass(frozen=True)
class Outcome:
    """The target's loss of each of n pictures, by a probe that has not seen it."""

    plain: np.ndarray  # (n,) learnt as they are, asked as they are
    turned: np.ndarray  # (n,) learnt as they are, asked turned
    beside: np.ndarray  # (n,) learnt as they are and turned, asked as they are


@dataclass(frozen=True)
class Asked:
    """What is asked of n pictures."""

    targets: np.ndarray  # see src/scoring/targets.py
    k: int  # columns of predictions
    target: Target = TARGETS["class"]
    link: Link = field(default=Softmax())

    @property
    def wanted(self) -> np.ndarray:
        return self.link.wanted(self.targets)


def measure(pictures: Pictures, asked: Asked) -> dict[str, Outcome]:
    """Measure each of VIEWS on n pictures.

    Raises:
        UserError: A picture cannot be read.
    """
    feats = {view: l2_normalise(part) for view, part in features(pictures).items()}
    strata = [str(one) for one in asked.target.strata(asked.targets)]
    fold = folds.split([str(i) for i in range(len(strata))], strata, None, FOLDS, 42, True)
    plain = Probes(feats["identity"][None], asked, fold)
    loss = plain.loss(feats["identity"], plain.best)
    found = {}
    for view in VIEWS:
        both = Probes(np.stack([feats["identity"], feats[view]]), asked, fold)
        found[view] = Outcome(loss, plain.loss(feats[view], plain.best), both.loss(feats["identity"], both.best))
    return found


def source() -> str:
    """The features that are taken: those of a network, or descriptors where its package is not installed."""
    if packages.version(PACKAGE) is not None:
        return f"features of {ENCODER.backbone}"
    return f"colours and gradients, since {PACKAGE} is not installed,"


def features(pictures: Pictures) -> dict[str, np.ndarray]:
    """{view: (n, d)} of the pictures as they are, `identity`, and in each of VIEWS."""
    views = ("identity", *VIEWS)
    parts = list(encoded(pictures, views) if packages.version(PACKAGE) is not None else described(pictures, views))
    return {view: np.concatenate([part[view] for part in parts]) for view in views}


def encoded(pictures: Pictures, views: tuple[str, ...]) -> Iterator[dict[str, np.ndarray]]:
    n, precision = len(pictures), machine.precision(ENCODER.precision)
    runner = inference.EncoderRunner(encoders.tower(ENCODER), encoders.title(ENCODER), precision, None, False, n)
    return inference.encode(runner, pictures, range(n), views, inference.Times())


def described(pictures: Pictures, views: tuple[str, ...]) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(pictures), descriptors.BATCH):
        rows = range(start, min(start + descriptors.BATCH, len(pictures)))
        squares = torch.from_numpy(np.stack([descriptors.SQUARE.square(pictures[row]) for row in rows]))
        turned = {view: inference.apply_view({"identity": squares}, view).permute(0, 2, 3, 1) for view in views}
        yield {view: descriptors.describe(part.numpy()) for view, part in turned.items()}


class Probes:
    """A probe a fold, fitted to the pictures outside of it in each of some views."""

    def __init__(self, feats: np.ndarray, asked: Asked, fold: np.ndarray):
        """`feats`: (views, n, d), of which the first are the pictures as they are; those choose C."""
        views, self.asked, self.fold = len(feats), asked, fold
        wanted = np.concatenate([asked.wanted] * views)
        problems = [Problem(c / views, (number,)) for c in CS for number in range(FOLDS)]  # C counts pictures
        with Design(np.concatenate(feats), np.tile(fold, views)) as design:
            self.solution = solve(design, wanted, asked.k, problems, tol=TOL)
        self.best = int(np.argmin([self.loss(feats[0], i).mean() for i in range(len(CS))]))

    def loss(self, feats: np.ndarray, i: int) -> np.ndarray:
        """(n,) the loss of pictures (n, d), each by the probe that has not seen it, with CS[i]."""
        asked, found = self.asked, self.solution
        table = np.zeros((len(feats), asked.k))
        for number in range(FOLDS):
            at, held_out = i * FOLDS + number, self.fold == number
            linear = Linear(found.coef[at], found.intercept[at], link=asked.link)
            table[held_out] = linear.predict(feats[held_out])
        return asked.target.loss(asked.targets, table)
