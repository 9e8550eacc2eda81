"""Tables that keep the likeliest classes of each row: they score as the dense table would that says the same."""

import numpy as np
import pytest
from scipy import sparse as scipy_sparse

from src.scoring import decisions, tables
from src.scoring.metrics import METRICS_OF
from src.scoring.sparse import SameRow, SparseTable, of_likeliest, vstack
from src.scoring.tables import Gathered, SparseTables, of_dense, of_labels, of_weights
from src.scoring.targets import TARGETS

N, K, MOST = 300, 40, 8
RNG = np.random.default_rng(0)
TARGETS_OF = RNG.integers(0, K, N)
TARGET = TARGETS["class"]


def random_table(seed=0, rounded=False):
    """Probabilities (n, k) that know something of the targets; rounded, so that many are equal."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(K, 0.3), N) + 0.3 * np.eye(K)[TARGETS_OF] * rng.random((N, 1))
    probs = np.round(probs, 1) + 1e-3 if rounded else probs
    return (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(params=[False, True])
def pair(request):
    """A sparse table, and the dense one that says the same."""
    table = of_dense(random_table(rounded=request.param), MOST)
    return table, table.toarray()


def test_the_likeliest_classes_keep_their_probability_and_the_others_share_what_is_left():
    dense = random_table()
    table = of_dense(dense, MOST)
    said = table.toarray()
    kept = np.argsort(-dense, axis=1)[:, :MOST]
    assert np.take_along_axis(said, kept, 1) == pytest.approx(np.take_along_axis(dense, kept, 1), abs=1e-6)
    assert said.sum(axis=1) == pytest.approx(1, abs=1e-5)
    left = 1 - np.take_along_axis(dense, kept, 1).sum(axis=1)
    np.put_along_axis(said, kept, np.nan, axis=1)
    assert np.nanmin(said, axis=1) == pytest.approx(left / (K - MOST), abs=1e-6)
    assert np.nanmax(said, axis=1) == pytest.approx(left / (K - MOST), abs=1e-6)


NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "log_loss", "brier", "top5", "map3", "map5", "map20")


@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_those_of_the_dense_table(pair, name):
    metric, (table, dense) = METRICS_OF["class"][name], pair
    assert metric.score(TARGETS_OF, table) == pytest.approx(metric.score(TARGETS_OF, dense), rel=1e-5)
    assert metric.on_board.value(TARGETS_OF, table) == pytest.approx(metric.on_board.value(TARGETS_OF, dense), rel=1e-4)
    other = of_dense(random_table(1), MOST)
    assert metric.gain(TARGETS_OF, table, other) == pytest.approx(
        metric.gain(TARGETS_OF, dense, other.toarray()), rel=1e-4, abs=1e-6
    )


def test_what_is_asked_of_a_table_is_what_the_dense_one_says(pair):
    table, dense = pair
    assert (TARGET.answers(table) == TARGET.answers(dense)).all()
    assert TARGET.loss(TARGETS_OF, table) == pytest.approx(TARGET.loss(TARGETS_OF, dense))
    assert table.max() == pytest.approx(dense.max(axis=1))
    mask = np.arange(K) % 3 == 0
    assert table.sum_of(mask) == pytest.approx(dense[:, mask].sum(axis=1), abs=1e-5)
    for top in (1, 5, MOST, MOST + 7):
        assert (table.likeliest(top) == K - 1 - np.argsort(-dense[:, ::-1], axis=1, kind="stable")[:, :top]).all()
    for rows in (slice(3, 9), np.array([5, 2, 2]), np.arange(N) % 2 == 0):
        assert (table[rows].toarray() == dense[rows]).all()
    assert (table[7] == dense[7]).all()


def test_one_probability_is_the_sum_of_some_classes():
    mask = np.arange(K) < 5
    metric, table = METRICS_OF["class"]["auc"].of_positive(mask), of_dense(random_table(), MOST)
    assert metric.value(TARGETS_OF, table) == pytest.approx(metric.value(TARGETS_OF, table.toarray()), abs=1e-6)


def test_weighted_sums_are_exact_until_they_are_cut(monkeypatch):
    parts = [of_dense(random_table(seed), MOST) for seed in range(3)]
    weights = np.array([0.2, 0.5, 0.3])
    exact = np.tensordot(weights, np.stack([part.toarray() for part in parts]), axes=1)
    whole = SparseTables(parts).weighted(weights)  # of fewer classes than are kept
    assert whole.toarray() == pytest.approx(exact, abs=1e-6)
    cut = whole.cut(MOST)
    assert (cut.sizes <= MOST).all()
    assert cut.toarray() == pytest.approx(of_dense(exact, MOST).toarray(), abs=1e-6)
    assert SparseTables(parts).weighted(np.array([0, 1.0, 0])) is parts[1]
    some = vstack([of_dense(exact[:9], 3), whole[9:]])  # rows of fewer classes among others
    assert (some.cut(MOST).toarray()[:9] == some.toarray()[:9]).all()
    assert some.cut(MOST).toarray()[9:] == pytest.approx(cut.toarray()[9:], abs=1e-6)
    assert some.cut(MOST).above.has_canonical_format
    assert tables.mean(parts).toarray() == pytest.approx(np.mean([part.toarray() for part in parts], axis=0), abs=1e-6)


def test_models_are_chosen_as_of_an_array():
    parts = [of_dense(random_table(seed), MOST) for seed in range(3)]
    both, dense = SparseTables(parts), np.stack([part.toarray() for part in parts])
    assert both.shape == dense.shape
    some = both[np.array([True, False, True])]
    assert (np.stack([one.toarray() for one in some]) == dense[[0, 2]]).all()
    rows = np.arange(N) < 10
    assert (np.stack([one.toarray() for one in both[:, rows]]) == dense[:, rows]).all()


def test_faults_are_found():
    table = of_dense(random_table(), MOST)
    assert TARGET.find_fault(table) is None
    assert TARGET.find_fault(of_labels(TARGETS_OF, K)) is None
    for row, change in ((4, np.nan), (9, 0.5), (0, -np.inf)):
        data = table.above.data.copy()
        data[table.above.indptr[row]] += change
        above = scipy_sparse.csr_array((data, table.above.indices, table.above.indptr), shape=table.shape)
        what, bad = TARGET.find_fault(SparseTable(above, table.rest))
        assert (what, np.flatnonzero(bad).tolist()) == ("probabilities", [row])
    what, bad = TARGET.find_fault(SparseTable(table.above, table.rest - 0.01))
    assert bad.all()


def test_rows_of_one_class_and_of_none():
    table = of_labels(np.array([3, -1, 0]), 5)
    assert (table.toarray() == [[0, 0, 0, 1, 0], [0] * 5, [1, 0, 0, 0, 0]]).all()
    assert table.argmax().tolist() == [3, 0, 0]
    empty = of_weights(scipy_sparse.csr_array((4, 6)))
    assert empty.argmax().tolist() == [0] * 4
    assert empty.likeliest(3).tolist() == [[5, 4, 3]] * 4


def test_of_few_classes_all_may_be_kept():
    classes, probs = np.array([[2, 0, 1], [1, 0, 2]]), np.array([[0.5, 0.3, 0.2], [0.6, 0.2, 0.2]], np.float32)
    found = of_likeliest(classes, probs, 3).toarray()
    assert found == pytest.approx(np.array([[0.3, 0.2, 0.5], [0.2, 0.6, 0.2]]))


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "brier", "map5", "macro_f1"])
def test_a_row_that_is_the_same_for_all_is_scored_whole(name):
    metric, shares = METRICS_OF["class"][name], TARGET.constant(TARGETS_OF, K)
    same = SameRow(shares[0], N)
    assert metric.score(TARGETS_OF, same) == pytest.approx(metric.score(TARGETS_OF, np.ascontiguousarray(shares)))
    assert (same.ahead(TARGETS_OF) == metric_ahead(shares)).all()
    assert same[:10].shape == (10, K)
    assert (same[3] == shares[0]).all()


def metric_ahead(probs):
    true = probs[np.arange(N), TARGETS_OF][:, None]
    return ((probs > true) | ((probs == true) & (np.arange(K) > TARGETS_OF[:, None]))).sum(axis=1)


def test_numpy_does_not_make_it_dense_by_accident():
    table = of_dense(random_table(), MOST)
    with pytest.raises(TypeError, match="not to be made dense"):
        np.asarray(table)
    with pytest.raises(TypeError):
        np.float64(2) * table


def test_a_table_is_sparse_from_its_size_on(monkeypatch):
    k, targets = 60, RNG.integers(0, 60, N)
    dense = RNG.dirichlet(np.ones(k), N)
    small = Gathered(N, k, TARGET.is_sparse(N, k))
    small[np.arange(N)] = dense
    assert (small.table() == dense).all()
    monkeypatch.setattr(tables, "CELLS", N * k - 1)
    monkeypatch.setattr(tables, "FEWEST", k - 1)
    large, odd = Gathered(N, k, TARGET.is_sparse(N, k)), np.arange(N) % 2 == 1
    large[np.flatnonzero(odd)] = dense[odd]
    with pytest.raises(ValueError, match="not at all"):
        large.table()
    large[~odd] = of_dense(dense[~odd])
    assert (large.table().toarray() == of_dense(dense).toarray()).all()
    assert isinstance(TARGET.constant(targets, k), SameRow)
    assert not TARGETS["labels"].is_sparse(N, k)
    assert len(vstack([large.table(), large.table()])) == 2 * N


def test_no_rule_is_fitted_to_it():
    table = of_dense(random_table(), MOST)
    metric, fold = METRICS_OF["class"]["macro_f1"], np.arange(N) % 3
    assert decisions.cross_fitted(metric, table, TARGETS_OF, fold) is table
    assert decisions.fit(metric, table, TARGETS_OF).facts([]) == {}
