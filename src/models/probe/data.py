"""The rows that a probe is fitted to, and what it learns of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.models.links import Link, Softmax


@dataclass(frozen=True)
class ProbeData:
    """Rows that probes are fitted to.

    Their targets and what predicts them: class indices (n,) below k by `Softmax`; (n, k) 1 where a row has a label and
    0 where it has not by `Sigmoids`; (n, 1) the share of a number's span by `Share` or `Clipped`.
    """

    feats: Callable[[bool], Any]  # gives those of unit length or as they are: (n, d), to be sliced or indexed
    targets: np.ndarray  # (n,) or (n, k): `link.wanted`
    fold: np.ndarray  # (n,) the fold of each row
    k: int  # columns of predictions
    rows: int = 1  # of each picture, where its views are rows: C counts pictures. All of the first view come first
    offset: np.ndarray | None = None  # (n, k) logits that are added: the penalty pulls towards what gives them
    scratch: Path | None = None  # a folder for features that are too large for memory
    link: Link = Softmax()  # noqa: RUF009 it has no state

    @property
    def folds(self) -> range:
        return range(int(self.fold.max()) + 1)

    @property
    def pictures(self) -> slice:
        """The first row of each picture."""
        return slice(len(self.fold) // self.rows)
