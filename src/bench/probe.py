"""The batched logistic regression against scikit-learn's, on made-up features like CLIP's: time, optimum and memory.

That of several labels is in src/bench/probe_labels.py.

Features lie in a cone (half of their squared norm is the mean's), have a spectrum of j^-0.6 and a norm of about 10, or
of 1000 where rows are few, so that a large C is badly conditioned. A linear teacher with Gumbel noise labels them.
scikit-learn is given each C's solution to start the next one from.
"""

import functools
import gc
import json
import statistics
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from src.bench import memory, probe_labels
from src.models.logreg.design import FEW, Design
from src.models.logreg.solve import Problem, Solution, solve

FOLDS = 5
EXACT = 1e-6  # the default tolerance


@dataclass(frozen=True)
class Case:
    n: int
    d: int
    k: int
    signal: float  # standard deviation of the teacher's logits; that of the noise is 1.28
    cs: tuple[float, ...] = tuple(np.logspace(-3, 3, 16))
    peers: tuple[str, ...] = ("newton-cg", "lbfgs")
    rounds: int = 3  # interleaved, because machines are shared
    norm: float = 10.0  # of the features
    alone: bool = False  # in a process of its own: time and peak memory, no peer


CASES = {
    "4 classes": Case(14_322, 1024, 4, 4.0),
    "10 classes": Case(50_000, 512, 10, 6.0, peers=("newton-cg",)),
    "100 classes": Case(50_000, 768, 100, 8.0, cs=(0.01, 0.1, 1.0), peers=("newton-cg",), rounds=1),
    "200 rows, 15 classes": Case(200, 512, 15, 8.0, cs=tuple(np.logspace(-2, 7, 10)), norm=1000.0),
    "96 rows, 4 classes": Case(96, 512, 4, 8.0, cs=tuple(np.logspace(-2, 7, 10)), norm=1000.0),
    "200,000 rows": Case(200_000, 1024, 4, 4.0, alone=True),
}
QUICK = {"quick": Case(3_000, 128, 4, 4.0, cs=(0.01, 1.0, 100.0))}


def make_data(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, d) float32, targets (n,) and folds (n,)."""
    rng = np.random.default_rng(0)
    cone, spectrum = rng.standard_normal(case.d), np.arange(1, case.d + 1) ** -0.6
    turn = np.linalg.qr(rng.standard_normal((case.d, case.d)))[0] * (spectrum / np.linalg.norm(spectrum))[:, None]
    teacher = rng.standard_normal((case.d, case.k), dtype=np.float32)
    feats, targets = np.empty((case.n, case.d), np.float32), np.empty(case.n, int)
    for start in range(0, case.n, 10_000):
        rows = rng.standard_normal((min(10_000, case.n - start), case.d), dtype=np.float32) @ turn.astype(np.float32)
        logits = rows @ teacher  # of variance 1: so is the length of a row
        targets[start : start + len(rows)] = (case.signal * logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
        feats[start : start + len(rows)] = (rows + cone / np.linalg.norm(cone)) * (case.norm / np.sqrt(2))
    fold = np.empty(case.n, int)
    for i, (_, rows) in enumerate(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(targets, targets)):
        fold[rows] = i
    return feats, targets, fold


def gradient(feats: np.ndarray, targets: np.ndarray, c: float, coef: np.ndarray, intercept: np.ndarray) -> float:
    """The largest entry of the objective's gradient, in float64 and by its definition."""
    wrong = softmax(feats @ coef.astype(float).T + intercept, axis=1)
    wrong[np.arange(len(targets)), targets] -= 1
    return float(max(np.abs(wrong.T @ feats + coef / c).max(), np.abs(wrong.sum(axis=0)).max()) / len(targets))


def peer(
    solver: str, feats: np.ndarray, targets: np.ndarray, cs: tuple[float, ...]
) -> tuple[float, list, list[int], list[str]]:
    """The seconds, (coef, intercept) for each C, the number of iterations of each, and the warnings."""
    model = LogisticRegression(solver=solver, tol=1e-4, max_iter=2000, warm_start=True)
    solutions, counts, start = [], [], time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for c in cs:
            model.set_params(C=c).fit(feats, targets)
            solutions.append((model.coef_.copy(), model.intercept_.copy()))
            counts.append(int(model.n_iter_[0]))
    return time.perf_counter() - start, solutions, counts, [str(warning.message).split("\n")[0] for warning in caught]


def ours(
    case: Case, feats: np.ndarray, targets: np.ndarray, fold: np.ndarray, tol: float, device: str = "cpu"
) -> tuple[float, Solution]:
    start = time.perf_counter()
    problems = [Problem(c, (f,)) for f in range(FOLDS) for c in case.cs]
    dtype = torch.float64 if case.n <= FEW else torch.float32
    with Design(feats, fold, device=device, dtype=dtype) as design:
        solution = solve(design, targets, case.k, problems, tol=tol)
    return time.perf_counter() - start, solution


def alone(name: str) -> None:
    """Print the seconds and bytes of one sweep: for a process of its own."""
    case = {**CASES, **QUICK}[name]
    ours(QUICK["quick"], *make_data(QUICK["quick"]), EXACT)  # the memory of libraries, before there is any data
    data = make_data(case)
    gc.collect()
    memory.forget_peak()  # that of making the data
    before, size = memory.current(), data[0].nbytes
    seconds, solution = ours(case, *data, EXACT)
    peak, converged = memory.peak(), bool(solution.converged.all())
    over = 1 + (peak - before) / size
    print(json.dumps({"seconds": seconds, "peak": peak, "over_features": over, "converged": converged}))


def in_a_process(name: str) -> dict:
    code = f"from src.bench.probe import alone; alone({name!r})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def off_optimum(solutions: list, best: Solution, feats: np.ndarray, cs: list[int]) -> float:
    """The largest difference of a held-out probability from that at the optimum, over some of the Cs."""

    def probs(coef: np.ndarray, intercept: np.ndarray) -> np.ndarray:
        return softmax(feats @ coef.T + intercept, axis=1)

    pairs = zip([solutions[i] for i in cs], zip(best.coef, best.intercept, strict=True), strict=True)
    return max(float(np.abs(probs(*one) - probs(*optimum)).max()) for one, optimum in pairs)


def line(*cells) -> None:
    texts = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells]
    print(f"| {' | '.join(texts)} |", flush=True)


def measure(name: str, case: Case) -> None:
    feats, targets, fold = make_data(case)
    train = fold != 0
    inside, labels = feats[train], targets[train]
    solutions, peers, slowest = {}, {}, {}
    some = list(range(0, len(case.cs), max(1, len(case.cs) // 5)))
    check = functools.partial(gradient, inside.astype(float), labels)
    for i in range(case.rounds):
        for solver in case.peers if i == 0 else case.peers[:1]:
            seconds, *peers[solver] = peer(solver, inside, labels, case.cs)
            slowest.setdefault(solver, []).append(FOLDS * seconds)
        if i == 0:  # the gradient that the first peer has reached, which is a little less than its tolerance
            reached = max(check(case.cs[j], *peers[case.peers[0]][0][j]) for j in some)
            times = {tol: [] for tol in (0.9 * reached, EXACT)}
        for tol in times:
            seconds, solutions[tol] = ours(case, feats, targets, fold, tol)
            times[tol].append(seconds)
    with Design(feats, fold, dtype=torch.float64) as design:
        best = solve(design, targets, case.k, [Problem(case.cs[i], (0,)) for i in some], tol=1e-9)
    outside, inside = feats[~train].astype(float), inside.astype(float)
    fastest = min(slowest, key=lambda solver: statistics.median(slowest[solver]))

    def report(method: str, tol: float, seconds: list[float], found: list, note: str) -> None:
        base, took = slowest[fastest], statistics.median(seconds)
        ratio, low, high = statistics.median(base) / took, min(base) / max(seconds), max(base) / min(seconds)
        slope, off = max(check(case.cs[i], *found[i]) for i in some), off_optimum(found, best, outside, some)
        line(name, method, tol, took, f"{ratio:.1f} [{low:.1f}, {high:.1f}]", slope, off, note)
        row = {"bench": "probe", "case": name, "method": method, "tol": tol, "seconds": took, "note": note}
        row |= {"ratio": ratio, "ratio_range": [low, high], "gradient": slope, "off_optimum": off}
        print(json.dumps(row), flush=True)

    for solver, seconds in slowest.items():
        found, counts, failed = peers[solver]
        note = f"{counts.count(0)} of {len(counts)} fits took no iteration"
        note += f", {len(failed)} warnings such as {failed[0]!r}" if failed else ""
        report(f"scikit-learn {solver}, fold 0 x {FOLDS}", 1e-4, seconds, found, note)
    for tol, solution in solutions.items():
        found = list(zip(solution.coef.astype(float), solution.intercept.astype(float), strict=True))[: len(case.cs)]
        note = f"{solution.iterations.max()} iterations at most"
        note += f", peak {in_a_process(name)['over_features']:.2f} x the features" if tol == EXACT else ""
        note += "" if solution.converged.all() else f", {(~solution.converged).sum()} fits not converged"
        report("ours", tol, times[tol], found, note)


def run(quick: bool = False) -> None:
    """Print a line of a table and a line of JSON for each case and method."""
    print(f"{FOLDS} folds; ratio: to scikit-learn's fastest [min, max]; {torch.get_num_threads()} threads")
    line("case", "method", "tol", "seconds", "ratio", "gradient", "P off the optimum", "note")
    line(*["---"] * 8)
    for name, case in (QUICK if quick else CASES).items():
        if not case.alone:
            measure(name, case)
            continue
        found = in_a_process(name)
        note = f"peak {found['peak'] / 1e9:.2f} GB in all, {found['over_features']:.2f} x the features"
        line(name, "ours", EXACT, found["seconds"], "", "", "", note)
        print(json.dumps({"bench": "probe", "case": name, **found}), flush=True)
    for name, case in (probe_labels.QUICK if quick else probe_labels.CASES).items():
        feats, _, fold = make_data(Case(case.n, case.d, 2, case.signal))
        probe_labels.measure(name, case, feats, fold, line)
