"""A column of texts is what a list of them is."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from src.data import texts
from src.data.texts import Paths, Texts

NAMES = ["10", "9", "ä", "", "9"]


def in_chunks(names):
    return pa.chunked_array([names[:1], names[1:]])


@pytest.fixture(
    params=[
        *(list, iter, np.array, pd.Series, pd.Index, lambda names: pd.Series(names, dtype=object)),
        *(Texts, pa.array, in_chunks),
    ]
)
def column(request, monkeypatch):
    monkeypatch.setattr(texts, "PIECE", 2)
    return Texts(request.param(NAMES))


def test_it_is_a_sequence_of_strings(column):
    assert [*column] == NAMES
    assert (len(column), column[1], column[-1], column[np.int64(2)]) == (5, "9", "9", "ä")
    assert column == NAMES
    assert column != NAMES[1:]
    assert "ä" in column
    with pytest.raises(IndexError):
        column[5]


def test_parts_and_sums_are_columns(column):
    assert column[1:3] == NAMES[1:3]
    assert column[np.array([4, 0])] == ["9", "10"]
    assert column[np.array([True, False, False, False, True])] == ["10", "9"]
    assert column[1:3] + column[:1] == ["9", "ä", "10"]
    assert type(Paths(["a"])[:1] + Paths(["b"])) is Paths
    assert copy.deepcopy(column[1:3]) == NAMES[1:3]


def test_numpy_and_pandas_take_it(column):
    assert column.series.tolist() == pd.Series(column).tolist() == np.asarray(column, object).tolist() == NAMES
    assert Texts(column.series).array.buffers()[2].address == column.array.buffers()[2].address  # nothing is copied
    assert column.are_in(["9", "ä"]).tolist() == [False, True, True, False, True]


def test_columns_are_joined_as_text():
    ids, others = Texts(["7", "007", "é"]), Texts(["é", "x", "007", "é"])
    assert ids.are_in(others).tolist() == [False, True, True]
    assert others.places_in(["x", "007", "é"]).tolist() == [2, 0, 1, 2]
    assert Texts([]).are_in(["a"]).tolist() == []
    assert Texts(["a"]).are_in([]).tolist() == [False]


def test_arrow_s_chunks_are_never_strings_of_python(monkeypatch):
    monkeypatch.setattr(texts, "map", lambda *_: pytest.fail("it goes through strings one by one"), raising=False)
    assert len(Texts(in_chunks(NAMES))) == 5


def test_paths_are_paths():
    paths = Paths(["/a/b.png", Path("/c")])
    assert [*paths] == [paths[0], paths[1]] == [Path("/a/b.png"), Path("/c")]
    assert paths == [Path("/a/b.png"), Path("/c")]
