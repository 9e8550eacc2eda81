"""How far answers of any target agree, and whether their mixes are the same."""

import numpy as np
import pytest

from src.scoring import agreement
from src.scoring.targets import TARGETS

CLASS, LABELS, NUMBER = TARGETS["class"], TARGETS["labels"], TARGETS["number"]
NAMES = ("rust", "scab", "rot")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def labels(n: int, *shares: float, seed: int = 0) -> np.ndarray:
    return rng(seed).random((n, len(shares))) < shares


class TestDisagreement:
    def test_of_classes_is_the_share_of_other_labels(self):
        probs = np.eye(3)[[[0, 1, 2, 0], [0, 1, 1, 0], [1, 2, 0, 1]]]
        assert agreement.disagreement(CLASS, probs).tolist() == [[0, 0.25, 1], [0.25, 0, 1], [1, 1, 0]]

    def test_of_labels_is_one_less_the_mean_correlation(self):
        one = rng().random((50, 3))
        other = 0.5 * one + rng(1).random((50, 3))
        expected = 1 - np.mean([np.corrcoef(one[:, i], other[:, i])[0, 1] for i in range(3)])
        apart = agreement.disagreement(LABELS, [one, other, 1 - one])
        assert apart[0, 1] == apart[1, 0] == pytest.approx(expected)
        assert apart[0, 2] == pytest.approx(2)
        assert np.diag(apart).tolist() == [0, 0, 0]

    def test_of_columns_that_are_the_same_in_all_rows_says_nothing(self):
        one = rng().random((50, 2))
        some = np.stack([one[:, 0], np.full(50, 0.3)], axis=1)
        assert agreement.disagreement(LABELS, [one, some])[0, 1] == pytest.approx(0)
        assert agreement.disagreement(NUMBER, [one[:, :1], some[:, 1:]])[0, 1] == 1

    def test_of_numbers_does_not_depend_on_their_unit(self):
        one, other = rng().normal(size=(2, 50, 1))
        plain = agreement.disagreement(NUMBER, [one, other])
        assert agreement.disagreement(NUMBER, [1e6 * one + 5, 1e-6 * other]) == pytest.approx(plain)


@pytest.mark.parametrize("target", [CLASS, LABELS, NUMBER], ids=lambda target: target.task)
class TestUnrelated:
    """Mixed rows are found; those of a model that is right, or that agrees by chance out of fold too, are not."""

    @staticmethod
    def answers(target, n=400):
        true, noise = rng().normal(size=(n, 3)), rng(1).normal(size=(n, 3))
        ours, theirs = true + noise, true - 0.5 * noise
        if target is NUMBER:
            ours, theirs = ours[:, :1], theirs[:, :1]
        squashed = [1 / (1 + np.exp(-each)) for each in (ours, theirs)]
        return [target.answers(each) for each in (squashed if target is LABELS else (ours, theirs))]

    def test_mixed_rows_are(self, target):
        ours, theirs = self.answers(target)
        known = agreement.agreement(target, ours, theirs)
        assert not agreement.are_unrelated(target, ours, theirs, known)
        assert agreement.are_unrelated(target, rng(2).permutation(ours), theirs, known)

    def test_models_that_agree_by_chance_out_of_fold_are_not(self, target):
        ours, theirs = self.answers(target)
        mixed = rng(2).permutation(ours)
        assert not agreement.are_unrelated(target, mixed, theirs, agreement.chance_agreement(target, mixed, theirs))

    def test_one_answer_for_all_rows_is_not(self, target):
        ours, theirs = self.answers(target)
        assert not agreement.are_unrelated(target, np.repeat(ours[:1], len(ours), axis=0), theirs, 0.9)


class TestMix:
    def test_of_labels_names_those_that_differ(self):
        known = labels(2000, 0.5, 0.1, 0.02)
        said = agreement.mix(LABELS, labels(1000, 0.5, 0.3, 0.02, seed=1), known, NAMES)
        assert said.startswith("scab 3")
        assert f"(not {known[:, 1].mean():.1%})" in said
        assert "rust" not in said

    def test_of_labels_of_one_mix_is_found_to_differ_no_more_often_than_chance_has_it(self):
        found = [
            agreement.mix(LABELS, labels(40, 0.5, 0.1, 0.02, seed=i), labels(90, 0.5, 0.1, 0.02, seed=1000 + i), NAMES)
            for i in range(300)
        ]
        assert sum(each is not None for each in found) <= 3

    def test_of_numbers_names_the_means(self):
        assert agreement.mix(NUMBER, rng().random(50), 30 + 10 * rng(1).random(900), NAMES[:1]).startswith(
            "a mean of 0."
        )
        assert agreement.mix(NUMBER, rng().normal(30, 1, 50), rng(1).normal(30, 3, 900), NAMES[:1]) is None
