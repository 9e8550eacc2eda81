"""Tables of probabilities: joined by id whatever the order, and refused when they are anything else."""

import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from src.base.errors import UserError
from src.results import predictions
from src.schema.competition import Competition
from src.scoring.sparse import SparseTable
from src.scoring.tables import of_dense

IDS = ["007", "10", "a"]
TOY = Competition.model_construct(classes=("x", "y"))
PROBS = np.array([[0.1, 0.9], [0.5, 0.5], [1, 0]], np.float32)


@pytest.fixture
def path(tmp_path):
    predictions.write(tmp_path / "oof.parquet", TOY, IDS, PROBS)
    return tmp_path / "oof.parquet"


def test_comes_back_by_id_in_the_order_asked_for(path):
    assert (predictions.read(path, TOY, ["a", "007", "10"]) == PROBS[[2, 0, 1]]).all()


@pytest.mark.parametrize("kind", [np.array, pd.Series, pa.array, lambda ids: np.array(ids, object)])
def test_ids_may_be_any_column(path, kind, tmp_path):
    assert (predictions.read(path, TOY, kind(IDS)) == PROBS).all()
    predictions.write(tmp_path / "again.parquet", TOY, kind(IDS), PROBS)
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("ids", [IDS, IDS[::-1]])
def test_numbers_lie_column_after_column_so_that_sums_are_the_same_to_the_last_bit(path, ids):
    assert predictions.read(path, TOY, ids).flags.f_contiguous


def test_a_class_may_be_called_as_the_beginning_of_another(tmp_path):
    """Parquet takes a dot in a column's name for that of a column inside of another one."""
    dotted = Competition.model_construct(classes=("x.y", "x"))
    predictions.write(tmp_path / "oof.parquet", dotted, IDS, PROBS)
    assert (predictions.read(tmp_path / "oof.parquet", dotted, IDS) == PROBS).all()


def test_a_large_table_is_in_memory_once(tmp_path):
    many, (n, k) = Competition.model_construct(classes=tuple(f"class {i}" for i in range(500))), (20_000, 500)
    ids, path = [str(i) for i in range(n)], tmp_path / "oof.parquet"
    predictions.write(path, many, ids, np.full((n, k), 1 / k, np.float32))
    arrow = pa.default_memory_pool()
    before = arrow.max_memory()
    tracemalloc.start()
    table = predictions.read(path, many, ids)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1.5 * table.nbytes
    assert arrow.max_memory() < before + table.nbytes


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


def test_a_number_may_have_another_name_since_it_was_written(tmp_path):
    """Keys do not name it: the model is reused."""
    of = {"classes": (), "task": "number", "span": (0.0, 9.0)}
    old, new = (Competition.model_construct(label=label, **of) for label in ("score", "Pawpularity"))
    predictions.write(tmp_path / "oof.parquet", old, IDS, np.array([[1], [2], [3]]))
    assert predictions.read(tmp_path / "oof.parquet", new, IDS).tolist() == [[1], [2], [3]]


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


MANY = Competition.model_construct(classes=tuple(f"class {i}" for i in range(70)))
SPARSE = of_dense(np.random.default_rng(0).dirichlet(np.full(70, 0.1), 3).astype(np.float32))


@pytest.fixture
def sparse_path(tmp_path):
    predictions.write(tmp_path / "test.parquet", MANY, IDS, SPARSE)
    return tmp_path / "test.parquet"


def test_a_sparse_table_comes_back_by_id_as_it_was(sparse_path):
    found = predictions.read(sparse_path, MANY, ["a", "007", "10"])
    assert isinstance(found, SparseTable)
    assert found.toarray() == pytest.approx(SPARSE.toarray()[[2, 0, 1]], abs=1e-7)
    assert (found.above.indices == SPARSE[[2, 0, 1]].above.indices).all()
    assert predictions.count_rows(sparse_path) == 3
    again = sparse_path.with_name("again.parquet")
    predictions.write(again, MANY, ["a", "007", "10"], found)
    assert predictions.read(again, MANY, IDS).toarray() == pytest.approx(SPARSE.toarray(), abs=1e-7)


def test_a_sparse_table_keeps_no_more_than_the_likeliest(sparse_path):
    assert pd.read_parquet(sparse_path)["classes"].map(len).max() == 50


@pytest.mark.parametrize("ids", [["007", "10"], ["007", "10", "a", "b"], ["7", "10", "a"]])
def test_a_sparse_table_of_other_ids_is_refused(sparse_path, ids):
    with pytest.raises(UserError, match="is of other rows"):
        predictions.read(sparse_path, MANY, ids)


def test_a_sparse_table_of_other_classes_is_refused(sparse_path):
    other = Competition.model_construct(classes=(*MANY.classes[1:], MANY.classes[0]))
    with pytest.raises(UserError, match="its classes are others than the config's, or in another order"):
        predictions.read(sparse_path, other, IDS)


def test_a_sparse_table_that_is_none_is_not_written(sparse_path):
    before = sparse_path.read_bytes()
    with pytest.raises(UserError, match="3 rows are not probabilities, the first of id '007'"):
        predictions.write(sparse_path, MANY, IDS, SparseTable(SPARSE.above, SPARSE.rest + 1))
    with pytest.raises(UserError, match="id 'a' stands in more than one row"):
        predictions.write(sparse_path, MANY, ["a", "a", "b"], SPARSE)
    assert sparse_path.read_bytes() == before
