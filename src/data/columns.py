"""The columns of the tables that stand beside the picture, as numbers: age and site of a patient, width of a field.

A column whose cells are all numbers is scaled to a mean of 0 and a standard deviation of 1 over the train rows; a blank
cell is their mean, and another column says where cells are blank. Any other has a column of 0 and 1 for each kind of
cell that train rows have, blank too, of the commonest KINDS; what is rarer, or in test rows alone, has none of them.
No label is looked at, so that all folds have the same numbers.
"""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from src.schema.competition import Competition

KINDS = 50  # of a column's cells


def read(competition: Competition, train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray | None:
    """(n, c) float32 of the train rows and behind them the test rows; None where the config names no columns."""
    if not competition.columns:
        return None
    parts = []
    for name in competition.columns:
        cells, n = pd.concat([train[name], test[name]], ignore_index=True).str.strip(), len(train)
        numbers = pd.to_numeric(cells.mask(cells == ""), errors="coerce").replace([np.inf, -np.inf], np.nan)
        is_number = (numbers.notna() | (cells == "")).all() and numbers[:n].notna().any()
        parts.append(scaled(numbers.to_numpy(float), n) if is_number else one_hot(cells, n))
    return np.concatenate(parts, axis=1).astype(np.float32)


def columns_key(competition: Competition, columns: np.ndarray | None) -> dict[str, Any]:
    """The part of a model's key that is of the columns that it reads; {} where there are none."""
    if columns is None:
        return {}
    cells = hashlib.sha256(np.ascontiguousarray(columns).tobytes()).hexdigest()
    return {"columns": {"names": list(competition.columns), "cells": cells}}


def scaled(numbers: np.ndarray, n: int) -> np.ndarray:
    """(m, 1), or (m, 2) where some of m numbers are missing; of these n are of train rows."""
    blank = np.isnan(numbers)
    mean, spread = np.nanmean(numbers[:n]), np.nanstd(numbers[:n])
    if (least := np.nanmin(numbers[:n])) == np.nanmax(numbers[:n]):  # their sum is rounded, and the spread is not 0
        mean, spread = least, 1
    values = np.where(blank, 0, (numbers - mean) / spread)
    return np.stack([values, blank], axis=1) if blank.any() else values[:, None]


def one_hot(cells: pd.Series, n: int) -> np.ndarray:
    """(m, kinds) of m cells, of which n are of train rows."""
    kinds = cells[:n].value_counts().index[:KINDS]
    return kinds.get_indexer(cells)[:, None] == np.arange(len(kinds))
