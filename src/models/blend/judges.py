"""By what, beside the metric, a model has learnt something: quick tests, the first of which most models pass.

The second is for models that are right but far too sure, or of another scale: by the loss these may be worse than no
answer, and yet a blend has use for them.
"""

from collections.abc import Callable

import numpy as np

from src.scoring.agreement import columns, standardised
from src.scoring.metric import Z, standard_error
from src.scoring.metrics import METRICS_OF
from src.scoring.targets import TARGETS

# Whether a table of predictions of these targets beats the constant answer's, both (n, k), by more than chance
Judge = Callable[[np.ndarray, np.ndarray, np.ndarray], bool]


def loss_of(task: str) -> Judge:
    """The mean of the target's loss, in that of the constant answer."""

    def is_ahead(targets: np.ndarray, table: np.ndarray, constant: np.ndarray) -> bool:
        than = TARGETS[task].loss(targets, constant)
        return is_positive((than - TARGETS[task].loss(targets, table)) / (than.mean() or 1.0))

    return is_ahead


def correlation(targets: np.ndarray, table: np.ndarray, constant: np.ndarray) -> bool:
    """The correlation with the target of each column, and the mean over those in which the target varies."""
    known = standardised(columns(targets))
    return is_positive((known * standardised(table)).sum(axis=1) / max(known.any(axis=0).sum(), 1))


def is_positive(rows: np.ndarray) -> bool:
    """Whether the mean (n,) is above 0 by more than its 95 % interval."""
    return bool(rows.mean() > Z * standard_error(rows))


JUDGES: dict[str, dict[str, Judge]] = {  # by the task, with the name of what they compare
    "class": {name: METRICS_OF["class"][name].is_ahead for name in ("log_loss", "accuracy")},
    "labels": {"log_loss": loss_of("labels"), "correlation": correlation},
    "number": {"rmse": loss_of("number"), "correlation": correlation},
}
