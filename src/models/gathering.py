"""Predictions of many pictures, put together batch by batch; of many classes the likeliest of each picture."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from src.scoring.sparse import KEPT, SparseTable, of_likeliest, vstack
from src.scoring.tables import Table
from src.scoring.targets import Target


def gathered(batches: Iterable[Tensor], n: int, target: Target) -> Table:
    """(n, k) predictions of n pictures, by those of batches (m, k) in their order, on any device."""
    parts, is_sparse = [], False
    for batch in batches:
        is_sparse = target.is_sparse(n, batch.shape[1])
        parts.append(likeliest(batch) if is_sparse else batch)
    return vstack(parts) if is_sparse else torch.cat(parts).cpu().numpy()


def likeliest(batch: Tensor) -> SparseTable:
    """The sparse table of a batch, whose classes are found where it is: to copy all of it would take longer."""
    probs, classes = batch.topk(KEPT, dim=1)
    return of_likeliest(classes.cpu().numpy(), probs.float().cpu().numpy(), batch.shape[1])


def in_parts(predict: Callable[[np.ndarray], np.ndarray], parts: Iterable[np.ndarray], n: int, target: Target) -> Table:
    """(n, k) by what `predict` says of parts of the rows, one after the other."""
    return gathered((torch.from_numpy(predict(part)) for part in parts), n, target)
