"""Blending: weights on the simplex at the optimum, and a score that the weights did not see."""

import time

import numpy as np
import pytest

from src import blending, dataset, results
from src.config import Blend
from src.errors import UserError
from src.metrics import METRICS
from src.stages import blend, data, folds
from tests.conftest import read_json

RNG = np.random.default_rng(0)
K, N = 3, 600
TARGETS = RNG.integers(0, K, N)
FOLD = RNG.permutation(N) % 5


def model(skill: float, rng=RNG) -> np.ndarray:
    logits = rng.normal(size=(N, K))
    logits[np.arange(N), TARGETS] += skill
    probs = np.exp(logits)
    return (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


def test_weights_are_on_the_simplex_and_useless_models_get_none():
    weights = blending.simplex_weights(
        np.stack([model(2), model(1.5), model(0), np.roll(model(2), 1, axis=1)]), TARGETS
    )
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > weights[1] > 0.1
    assert weights[2] < 0.03
    assert weights[3] == 0


def test_weights_are_the_optimum():
    oofs = np.stack([model(1), model(1.2), model(0.8)])
    weights = blending.simplex_weights(oofs, TARGETS)
    best = METRICS["log_loss"].score(TARGETS, blending.blend(oofs, weights))[0]
    for _ in range(300):
        near = np.clip(weights + 0.05 * RNG.normal(size=3), 0, None)
        assert METRICS["log_loss"].score(TARGETS, blending.blend(oofs, near / near.sum()))[0] >= best - 1e-6


def test_identical_models_score_as_one():
    one = model(1)
    blended = blending.cross_fitted(np.stack([one, one, one]), TARGETS, FOLD)
    assert np.abs(blended - one).max() < 1e-6


def test_a_folds_weights_do_not_depend_on_its_labels():
    oofs = np.stack([model(1), model(1)])
    blended = blending.cross_fitted(oofs, TARGETS, FOLD)
    poisoned = blending.cross_fitted(oofs, np.where(FOLD == 1, (TARGETS + 1) % K, TARGETS), FOLD)
    assert (blended[FOLD == 1] == poisoned[FOLD == 1]).all()
    assert (blended[FOLD != 1] != poisoned[FOLD != 1]).any()


def test_weights_of_noise_score_no_better_than_noise():
    noise = [model(0, np.random.default_rng(seed)) for seed in range(60)]
    score, se = METRICS["accuracy"].score(TARGETS, blending.cross_fitted(np.stack(noise), TARGETS, FOLD))
    assert abs(score - 1 / K) < 2.5 * se


def test_twenty_four_models_take_a_moment():
    oofs = np.stack([model(1) for _ in range(24)])
    start = time.perf_counter()
    blending.cross_fitted(oofs, TARGETS, FOLD)
    assert time.perf_counter() - start < 20


class TestStage:
    @pytest.fixture
    def made(self, toy):
        """made({name: probabilities' skill}) writes finished models."""
        data.run(toy)
        folds.run(toy)
        rows = dataset.read(toy)

        def make(**skills):
            for seed, (name, skill) in enumerate(skills.items()):
                rng = np.random.default_rng(seed)
                oof, test = rng.dirichlet([1, 1, 1], 36), rng.dirichlet([1, 1, 1], 12)
                oof[np.arange(36), (rows.targets + (skill < 0)) % 3] += abs(skill)  # below 0: skilled at being wrong
                key = {**rows.key, "skill": skill}
                results.save(toy, name, key, rows, oof / oof.sum(axis=1, keepdims=True), test, 1.0)

        return make

    def test_takes_the_mean_where_weights_are_no_better(self, toy, made, capsys):
        made(zeroshot=5, probe=5, convnext=5)
        assert blend.run(toy) == ["blend"]
        model = read_json(toy.model_folder("blend") / "model.json")
        assert model["method"] == "mean"
        assert model["cv"] == 1
        assert "mean it is" in capsys.readouterr().out

    def test_takes_the_weights_where_they_are_better(self, toy, made):
        made(zeroshot=-2, probe=3, convnext=-2)
        oofs = [results.tables(toy, name, dataset.read(toy))[0] for name in toy.models]
        gain, se = METRICS["accuracy"].gain(dataset.read(toy).targets, oofs[1], than=np.mean(oofs, axis=0))
        assert gain > se  # what is made here is such a case
        blend.run(toy)
        model = read_json(toy.model_folder("blend") / "model.json")
        assert model["method"] == "weights"
        assert model["weights"]["probe"] > 0.9

    def test_its_table_is_cross_fitted(self, toy, made):
        made(zeroshot=0, probe=1, convnext=0.5)
        weighted = toy.model_copy(update={"blend": Blend(method="weights")})
        blend.run(weighted)
        rows = dataset.read(toy)
        oofs = np.stack([results.tables(toy, name, rows)[0] for name in toy.models])
        expected = blending.cross_fitted(oofs, rows.targets, rows.fold)
        assert np.abs(results.tables(toy, "blend", rows)[0] - expected).max() < 1e-6

    def test_is_reused_until_a_model_changes(self, toy, made):
        made(zeroshot=1, probe=1, convnext=1)
        assert blend.run(toy) == ["blend"]
        assert blend.run(toy) == []
        made(zeroshot=2)
        assert blend.run(toy) == ["blend"]

    def test_of_some_models_needs_no_others(self, toy, made):
        made(probe=1)
        blend.run(toy.model_copy(update={"blend": Blend(models=("probe",))}))
        assert read_json(toy.model_folder("blend") / "model.json")["weights"] == {"probe": 1}

    def test_a_model_that_is_not_finished_is_named(self, toy, made):
        made(zeroshot=1, probe=1)
        with pytest.raises(UserError, match="model 'convnext' is not finished: run the stage finetune"):
            blend.run(toy)

    def test_a_model_of_other_folds_is_named(self, toy, made):
        made(zeroshot=1, probe=1, convnext=1)
        toy.folds_csv.with_suffix(".json").unlink()
        lines = toy.folds_csv.read_text().splitlines()
        swapped = [line[:-1] + str((int(line[-1]) + 1) % 3) for line in lines[1:]]
        toy.folds_csv.write_text("\n".join([lines[0], *swapped]) + "\n")
        with pytest.raises(UserError, match="model 'zeroshot' was made with other folds"):
            blend.run(toy)
