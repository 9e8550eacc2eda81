"""What training minimises, by the target: of logits (n, k) float32 and of what they are to come to (models/links.py).

task     loss of a row
class    cross-entropy of the softmax; with an angular margin before it
labels   binary cross-entropy of each label's sigmoid, their mean
number   the same of the share of the span, which is a soft target: it is least at the expected share

Mixed targets, by mixup or cutmix, are shares (n, k) of any of them.

Where classes or labels are weighted, smoothing's part of the loss has the weight of the row's own class, or of whether
it has the label. torch gives it each class's own weight: of one that is 30 times rarer than the others, a picture that
is surely another's would best be predicted as that.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from src.models.finetune.batches import Fold
from src.schema.models import FineTune

MOST = 100.0  # times that a row which has a label may count: 3 of 100,000 would else be all that is learnt of it


class Loss(Protocol):
    def __call__(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """The sum over the rows."""


@dataclass(frozen=True)
class CrossEntropy:
    weight: Tensor | None  # (k,) of the classes
    smoothing: float  # Szegedy et al. 2016
    margin: "Margin | None" = None

    def __call__(self, logits: Tensor, wanted: Tensor) -> Tensor:
        logits = logits if self.margin is None else self.margin(logits, wanted)
        if self.weight is None or not self.smoothing:
            return F.cross_entropy(logits, wanted, self.weight, reduction="sum", label_smoothing=self.smoothing)
        own = self.weight[wanted] if wanted.ndim == 1 else wanted @ self.weight
        even = -(own * logits.log_softmax(dim=1).mean(dim=1)).sum()
        return F.cross_entropy(logits, wanted, self.weight, reduction="sum").lerp(even, self.smoothing)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    positive: Tensor | None = None  # (k,) how much a row counts that has the label, beside one that has not
    smoothing: float = 0.0  # towards a half, as Szegedy et al. have it for two classes

    def __call__(self, logits: Tensor, wanted: Tensor) -> Tensor:
        of, half = partial(F.binary_cross_entropy_with_logits, logits, reduction="sum"), torch.full_like(wanted, 0.5)
        if self.positive is None or not self.smoothing:
            wanted = wanted.lerp(half, self.smoothing) if self.smoothing else wanted
            return of(wanted, pos_weight=self.positive) / logits.shape[1]
        own = 1 + wanted * (self.positive - 1)
        return of(wanted, pos_weight=self.positive).lerp(of(half, weight=own), self.smoothing) / logits.shape[1]


@dataclass(frozen=True)
class Margin:
    """The additive angular margin of ArcFace (Deng et al. 2019, equation 3): the true class has to be nearer by it.

    Where the angle and the margin are more than 180 degrees, and the cosine would rise again, the true class's cosine
    is lowered by a constant, as in the authors' code (insightface).
    """

    scale: float  # of the logits: that times the cosine
    margin: float  # radians

    def __call__(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """(n, k) logits with that of each row's class `wanted` (n,) lowered."""
        cosine = (logits.gather(1, wanted[:, None]) / self.scale).clamp(-1, 1)
        sine = (1 - cosine.square()).clamp_min(1e-12).sqrt()
        nearer = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        beyond = cosine - self.margin * math.sin(self.margin)
        lowered = torch.where(cosine > -math.cos(self.margin), nearer, beyond)
        return logits.scatter(1, wanted[:, None], self.scale * lowered)


def loss_of(fold: Fold, device: torch.device) -> Loss:
    """The loss of a fold's recipe, its weights by the fold's training rows alone."""
    spec, task = fold.spec, fold.competition.task
    balanced = spec.class_weight == "balanced"
    if task == "class":
        weight = class_weights(fold.targets, fold.k).to(device) if balanced else None
        margin = Margin(spec.margin_scale, spec.margin) if spec.margin else None
        return CrossEntropy(weight, spec.label_smoothing, margin)
    positive = positive_weights(fold.targets).to(device) if balanced else None
    return BinaryCrossEntropy(positive, spec.label_smoothing)


def class_weights(targets: np.ndarray, k: int) -> Tensor:
    """(k,) those of scikit-learn's class_weight="balanced": n / (classes x rows of the class)."""
    counts = np.bincount(targets, minlength=k)
    return torch.tensor(len(targets) / (np.count_nonzero(counts) * np.maximum(counts, 1))).float()


def positive_weights(targets: np.ndarray) -> Tensor:
    """(k,) rows without a label for each with it, from labels (n, k), MOST at most.

    So both weigh the same, as torch's documentation of BCEWithLogitsLoss has it.
    """
    have = targets.sum(axis=0, dtype=float)
    return torch.tensor(np.minimum((len(targets) - have) / np.maximum(have, 1), MOST)).float()


def mixed(pixels: Tensor, wanted: Tensor, spec: FineTune, k: int) -> tuple[Tensor, Tensor]:
    """A batch as it is, or mixed by mixup or cutmix: then its targets are shares (n, k)."""
    ways = [v2.MixUp(alpha=spec.mixup, num_classes=k)] if spec.mixup else []
    ways += [v2.CutMix(alpha=spec.cutmix, num_classes=k)] if spec.cutmix else []
    if not ways or float(torch.rand(())) >= spec.mix_p:
        return pixels, wanted
    return ways[int(torch.randint(len(ways), ()))](pixels, wanted)
