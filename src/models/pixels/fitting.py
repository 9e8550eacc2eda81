"""The fits of each fold, and the choices inside it: C, and whether the regression, the forest or their mean predicts.

A fold's forest is made of the forests of pairs: one that knows neither of two folds is a part of the forest of both,
and scores each of the two where the other chooses. Regressions without two folds choose likewise, and then one is
fitted to all training rows. So rows that belong together, which folds keep together, do not flatter either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from src.base.threads import parallel
from src.models.links import Link, Share, Softmax
from src.models.logreg import cost
from src.models.logreg.design import Design
from src.models.logreg.linear import Linear
from src.models.logreg.solve import Problem, Solution, solve
from src.models.pixels.forest import Forest, grow
from src.schema.models import Pixels
from src.scoring.tables import Gathered, Table
from src.scoring.targets import TARGETS, Target

ROWS = 15_000  # that are learnt from: with 100 classes in less than a minute of one core
CS = (1.0, 10.0, 100.0)
SHARES = (0.5, 0.0, 1.0)  # of the forest in the prediction; of equal ones the first
NEAR = 2  # a fold is paired with the next two, in a circle, and so with four others: with five folds, with all
TOL = 1e-4  # of the gradient

Pair = tuple[int, int]


@dataclass(frozen=True)
class FoldFit:
    """One fold's regression, and how much its forest counts beside it."""

    regression: Linear
    c: float
    share: float  # of the forest
    losses: tuple[float, float]  # inside the training rows, the target's: of the regression, of the forest

    def mix(self, feats: np.ndarray, votes: np.ndarray | float) -> np.ndarray:
        """(n, k) predictions of pictures (n, d), whose `votes` are those of the fold's forest, if it counts."""
        return mixed(self.regression.predict(feats), votes, self.share)


@dataclass(frozen=True)
class Fits:
    folds: Sequence[FoldFit]
    forests: dict[Pair, Forest]  # by the two folds that each does not know
    link: Link = field(default=Softmax())

    def predict(self, feats: np.ndarray, folds: Sequence[int] | None = None) -> np.ndarray:
        """(n, d) -> (n, k) predictions, the mean over some folds' fits, or all."""
        folds = range(len(self.folds)) if folds is None else folds
        asked = {fold for fold in folds if self.folds[fold].share > 0}
        votes = {pair: predict(self.forests[pair], feats, self.link) for pair in self.forests if {*pair} & asked}
        probs = 0.0
        for fold in folds:
            mine = [vote for pair, vote in votes.items() if fold in pair]
            probs = probs + self.folds[fold].mix(feats, np.mean(mine, axis=0) if fold in asked else 0.0)
        return probs / len(folds)


@dataclass(frozen=True)
class TrainRows:
    feats: np.ndarray  # (n, d) float32
    targets: np.ndarray  # see src/scoring/targets.py
    fold: np.ndarray  # (n,)
    k: int  # columns of predictions
    target: Target = TARGETS["class"]
    link: Link = field(default=Softmax())

    def out_of_fold(self, fits: Fits, rows_at_once: int = 4096) -> Table:
        """(n, k) of each row by the fit of the fold that holds it out."""
        oof = Gathered(len(self.fold), self.k, self.target.is_sparse(len(self.fold), self.k))
        for number in range(len(fits.folds)):
            held_out = np.flatnonzero(self.fold == number)
            for start in range(0, len(held_out), rows_at_once):
                part = held_out[start : start + rows_at_once]
                oof[part] = fits.predict(self.feats[part], [number])
        return oof.table()

    def drawn(self, rows: int, seed: int) -> "TrainRows":
        """At most so many of the rows, at random."""
        if len(self.fold) <= rows:
            return self
        some = np.sort(np.random.default_rng(seed).choice(len(self.fold), rows, replace=False))
        return replace(self, feats=self.feats[some], targets=self.targets[some], fold=self.fold[some])


def mixed(regression: np.ndarray, votes: np.ndarray | float, share: float) -> np.ndarray:
    return (1 - share) * regression + share * votes


def predict(forest: Forest, feats: np.ndarray, link: Link) -> np.ndarray:
    """The forest's predictions (n, k); of probabilities with one more tree that knows nothing, so that none is 0."""
    trees, shares = len(forest.roots), forest.predict(feats)
    if isinstance(link, Share):
        return link.numbers(shares)
    return (trees * shares + (1 / shares.shape[1] if isinstance(link, Softmax) else 0.5)) / (trees + 1)


def pairs(n_folds: int) -> list[Pair]:
    """Pairs of folds that are near each other in a circle."""
    near = {(fold, (fold + step) % n_folds) for fold in range(n_folds) for step in range(1, NEAR + 1)}
    return sorted({(min(pair), max(pair)) for pair in near})


def fit_folds(spec: Pixels, data: TrainRows, name: str) -> Fits:
    """Fit one regression and one forest a fold to the rows outside of it."""
    data = data.drawn(ROWS, spec.seed)
    n_folds, wanted = int(data.fold.max()) + 1, data.link.wanted(data.targets)
    both = pairs(n_folds)
    if isinstance(data.link, Softmax):
        cost.announce(name, *data.feats.shape, data.k, len(both) * len(CS) + n_folds)
    with Design(data.feats, data.fold) as design:
        problems = [Problem(c, pair) for pair in both for c in CS]
        inner = solve(design, wanted, data.k, problems, tol=TOL)
        best = [best_c(fold, problems, inner) for fold in range(n_folds)]
        outer = solve(design, wanted, data.k, [Problem(c, (fold,)) for fold, c in enumerate(best)], tol=TOL)
    trees = parallel(lambda pair: grown(spec, data, wanted, pair, n_folds), both, name, "forests")
    forests = dict(zip(both, trees, strict=True))
    folds = []
    for fold, c in enumerate(best):
        where = {pair: problems.index(Problem(c, pair)) for pair in both if fold in pair}
        regressions = {pair: regression(inner, i, data.link) for pair, i in where.items()}
        share, losses = best_share(data, fold, regressions, forests)
        folds.append(FoldFit(regression(outer, fold, data.link), c, share, losses))
    return Fits(folds, forests, data.link)


def best_c(fold: int, problems: Sequence[Problem], inner: Solution) -> float:
    """The C of the least log loss, of all labels, on the folds that are paired with one, by fits that know neither."""
    losses = dict.fromkeys(CS, 0.0)
    for problem, loss in zip(problems, inner.held_out_loss, strict=True):
        if fold in problem.without:
            losses[problem.c] += loss[other(problem.without, fold)].sum()
    return min(losses, key=losses.get)


def other(pair: Pair, fold: int) -> int:
    return pair[1] if pair[0] == fold else pair[0]


def regression(solution: Solution, i: int, link: Link) -> Linear:
    return Linear(solution.coef[i].astype(np.float32), solution.intercept[i].astype(np.float32), link=link)


def grown(spec: Pixels, data: TrainRows, wanted: np.ndarray, pair: Pair, n_folds: int) -> Forest:
    """The forest of the rows that are in neither fold: each fold's forest is made of as many as it has partners."""
    known, partners = ~np.isin(data.fold, pair), min(n_folds - 1, 2 * NEAR)
    seed = int(np.random.default_rng([spec.seed, *pair]).integers(2**31))
    return grow(data.feats[known], wanted[known], data.k, -(-spec.trees // partners), seed)


def best_share(
    data: TrainRows, fold: int, regressions: dict[Pair, Linear], forests: dict[Pair, Forest]
) -> tuple[float, tuple[float, float]]:
    """The forest's share of the least loss on the folds that are paired with one, and the losses of both alone."""
    total, rows = dict.fromkeys(SHARES, 0.0), 0
    for pair, linear in regressions.items():
        held_out = data.fold == other(pair, fold)
        feats, targets = data.feats[held_out], data.targets[held_out]
        probs, votes = linear.predict(feats), predict(forests[pair], feats, data.link)
        rows += len(targets)
        for share in SHARES:
            total[share] += float(data.target.loss(targets, mixed(probs, votes, share)).sum())
    share = min(total, key=total.get)
    return share, (total[0.0] / rows, total[1.0] / rows)
