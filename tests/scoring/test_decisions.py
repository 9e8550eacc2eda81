"""Decision rules: they raise the metric they are fitted on, honestly, and reach the submission."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from src.data.rows import read_dataset
from src.results.model import model_tables, save_model
from src.scoring import decisions
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


@pytest.mark.parametrize("name", RULED)
def test_finds_nearly_the_best_biases_of_a_grid(name):
    metric = METRICS[name]
    bias = decisions.fit(metric, PROBS, TARGETS)
    grid = np.arange(-1, 4, 0.2)
    best = max(metric.value(TARGETS, decisions.apply(PROBS, np.array([0, *pair]))) for pair in product(grid, grid))
    assert metric.value(TARGETS, decisions.apply(PROBS, bias)) > best - 0.003
    assert bias.min() == 0
    assert (decisions.fit(metric, PROBS, TARGETS) == bias).all()


@pytest.mark.parametrize("name", RULED)
def test_the_value_of_a_cut_is_the_metrics(name):
    scores = np.log(PROBS.astype(float))
    for label in range(K):
        value, cut = decisions.best_cut(METRICS[name], scores, TARGETS, label)
        assert value == pytest.approx(METRICS[name].value(TARGETS, decisions.apply(PROBS, cut * np.eye(K)[label])))


@pytest.mark.parametrize("name", RULED)
def test_cross_fitted_gains_what_fresh_rows_gain(name):
    metric, rows = METRICS[name], np.arange(N) < N // 2
    fresh = decisions.apply(PROBS[~rows], decisions.fit(metric, PROBS[rows], TARGETS[rows]))
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


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "auc", "top5"])
def test_other_metrics_have_no_rule(name):
    assert decisions.cross_fitted(METRICS[name], PROBS, TARGETS, FOLD) is PROBS
    assert not decisions.fit(METRICS[name], PROBS, TARGETS).any()
    assert decisions.apply(PROBS, np.zeros(K)) is PROBS


@pytest.mark.parametrize("name", RULED)
def test_a_class_that_is_missing_and_rows_that_tie_are_no_trouble(name):
    few = TARGETS < 2
    assert np.isfinite(decisions.fit(METRICS[name], PROBS[few], TARGETS[few])).all()
    assert not decisions.fit(METRICS[name], np.full((9, K), 1 / K), np.zeros(9, int)).any()
    equal = np.full((N, K), 1 / K, np.float32)
    assert np.isfinite(decisions.cross_fitted(METRICS[name], equal, TARGETS, FOLD)).all()


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
