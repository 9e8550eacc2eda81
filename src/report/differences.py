"""How models differ from each other: in their labels, and in their mistakes."""

from collections.abc import Sequence

import numpy as np

from src.report.evidence import Evidence, Model


def correlation(evidence: Evidence, models: Sequence[Model]) -> np.ndarray:
    """(m, m) Pearson's correlation of being wrong on a row; NaN of a model that is never, or always."""
    wrong = np.stack([model.oof.argmax(axis=1) != evidence.targets for model in models]).astype(np.float32)
    wrong -= wrong.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(wrong).sum(axis=1, dtype=float))
    sizes = np.outer(size, size)
    return np.divide(wrong @ wrong.T, sizes, out=np.full(sizes.shape, np.nan), where=sizes > 0)
