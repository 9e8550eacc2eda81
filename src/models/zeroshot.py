"""Zero-shot: each picture is compared with CLIP's features of the classes' prompts.

Beside the plain classifier: which prompts help (a leaderboard), an ensemble of those that do, and a bias a class. The
last two learn from labels, so they are fitted on the training rows of each fold alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from src.models.fitted import FinishedModel
from src.models.pictures import Pictures
from src.networks import features, texts
from src.networks.features import CombinedFeatures
from src.networks.texts import Texts
from src.schema.competition import Competition
from src.schema.models import Prompts, ZeroShot
from src.scoring.metrics import METRICS, Metric

ROWS = 8192  # compared at a time: memory does not grow with the rows


@dataclass(frozen=True)
class Variant:
    """Prompts with something left out, and its name."""

    kind: str  # all, template, phrase, without template, without phrase
    label: str  # the class that it belongs to; empty for a template of all classes
    text: str
    prompts: Prompts


def variants(prompts: Prompts, classes: Sequence[str]) -> list[Variant]:
    """The whole ensemble, each template and phrase alone, and the ensemble without each."""
    alone = [
        Variant(kind, label, text, with_texts(prompts, label, kind, (text,)))
        for label, kind, texts in units(prompts, classes)
        for text in texts
    ]
    # of two texts, one alone is the ensemble without the other
    without = [variant for variant, others in leaving_out(prompts, classes) if others > 1]
    return [Variant("all", "", "", prompts), *alone, *without]


def leaving_out(prompts: Prompts, classes: Sequence[str]) -> list[tuple[Variant, int]]:
    """The ensemble without each template and phrase, and how many others there are of its kind: one at least."""
    return [
        (Variant(f"without {kind}", label, text, with_texts(prompts, label, kind, rest)), len(rest))
        for label, kind, texts in units(prompts, classes)
        for text in texts
        if (rest := tuple(other for other in texts if other != text))
    ]


def units(prompts: Prompts, classes: Sequence[str]) -> list[tuple[str, str, tuple[str, ...]]]:
    """(class or "", template or phrase, the texts) of all that the prompts are made of, where there is a choice."""
    common = any(label not in prompts.class_templates for label in classes)
    every = [
        ("", "template", prompts.templates if common else ()),
        *((label, "template", own) for label, own in prompts.class_templates.items()),
        *((label, "phrase", phrases) for label, phrases in prompts.classnames.items()),
    ]
    return [unit for unit in every if len(unit[2]) > 1]


def with_texts(prompts: Prompts, label: str, kind: str, texts: tuple[str, ...]) -> Prompts:
    if label == "":
        return prompts.model_copy(update={"templates": texts})
    field = "class_templates" if kind == "template" else "classnames"
    return prompts.model_copy(update={field: {**getattr(prompts, field), label: texts}})


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
    for start in range(0, len(targets), ROWS):
        rows = slice(start, start + ROWS)
        logits = (scale * (feats[rows] @ stack)).reshape(len(targets[rows]), v, -1)
        for i in range(v):
            probs = softmax(logits[:, i], axis=1)
            score = metric.per_row(targets[rows], probs)
            for total, values in zip(sums, (score, score**2, log_loss.per_row(targets[rows], probs)), strict=True):
                total[i] += np.bincount(fold[rows], values, minlength=folds)
    return Scores(np.bincount(fold, minlength=folds), *sums)


def ranking_metric(metric: str) -> str:
    """The metric that ranks prompts: the competition's if it is a mean over rows, or else one that is."""
    if METRICS[metric].per_row is not None:
        return metric
    return "accuracy" if METRICS[metric].of_labels else "log_loss"


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


def prior_bias(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(k,) to add to logits (n, k), so that the classes are predicted as often on the mean as they occur.

    That is where the log loss of logits + bias is least: its gradient is the mean probability less the frequency. A
    class that does not occur is kept from minus infinity by a penalty of 1e-6 of the squares.
    """
    n, k = logits.shape
    frequency = np.bincount(targets, minlength=k) / n

    def loss(bias: np.ndarray) -> tuple[float, np.ndarray]:
        log_probs = log_softmax(logits + bias, axis=1)
        value = -log_probs[np.arange(n), targets].mean() + 0.5e-6 * bias @ bias
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


@dataclass(frozen=True)
class FoldClassifier:
    """The choice of a fold."""

    texts: Sequence[Sequence[str]]  # of each class
    bias: np.ndarray  # (k,) added to the logits


@dataclass(frozen=True)
class FittedZeroShot:
    competition: Competition
    spec: ZeroShot
    folds: Sequence[FoldClassifier]

    def predict(self, pictures: Pictures) -> np.ndarray:
        """(n, k) probabilities, the mean over folds."""
        logits = Logits(texts.read(self.competition, self.spec), pictures.features([self.spec]))
        return np.mean([softmax(logits.compute(fold.texts) + fold.bias, axis=1) for fold in self.folds], axis=0)


def load(one: FinishedModel) -> FittedZeroShot:
    """Raises UserError: The CLIP is another one now."""
    one.refuse_other(one.key["clip"], features.encoder_identity(one.spec))
    classes, facts = one.competition.classes, one.facts
    prompts = facts.get("ensemble", [one.key["prompts"] for _ in one.folds])
    bias = facts.get("bias", [dict.fromkeys(classes, 0.0) for _ in one.folds])
    folds = [
        FoldClassifier([prompts[fold][label] for label in classes], np.array([bias[fold][label] for label in classes]))
        for fold in one.folds
    ]
    return FittedZeroShot(one.competition, one.spec, folds)
