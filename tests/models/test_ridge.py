"""Ridge regression of shares for all C and folds at once, against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from src.models.logreg import ridge
from src.models.logreg.design import Design
from src.models.logreg.solve import Problem

CS = (1e-4, 0.1, 10.0, 1e4)


def toy(n: int = 400, d: int = 20):
    rng = np.random.default_rng(0)
    feats = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.6 + 2 * rng.standard_normal(d)
    shares = 0.5 + 0.4 * (feats - feats.mean(axis=0)) @ rng.standard_normal(d) / d**0.5 + 0.05 * rng.standard_normal(n)
    return feats.astype(np.float32), shares.clip(0, 1)[:, None], rng.permutation(n) % 4


@pytest.mark.parametrize(("n", "d", "dtype"), [(400, 20, torch.float32), (90, 200, torch.float64)])
def test_predictions_are_those_of_scikit_learn_over_eight_decades(n, d, dtype):
    feats, shares, block = toy(n, d)
    problems = [Problem(c, without) for c in CS for without in [(1,), (2, 0), ()]]
    solution = ridge.solve(Design(feats, block, dtype=dtype), shares, problems)
    for i, problem in enumerate(problems):
        rows = ~np.isin(block, problem.without)
        model = Ridge(alpha=1 / problem.c).fit(feats[rows].astype(float), shares[rows, 0])
        found = feats.astype(float) @ solution.coef[i, 0] + solution.intercept[i, 0]
        np.testing.assert_allclose(found, model.predict(feats.astype(float)), atol=1e-4)
        lost = (found.clip(0, 1) - shares[:, 0]) ** 2
        expected = [lost[block == b].sum() if b in problem.without else np.nan for b in range(4)]
        np.testing.assert_allclose(solution.held_out_loss[i], expected, rtol=1e-4)


def test_shares_of_held_out_rows_change_no_weights():
    feats, shares, block = toy()
    changed = np.where(block[:, None] == 0, 1 - shares, shares)
    before, after = (ridge.solve(Design(feats, block), each, [Problem(1.0, (0,))]) for each in (shares, changed))
    np.testing.assert_array_equal(before.coef, after.coef)
    assert before.held_out_loss[0, 0] < after.held_out_loss[0, 0] / 2


def test_no_row_to_train_on_is_refused():
    feats, shares, block = toy()
    with pytest.raises(ValueError, match="no row is left"):
        ridge.solve(Design(feats, block), shares, [Problem(1.0, (0, 1, 2, 3))])
