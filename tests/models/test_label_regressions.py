"""The logistic regression of each of several labels, and of shares, against scikit-learn."""

import warnings

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from src.models.logreg import batch
from src.models.logreg.design import Design
from src.models.logreg.solve import Problem, solve
from src.scoring.targets import label_surprise

CS = (1e-3, 0.1, 10.0, 1000.0)


def toy(n: int = 600, d: int = 12, k: int = 4, seed: int = 0):
    """Features in a cone; labels from rare to common, several of a row or none; folds in no order."""
    rng = np.random.default_rng(seed)
    feats = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.6 + 2 * rng.standard_normal(d)
    logits = (feats - feats.mean(axis=0)) @ rng.standard_normal((d, k)) + np.linspace(-3, 1, k)
    return feats.astype(np.float32), (logits > rng.logistic(size=(n, k))).astype(np.uint8), rng.permutation(n) % 4


def predict(solution, i: int, feats: np.ndarray) -> np.ndarray:
    return expit(feats.astype(float) @ solution.coef[i].T.astype(float) + solution.intercept[i])


def peer(feats, targets, c: float, weights=None, **changes) -> np.ndarray:
    """The probabilities of one label by scikit-learn, fitted to some rows, of all of `feats`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newton-cg's line search at the limit of float64
        model = LogisticRegression(C=c, solver="newton-cg", tol=1e-9, max_iter=2000, **changes)
        return model.fit(feats.astype(float), targets, sample_weight=weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("balanced", [False, True])
def test_each_label_is_scikit_learns_one_against_the_rest(dtype, balanced):
    feats, targets, block = toy()
    problems = [Problem(c, without) for c in CS for without in [(1,), (0, 3)]]
    solution = solve(Design(feats, block, dtype=dtype), targets, 4, problems, balanced=balanced, tol=1e-7)
    for i, problem in enumerate(problems):
        rows = ~np.isin(block, problem.without)
        for label in range(4):
            weight = "balanced" if balanced else None
            model = peer(feats[rows], targets[rows, label], problem.c, class_weight=weight)
            probs = model.predict_proba(feats.astype(float))[:, 1]
            np.testing.assert_allclose(predict(solution, i, feats)[:, label], probs, atol=1e-4)


def test_labels_of_few_rows_that_features_separate():
    feats, targets, block = toy(n=60, d=80)
    solution = solve(Design(feats, block, dtype=torch.float64), targets, 4, [Problem(10.0, (1,))], tol=1e-8)
    rows = block != 1
    for label in range(4):
        probs = peer(feats[rows], targets[rows, label], 10.0).predict_proba(feats.astype(float))[:, 1]
        np.testing.assert_allclose(predict(solution, 0, feats)[:, label], probs, atol=1e-4)


def test_held_out_losses_of_each_label_and_a_c_of_its_own():
    feats, targets, block = toy()
    design, each = Design(feats, block), (10.0, 0.1, 1e-3, 1.0)
    alone = solve(design, targets, 4, [Problem(c, (2, 0)) for c in each])
    together = solve(design, targets, 4, [Problem(each, (2, 0))])
    assert together.held_out_loss.shape == (1, 4, 4)
    assert np.isnan(together.held_out_loss[0, [1, 3]]).all()
    for label in range(4):
        np.testing.assert_allclose(together.coef[0, label], alone.coef[label, label], atol=1e-3)
        np.testing.assert_allclose(together.held_out_loss[0, :, label], alone.held_out_loss[label, :, label], rtol=1e-3)
    lost = label_surprise(targets, predict(together, 0, feats))
    for fold in (0, 2):
        np.testing.assert_allclose(together.held_out_loss[0, fold], lost[block == fold].sum(axis=0), rtol=1e-4)


def test_batches_that_follow_each_other_end_as_one(monkeypatch):
    feats, targets, block = toy()
    design, problems = Design(feats, block), [Problem(c, (1,)) for c in CS[::-1]]
    whole = solve(design, targets, 4, problems, tol=1e-7)
    monkeypatch.setattr(batch, "at_once", lambda labels, problems: 3)
    apart = solve(design, targets, 4, problems, tol=1e-7)
    np.testing.assert_allclose(apart.held_out_loss, whole.held_out_loss, rtol=1e-3)


def test_a_label_whose_training_rows_are_all_alike_has_its_smoothed_frequency():
    feats, targets, block = toy()
    targets[:, 0], targets[:, 1] = block == 1, 1  # none of the training rows has the first, all have the second
    solution = solve(Design(feats, block), targets, 4, [Problem(1.0, (1,)), Problem(1.0, (0,))])
    n = int((block != 1).sum())
    assert (solution.coef[0, :2] == 0).all()
    np.testing.assert_allclose(solution.intercept[0, :2], logit([0.5 / (n + 1), (n + 0.5) / (n + 1)]), rtol=1e-6)
    np.testing.assert_allclose(solution.held_out_loss[0, 1, 0], (600 - n) * np.log(2 * (n + 1)), rtol=1e-5)
    assert np.abs(solution.coef[1, 0]).max() > 0
    assert solution.converged.all()


def test_a_share_is_learnt_as_rows_of_both_kinds_by_their_weights():
    feats, _, block = toy()
    shares = np.random.default_rng(1).random((600, 1)).astype(np.float32)
    solution = solve(Design(feats, block), shares, 1, [Problem(1.0, (1,))], tol=1e-7)
    rows = block != 1
    both, weights = np.repeat([1, 0], rows.sum()), np.concatenate([shares[rows, 0], 1 - shares[rows, 0]])
    model = peer(np.tile(feats[rows], (2, 1)), both, 1.0, weights)
    np.testing.assert_allclose(predict(solution, 0, feats)[:, 0], model.predict_proba(feats)[:, 1], atol=1e-4)


def test_labels_of_held_out_rows_change_no_weights():
    feats, targets, block = toy()
    changed = np.where((block == 0)[:, None], 1 - targets, targets)
    before, after = (solve(Design(feats, block), each, 4, [Problem(10.0, (0,))]) for each in (targets, changed))
    np.testing.assert_allclose(before.coef, after.coef, atol=1e-4)
    assert (before.held_out_loss[0, 0] < after.held_out_loss[0, 0]).all()


def test_no_row_to_train_on_is_refused():
    feats, targets, block = toy()
    with pytest.raises(ValueError, match="no row is left"):
        solve(Design(feats, block), targets, 4, [Problem(1.0, (0, 1, 2, 3))])
