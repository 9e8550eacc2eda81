"""From what a linear model or a network puts out, a number a column, to predictions of the target: see scoring/targets.

task     outputs      predictions                                                      learns
class    k logits     their softmax                                                    the class
labels   k logits     their sigmoids                                                   each label, 0 or 1
number   one logit    the share of the span, by a sigmoid: none is outside of it       the share, 0 to 1
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.special import expit, softmax

from src.schema.competition import Competition

if TYPE_CHECKING:
    from torch import Tensor


class Link(Protocol):
    def predict(self, logits: np.ndarray) -> np.ndarray:
        """(n, k) outputs -> (n, k) predictions."""

    def predict_tensor(self, logits: "Tensor") -> "Tensor":
        """The same of a network's outputs, float32."""

    def wanted(self, targets: np.ndarray) -> np.ndarray:
        """What the outputs are to come to: (n,) classes, or (n, k) float32 shares of 0 to 1."""


class Softmax:
    def predict(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits, axis=1)

    def predict_tensor(self, logits: "Tensor") -> "Tensor":
        return logits.softmax(dim=1)

    def wanted(self, targets: np.ndarray) -> np.ndarray:
        return targets


class Sigmoids:
    def predict(self, logits: np.ndarray) -> np.ndarray:
        return expit(logits)

    def predict_tensor(self, logits: "Tensor") -> "Tensor":
        return logits.sigmoid()

    def wanted(self, targets: np.ndarray) -> np.ndarray:
        return targets.astype(np.float32)


@dataclass(frozen=True)
class Share:
    least: float
    greatest: float

    def predict(self, logits: np.ndarray) -> np.ndarray:
        return self.numbers(expit(logits))

    def predict_tensor(self, logits: "Tensor") -> "Tensor":
        return self.numbers(logits.sigmoid())

    def wanted(self, targets: np.ndarray) -> np.ndarray:
        return self.shares(targets).astype(np.float32)[:, None]

    def numbers(self, shares):
        """The numbers that are so far from the least to the greatest; the inverse of `shares`."""
        return self.least + (self.greatest - self.least) * shares

    def shares(self, targets: np.ndarray) -> np.ndarray:
        """(n,) how far from the least to the greatest the targets are: 0 to 1."""
        return (targets - self.least) / (self.greatest - self.least)


def link(competition: Competition) -> Link:
    if competition.task == "number":
        return Share(*competition.span)
    return {"class": Softmax, "labels": Sigmoids}[competition.task]()
