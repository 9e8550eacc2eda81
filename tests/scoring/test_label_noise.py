"""Confident learning: what was planted is found, labels and their probabilities of any shape are taken, quietly."""

import warnings

import numpy as np
import pytest

from src.scoring import bootstrap, label_noise


@pytest.fixture(autouse=True)
def few_replicates(monkeypatch):
    monkeypatch.setattr(bootstrap, "REPLICATES", 30)


def planted(n: int, k: int, share: float, seed: int = 0, sure: float = 4.0):
    """Labels of which a share is wrong, the true ones, and probabilities of a model that knows these well."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % k
    wrong = rng.random(n) < share
    given = np.where(wrong, (true + rng.integers(1, k, n)) % k, true)
    logits = rng.standard_normal((n, k))
    logits[np.arange(n), true] += sure
    probs = np.exp(logits)
    return given, true, probs / probs.sum(axis=1, keepdims=True)


def test_wrong_labels_are_found_and_their_right_class_is_suggested():
    given, true, probs = planted(600, 4, 0.1)
    found = label_noise.issues(given, probs)
    wrong = given != true
    assert (found.mask & wrong).sum() / wrong.sum() > 0.9
    assert (found.mask & wrong).sum() / found.mask.sum() > 0.9
    assert (found.suggested[found.mask & wrong] == true[found.mask & wrong]).mean() > 0.95
    assert found.quality[wrong].max() < np.median(found.quality[~wrong])
    assert not (found.mask & (found.suggested == given)).any()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_the_ceiling_is_where_the_share_of_wrong_labels_puts_it(share):
    given, true, probs = planted(2000, 4, share, sure=8.0)
    found = label_noise.ceiling(given, probs)
    assert abs(found.noise - (given != true).mean()) < 3 * found.se + 0.005
    assert found.accuracy == 1 - found.noise
    assert "Northcutt" in found.method


def test_the_standard_error_is_the_spread_over_samples():
    found = [label_noise.ceiling(*planted(400, 3, 0.15, seed, sure=3.0)[::2]) for seed in range(12)]
    spread = np.std([one.noise for one in found], ddof=1)
    assert 0.5 < np.mean([one.se for one in found]) / spread < 2


def test_more_rows_than_a_replicate_draws_have_less_spread(monkeypatch):
    given, _, probs = planted(3000, 3, 0.1)
    whole = label_noise.ceiling(given, probs)
    monkeypatch.setattr(label_noise, "DRAWN", 500)
    assert label_noise.ceiling(given, probs).se == pytest.approx(whole.se, rel=0.25)
    assert label_noise.ceiling(given, probs).noise == whole.noise


def test_odd_labels_are_taken_quietly_and_always_alike(capfd):
    given, _, probs = planted(300, 5, 0.1)
    rare = np.where(given == 3, 2, given)
    rare[7] = 3  # a class of one row
    never = probs.copy()
    never[:, 4] = 0  # a class never predicted
    never /= never.sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for targets, some in ((rare, probs), (given, never), (rare, never.astype(np.float32))):
            one, two = label_noise.issues(targets, some), label_noise.issues(targets, some)
            np.testing.assert_array_equal(one.mask, two.mask)
            assert set(targets[~one.mask]) == set(targets)  # each class keeps a row
            assert label_noise.ceiling(targets, some) == label_noise.ceiling(targets, some)
        single = np.zeros(300, int)
        assert not label_noise.issues(single, probs).mask.any()
        assert label_noise.ceiling(single, probs).noise == 0
    assert capfd.readouterr() == ("", "")


def test_many_classes_of_few_rows_are_taken():
    given, _, probs = planted(800, 200, 0.1, sure=8.0)
    assert 0 < label_noise.issues(given, probs).mask.sum() < 200
    assert 0 < label_noise.ceiling(given, probs).noise < 0.3
