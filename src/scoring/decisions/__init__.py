"""Answers that are not the likeliest: rules fitted on the metric itself, one a file.

  biases          a class's log probability is raised               balanced accuracy, macro F1, quadratic kappa
  cut_points      the expected grade is cut into grades             quadratic kappa, where it is better than biases
  thresholds      a label is there from another probability than 1/2 on    F1 and F2 of several labels
  none_of_these   the class of rows of no other class is raised     MAP@k, where the metric names that class

Of tables that keep the likeliest classes alone (sparse.py) no rule is fitted: its numbers, one a class, would be
learnt from a few rows each, and to find them takes a pass over all rows for each class.

A rule is fitted on out-of-fold rows. It is the best of many, so the score that it reaches there is too good: honest is
that of rules fitted on the other folds' rows.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from src.scoring.cross_fitting import cross_fit
from src.scoring.decisions import biases, cut_points, none_of_these, thresholds
from src.scoring.decisions.biases import Biases
from src.scoring.metric import Metric
from src.scoring.sparse import SparseTable
from src.scoring.tables import Table

__all__ = ["Biases", "Rule", "bias_of", "cross_fitted", "fit", "rule_of"]

RULES = {
    "biases": biases.fit,
    "cut_points": cut_points.fit,
    "thresholds": thresholds.fit,
    "none_of_these": none_of_these.fit,
}
PARTS = 3  # of the rows, by which one of two rules is chosen: more would take longer than the rules


class Rule(Protocol):
    def apply(self, table: np.ndarray) -> np.ndarray:
        """(n, k) predictions -> (n, k) others of the same kind, whose answers are what is sent."""

    def facts(self, outputs: Sequence[str]) -> dict[str, Any]:
        """What `rule_of` makes the same rule of, for JSON; {} of one that changes nothing.

        Args:
            outputs: The k columns of a table of predictions.
        """


class AsIs:
    """The likeliest answers."""

    def apply(self, table: np.ndarray) -> np.ndarray:
        return table

    def facts(self, outputs: Sequence[str]) -> dict[str, Any]:
        return {}


def names(metric: Metric) -> tuple[str, ...]:
    """The rules that there are for a metric."""
    return tuple(name for name in metric.rules if name != "none_of_these" or metric.none is not None)


def rules_for(metric: Metric, table: Table) -> tuple[str, ...]:
    """The rules that can be fitted on a table."""
    return () if isinstance(table, SparseTable) else names(metric)


def fit(metric: Metric, table: np.ndarray, targets: np.ndarray) -> Rule:
    """The rule with which the metric is best on these rows, of predictions (n, k).

    Where a metric has several rules, that which is best on other parts of the rows than it is fitted on.
    """
    rules = rules_for(metric, table)
    if len(rules) < 2:
        return RULES[rules[0]](metric, table, targets) if rules else AsIs()
    parts = np.arange(len(targets)) % min(PARTS, len(targets))
    ranks = []
    for name in rules if len(targets) > 1 else ():
        decided = cross_fit(partial(RULES[name], metric), apply, table.astype(float), targets, parts)
        ranks.append(metric.sign * metric.value(targets, decided))
    best = int(np.nanargmax(ranks)) if np.isfinite(ranks).any() else 0  # of equal ones the first
    return RULES[rules[best]](metric, table, targets)


def apply(table: np.ndarray, rule: Rule) -> np.ndarray:
    return rule.apply(table)


def cross_fitted(metric: Metric, table: np.ndarray, targets: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Each fold's rows by the rule that is fitted on the other folds': (n, k), honest to score.

    `table` itself for a metric that needs no rule, and of one fold's rows, beside which there are none to fit one on.
    """
    if not rules_for(metric, table) or (fold == fold[0]).all():
        return table
    if targets.ndim == 1:  # labels of many columns are moved in their own precision
        table = table.astype(float)
    return cross_fit(partial(fit, metric), apply, table, targets, fold)


def bias_of(metric: Metric, probs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(k,) of the rule that adds a bias a class to log probabilities; 0 for a metric that has no such rule."""
    for name in names(metric):
        if isinstance(rule := RULES[name](metric, probs, targets), Biases):
            return rule.bias
    return np.zeros(probs.shape[1])


def rule_of(facts: dict[str, Any], outputs: Sequence[str]) -> Rule:
    """The rule of an entry that `facts` made: of biases it has the outputs for names, of others the rule's name."""
    if not facts:
        return AsIs()
    for kind in (cut_points.CutPoints, thresholds.Thresholds):
        if facts.get("rule") == kind.name:
            return kind.of(facts, outputs)
    return Biases(np.array([facts[name] for name in outputs]))
