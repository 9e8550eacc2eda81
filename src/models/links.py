"""From what a linear model or a network puts out, a number a column, to predictions of the target: see scoring/targets.

task     outputs      predictions
class    k logits     their softmax
labels   k logits     their sigmoids
number   one logit    the share of the span, by a sigmoid, so that none is outside of it
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit, softmax

from src.schema.competition import Competition


class Link(Protocol):
    def predict(self, logits: np.ndarray) -> np.ndarray:
        """(n, k) outputs -> (n, k) predictions."""


class Softmax:
    def predict(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits, axis=1)


class Sigmoids:
    def predict(self, logits: np.ndarray) -> np.ndarray:
        return expit(logits)


@dataclass(frozen=True)
class Share:
    least: float
    greatest: float

    def predict(self, logits: np.ndarray) -> np.ndarray:
        return self.least + (self.greatest - self.least) * expit(logits)

    def shares(self, targets: np.ndarray) -> np.ndarray:
        """(n,) how far from the least to the greatest the targets are: 0 to 1."""
        return (targets - self.least) / (self.greatest - self.least)


def link(competition: Competition) -> Link:
    if competition.task == "number":
        return Share(*competition.span)
    return {"class": Softmax, "labels": Sigmoids}[competition.task]()
