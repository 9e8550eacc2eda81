"""Joins of columns of ids, whatever they are kept in."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from src.base import joins

KINDS = [list, tuple, np.array, pd.Series, pd.Index, pa.array, lambda ids: pa.chunked_array([ids[:1], ids[1:]])]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_joined_as_text(kind):
    ids, others = kind(["7", "007", "é"]), kind(["é", "x", "007", "é"])
    assert joins.texts(ids).to_pylist() == ["7", "007", "é"]
    assert joins.among(ids, others).tolist() == [False, True, True]
    assert joins.places(others, kind(["x", "007", "é"])).tolist() == [2, 0, 1, 2]


def test_there_may_be_none():
    assert joins.among([], ["a"]).tolist() == []
    assert joins.among(["a"], []).tolist() == [False]
