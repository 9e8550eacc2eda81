"""The batched logistic regression against scikit-learn, and against its definition in numpy and float64."""

import errno
import os
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.linear_model import LogisticRegression

from src.models.logreg import batch
from src.models.logreg.design import Design
from src.models.logreg.solve import NEVER, Problem, solve
from src.scoring.targets import surprise

CS = tuple(10.0**e for e in range(-4, 5))


def toy(k: int, n: int = 300, d: int = 12, norm: float = 10.0, seed: int = 0, folds: int = 4):
    """Features in a cone, as CLIP's are; noisy labels of unequal frequency; folds in no order."""
    rng = np.random.default_rng(seed)
    feats = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.6 + 2 * rng.standard_normal(d)
    feats *= norm / np.linalg.norm(feats, axis=1).mean()
    logits = (feats - feats.mean(axis=0)) @ rng.standard_normal((d, k)) * 12 / norm + np.linspace(0, 1.5, k)
    targets = (logits + rng.gumbel(size=(n, k))).argmax(axis=1)
    targets[:k] = np.arange(k)
    return feats.astype(np.float32), targets, rng.permutation(np.arange(n) % folds)


def predict(solution, i: int, feats: np.ndarray, offset: np.ndarray | float = 0.0) -> np.ndarray:
    return softmax(feats.astype(float) @ solution.coef[i].T.astype(float) + solution.intercept[i] + offset, axis=1)


def peer(feats, targets, c: float, **changes) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newton-cg's line search at the limit of float64
        model = LogisticRegression(C=c, solver="newton-cg", tol=1e-9, max_iter=2000, **changes)
        return model.fit(feats.astype(float), targets)


def gradient(feats, targets, k: int, c: float, coef, intercept, weights=None) -> float:
    """The largest entry of scikit-learn's gradient, by its definition."""
    feats, weights = feats.astype(float), np.ones(len(targets)) if weights is None else weights
    coef, n = coef.astype(float), weights.sum()
    wrong = (softmax(feats @ coef.T + intercept, axis=1) - np.eye(k)[targets]) * weights[:, None] / n
    penalty = coef / (c * n) if k > 2 else (coef - coef[::-1]) / (c * n)
    return max(np.abs(wrong.T @ feats + penalty).max(), np.abs(wrong.sum(axis=0)).max())


@pytest.mark.parametrize("norm", [1.0, 10.0])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_probabilities_are_those_of_scikit_learn_over_eight_decades_of_c(k, norm):
    feats, targets, block = toy(k, norm=norm)
    exact = solve(Design(feats, block, dtype=torch.float64), targets, k, [Problem(c, (1,)) for c in CS], tol=1e-10)
    single = solve(Design(feats, block), targets, k, [Problem(c, (1,)) for c in CS])
    rows = block != 1
    assert exact.converged.all()
    assert single.converged.all()
    for i, c in enumerate(CS):
        probs = peer(feats[rows], targets[rows], c).predict_proba(feats.astype(float))
        np.testing.assert_allclose(predict(exact, i, feats), probs, atol=2e-6)
        np.testing.assert_allclose(predict(single, i, feats), probs, atol=1e-3)
        assert gradient(feats[rows], targets[rows], k, c, exact.coef[i], exact.intercept[i]) < 1.5e-10
        assert gradient(feats[rows], targets[rows], k, c, single.coef[i], single.intercept[i]) < 2e-6


def test_coefficients_are_those_of_scikit_learn():
    feats, targets, block = toy(3)
    solution = solve(Design(feats, block, dtype=torch.float64), targets, 3, [Problem(0.5)], tol=1e-10)
    model = peer(feats, targets, 0.5)
    np.testing.assert_allclose(solution.coef[0], model.coef_, atol=1e-6)
    np.testing.assert_allclose(solution.intercept[0], model.intercept_ - model.intercept_.mean(), atol=1e-5)


def test_held_out_losses_of_folds_and_pairs_of_folds_in_the_order_asked():
    feats, targets, block = toy(3)
    problems = [Problem(c, without) for c in (1.0, 0.01) for without in [(2,), (), (3, 0), (0, 3), (1, 2)]]
    solution = solve(Design(feats, block), targets, 3, problems)
    for i, problem in enumerate(problems):
        rows = ~np.isin(block, problem.without)
        assert gradient(feats[rows], targets[rows], 3, problem.c, solution.coef[i], solution.intercept[i]) < 1.2e-6
        lost = surprise(targets, predict(solution, i, feats))
        expected = [lost[block == b].sum() if b in problem.without else np.nan for b in range(4)]
        np.testing.assert_allclose(solution.held_out_loss[i], expected, rtol=1e-4)
    np.testing.assert_array_equal(solution.coef[2], solution.coef[3])


def test_a_problem_is_solved_alike_alone_and_with_others():
    feats, targets, block = toy(3)
    design = Design(feats, block)
    alone = solve(design, targets, 3, [Problem(1.0, (0,))])
    among = solve(design, targets, 3, [Problem(c, (b,)) for c in CS for b in range(4)])
    np.testing.assert_allclose(predict(alone, 0, feats), predict(among, 4 * CS.index(1.0), feats), atol=1e-4)


@pytest.mark.parametrize("k", [2, 4])
def test_batches_that_follow_each_other_end_as_one_and_begin_near_the_end(k, monkeypatch):
    feats, targets, block = toy(k)
    design, problems = Design(feats, block), [Problem(c, without) for c in CS[::-1] for without in [(0,), (1, 2)]]
    whole = solve(design, targets, k, problems, tol=1e-7)
    monkeypatch.setattr(batch, "at_once", lambda labels, problems: 2)
    one_by_one = solve(design, targets, k, problems, tol=1e-7)
    assert one_by_one.converged.all()
    np.testing.assert_allclose(one_by_one.held_out_loss, whole.held_out_loss, rtol=1e-3)
    for i in range(len(problems)):
        assert np.abs(predict(one_by_one, i, feats) - predict(whole, i, feats)).max() < 1e-3
    assert one_by_one.iterations.sum() < 0.95 * whole.iterations.sum()


@pytest.mark.parametrize("k", [2, 4])
def test_labels_of_held_out_rows_change_no_weights_but_by_rounding(k):
    feats, targets, block = toy(k, n=3000, d=40)
    problems = [Problem(c, without) for without in [(0,), (0, 1), (2,)] for c in (0.1, 10.0, 1e3)]
    before = solve(Design(feats, block), targets, k, problems)
    changed = np.where(block == 0, (targets + 1) % k, targets)
    after = solve(Design(feats, block), changed, k, problems)
    for i in range(6):
        assert np.abs(predict(before, i, feats) - predict(after, i, feats)).max() < 1e-4
    for i in range(6, 9):
        assert np.abs(predict(before, i, feats) - predict(after, i, feats)).max() > 0.1
    assert (before.held_out_loss[:6, 0] != after.held_out_loss[:6, 0]).all()


@pytest.mark.parametrize("k", [3, 4])
def test_an_absent_class_is_never_predicted(k):
    """With k = 3, two are left, for which scikit-learn's problem is another."""
    feats, targets, block = toy(k)
    block = np.where(targets == 1, 0, np.where(block == 0, 1, block))  # class 1 is in block 0 alone
    solution = solve(Design(feats, block), targets, k, [Problem(1.0, (0,)), Problem(1.0, (1,))])
    rows = block != 0
    model = peer(feats[rows], targets[rows], 1.0)
    probs = predict(solution, 0, feats)
    np.testing.assert_allclose(probs[:, model.classes_], model.predict_proba(feats.astype(float)), atol=1e-4)
    assert (solution.coef[0, 1] == 0).all()
    assert solution.intercept[0, 1] == NEVER
    np.testing.assert_allclose(solution.held_out_loss[0, 0], surprise(targets, probs)[~rows].sum(), rtol=1e-5)
    assert (np.abs(solution.coef[1]).max(axis=1) > 0).all()


def test_one_class_alone_is_always_predicted():
    feats, targets, _ = toy(3)
    solution = solve(Design(feats, (targets == 2).astype(int)), targets, 3, [Problem(1.0, (0,))])
    assert (solution.coef == 0).all()
    assert solution.intercept[0].tolist() == [NEVER, NEVER, 0]
    expected = -np.log(np.finfo(np.float32).eps) * (targets != 2).sum()
    np.testing.assert_allclose(solution.held_out_loss[0], [expected, np.nan], rtol=1e-6)
    assert solution.converged.all()


def test_no_row_to_train_on_is_refused():
    feats, targets, block = toy(3, folds=2)
    with pytest.raises(ValueError, match="no row is left to train on"):
        solve(Design(feats, block), targets, 3, [Problem(1.0, (0, 1))])


@pytest.mark.parametrize("k", [2, 3])
def test_balanced_weights_are_those_of_scikit_learn(k):
    feats, targets, block = toy(k)
    solution = solve(Design(feats, block), targets, k, [Problem(c, (2,)) for c in (0.01, 10.0)], balanced=True)
    rows = block != 2
    weights = rows.sum() / (k * np.bincount(targets[rows]))
    for i, c in enumerate((0.01, 10.0)):
        probs = peer(feats[rows], targets[rows], c, class_weight="balanced").predict_proba(feats.astype(float))
        np.testing.assert_allclose(predict(solution, i, feats), probs, atol=2e-4)
        found = gradient(
            feats[rows], targets[rows], k, c, solution.coef[i], solution.intercept[i], weights[targets[rows]]
        )
        assert found < 1.2e-6
        lost = surprise(targets, predict(solution, i, feats))[~rows].sum()  # not weighted
        np.testing.assert_allclose(solution.held_out_loss[i, 2], lost, rtol=1e-4)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("k", [2, 3])
def test_rows_that_are_left_out_are_neither_learnt_nor_scored(k, balanced):
    feats, targets, block = toy(k)
    given = np.where(np.arange(300) % 7 == 0, -1, targets)
    solution = solve(Design(feats, block), given, k, [Problem(c, (2,)) for c in (0.01, 10.0)], balanced=balanced)
    rows, held_out = (block != 2) & (given >= 0), (block == 2) & (given >= 0)
    for i, c in enumerate((0.01, 10.0)):
        judge = peer(feats[rows], targets[rows], c, class_weight="balanced" if balanced else None)
        ours = predict(solution, i, feats)
        np.testing.assert_allclose(ours, judge.predict_proba(feats.astype(float)), atol=1e-4)
        np.testing.assert_allclose(solution.held_out_loss[i, 2], surprise(targets, ours)[held_out].sum(), rtol=1e-4)


def test_a_class_whose_training_rows_are_all_left_out_is_never_predicted():
    feats, targets, block = toy(3)
    given = np.where((targets == 2) & (block != 1), -1, targets)
    problems = [Problem(1.0, (0,)), Problem(1.0, (1,)), Problem(10.0, (1, 3))]
    solution = solve(Design(feats, block), given, 3, problems)
    assert (solution.intercept[:, 2] == NEVER).tolist() == [False, True, True]
    kept = given >= 0
    other = solve(Design(feats[kept], block[kept]), given[kept], 3, problems)
    np.testing.assert_allclose(solution.held_out_loss, other.held_out_loss, rtol=1e-4)
    for i in range(3):
        np.testing.assert_allclose(predict(solution, i, feats), predict(other, i, feats), atol=1e-4)


def test_an_offset_is_added_to_the_logits():
    feats, targets, block = toy(3, n=120, d=4)
    offset = 3 * np.random.default_rng(1).standard_normal((120, 3)).astype(np.float32)
    solution = solve(Design(feats, block), targets, 3, [Problem(0.02, (0,))], offset=offset)
    rows = block != 0
    x, y, n = feats[rows].astype(float), targets[rows], rows.sum()

    def objective(flat):
        coef, intercept = flat[:12].reshape(3, 4), flat[12:]
        logits = x @ coef.T + intercept + offset[rows]
        loss = (logsumexp(logits, axis=1) - logits[np.arange(n), y]).mean() + (coef**2).sum() / (2 * 0.02 * n)
        wrong = (np.exp(log_softmax(logits, axis=1)) - np.eye(3)[y]) / n
        return loss, np.concatenate([(wrong.T @ x + coef / (0.02 * n)).ravel(), wrong.sum(axis=0)])

    best = minimize(objective, np.zeros(15), jac=True, method="BFGS", options={"gtol": 1e-8}).x
    np.testing.assert_allclose(solution.coef[0], best[:12].reshape(3, 4), atol=1e-4)
    probs = predict(solution, 0, feats, offset)
    np.testing.assert_allclose(solution.held_out_loss[0, 0], surprise(targets, probs)[~rows].sum(), rtol=1e-4)


def test_float16_features_and_those_of_a_file(tmp_path):
    feats, targets, block = toy(3)
    half = feats.astype(np.float16)
    np.save(tmp_path / "feats.npy", half)
    problems = [Problem(1.0, (0,)), Problem(100.0)]
    expected = solve(Design(half.astype(np.float32), block), targets, 3, problems)
    for given in (half, np.load(tmp_path / "feats.npy", mmap_mode="r")):
        np.testing.assert_array_equal(solve(Design(given, block), targets, 3, problems).coef, expected.coef)


def test_a_design_may_live_in_a_file(tmp_path):
    feats, targets, block = toy(3)
    problems = [Problem(1.0, (0,)), Problem(100.0)]
    expected = solve(Design(feats, block), targets, 3, problems)
    with Design(feats, block, scratch=tmp_path, memory=1000) as design:
        assert len(design.file) == feats.nbytes
        np.testing.assert_array_equal(solve(design, targets, 3, problems).coef, expected.coef)
        held = weakref.ref(design.file)
    assert held() is None
    assert list(tmp_path.iterdir()) == []


def test_features_for_which_a_disk_has_no_room_are_held_in_memory(tmp_path, monkeypatch):
    def full(handle, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    feats, _, block = toy(3)
    with Design(feats, block, scratch=tmp_path, memory=1000) as design:
        assert design.file is None
        assert design.z.shape == feats.shape
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_iterations_is_told():
    feats, targets, block = toy(3)
    solution = solve(Design(feats, block), targets, 3, [Problem(1e-4), Problem(1e4)], max_iter=6, tol=1e-5)
    assert solution.converged.tolist() == [True, False]
    assert solution.iterations[1] == 6
    found = [gradient(feats, targets, 3, c, solution.coef[i], solution.intercept[i]) for i, c in enumerate((1e-4, 1e4))]
    np.testing.assert_allclose(solution.gradient, found, rtol=0.05, atol=1e-7)


def test_a_tolerance_beyond_float32_ends_and_is_told():
    feats, targets, block = toy(3)
    solution = solve(Design(feats, block), targets, 3, [Problem(1.0)], tol=1e-12)
    assert not solution.converged[0]
    assert solution.gradient[0] < 1e-6
    assert solution.iterations[0] < 200


PEAK = """
import numpy as np, torch
from src.models.logreg.design import Design
from src.models.logreg.solve import Problem, solve
torch.set_num_threads(1)
def high():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
rng = np.random.default_rng(0)
targets, block = rng.integers(0, 8, 20_000), np.arange(20_000) % 5
def run(n):
    feats = rng.standard_normal((n, 512), dtype=np.float32)
    problems = [Problem(c, pair) for pair in [(0, 1), (2, 4)] for c in np.logspace(-3, 3, 60)]  # too many at once
    solve(Design(feats, block[:n]), targets[:n], 8, problems, max_iter=2)
    return feats.nbytes
run(100)  # what libraries need before there is any data
before = high()
print((high() - before) / run(20_000), (high() - before) / 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_memory_peaks_at_three_times_the_features():
    root = Path(__file__).parent.parent.parent
    run = subprocess.run([sys.executable, "-c", PEAK], cwd=root, capture_output=True, text=True, check=True)
    peak = float(run.stdout.split()[1]) * 2**20
    feats = 20_000 * 512 * 4
    assert feats * 1.5 < peak < feats * 3 + 40 * 2**20  # of the two copies some lie where libraries left room
