"""The solver of logistic regressions on a GPU: where it solves, in which precision, and how often it is waited for."""

import numpy as np
import pytest
import torch

from src.models.logreg.design import Design
from src.models.logreg.solve import Problem, solve
from src.models.probe import solvers
from src.models.probe.data import ProbeData
from src.schema.models import Probe
from tests.conftest import TINY_CLIP
from tests.models.test_logreg import toy
from tests.pretended_gpu import pretended

WAITS = 5  # an iteration: that ends, the norm, one a search or two
SPEC = Probe(clip=TINY_CLIP, tol=1e-3)
PROBLEMS = [Problem(c, (fold,)) for fold in range(2) for c in (0.1, 10.0)]


def made(n: int = 80):
    feats, targets, fold = toy(3, n=n)
    return feats, ProbeData(lambda unit: feats, targets, fold, 3)


def solved(feats, data):
    with solvers.solver(SPEC, data, feats) as solve_all:
        return solve_all(PROBLEMS, data.targets)


@pytest.fixture
def busy(monkeypatch):
    """No problem is too little for the GPU."""
    monkeypatch.setattr(solvers, "LITTLE", 0)
    monkeypatch.setattr(solvers, "FEW", 0)


def test_the_gpu_solves_as_the_cpu_and_is_waited_for_few_times_an_iteration():
    feats, targets, block = toy(3, n=80)
    on_cpu = solve(Design(feats, block), targets, 3, PROBLEMS, tol=1e-12, max_iter=4)
    with pretended() as gpu:
        design = Design(feats, block, device="cuda")
        counts = []
        for most in (2, 4):
            gpu.waits.clear()
            solution = solve(design, targets, 3, PROBLEMS, tol=1e-12, max_iter=most)
            counts.append(sum(gpu.waits.values()))
        assert (counts[1] - counts[0]) / 2 <= WAITS, gpu.waits
        assert gpu.faults == []
    np.testing.assert_allclose(solution.held_out_loss, on_cpu.held_out_loss, rtol=1e-2)


def test_little_work_is_done_on_the_cpu_and_that_is_said(capsys):
    with pretended() as gpu:
        solution = solved(*made())
        assert gpu.peak == 0
    assert solution.converged.all()
    assert capsys.readouterr().out.count("solved on the CPU: 80 rows of 12 features are too little") == 1


def test_what_torch_keeps_is_no_reason_to_leave_the_gpu_but_a_full_one_is(busy, capsys):
    feats, data = made()
    with pretended() as gpu, solvers.solver(SPEC, data, feats):
        assert gpu.calls["empty_cache"] == 1
    assert capsys.readouterr().out == ""
    with pretended(total=1e4), solvers.solver(SPEC, data, feats):
        assert "solved on the CPU: needs 0.0 GB, the GPU has 0.0 GB free" in capsys.readouterr().out


def test_the_cpu_goes_on_when_the_gpu_s_memory_ends(busy, capsys):
    feats, data = made()
    expected = solved(feats, data)
    with pretended() as gpu:
        gpu.refuse = lambda func, args: func is torch.ops.aten.addmm.out
        solution = solved(feats, data)
    np.testing.assert_array_equal(solution.held_out_loss, expected.held_out_loss)
    assert capsys.readouterr().out.count("solved on the CPU: out of GPU memory") == 1


def test_products_are_in_full_float32_whatever_the_environment_sets(monkeypatch):
    feats, targets, block = toy(3)
    seen = set()
    monkeypatch.setattr(torch, "addmm", spy(torch.addmm, seen))
    monkeypatch.setattr(Design, "read", spy(Design.read, seen))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        solve(Design(feats, block), targets, 3, [Problem(1.0)])
        assert seen == {"ieee"}
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        torch.set_float32_matmul_precision(before)


def spy(function, seen):
    def watched(*args, **options):
        seen.add(torch.backends.cuda.matmul.fp32_precision)
        return function(*args, **options)

    return watched
