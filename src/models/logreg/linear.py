"""What a solved logistic regression predicts."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax


@dataclass(frozen=True)
class Linear:
    """Predicts softmax(feats @ coef.T + intercept + offset)."""

    coef: np.ndarray  # (k, d) float32
    intercept: np.ndarray  # (k,) float32

    def predict(self, feats: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
        """(n, d) features -> (n, k) probabilities."""
        return softmax(feats @ self.coef.T + self.intercept + offset, axis=1)
