"""Zero-shot: each picture is compared with CLIP's features of the classes' prompts.

Beside the plain classifier: which prompts help (a leaderboard), an ensemble of those that do, and a bias a class. The
last two learn from labels, so they are fitted on the training rows of each fold alone.

Of several labels each stands against its absence, and how similar is enough is learnt likewise (models/platt.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from src.models import platt
from src.models.fitted import FinishedModel
from src.models.gathering import in_parts
from src.models.pictures import Pictures
from src.models.prompt_variants import Variant, leaving_out
from src.networks import features, texts
from src.networks.features import CombinedFeatures
from src.networks.texts import Texts
from src.schema.competition import Competition
from src.schema.models import Prompts, ZeroShot
from src.scoring import tables
from src.scoring.metrics import METRICS, METRICS_OF, Metric
from src.scoring.tables import Table, mean

ROWS, CELLS = 8192, 2**28  # compared at a time: memory does not grow with the rows, nor with the classes


@dataclass(frozen=True)
class Scores:
    """Sums over rows of a metric and of the log loss, for v classifiers and each fold: (v, folds)."""

    rows: np.ndarray  # (folds,)
    score: np.ndarray
    squares: np.ndarray  # of the score, for its standard error
    log_loss: np.ndarray

    def mean(self, sums: np.ndarray, folds: np.ndarray) -> np.ndarray:
        return sums[:, folds].sum(axis=1) / self.rows[folds].sum()

    def best(self, metric: Metric, folds: np.ndarray) -> int:
        """The classifier with the best score on these folds; among equal ones, with the least log loss."""
        score = self.mean(self.score, folds) * metric.sign
        return int(np.lexsort((self.mean(self.log_loss, folds), -score))[0])


def scores(
    feats, targets: np.ndarray, fold: np.ndarray, classifiers: Sequence[np.ndarray], scale: float, metric: Metric
) -> Scores:
    """Score classifiers (d, k) in one pass over unit features (n, d): an array, or what gives one for a slice."""
    stack = np.concatenate(classifiers, axis=1)
    v, folds, log_loss = len(classifiers), int(fold.max()) + 1, METRICS["log_loss"]
    sums = np.zeros((3, v, folds))
    step = min(ROWS, max(1, CELLS // stack.shape[1]))
    for start in range(0, len(targets), step):
        rows = slice(start, start + step)
        logits = (scale * (feats[rows] @ stack)).reshape(len(targets[rows]), v, -1)
        for i in range(v):
            probs = softmax(logits[:, i], axis=1)
            score = metric.per_row(targets[rows], probs)
            for total, values in zip(sums, (score, score**2, log_loss.per_row(targets[rows], probs)), strict=True):
                total[i] += np.bincount(fold[rows], values, minlength=folds)
    return Scores(np.bincount(fold, minlength=folds), *sums)


def label_scores(
    feats, targets: np.ndarray, fold: np.ndarray, classifiers: Sequence[np.ndarray], scale: float, metric: Metric
) -> Scores:
    """As `scores`, of labels (n, k): each fold's rows by the slopes and biases that suit them best.

    So all classifiers are judged alike, and no label of one fold reaches the choice for another.
    """
    v, folds = len(classifiers), int(fold.max()) + 1
    sums = np.zeros((3, v, folds))
    for number in range(folds):
        rows = np.flatnonzero(fold == number)
        known, own = targets[rows], feats[rows]
        for i, classifier in enumerate(classifiers):
            similar = scale * (own @ classifier)
            probs = platt.predict(similar, platt.fit(similar, known))
            score = metric.per_row(known, probs)
            sums[:, i, number] = score.sum(), (score**2).sum(), metric.target.loss(known, probs).sum()
    return Scores(np.bincount(fold, minlength=folds), *sums)


def ranking_metric(competition: Competition) -> str:
    """The metric that ranks prompts: the competition's if it is a mean over rows, or else one that is; labels' loss."""
    own = METRICS_OF[competition.task][competition.metric]
    if competition.task != "class":
        return competition.target.loss_name
    if own.per_row is not None:
        return competition.metric
    return "accuracy" if own.of_labels else "log_loss"


def leaderboard(variants: Sequence[Variant], scores: Scores, metric: str) -> pd.DataFrame:
    """One row a variant, the best first: its score on all training rows with its standard error, and its log loss."""
    folds = np.arange(len(scores.rows))
    mean, square = scores.mean(scores.score, folds), scores.mean(scores.squares, folds)
    df = pd.DataFrame([[v.kind, v.label, v.text] for v in variants], columns=["kind", "class", "text"])
    df[metric] = mean
    df["se"] = np.sqrt(np.maximum(square - mean**2, 0) / scores.rows.sum())
    df["log_loss"] = scores.mean(scores.log_loss, folds)
    return df.sort_values([metric, "log_loss"], ascending=[not METRICS[metric].greater_is_better, True], kind="stable")


def greedy(prompts: Prompts, classes: Sequence[str], evaluate, metric: Metric, folds: np.ndarray) -> Prompts:
    """Leave one template or phrase after the other out of the ensemble, as long as it helps on the rows of `folds`.

    Args:
        evaluate: Gives the Scores of a list of prompts.
    """
    while True:
        tried = [prompts, *(variant.prompts for variant, _ in leaving_out(prompts, classes))]
        best = evaluate(tried).best(metric, folds)
        if best == 0:
            return prompts
        prompts = tried[best]


def prior_bias(logits: np.ndarray, targets: np.ndarray, frequency: np.ndarray | None = None) -> np.ndarray:
    """(k,) to add to logits (n, k), so that the classes are predicted as often on the mean as they occur.

    That is where the log loss of logits + bias is least: its gradient is the mean probability less the frequency. A
    class that does not occur is kept from minus infinity by a penalty of 1e-6 of the squares.

    Args:
        frequency: (k,) that of the classes, where these rows are some of those of which it is. None: theirs.
    """
    n, k = logits.shape
    own = np.bincount(targets, minlength=k) / n
    frequency = own if frequency is None else frequency

    def loss(bias: np.ndarray) -> tuple[float, np.ndarray]:
        log_probs = log_softmax(logits + bias, axis=1)
        value = -log_probs[np.arange(n), targets].mean() + (own - frequency) @ bias + 0.5e-6 * bias @ bias
        return value, np.exp(log_probs).mean(axis=0) - frequency + 1e-6 * bias

    return minimize(loss, np.zeros(k), jac=True, method="L-BFGS-B", options={"gtol": 1e-8, "ftol": 0}).x


class Logits:
    """The logits (n, k) of pictures by the classifiers of some texts, each computed once."""

    def __init__(self, known: Texts, feats: CombinedFeatures):
        self.known, self.feats, self.cache = known, feats, {}

    def compute(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """The logits by the texts of each class."""
        if (key := str(texts)) not in self.cache:
            self.cache[key] = self.known.scale * self.feats.dot(self.known.classifier_from(texts))
        return self.cache[key]

    def of(self, texts: Sequence[Sequence[str]], rows: np.ndarray) -> np.ndarray:
        """The logits of some rows alone, of which nothing is kept."""
        return self.known.scale * (self.feats[rows] @ self.known.classifier_from(texts))


class Reading(Protocol):
    """How logits (n, k) become predictions, and what of that is learnt from training rows."""

    fact: str  # the entry of model.json that has what each fold learnt, of each class
    digits: int  # of these numbers there

    def scores(self, feats, targets, fold, classifiers, scale, metric) -> Scores:
        """As the function `scores`."""

    def learns(self, spec: ZeroShot) -> bool:
        """Whether it learns anything."""

    def fit(self, spec: ZeroShot, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """(k, ...) what is learnt."""

    def predict(self, logits: np.ndarray, learnt: np.ndarray) -> np.ndarray:
        """(n, k) predictions."""


class OneClass:
    fact, digits, scores = "bias", 4, staticmethod(scores)

    def learns(self, spec: ZeroShot) -> bool:
        return spec.prior == "train"

    def fit(self, spec: ZeroShot, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return prior_bias(logits, targets) if self.learns(spec) else np.zeros(logits.shape[1])

    def predict(self, logits: np.ndarray, learnt: np.ndarray) -> np.ndarray:
        return softmax(logits + learnt, axis=1)


class SeveralLabels:
    fact, digits, scores = "slopes_and_bias", 8, staticmethod(label_scores)

    def learns(self, spec: ZeroShot) -> bool:
        return True

    def fit(self, spec: ZeroShot, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return platt.fit(logits, targets)

    def predict(self, logits: np.ndarray, learnt: np.ndarray) -> np.ndarray:
        return platt.predict(logits, learnt)


READINGS: dict[str, Reading] = {"class": OneClass(), "labels": SeveralLabels()}  # by the task


@dataclass(frozen=True)
class FoldClassifier:
    """The choice of a fold."""

    texts: Sequence[Sequence[str]]  # of each class
    learnt: np.ndarray  # (k, ...) see Reading


@dataclass(frozen=True)
class FittedZeroShot:
    competition: Competition
    spec: ZeroShot
    folds: Sequence[FoldClassifier]

    def predict(self, pictures: Pictures) -> Table:
        """(n, k) probabilities, the mean over folds."""
        logits = Logits(texts.read(self.competition, self.spec), pictures.features([self.spec]))
        rows = np.arange(len(pictures))
        return mean([predicted(self.competition, logits, fold, rows) for fold in self.folds])


def learnt_by(
    competition: Competition,
    spec: ZeroShot,
    logits: Logits,
    texts: Sequence[Sequence[str]],
    rows: np.ndarray,
    targets: np.ndarray,
) -> np.ndarray:
    """What is learnt of the rows at some places, by the texts of each class and the targets of all rows.

    Of many classes logits are computed of as many of the rows as make a table of usual size.
    """
    reading, k = READINGS[competition.task], len(competition.outputs)
    if not competition.target.is_sparse(len(rows), k):
        return reading.fit(spec, logits.compute(texts)[rows], targets[rows])
    if not reading.learns(spec):
        return np.zeros(k)
    frequency = np.bincount(targets[rows], minlength=k) / len(rows)
    some = rows[:: -(-len(rows) * k // tables.CELLS)]
    return prior_bias(logits.of(texts, some), targets[some], frequency)


def predicted(competition: Competition, logits: Logits, fold: "FoldClassifier", rows: np.ndarray) -> Table:
    """(n, k) the predictions of rows at some places by a fold's classifier."""
    reading, k = READINGS[competition.task], len(competition.outputs)
    if not competition.target.is_sparse(len(rows), k):
        return reading.predict(logits.compute(fold.texts)[rows], fold.learnt)

    def predict(some: np.ndarray) -> np.ndarray:
        return reading.predict(logits.of(fold.texts, some), fold.learnt)

    return in_parts(predict, np.split(rows, range(ROWS, len(rows), ROWS)), len(rows), competition.target)


def load(one: FinishedModel) -> FittedZeroShot:
    """Raises UserError: The CLIP is another one now."""
    one.refuse_other(one.key["clip"], features.encoder_identity(one.spec))
    classes, facts, reading = one.competition.classes, one.facts, READINGS[one.competition.task]
    prompts = facts.get("ensemble", [one.key["prompts"] for _ in one.folds])
    learnt = facts.get(reading.fact, [dict.fromkeys(classes, 0.0) for _ in one.folds])
    folds = [
        FoldClassifier(
            [prompts[fold][label] for label in classes], np.array([learnt[fold][label] for label in classes])
        )
        for fold in one.folds
    ]
    return FittedZeroShot(one.competition, one.spec, folds)
