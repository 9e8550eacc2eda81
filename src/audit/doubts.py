"""The train rows whose answer is doubtful, by what is asked for: confident learning, or errors that are far out.

class    confident learning (cleanlab)
labels   the same for each label beside its absence; a row is doubtful where one of its labels is
number   the out-of-fold error lies beyond Tukey's outer fence (1977) of all errors
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from src.audit.outliers import FENCE
from src.scoring import label_noise

DIFFER = 0.5  # standard deviations of all numbers by which those of two near-duplicates may not differ


@dataclass(frozen=True)
class Doubts:
    """A judgement on n train rows, in their order."""

    mask: np.ndarray  # (n,) bool: doubtful
    quality: np.ndarray  # (n,) in [0, 1]: small is suspicious
    suggested: np.ndarray  # as the targets: what the model says, where the row is doubtful


def of_classes(targets: np.ndarray, table: np.ndarray) -> Doubts:
    issues = label_noise.issues(targets, table)
    return Doubts(issues.mask, issues.quality, issues.suggested)


def of_labels(targets: np.ndarray, table: np.ndarray) -> Doubts:
    """The quality is the least probability that a doubtful label of the row is as it is; 1 of rows without one."""
    mask, quality, suggested = np.zeros(targets.shape, bool), np.ones(len(targets)), targets.copy()
    for label in range(targets.shape[1]):
        has = (targets[:, label] > 0).astype(int)
        found = label_noise.issues(has, np.stack([1 - table[:, label], table[:, label]], axis=1))
        mask[:, label] = found.mask
        quality = np.where(found.mask, np.minimum(quality, found.quality), quality)
        suggested[found.mask, label] = 1 - has[found.mask]
    return Doubts(mask.any(axis=1), quality, suggested)


def of_numbers(targets: np.ndarray, table: np.ndarray) -> Doubts:
    """The quality is 1 / (1 + the quartile ranges between an error and the median of all)."""
    errors = table[:, 0].astype(float) - targets
    low, middle, high = np.quantile(errors, [0.25, 0.5, 0.75])
    spread = max(high - low, np.finfo(np.float32).eps)
    mask = (errors < low - FENCE * spread) | (errors > high + FENCE * spread)
    return Doubts(mask, 1 / (1 + np.abs(errors - middle) / spread), table[:, 0].astype(float))


BY_TASK: dict[str, Callable[[np.ndarray, np.ndarray], Doubts]] = {
    "class": of_classes,
    "labels": of_labels,
    "number": of_numbers,
}


def differ(targets: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(m,) bool: whether the answers of two pictures that are nearly the same contradict each other.

    Args:
        targets: Those of all train rows.
        one, other: The positions (m,) of the pictures' rows.
    """
    if targets.dtype.kind == "f":
        return np.abs(targets[one] - targets[other]) > DIFFER * targets.std()
    apart = targets[one] != targets[other]
    return apart if apart.ndim == 1 else apart.any(axis=1)
