"""Probes of few rows, which features separate or describe badly: the optimum, in few steps, and the same choice of C."""

import numpy as np
import pytest
import torch

from src.models.logreg import design as designs
from src.models.logreg.design import Design
from src.models.logreg.solve import Problem, solve
from src.models.probe import nested, solvers
from src.models.probe.data import ProbeData
from src.schema.models import Probe
from tests.conftest import TINY_CLIP
from tests.models.test_logreg import gradient, predict

CS = (0.01, 1.0, 100.0, 1e4)
SPEC = Probe(clip=TINY_CLIP, normalise=(False,))


def ill_conditioned(n: int = 60, d: int = 100, k: int = 5):
    """Raw features: a mean that outweighs all else, a spectrum of 1/j, and the noise of float16."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n, d)) / np.arange(1, d + 1)
    targets = (4 * rows @ rng.standard_normal((d, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    targets[: 2 * k] = np.tile(np.arange(k), 2)
    turn, mean = np.linalg.qr(rng.standard_normal((d, d)))[0], rng.standard_normal(d)
    return (rows @ turn + mean).astype(np.float16).astype(np.float32), targets, np.arange(n) % 5


def separable(n: int = 96, d: int = 100, k: int = 4):
    rng, targets = np.random.default_rng(0), np.arange(n) % k
    feats = rng.standard_normal((n, d)) + 3 * rng.standard_normal((k, d))[targets]
    return feats.astype(np.float32), targets, np.arange(n) // k % 5


def changed(kind: str, k: int):
    feats, targets, block = ill_conditioned(50, 80, k)
    if kind == "duplicates":
        feats[1::2], targets[1::2] = feats[::2], targets[::2]
    if kind == "constant columns":
        feats[:, ::3] = 1.5
    if kind == "long rows":
        feats[:3] *= 30
    return feats, targets, block


def fit_folds(feats, targets, fold):
    return nested.fit_folds(SPEC, ProbeData(lambda unit: feats, targets, fold, int(targets.max()) + 1))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("kind", ["plain", "duplicates", "constant columns", "long rows"])
def test_few_rows_reach_the_optimum_whatever_their_features(k, kind, balanced):
    feats, targets, block = changed(kind, k)
    problems = [Problem(c, without) for c in CS for without in [(0,), (1, 2)]]
    solution = solve(Design(feats, block, dtype=torch.float64), targets, k, problems, balanced=balanced)
    assert solution.converged.all()
    for i, problem in enumerate(problems):
        rows = ~np.isin(block, problem.without)
        weights = rows.sum() / (k * np.bincount(targets[rows], minlength=k))[targets[rows]] if balanced else None
        found = gradient(feats[rows], targets[rows], k, problem.c, solution.coef[i], solution.intercept[i], weights)
        assert found < 1.1e-6


@pytest.mark.parametrize("d", [10, 40, 120])
def test_rows_and_blocks_alone_and_together_have_one_optimum(d, monkeypatch):
    """With left-out labels and an offset; features are turned into as many columns as rows, or as there are features."""
    feats, targets, block = ill_conditioned(45, d, 3)
    given = np.where(np.arange(45) % 9 == 8, -1, targets)
    offset = np.random.default_rng(1).standard_normal((45, 3))
    problems = [Problem(c, (0, 1)) for c in CS]
    few = Design(feats, block, dtype=torch.float64)
    one = solve(few, given, 3, problems, tol=1e-8, offset=offset)
    monkeypatch.setattr(designs, "FEW", 0)
    monkeypatch.setattr(designs, "FLOOR", 0)
    wide = Design(feats, block, dtype=torch.float64)
    other = solve(wide, given, 3, problems, tol=1e-8, offset=offset)
    assert (few.rank, wide.rank) == (min(d, 45), d)
    assert one.converged.all()
    np.testing.assert_allclose(one.held_out_loss, other.held_out_loss, rtol=1e-3)
    for i in range(len(problems)):
        np.testing.assert_allclose(predict(one, i, feats, offset), predict(other, i, feats, offset), atol=1e-3)


@pytest.mark.parametrize(("made", "sum_most", "most"), [(ill_conditioned, 500, 15), (separable, 500, 20)])
def test_a_probe_of_few_rows_takes_few_steps(made, sum_most, most, monkeypatch):
    feats, targets, fold = made()
    steps, solved = [], solvers.solve

    def spy(*args, **options):
        solution = solved(*args, **options)
        steps.extend(solution.iterations)
        return solution

    monkeypatch.setattr(solvers, "solve", spy)
    fit_folds(feats, targets, fold)
    assert sum(steps) < sum_most
    assert max(steps) < most


@pytest.mark.parametrize("made", [ill_conditioned, separable])
def test_c_is_the_one_that_exact_fits_choose_and_the_kept_fits_are_exact(made, monkeypatch):
    feats, targets, fold = made()
    fits = fit_folds(feats, targets, fold)
    if made is ill_conditioned:  # separated rows have a loss of 0 but for rounding with every large C
        monkeypatch.setattr(nested, "SHARE", 0.0)
        exact = fit_folds(feats, targets, fold)
        assert [fit.c for fit in fits] == [fit.c for fit in exact]
        np.testing.assert_allclose([fit.loss for fit in fits], [fit.loss for fit in exact], rtol=3e-4)
    k = int(targets.max()) + 1
    problems = [Problem(fit.c, (outer,)) for outer, fit in enumerate(fits)]
    reference = solve(Design(feats, fold, dtype=torch.float64), targets, k, problems, tol=1e-10)
    for outer, fit in enumerate(fits):
        rows = fold != outer
        assert gradient(feats[rows], targets[rows], k, fit.c, fit.coef, fit.intercept) < 1.1e-6
        np.testing.assert_allclose(fit.predict(feats[~rows]), predict(reference, outer, feats[~rows]), atol=1e-3)


def test_c_is_widened_no_further_where_no_loss_is_left(monkeypatch):
    """Rows that features separate: each larger C lessens a loss that is already nothing."""
    tried, add = set(), nested.Nested.add
    monkeypatch.setattr(nested.Nested, "add", lambda self, cs: tried.update(cs) or add(self, cs))
    targets = np.arange(24) % 2
    feats = np.where(targets[:, None] == 0, -1.0, 1.0).astype(np.float32) * np.ones((24, 3), np.float32) * 30
    data = ProbeData(lambda unit: feats, targets, np.arange(24) // 2 % 3, 2)
    nested.fit_folds(Probe(clip=TINY_CLIP, normalise=(False,), cs=(0.1, 1.0, 10.0)), data)
    assert 10 < max(tried) <= 1e5


def test_rows_that_are_solved_again_in_other_company_go_on_from_their_optimum():
    rng, block = np.random.default_rng(0), np.repeat([0, 1, 2], [10, 20, 30])
    feats, targets = rng.standard_normal((60, 100)).astype(np.float32), rng.integers(3, size=60)
    alone = [Problem(5.0, (2,))]
    with Design(feats, block, dtype=torch.float64) as design:
        solve(design, targets, 3, [Problem(c, (b,)) for c in (1.0, 10.0) for b in range(3)])
        found = solve(design, targets, 3, alone)
    with Design(feats, block, dtype=torch.float64) as design:
        expected = solve(design, targets, 3, alone)
    assert found.converged.all()
    assert np.abs(found.coef - expected.coef).max() < 1e-4 * np.abs(expected.coef).max()


@pytest.mark.parametrize(("scale", "spread"), [(400, 30), (1000, 10)])
def test_a_step_that_is_a_million_times_too_long_is_shortened(scale, spread):
    """Large features under large offsets: settled rows hardly bend f, and Newton's step leaves them far behind."""
    rng = np.random.default_rng(3)
    feats, targets = (rng.standard_normal((100, 150)) * scale).astype(np.float32), rng.integers(4, size=100)
    problems = [Problem(c, (f,)) for c in (0.01, 1.0, 100.0, 1000.0) for f in range(5)]
    with Design(feats, np.arange(100) % 5, dtype=torch.float64) as design:
        found = solve(design, targets, 4, problems, offset=rng.standard_normal((100, 4)) * spread)
    assert found.converged.all()
