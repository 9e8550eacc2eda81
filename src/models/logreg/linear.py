"""What a solved linear model predicts."""

from dataclasses import dataclass, field

import numpy as np

from src.models.links import Link, Softmax


@dataclass(frozen=True)
class Linear:
    """Predicts by a link, of the outputs feats @ coef.T + intercept + offset."""

    coef: np.ndarray  # (k, d) float32
    intercept: np.ndarray  # (k,) float32
    link: Link = field(default=Softmax(), kw_only=True)

    def predict(self, feats: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
        """(n, d) features -> (n, k) predictions."""
        return self.link.predict(feats @ self.coef.T + self.intercept + offset)
