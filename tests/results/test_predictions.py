"""Tables of probabilities: joined by id whatever the order, and refused when they are anything else."""

import numpy as np
import pandas as pd
import pytest

from src.base.errors import UserError
from src.results import predictions
from src.schema.competition import Competition

IDS = ["007", "10", "a"]
TOY = Competition.model_construct(classes=("x", "y"))
PROBS = np.array([[0.1, 0.9], [0.5, 0.5], [1, 0]], np.float32)


@pytest.fixture
def path(tmp_path):
    predictions.write(tmp_path / "oof.parquet", TOY, IDS, PROBS)
    return tmp_path / "oof.parquet"


def test_comes_back_by_id_in_the_order_asked_for(path):
    assert (predictions.read(path, TOY, ["a", "007", "10"]) == PROBS[[2, 0, 1]]).all()


def test_the_file_has_the_id_and_one_float32_column_a_class(path):
    df = pd.read_parquet(path)
    assert list(df.columns) == ["id", "x", "y"]
    assert [str(dtype) for dtype in df.dtypes[1:]] == ["float32", "float32"]


@pytest.mark.parametrize("ids", [["007", "10"], ["007", "10", "a", "b"], ["7", "10", "a"]])
def test_other_ids_are_refused(path, ids):
    with pytest.raises(UserError, match="is of other rows"):
        predictions.read(path, TOY, ids)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda df: df[["id", "y", "x"]], "its columns are id, y, x, not id, x, y"),
        (lambda df: df.drop(columns="y"), "its columns are"),
        (lambda df: df.rename(columns={"id": "ID"}), "its columns are"),
        (lambda df: pd.concat([df, df.iloc[:1]]), "id '007' stands in more than one row"),
        (lambda df: df.assign(x=np.float32(np.nan)), "3 rows are not probabilities, the first of id '007'"),
        (lambda df: df.assign(x=np.float32(0.5), y=np.float32(0.6)), "are not probabilities"),
        (lambda df: df.assign(x=np.float32(1.5), y=np.float32(-0.5)), "are not probabilities"),
        (lambda df: df.assign(x=df["x"].astype(float)), "not float32"),
    ],
)
def test_what_is_no_table_of_probabilities_is_refused(path, change, said):
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    with pytest.raises(UserError) as error:
        predictions.read(path, TOY, IDS)
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_the_writer_refuses_it_too_and_leaves_what_is_there(path):
    before = path.read_bytes()
    with pytest.raises(UserError, match="are not probabilities"):
        predictions.write(path, TOY, IDS, PROBS * 2)
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [None, b"", b"PAR1 half"])
def test_a_missing_or_damaged_file_is_said(path, data):
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UserError, match="run"):
        predictions.read(path, TOY, IDS)
