"""The probe: scikit-learn's optimum, everything chosen inside the training rows, nothing seen of the held-out ones."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from src.models.logreg import lbfgs
from src.models.logreg.solve import Problem
from src.models.probe import nested, solvers
from src.models.probe.data import ProbeData
from src.networks.features import l2_normalise
from src.schema.models import Probe
from src.schema.networks import Encoder
from src.scoring.label_noise import issues
from src.scoring.metrics import METRICS
from src.stages import data, features, folds
from src.stages import probe as stage
from tests.conftest import CLASSES, TINY_CLIP, read_json, toy_competition
from tests.running import run_stage

RNG = np.random.default_rng(0)
SPEC = Probe(clip=TINY_CLIP, cs=(0.1, 1.0, 10.0, 100.0), normalise=(True,), widen=False)


def toy_features(n=300, d=20, k=4, noise=0.3):
    targets = np.arange(n) % k
    centres = RNG.normal(size=(k, d))
    return l2_normalise(5 + centres[targets] + noise * RNG.normal(size=(n, d))).astype(np.float32), targets


def fit_folds(feats, targets, fold, k, spec=SPEC, raw=None, **options):
    return nested.fit_folds(spec, ProbeData(lambda unit: feats if unit else raw, targets, fold, k, **options))


def oof_of(fits, feats, fold):
    oof = np.zeros((len(fold), len(fits[0].intercept)))
    for number, fit in enumerate(fits):
        oof[fold == number] = fit.predict(feats[fold == number])
    return oof


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("solver", ["batched", "scikit-learn"])
@pytest.mark.parametrize("weight", ["none", "balanced"])
def test_a_fit_is_scikit_learns_optimum(k, solver, weight):
    feats, targets = toy_features(k=k, noise=2)
    targets[targets == 0] = RNG.integers(0, k, int((targets == 0).sum()))  # not as many of each
    fold = np.arange(300) // 4 % 5
    spec = SPEC.model_copy(update={"solver": solver, "cs": (10.0,), "class_weight": weight})
    for number, fit in enumerate(fit_folds(feats, targets, fold, k, spec)):
        balance = None if weight == "none" else weight
        judge = LogisticRegression(C=10.0, tol=1e-6, solver="newton-cg", class_weight=balance)
        judge.fit(feats[fold != number].astype(np.float64), targets[fold != number])
        assert np.abs(fit.predict(feats) - judge.predict_proba(feats)).max() < 2e-4


def test_the_two_solvers_choose_alike():
    feats, targets = toy_features(noise=2)
    fold = np.arange(300) // 4 % 5
    fits = [
        fit_folds(feats, targets, fold, 4, SPEC.model_copy(update={"solver": s})) for s in ("batched", "scikit-learn")
    ]
    for ours, theirs in zip(*fits, strict=True):
        assert ours.c == theirs.c
        assert ours.loss == pytest.approx(theirs.loss, rel=3e-4)
        assert ours.curves["unit"].keys() == theirs.curves["unit"].keys()


def test_separable_classes_are_learnt():
    feats, targets = toy_features()
    fold = np.arange(300) // 4 % 5
    oof = oof_of(fit_folds(feats, targets, fold, 4), feats, fold)
    assert (oof.argmax(axis=1) == targets).mean() > 0.95


@pytest.mark.parametrize("leak", [False, True])
def test_random_labels_score_chance_out_of_fold_unless_they_leak(monkeypatch, leak):
    """What leaks, so that the test is seen to notice it: no problem leaves any rows out."""
    if leak:
        solve = solvers.solve
        monkeypatch.setattr(
            solvers,
            "solve",
            lambda design, targets, k, problems, **options: dataclasses.replace(
                solve(design, targets, k, [Problem(problem.c) for problem in problems], **options),
                held_out_loss=solve(design, targets, k, problems, **options).held_out_loss,
            ),
        )
    # nearly as many dimensions as rows: a probe that sees its held-out rows has them by heart
    rng = np.random.default_rng(4)
    feats = l2_normalise(rng.normal(size=(400, 300))).astype(np.float32)
    targets, fold = rng.integers(0, 4, 400), rng.permutation(400) % 5
    spec = SPEC.model_copy(update={"cs": (1.0, 100.0, 10000.0)})
    oof = oof_of(fit_folds(feats, targets, fold, 4, spec), feats, fold)
    assert (abs((oof.argmax(axis=1) == targets).mean() - 0.25) < 2 * np.sqrt(0.25 * 0.75 / 400)) != leak


def test_a_folds_choices_and_weights_do_not_depend_on_its_labels():
    feats, targets = toy_features(noise=2)
    fold = np.arange(300) // 4 % 5
    spec = SPEC.model_copy(update={"normalise": (True, False), "widen": True})
    fits = fit_folds(feats, targets, fold, 4, spec, 3 * feats)
    again = fit_folds(feats, np.where(fold == 2, (targets + 1) % 4, targets), fold, 4, spec, 3 * feats)
    assert (fits[2].c, fits[2].normalise) == (again[2].c, again[2].normalise)
    seen = feats if fits[2].normalise else 3 * feats
    assert np.abs(fits[2].predict(seen) - again[2].predict(seen)).max() < 1e-4
    assert np.abs(fits[1].predict(seen) - again[1].predict(seen)).max() > 0.05


def test_the_curve_is_the_nested_log_loss_and_c_is_where_it_is_least():
    feats, targets = toy_features(noise=2)
    fold = np.arange(300) // 4 % 3
    fits = fit_folds(feats, targets, fold, 4)
    for outer, fit in enumerate(fits):
        for c, loss in fit.curves["unit"].items():
            losses = []
            for inner in {0, 1, 2} - {outer}:
                rows = (fold != outer) & (fold != inner)
                judge = LogisticRegression(C=float(c), tol=1e-6, solver="newton-cg").fit(feats[rows], targets[rows])
                probs = judge.predict_proba(feats[fold == inner])
                losses.append(-np.log(probs[np.arange(len(probs)), targets[fold == inner]]))
            assert loss == pytest.approx(np.concatenate(losses).mean(), abs=2e-4)
        assert fit.curves["unit"][f"{fit.c:g}"] == min(fit.curves["unit"].values())
        assert fit.loss == pytest.approx(min(fit.curves["unit"].values()), abs=1e-6)


@pytest.mark.parametrize("cs", [(1e-4, 1e-3), (1e3, 1e4), (1e-3,)])
def test_the_grid_is_widened_until_the_best_is_inside(cs):
    feats, targets = toy_features(noise=2)
    fold = np.arange(300) // 4 % 5
    for fit in fit_folds(feats, targets, fold, 4, SPEC.model_copy(update={"cs": cs, "widen": True})):
        tried = [float(c) for c in fit.curves["unit"]]
        assert len(tried) > len(cs)
        assert min(tried) < fit.c < max(tried)
    kept = fit_folds(feats, targets, fold, 4, SPEC.model_copy(update={"cs": cs}))
    assert [float(c) for c in kept[0].curves["unit"]] == list(cs)


def test_the_grid_is_not_widened_for_ever():
    assert nested.widen_grid([1e7, 1e8], [1e8]) == []
    assert nested.widen_grid([1.0, 10.0], [1.0, 10.0]) == [0.1, 100.0]
    assert nested.widen_grid([1.0, 10.0, 100.0], [10.0]) == []


def test_features_are_normalised_where_that_is_better():
    feats, targets = toy_features(noise=2)
    lengths = np.exp(RNG.normal(size=(300, 1)))
    fold = np.arange(300) // 4 % 5
    spec = SPEC.model_copy(update={"normalise": (True, False)})
    unit_is_better = fit_folds(feats, targets, fold, 4, spec, feats * lengths)
    raw_is_better = fit_folds(l2_normalise(RNG.normal(size=feats.shape)), targets, fold, 4, spec, feats)
    assert {fit.normalise for fit in unit_is_better} == {True}
    assert {fit.normalise for fit in raw_is_better} == {False}
    assert list(raw_is_better[0].curves) == ["unit", "raw"]


def test_a_fit_that_float32_cannot_settle_is_solved_in_float64(monkeypatch, capsys):
    """A rare class, columns of very different size, and a gradient that rounding to float32 does not let one reach."""
    feats = (10 * np.random.default_rng(0).normal(size=(600, 20)) * np.arange(1, 21) ** -1.5).astype(np.float32)
    targets, fold = np.where(np.arange(600) % 20 == 0, 2, np.arange(600) % 2), np.arange(600) // 20 % 3
    monkeypatch.setattr(lbfgs, "STALLED_ITERATIONS", 50)  # float32 gives up six times sooner
    seen, solve = [], solvers.solve
    monkeypatch.setattr(solvers, "solve", lambda design, *a, **o: seen.append(design.dtype) or solve(design, *a, **o))
    spec = SPEC.model_copy(update={"cs": (1.0,), "normalise": (False,), "tol": 1e-9})
    fits = fit_folds(None, targets, fold, 3, spec, feats)
    assert torch.float64 in seen
    assert "stopped at a gradient" not in capsys.readouterr().out
    rows = fold != 0
    wrong = fits[0].predict(feats[rows].astype(float)) - np.eye(3)[targets[rows]]
    assert np.abs(wrong.T @ feats[rows] / rows.sum() + fits[0].coef / rows.sum()).max() < 1e-7


def test_views_as_rows_count_as_one_picture():
    feats, targets = toy_features(noise=2)
    fold = np.arange(300) // 4 % 5
    once = fit_folds(feats, targets, fold, 4)
    twice = fit_folds(np.tile(feats, (2, 1)), np.tile(targets, 2), np.tile(fold, 2), 4, rows=2)
    for a, b in zip(once, twice, strict=True):
        assert a.c == b.c
        assert np.abs(a.predict(feats) - b.predict(feats)).max() < 1e-4


def test_a_penalty_without_end_leaves_what_it_pulls_towards():
    feats, targets = toy_features(noise=2)
    fold = np.arange(300) // 4 % 5
    offset = RNG.normal(size=(300, 4)).astype(np.float32)
    spec = SPEC.model_copy(update={"cs": (1e-7,)})
    for fit in fit_folds(feats, targets, fold, 4, spec, offset=offset):
        assert np.abs(fit.coef).max() < 1e-4
        probs = fit.predict(feats, offset)
        assert np.abs(probs - softmax(offset + fit.intercept, axis=1)).max() < 1e-4


def test_a_class_that_the_training_rows_lack_is_never_predicted():
    feats, targets = toy_features()
    fold = np.where(targets == 3, 0, 1 + np.arange(300) // 4 % 4)  # all of class 3 is in fold 0
    fits = fit_folds(feats, targets, fold, 4)
    assert fits[0].predict(feats)[:, 3].max() == 0
    assert fits[1].predict(feats)[targets == 3, 3].min() > 0.5


def test_folds_of_a_single_class_are_no_error():
    feats, targets = toy_features(k=2)
    fold = np.where(targets == 1, 0, 1 + np.arange(300) // 2 % 2)
    fits = fit_folds(feats, targets, fold, 2)
    assert (fits[0].predict(feats).argmax(axis=1) == 0).all()


def noisy(wrong=0.2, k=4, n=200, seed=0):
    """Separable features, labels of which a share is wrong, always the same way, and the true ones."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % k
    feats = 3 * rng.normal(size=(k, 8))[true] + rng.normal(size=(n, 8))
    given = np.where(rng.random(n) < wrong, (true + 1) % k, true)
    return l2_normalise(feats).astype(np.float32), given, true, rng.permutation(n) % 5


class TestLabelNoise:
    def test_clean_held_out_rows_are_scored_better(self):
        feats, given, true, fold = noisy(0.25, n=400)
        scores = {}
        for label_noise in ("keep", "drop"):
            fits = fit_folds(feats, given, fold, 4, SPEC.model_copy(update={"label_noise": label_noise}))
            oof = oof_of(fits, feats, fold)
            scores[label_noise] = [METRICS[name].value(true, oof) for name in ("accuracy", "log_loss")]
        assert scores["drop"][0] > scores["keep"][0]
        assert scores["drop"][1] < scores["keep"][1] - 0.1
        doubted = np.array([fit.doubted for fit in fits])
        assert doubted[:, given != true].mean() > 0.7 * 0.8  # of five folds a row is in the training rows of four
        assert doubted[:, given == true].mean() < 0.05
        assert not any(fit.doubted[fold == number].any() for number, fit in enumerate(fits))

    def test_what_is_doubted_and_learnt_does_not_depend_on_the_folds_labels(self):
        feats, given, _, fold = noisy()
        spec = SPEC.model_copy(update={"label_noise": "drop", "cs": (1.0, 10.0)})
        poisoned = np.where(fold == 2, (given + 1) % 4, given)
        fits, again = (fit_folds(feats, targets, fold, 4, spec, 3 * feats) for targets in (given, poisoned))
        assert fits[2].doubted.any()
        assert (fits[2].doubted == again[2].doubted).all()
        assert (fits[2].c, fits[2].normalise) == (again[2].c, again[2].normalise)
        assert np.abs(fits[2].predict(feats) - again[2].predict(feats)).max() < 1e-4
        assert (fits[1].doubted != again[1].doubted).any()

    @pytest.mark.parametrize("weight", ["none", "balanced"])
    def test_a_dropped_row_is_as_if_it_were_not_there(self, weight):
        feats, given, _, fold = noisy()
        changes = {"label_noise": "drop", "cs": (10.0,), "class_weight": weight}
        for solver in ("batched", "scikit-learn"):
            fits = fit_folds(feats, given, fold, 4, SPEC.model_copy(update={**changes, "solver": solver}))
            for number, fit in enumerate(fits):
                rows = (fold != number) & ~fit.doubted
                assert rows.sum() < (fold != number).sum()
                weights = None if weight == "none" else weight
                judge = LogisticRegression(C=10.0, tol=1e-6, solver="newton-cg", class_weight=weights)
                judge.fit(feats[rows].astype(float), given[rows])
                assert np.abs(fit.predict(feats) - judge.predict_proba(feats)).max() < 2e-4

    def test_a_pictures_views_are_dropped_together(self):
        feats, given, _, fold = noisy()
        spec = SPEC.model_copy(update={"label_noise": "drop", "cs": (10.0,)})
        once = fit_folds(feats, given, fold, 4, spec)
        twice = fit_folds(np.tile(feats, (2, 1)), np.tile(given, 2), np.tile(fold, 2), 4, spec, rows=2)
        for a, b in zip(once, twice, strict=True):
            assert b.doubted.any()
            assert (a.doubted == b.doubted).all()
            assert np.abs(a.predict(feats) - b.predict(feats)).max() < 1e-4

    def test_what_the_penalty_pulls_towards_judges_too(self):
        feats, given, true, fold = noisy()
        offset = 10 * np.eye(4, dtype=np.float32)[true]
        rows = ProbeData(lambda unit: feats, given, fold, 4, offset=offset)
        judged = nested.judge_labels(SPEC, rows, [(1e-7, True)] * 5)
        assert (judged[0][fold != 0].argmax(axis=1) == true[fold != 0]).all()

    def test_the_judge_is_the_same_whether_the_sweep_or_a_finished_probe_is_asked(self):
        feats, given, _, fold = noisy()
        spec = SPEC.model_copy(update={"label_noise": "drop", "cs": (10.0,), "normalise": (True, False)})
        fits = fit_folds(feats, given, fold, 4, spec, 3 * feats)
        chosen = [(fit.c, fit.normalise) for fit in fits]
        rows = ProbeData(lambda unit: feats if unit else 3 * feats, given, fold, 4)
        for number, (fit, probs) in enumerate(zip(fits, nested.judge_labels(spec, rows, chosen), strict=True)):
            training = fold != number
            assert np.isnan(probs[~training]).all()
            assert (issues(given[training], probs[training]).mask == fit.doubted[training]).all()


ONE_C = {"cs": (1.0,), "widen": False, "normalise": (True,)}  # where the choice of C is not what is looked at


class TestStage:
    @pytest.fixture
    def made(self, toy):
        def make(**options):
            competition = toy_competition(models={"probe": Probe(**{"clip": TINY_CLIP, "cs": (1.0, 100.0), **options})})
            for module in (data, folds, features):
                run_stage(module, competition)
            assert run_stage(stage, competition) == ["probe"]
            folder = competition.model_folder("probe")
            return competition, read_json(folder / "model.json"), pd.read_parquet(folder / "oof.parquet")

        return make

    def test_shows_the_curve_and_the_choice(self, made, capsys):
        _, model, _ = made()
        said = capsys.readouterr().out
        assert "probe  log loss inside the training rows, by C" in said
        assert "  unit  " in said
        assert "  raw   " in said
        assert "(least)" in said
        assert "chosen for each fold: " in said
        assert len(model["chosen"]) == len(model["c_curves"]) == 3

    def test_says_how_many_labels_were_doubtful(self, made, capsys):
        _, model, _ = made(label_noise="drop", widen=False, normalise=(True,))
        assert len(model["dropped"]) == 3
        assert model["key"]["model"]["label_noise"] == "drop"
        said = capsys.readouterr().out
        for number, count in enumerate(model["dropped"]):
            assert f"probe fold {number}  {count} of 24 training rows dropped: their labels are doubtful" in said

    def test_views_are_averaged_or_rows(self, made):
        views = ("identity", "hflip")
        one, mean, rows = (
            made(**options, **ONE_C)[2] for options in ({}, {"views": views}, {"views": views, "views_as": "rows"})
        )
        tables = [df[list(CLASSES)].to_numpy() for df in (one, mean, rows)]
        assert all(np.abs(a - b).max() > 1e-5 for i, a in enumerate(tables) for b in tables[:i])

    def test_encoders_stand_beside_each_other(self, made):
        resnet = Encoder(backbone="test_resnet", pretrained=False, img_size=32)
        competition, model, _ = made(beside=(resnet,), **ONE_C)
        assert len(model["key"]["encoders"]) == 2
        assert len(list((competition.folder / "features").iterdir())) == 2
        _, other, _ = made(beside=(resnet.model_copy(update={"scale": 0.01}),), **ONE_C)
        assert other["log_loss"] != model["log_loss"]

    def test_a_backbone_alone_is_probed(self, made):
        _, model, _ = made(clip=None, backbone="test_resnet", pretrained=False, img_size=32, **ONE_C)
        assert model["cv"] > 0.5

    def test_is_pulled_towards_the_zero_shot_classifier(self, made):
        from src.data.rows import read_dataset
        from src.networks import texts
        from src.networks.features import Features

        competition, _, oof = made(towards="zeroshot", cs=(1e-7,), widen=False, normalise=(True,))
        spec, train = competition.models["probe"], read_dataset(competition).train
        known = texts.read(competition, spec)
        logits = known.scale * Features(competition, [spec], train)[:] @ known.classifier(competition.prompts, CLASSES)
        ours = np.log(oof[list(CLASSES)].to_numpy())
        difference = ours - logits  # of each fold: an intercept, and what makes probabilities sum to 1
        fold = read_dataset(competition).fold
        for number in range(3):
            spread = difference[fold == number] - difference[fold == number].mean(axis=1, keepdims=True)
            assert np.abs(spread - spread[0]).max() < 1e-3
