"""The logistic regressions of several labels against scikit-learn's one against the rest.

Features are those of src/bench/probe.py. Labels are of a linear teacher with logistic noise, from rare to common. Of
scikit-learn one fold is timed, and taken for all. CPU seconds stand beside the clock's, because machines are shared.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from src.models.logreg.design import Design
from src.models.logreg.solve import Problem, Solution, solve

FOLDS = 5
EXACT = 1e-6  # the default tolerance


@dataclass(frozen=True)
class Took:
    seconds: float
    cpu: float

    @classmethod
    def now(cls) -> "Took":
        return cls(time.perf_counter(), time.process_time())

    @classmethod
    def since(cls, start: "Took") -> "Took":
        now = cls.now()
        return cls(now.seconds - start.seconds, now.cpu - start.cpu)

    def __rmul__(self, times: int) -> "Took":
        return Took(times * self.seconds, times * self.cpu)


@dataclass(frozen=True)
class Case:
    n: int
    d: int
    k: int
    signal: float = 4.0  # standard deviation of the teacher's logits; that of the noise is 1.81
    rarest: float = -8.0  # the mean of the first label's logits; that of the last is 0
    cs: tuple[float, ...] = tuple(np.logspace(-3, 3, 7))
    peers: tuple[str, ...] = ("lbfgs",)  # newton-cg takes twice as long


CASES = {"20 labels": Case(50_000, 512, 20)}
QUICK = {"quick labels": Case(3_000, 128, 5, cs=(0.01, 1.0, 100.0))}


def label(case: Case, feats: np.ndarray) -> np.ndarray:
    """(n, k) 1 where a row has a label."""
    rng = np.random.default_rng(1)
    logits = (feats - feats.mean(axis=0)) @ rng.standard_normal((case.d, case.k))
    logits *= case.signal / logits.std(axis=0)
    noise = rng.logistic(size=logits.shape)
    return (logits + np.linspace(case.rarest, 0, case.k) > noise).astype(np.int8)


def gradient(feats: np.ndarray, labels: np.ndarray, c: float, coef: np.ndarray, intercept: np.ndarray) -> float:
    """The largest entry of any label's gradient, in float64 and by its definition."""
    wrong = expit(feats @ coef.astype(float).T + intercept) - labels
    return float(max(np.abs(wrong.T @ feats + coef / c).max(), np.abs(wrong.sum(axis=0)).max()) / len(labels))


def peer(solver: str, feats: np.ndarray, labels: np.ndarray, cs: tuple[float, ...]) -> tuple[Took, list]:
    """What it took, and coef (k, d) and intercept (k,) for each C."""
    solutions, start = [], Took.now()
    for c in cs:
        models = OneVsRestClassifier(LogisticRegression(C=c, solver=solver, tol=1e-4, max_iter=2000)).fit(feats, labels)
        each = [(one.coef_[0], one.intercept_[0]) for one in models.estimators_]
        solutions.append(tuple(map(np.array, zip(*each, strict=True))))
    return Took.since(start), solutions


def ours(case: Case, feats: np.ndarray, labels: np.ndarray, fold: np.ndarray, tol: float) -> tuple[Took, Solution]:
    start = Took.now()
    with Design(feats, fold) as design:
        problems = [Problem(c, (held_out,)) for held_out in range(FOLDS) for c in case.cs]
        solution = solve(design, labels, case.k, problems, tol=tol)
    return Took.since(start), solution


def measure(name: str, case: Case, feats: np.ndarray, fold: np.ndarray, line: Callable[..., None]) -> None:
    """Prints a line of a table, by `line`, and one of JSON for each method."""
    labels = label(case, feats)
    inside, known = feats[fold != 0], labels[fold != 0]
    exact = inside.astype(float)

    def worst(found: list) -> float:
        return max(gradient(exact, known, c, *one) for c, one in zip(case.cs, found, strict=True))

    peers = {solver: peer(solver, inside, known, case.cs) for solver in case.peers}
    times = {solver: FOLDS * took for solver, (took, _) in peers.items()}
    slopes = {solver: worst(found) for solver, (_, found) in peers.items()}
    fastest = min(times, key=lambda solver: times[solver].seconds)

    def report(method: str, tol: float, took: Took, slope: float, note: str) -> None:
        base = times[fastest]
        ratio, of_cpu = base.seconds / took.seconds, base.cpu / took.cpu
        line(name, method, tol, took.seconds, f"{ratio:.1f}", slope, "", f"{of_cpu:.1f} by CPU seconds, {note}")
        row = {"bench": "probe", "case": name, "method": method, "tol": tol, "seconds": took.seconds, "ratio": ratio}
        row |= {"cpu_seconds": took.cpu, "cpu_ratio": of_cpu, "gradient": slope, "note": note}
        print(json.dumps(row), flush=True)

    for solver, took in times.items():
        report(f"scikit-learn one against the rest, {solver}, fold 0 x {FOLDS}", 1e-4, took, slopes[solver], "")
    for tol in (0.9 * slopes[fastest], EXACT):
        took, solution = ours(case, feats, labels, fold, tol)
        found = list(zip(solution.coef, solution.intercept, strict=True))[: len(case.cs)]  # of fold 0
        note = f"{len(case.cs)} C x {FOLDS} folds, {solution.iterations.max()} iterations at most"
        note += "" if solution.converged.all() else f", {(~solution.converged).sum()} fits not converged"
        report("ours", tol, took, worst(found), note)
