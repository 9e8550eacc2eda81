"""The probe: scikit-learn's optimum, its C chosen inside the training rows, nothing seen of the held-out ones."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from src import probe
from src.features import unit

RNG = np.random.default_rng(0)


def toy_features(n=300, d=20, k=4, noise=0.3):
    targets = np.arange(n) % k
    centres = RNG.normal(size=(k, d))
    return unit(5 + centres[targets] + noise * RNG.normal(size=(n, d))).astype(np.float32), targets


@pytest.mark.parametrize("k", [2, 3])
def test_a_fit_is_scikit_learns_optimum(k):
    feats, targets = toy_features(k=k, noise=2)
    ours = probe.Fit(*probe.fit(feats, targets, k, 10.0), 10.0, {}).predict(feats)
    judge = LogisticRegression(C=10.0, tol=1e-8, max_iter=10000).fit(feats.astype(np.float64), targets)
    assert np.abs(ours - judge.predict_proba(feats)).max() < 1e-4


def test_a_class_that_is_not_there_is_never_predicted():
    feats, targets = toy_features(k=3)
    coef, intercept = probe.fit(feats[targets != 1], targets[targets != 1], 3, 1.0)
    probs = probe.Fit(coef, intercept, 1.0, {}).predict(feats)
    assert probs[:, 1].max() == 0
    assert np.abs(probs.sum(axis=1) - 1).max() < 1e-6
    only = probe.Fit(*probe.fit(feats[targets == 2], targets[targets == 2], 3, 1.0), 1.0, {})
    assert (only.predict(feats).argmax(axis=1) == 2).all()


def oof_of(feats, targets, fold, k, cs):
    fits = probe.fit_folds(feats, targets, fold, k, cs)
    oof = np.zeros((len(targets), k))
    for number, fit in enumerate(fits):
        oof[fold == number] = fit.predict(feats[fold == number])
    return oof, fits


def test_separable_classes_are_learnt():
    feats, targets = toy_features()
    oof, _ = oof_of(feats, targets, np.arange(300) // 4 % 5, 4, (1.0, 100.0))
    assert (oof.argmax(axis=1) == targets).mean() > 0.95


def test_random_labels_score_chance_out_of_fold():
    # nearly as many dimensions as rows: a probe that saw its held-out rows would score 1, as the last line shows
    feats = unit(RNG.normal(size=(400, 300))).astype(np.float32)
    targets, fold = RNG.integers(0, 4, 400), RNG.permutation(400) % 5
    oof, _ = oof_of(feats, targets, fold, 4, (1.0, 100.0, 10000.0))
    assert abs((oof.argmax(axis=1) == targets).mean() - 0.25) < 2.5 * np.sqrt(0.25 * 0.75 / 400)
    leaked = probe.Fit(*probe.fit(feats, targets, 4, 1000.0), 1000.0, {}).predict(feats)
    assert (leaked.argmax(axis=1) == targets).mean() > 0.99


def test_a_folds_c_and_weights_do_not_depend_on_its_labels():
    feats, targets = toy_features(noise=2)
    fold = np.arange(300) // 4 % 5
    fits = probe.fit_folds(feats, targets, fold, 4, (0.1, 1.0, 10.0, 100.0))
    poisoned = np.where(fold == 2, (targets + 1) % 4, targets)
    again = probe.fit_folds(feats, poisoned, fold, 4, (0.1, 1.0, 10.0, 100.0))
    assert fits[2].c == again[2].c
    assert (fits[2].coef == again[2].coef).all()
    assert (fits[1].coef != again[1].coef).any()


def test_c_is_the_one_with_the_least_loss_inside():
    feats, targets = toy_features(noise=2)
    fits = probe.fit_folds(feats, targets, np.arange(300) // 4 % 5, 4, (1e-6, 10.0, 1e9))
    for fit in fits:
        assert fit.curve[f"{fit.c:g}"] == min(fit.curve.values())
    assert {fit.c for fit in fits} == {10.0}
