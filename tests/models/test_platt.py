"""Several labels by zero-shot: each against its absence, fitted on training rows, where rare labels borrow slopes."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import roc_auc_score

from src.models import platt, zeroshot
from src.schema.models import Prompts, ZeroShot
from src.scoring.metrics import METRICS_OF
from src.scoring.targets import TARGETS
from src.stages import data, features, folds
from src.stages import zeroshot as stage
from tests.conftest import TINY_CLIP, read_json, toy_competition
from tests.running import run_stage

RNG = np.random.default_rng(0)
LOSS = TARGETS["labels"].loss
BIAS = np.array([-1.0, -2.0, 0.0, -4.0])


def rows(n: int = 400, k: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of some 20, as a CLIP has them, and labels (n, k) that they tell with errors."""
    latent = RNG.normal(size=(n, k))
    similar = 20 + RNG.normal(size=(n, 1)) + 1.5 * latent
    return similar, (RNG.random((n, k)) < 1 / (1 + np.exp(-(2 * latent + BIAS[:k])))).astype(np.uint8)


class TestFit:
    def test_is_the_optimum(self):
        similar, targets = rows()
        problem, k = platt.Problem(similar, targets), targets.shape[1]
        best = minimize(lambda v: problem.value(v[: 3 * k].reshape(k, 3), v[3 * k :]), np.zeros(3 * k + 2)).x
        theirs = best[: 3 * k].reshape(k, 3)
        theirs[:, 2] -= theirs[:, 0] * problem.center[0] + theirs[:, 1] * problem.center[1]
        ours = platt.fit(similar, targets)
        assert np.abs(platt.logits(similar, ours) - platt.logits(similar, theirs)).max() < 1e-3

    def test_labels_are_as_frequent_as_they_are_and_better_than_their_frequency(self):
        similar, targets = rows()
        probs = platt.predict(similar, platt.fit(similar, targets))
        assert np.abs(probs.mean(axis=0) - targets.mean(axis=0)).max() < 0.01
        assert LOSS(targets, probs).mean() < 0.8 * LOSS(targets, TARGETS["labels"].constant(targets, 4)).mean()

    def test_parts_of_the_labels_give_the_same(self, monkeypatch):
        similar, targets = rows()
        whole = platt.fit(similar, targets)
        monkeypatch.setattr(platt, "CELLS", 500)
        assert np.abs(platt.fit(similar, targets) - whole).max() < 1e-6

    def test_a_rare_label_has_nearly_the_slopes_of_the_others(self, monkeypatch):
        similar, targets = rows()
        targets[:, 3] = 0
        targets[np.argsort(similar[:, 3])[:2], 3] = 1  # two rows, as little similar as any

        def slopes():
            return platt.fit(similar, targets)[:, 0]

        drawn = slopes()
        monkeypatch.setattr(platt, "PULL", 1e-3)
        alone = slopes()
        assert alone[3] < -1 < 0 < drawn[3]
        assert np.abs(drawn - alone)[:3].max() < 0.1

    @pytest.mark.parametrize("value", [0, 1])
    def test_a_label_that_no_row_or_each_has_is_finite(self, value):
        similar, targets = rows()
        targets[:, 1] = value
        probs = platt.predict(similar, platt.fit(similar, targets))[:, 1]
        assert np.abs(probs - value).mean() < 0.01
        assert ((probs > 0) & (probs < 1)).all()

    def test_one_label_alone_is_told_by_its_similarity(self):
        similar, targets = rows(k=1)
        probs = platt.predict(similar, platt.fit(similar, targets))
        assert roc_auc_score(targets[:, 0], probs[:, 0]) == pytest.approx(roc_auc_score(targets[:, 0], similar[:, 0]))
        assert LOSS(targets, probs).mean() < LOSS(targets, TARGETS["labels"].constant(targets, 1)).mean()

    def test_of_two_labels_both_can_be_likely(self):
        latent = RNG.normal(size=(500, 1))
        similar = 20 + 2 * latent + 0.1 * RNG.normal(size=(500, 2))  # both or none: their difference says nothing
        targets = np.repeat((latent > 0).astype(np.uint8), 2, axis=1)
        probs = platt.predict(similar, platt.fit(similar, targets))
        assert ((probs > 0.5) == targets).mean() > 0.95


class TestLeaderboard:
    def test_better_texts_are_first_and_another_folds_labels_change_nothing(self):
        feats, fold = RNG.normal(size=(300, 8)), np.arange(300) % 3
        good = RNG.normal(size=(8, 4))
        targets = (feats @ good > 1).astype(np.uint8)
        classifiers = [good + spread * RNG.normal(size=(8, 4)) for spread in (5.0, 0.0, 0.5)]
        metric = METRICS_OF["labels"]["log_loss"]
        found = zeroshot.label_scores(feats, targets, fold, classifiers, 1.0, metric)
        assert found.best(metric, np.arange(3)) == 1
        assert np.argsort(found.mean(found.log_loss, np.arange(3))).tolist() == [1, 2, 0]
        targets[fold == 2] = RNG.permutation(targets[fold == 2])
        again = zeroshot.label_scores(feats, targets, fold, classifiers, 1.0, metric)
        assert (again.score[:, :2] == found.score[:, :2]).all()
        assert (again.score[:, 2] != found.score[:, 2]).all()


@pytest.fixture
def competition(folder):
    """The toy competition's pictures with a label more: each is blue, green or red, and one in two is even."""
    import pandas as pd

    for part in ("train", "test"):
        df = pd.read_csv(folder / f"{part}.csv", dtype=str)
        if part == "train":
            df["label"] += [" even" if i % 2 else "" for i in range(len(df))]
        df.to_csv(folder / f"{part}.csv", index=False)
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
    labels = ("blue", "green", "red", "even")
    sample.assign(**dict.fromkeys(labels, 0.5)).to_csv(folder / "sample_submission.csv", index=False)
    prompts = Prompts(templates=("a {} thing.", "something {}.", "{} it is"))
    fields = {"task": "labels", "metric": "log_loss", "classes": labels, "prompts": prompts}
    return toy_competition(models={"zeroshot": ZeroShot(clip=TINY_CLIP, ensemble="greedy")}, **fields)


def test_the_stage_keeps_what_each_fold_learnt_and_the_model_predicts_by_it(competition):
    from src.data.rows import read_dataset
    from src.models import fitted
    from src.models.pictures import test_pictures
    from src.results.model import model_tables

    for module in (data, folds, features):
        run_stage(module, competition)
    assert run_stage(stage, competition) == ["zeroshot"]
    made = read_json(competition.model_folder("zeroshot") / "model.json")
    assert [sorted(of_fold) for of_fold in made["slopes_and_bias"]] == [["blue", "even", "green", "red"]] * 3
    assert len(made["slopes_and_bias"][0]["blue"]) == 3
    assert len(made["ensemble"]) == 3
    dataset = read_dataset(competition)
    _, test = model_tables(competition, "zeroshot", dataset)
    again = fitted.load(competition, "zeroshot").predict(test_pictures(competition, dataset))
    assert np.abs(again - test).max() < 1e-5
    assert run_stage(stage, competition) == []
