"""Columns of the tables beside the models: a stack reads them, for each target, and no fold's rows reach its own."""

from dataclasses import replace

import numpy as np
import pytest

from src.models.blend import methods
from src.models.blend.pool import Pool
from src.scoring.metrics import METRICS_OF
from tests.models.test_blending_targets import loss, made

N = 400


def of_classes() -> Pool:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, N)
    logits = [np.eye(3)[targets] + rng.normal(size=(N, 3)) for _ in range(2)]
    oofs = np.stack([np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in logits]).astype(np.float32)
    return Pool(oofs, targets, np.arange(N) % 4, METRICS_OF["class"]["log_loss"])


POOLS = {
    "class": of_classes,
    "labels": lambda: made("labels", 0.8, 0.6, n=N),
    "number": lambda: made("number", 0.8, 0.6, n=N),
}


def telling(pool: Pool, seed: int = 1) -> np.ndarray:
    """(n, 2) float32: a column that tells of the targets what the models do not, and one that tells nothing."""
    rng = np.random.default_rng(seed)
    said = pool.targets if pool.targets.ndim == 1 else pool.targets[:, 0]
    said = (said - said.mean()) / said.std() + 0.5 * rng.normal(size=len(said))
    return np.stack([said / said.std(), rng.normal(size=len(said))], axis=1).astype(np.float32)


@pytest.mark.parametrize("task", POOLS)
def test_a_stack_learns_from_a_column_that_tells_and_not_from_one_that_does_not(task):
    pool = POOLS[task]()
    without = methods.fit("stack", pool)
    read = methods.fit("stack", replace(pool, beside=telling(pool)))
    assert loss(pool, read.oof) < 0.9 * loss(pool, without.oof)
    empty = np.random.default_rng(2).normal(size=(N, 2)).astype(np.float32)
    blind = methods.fit("stack", replace(pool, beside=empty))
    assert loss(pool, blind.oof) < 1.02 * loss(pool, without.oof)
    assert read.final.shares(2).sum() == pytest.approx(1)


@pytest.mark.parametrize("task", POOLS)
def test_a_folds_targets_do_not_reach_its_rows_by_the_columns(task):
    pool = POOLS[task]()
    pool = replace(pool, beside=telling(pool))
    before, held_out = methods.fit("stack", pool).oof, pool.fold == 0
    targets = pool.targets.copy()
    targets[held_out] = targets[held_out][::-1]
    after = methods.fit("stack", replace(pool, targets=targets)).oof
    assert after[held_out] == pytest.approx(before[held_out], abs=1e-5)  # solvers stop when all problems are solved
    assert np.abs(after[~held_out] - before[~held_out]).max() > 1e-3


@pytest.mark.parametrize("task", POOLS)
def test_other_rows_are_predicted_with_their_columns(task):
    pool = POOLS[task]()
    pool = replace(pool, beside=telling(pool))
    final = methods.fit("stack", pool).final
    some = np.arange(20)
    whole = final.predict(pool.oofs, pool.beside)
    assert final.predict(pool.oofs[:, some], pool.beside[some]) == pytest.approx(whole[some], abs=1e-5)
    assert not np.allclose(final.predict(pool.oofs[:, some], pool.beside[some][::-1]), whole[some], atol=1e-3)
