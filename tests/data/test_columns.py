"""Columns of the tables that stand beside the picture, as numbers."""

import numpy as np
import pandas as pd
import pytest

from src.data import columns
from src.data.rows import Dataset, Rows
from src.data.units import Units
from src.schema.models import Pixels
from tests.conftest import toy_competition


def read(train: list[str], test: list[str]) -> np.ndarray:
    frames = (pd.DataFrame({"beside": cells}, dtype=str) for cells in (train, test))
    return columns.read(toy_competition(columns=("beside",)), *frames)


def test_numbers_are_scaled_by_the_train_rows_alone():
    found = read(["1", "3", " 5"], ["300"])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0], (np.array([1, 3, 5, 300]) - 3) / np.std([1, 3, 5]), rtol=1e-6)


def test_a_blank_number_is_the_mean_and_has_a_flag():
    np.testing.assert_allclose(read(["1", "", "3"], [""]), [[-1, 0], [0, 1], [1, 0], [0, 1]])


def test_other_cells_are_kinds_of_the_train_rows():
    found = read(["left", "right", "left", ""], ["right", "above", ""])
    assert found.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_of_many_kinds_the_commonest_have_columns():
    cells = [f"site {i % 60}" for i in range(60)] + ["site 59"]
    found = read(cells, ["site 59"])
    assert found.shape == (62, columns.KINDS)
    assert found[-1].sum() == 1


@pytest.mark.parametrize("cells", [["7", "7"], ["", ""], ["inf", "1"]])
def test_columns_that_say_nothing_are_finite(cells):
    assert np.isfinite(read(cells, ["2"])).all()


@pytest.mark.parametrize("cell", ["0.1", "0.3", "37.7", "1234.567"])
@pytest.mark.parametrize("n", [3, 7, 1000])
def test_a_number_that_is_the_same_in_all_train_rows_is_0_whatever_their_sum_is_rounded_to(cell, n):
    found = read([cell] * n, [cell, str(2 * float(cell))])[:, 0]
    assert found[: n + 1].tolist() == [0] * (n + 1)
    assert found[-1] == pytest.approx(float(cell))


def test_without_names_there_are_none():
    assert columns.read(toy_competition(), pd.DataFrame(), pd.DataFrame()) is None


@pytest.mark.parametrize(("names", "said"), [(("label",), "no column to learn from"), (("age", "age"), "named twice")])
def test_names_that_cannot_be_meant_are_refused(names, said):
    with pytest.raises(ValueError, match=said):
        toy_competition(columns=names)


def test_columns_that_no_model_reads_are_refused():
    with pytest.raises(ValueError, match="columns: no model learns from them: add a Probe"):
        toy_competition(columns=("width",), models={"pixels": Pixels()})


def test_a_unit_has_those_of_its_first_picture():
    train, test = (Rows([*ids], [*ids], [*ids], np.ones((len(ids), 2))) for ids in ("abc", "de"))
    units = Units(["one", "two"], np.array([0, 1, 1])), Units(["three"], np.array([0, 0]))
    beside = np.arange(5, dtype=np.float32)[:, None]
    data = Dataset(train, np.array([0, 1, 1]), test, units, beside, fold=np.array([0, 1, 1]), folds_sha="")
    assert data.scored.columns[:, 0].tolist() == [0, 1, 3]
    assert len(data.scored.rows) == 3
