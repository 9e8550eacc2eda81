"""Who solves a probe's regressions: ours, all of them at once, or scikit-learn, one after the other."""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from typing import Any, Protocol

import numpy as np
import torch

from src.base import machine
from src.models.logreg import ridge
from src.models.logreg.design import FEW, Design
from src.models.logreg.ridge import Clipped
from src.models.logreg.solve import Problem, Solution, solve
from src.models.probe.data import ProbeData
from src.models.probe.peers import scikit_learn
from src.schema.models import Probe

LITTLE = 1e9  # operations an iteration, for which a GPU's launches take as long as a CPU takes in all (an estimate)
BYTES = 13 / 8 * (4 + 8)  # a feature: the features and 5/8 of them for work, in float32 and again in float64


class Solve(Protocol):
    def __call__(self, problems: Sequence[Problem], targets: np.ndarray, share: float = 0.0) -> Solution:
        """With the targets that they learn; class -1: the row is left out. `share` as in models/logreg/solve.py."""


@contextmanager
def solver(spec: Probe, data: ProbeData, feats: Any) -> Iterator[Solve]:
    """Solves problems of one set of features, whose blocks are the folds."""
    if spec.solver == "scikit-learn":
        whole = np.asarray(feats[:])
        yield checked(data, lambda problems, targets, share: scikit_learn(spec, data, whole, targets, problems))
        return
    with Batched(spec, data, feats) as batched:
        yield checked(data, batched)


class Batched(AbstractContextManager):
    """Solves on the device, and on the CPU what a GPU has no memory for, or would be no sooner done with."""

    def __init__(self, spec: Probe, data: ProbeData, feats: Any):
        self.data, self.feats, self.designs = data, feats, {}
        self.options = {"tol": spec.tol, "offset": data.offset, "balanced": spec.class_weight == "balanced"}
        self.device = machine.device()
        if self.device.type == "cuda" and (reason := self.why_not_on_gpu(len(spec.cs))):
            self.go_on_cpu(reason)

    def why_not_on_gpu(self, cs: int) -> str:
        """Empty where the fits of a grid of C are worth a GPU's while, and have room there."""
        n, d = self.feats.shape
        if n <= FEW or 4 * n * d * self.data.k * cs * math.comb(len(self.data.folds), 2) < LITTLE:
            return f"{n} rows of {d} features are too little work for the GPU"
        torch.cuda.empty_cache()  # what torch keeps for its next tensors counts as used
        needed, free = BYTES * n * d + 3 * 8 * d**2, torch.cuda.mem_get_info()[0]
        return f"needs {needed / 1e9:.1f} GB, the GPU has {free / 1e9:.1f} GB free" if needed > free else ""

    def go_on_cpu(self, reason: str) -> None:
        print(f"probe: solved on the CPU: {reason}")
        self.__exit__()
        self.device = torch.device("cpu")

    def __call__(self, problems: Sequence[Problem], targets: np.ndarray, share: float) -> Solution:
        try:
            return self.solve(problems, targets, share)
        except RuntimeError as error:
            if self.device.type == "cpu" or not machine.is_out_of_memory(error):
                raise
        # Out of the handler: the error held what the memory is full of.
        self.go_on_cpu("out of GPU memory")
        torch.cuda.empty_cache()
        return self.solve(problems, targets, share)

    def solve(self, problems: Sequence[Problem], targets: np.ndarray, share: float) -> Solution:
        dtype = torch.float64 if self.feats.shape[0] <= FEW else torch.float32
        if isinstance(self.data.link, Clipped):
            return ridge.solve(self.design(dtype), targets, problems)
        solution = solve(self.design(dtype), targets, self.data.k, problems, share=share, **self.options)
        again = np.flatnonzero(~solution.converged)
        if not again.size or dtype == torch.float64:
            return solution
        # few rows and a large C: what float32 cannot settle float64 can
        exact, some = self.design(torch.float64), [problems[i] for i in again]
        better = solve(exact, targets, self.data.k, some, share=share, **self.options)
        self.designs.pop(torch.float64).__exit__()
        for field in fields(Solution):
            getattr(solution, field.name)[again] = getattr(better, field.name)
        return solution

    def design(self, dtype: torch.dtype) -> Design:
        if dtype not in self.designs:
            memory = {"memory": torch.cuda.mem_get_info()[0]} if self.device.type == "cuda" else {}
            place = {"device": self.device, "scratch": self.data.scratch, **memory}
            self.designs[dtype] = Design(self.feats, self.data.fold, dtype=dtype, **place)
        return self.designs[dtype]

    def __exit__(self, *_) -> None:
        for design in self.designs.values():
            design.__exit__()
        self.designs.clear()


def checked(data: ProbeData, solve: Solve) -> Solve:
    """`solve` for a C that counts pictures, and with a message where fits have not converged."""

    def solved(problems: Sequence[Problem], targets: np.ndarray, share: float = 0.0) -> Solution:
        solution = solve([problem.of_less(data.rows) for problem in problems], targets, share)
        if n := int((~solution.converged).sum()):
            worst = float(solution.gradient[~solution.converged].max())
            print(f"probe: {n} of {len(solution.converged)} fits stopped at a gradient of up to {worst:.1e}")
        return solution

    return solved
