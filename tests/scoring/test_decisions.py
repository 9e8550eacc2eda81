"""Decision rules: they raise the metric they are fitted on, honestly, and reach the submission."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from src.data.rows import read_dataset
from src.results.model import model_tables, save_model
from src.scoring import decisions
from src.scoring.decisions import Biases, biases
from src.scoring.metrics import METRICS
from src.stages import data, folds, submission
from tests.conftest import read_json, toy_competition

RULED = ["balanced_accuracy", "macro_f1", "quadratic_kappa"]
RNG = np.random.default_rng(0)
N, K = 2000, 3
PRIOR = np.array([0.7, 0.22, 0.08])
TARGETS = RNG.choice(K, N, p=PRIOR)
PROBS = softmax(RNG.normal(size=(N, K)) + 1.5 * np.eye(K)[TARGETS] + np.log(PRIOR), axis=1).astype(np.float32)
FOLD = RNG.permutation(N) % 5
CLASSES = ("pure", "rare", "rule")


@pytest.mark.parametrize("name", RULED)
def test_finds_nearly_the_best_biases_of_a_grid(name):
    metric = METRICS[name]
    bias = biases.fit(metric, PROBS, TARGETS).bias
    grid = np.arange(-1, 4, 0.2)
    best = max(metric.value(TARGETS, Biases(np.array([0, *pair])).apply(PROBS)) for pair in product(grid, grid))
    assert metric.value(TARGETS, Biases(bias).apply(PROBS)) > best - 0.003
    assert bias.min() == 0
    assert (biases.fit(metric, PROBS, TARGETS).bias == bias).all()


@pytest.mark.parametrize("name", RULED)
def test_the_value_of_a_cut_is_the_metrics(name):
    scores = np.log(PROBS.astype(float))
    for label in range(K):
        value, cut = biases.best_cut(METRICS[name], scores, TARGETS, label)
        assert value == pytest.approx(METRICS[name].value(TARGETS, Biases(cut * np.eye(K)[label]).apply(PROBS)))


@pytest.mark.parametrize("name", RULED)
def test_cross_fitted_gains_what_fresh_rows_gain(name):
    metric, rows = METRICS[name], np.arange(N) < N // 2
    fresh = decisions.fit(metric, PROBS[rows], TARGETS[rows]).apply(PROBS[~rows])
    fitted = decisions.cross_fitted(metric, PROBS[rows], TARGETS[rows], FOLD[rows])
    (ours, se), (theirs, se_fresh) = metric.score(TARGETS[rows], fitted), metric.score(TARGETS[~rows], fresh)
    assert abs(ours - theirs) < 2 * np.hypot(se, se_fresh)
    gain, se = metric.gain(TARGETS, decisions.cross_fitted(metric, PROBS, TARGETS, FOLD), than=PROBS)
    assert gain > (2 * se if name != "quadratic_kappa" else -se)


@pytest.mark.parametrize("name", RULED)
def test_a_folds_labels_do_not_reach_its_decisions_and_a_leak_would_be_seen(name, monkeypatch):
    metric, all_labels, fit = METRICS[name], [], decisions.fit

    def moved():
        decided = []
        for labels in (TARGETS, np.where(FOLD == 1, (TARGETS + 1) % K, TARGETS)):
            all_labels[:] = labels
            decided.append(decisions.cross_fitted(metric, PROBS, labels, FOLD)[FOLD == 1])
        return (decided[0] != decided[1]).any()

    assert not moved()
    monkeypatch.setattr(decisions, "fit", lambda metric, probs, targets: fit(metric, PROBS, np.array(all_labels)))
    assert moved()


@pytest.mark.parametrize(
    ("name", "chance"), [("balanced_accuracy", 1 / K), ("macro_f1", 1 / K), ("quadratic_kappa", 0)]
)
def test_random_labels_give_chance(name, chance):
    labels = RNG.integers(0, K, N)
    score, se = METRICS[name].score(labels, decisions.cross_fitted(METRICS[name], PROBS, labels, FOLD))
    assert score < chance + 2 * se
    assert score > chance - 2 * se or name == "macro_f1"  # which is lower where labels are not predicted evenly


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "auc", "top5", "map5", "micro_f1"])
def test_other_metrics_have_no_rule(name):
    assert decisions.cross_fitted(METRICS[name], PROBS, TARGETS, FOLD) is PROBS
    rule = decisions.fit(METRICS[name], PROBS, TARGETS)
    assert rule.apply(PROBS) is PROBS
    assert rule.facts(CLASSES) == {}
    assert decisions.rule_of({}, CLASSES).apply(PROBS) is PROBS
    assert not decisions.bias_of(METRICS[name], PROBS, TARGETS).any()
    assert Biases(np.zeros(K)).apply(PROBS) is PROBS


@pytest.mark.parametrize("name", RULED)
def test_a_class_that_is_missing_and_rows_that_tie_are_no_trouble(name):
    few = TARGETS < 2
    assert np.isfinite(biases.fit(METRICS[name], PROBS[few], TARGETS[few]).bias).all()
    assert np.isfinite(decisions.fit(METRICS[name], PROBS[few], TARGETS[few]).apply(PROBS)).all()
    assert not biases.fit(METRICS[name], np.full((9, K), 1 / K), np.zeros(9, int)).bias.any()
    assert decisions.fit(METRICS[name], PROBS[:1], TARGETS[:1]).apply(PROBS).shape == PROBS.shape
    equal = np.full((N, K), 1 / K, np.float32)
    assert np.isfinite(decisions.cross_fitted(METRICS[name], equal, TARGETS, FOLD)).all()


@pytest.mark.parametrize("name", RULED)
def test_a_rule_comes_back_from_its_entry(name):
    rule = decisions.fit(METRICS[name], PROBS, TARGETS)
    facts = json.loads(json.dumps(rule.facts(CLASSES)))
    assert (decisions.rule_of(facts, CLASSES).apply(PROBS) == rule.apply(PROBS)).all()


def test_an_entry_of_biases_is_their_classes_alone():
    rule = decisions.fit(METRICS["macro_f1"], PROBS, TARGETS)
    assert rule.facts(CLASSES) == dict(zip(CLASSES, rule.bias.tolist(), strict=True))
    assert (decisions.rule_of({"rule": 0.5, "pure": 0.0, "rare": 1.5}, CLASSES).bias == [0, 1.5, 0.5]).all()


class TestResults:
    @pytest.fixture
    def competition(self, folder):
        competition = toy_competition(metric="balanced_accuracy")
        data.run(competition)
        folds.run(competition)
        return competition

    def test_the_score_is_cross_fitted_and_the_rule_reaches_the_submission(self, competition):
        rows = read_dataset(competition)
        shy = np.array([0.9, 0.05, 0.05])  # the argmax is always the first class
        oof = (0.1 * np.eye(3)[rows.targets] + shy) / 1.1
        test = (0.1 * np.eye(3)[np.arange(12) % 3] + shy) / 1.1
        save_model(competition, "blend", {}, rows, oof, test, 1.0)
        model = read_json(competition.model_folder("blend") / "model.json")
        assert (model["cv"], model["folds"]) == (1, [1, 1, 1])
        assert list(model["decision"]) == list(competition.classes)
        stored, _ = model_tables(competition, "blend", rows)
        assert np.abs(stored - oof).max() < 1e-6  # the table has pure probabilities
        sub = pd.read_csv(submission.run(competition), dtype=str).set_index("id")["label"]
        assert sub[[f"{100 + i}" for i in range(12)]].tolist() == list(competition.classes) * 4

    def test_no_rule_is_stored_where_none_is_needed(self, toy):
        data.run(toy)
        folds.run(toy)
        save_model(toy, "blend", {}, read_dataset(toy), np.full((36, 3), 1 / 3), np.full((12, 3), 1 / 3), 1.0)
        assert "decision" not in read_json(toy.model_folder("blend") / "model.json")
