"""The probe of several labels, and of numbers: scikit-learn's optimum, everything chosen inside the training rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from src.base.errors import UserError
from src.models import fitted
from src.models.links import Share, Sigmoids
from src.models.logreg.ridge import Clipped
from src.models.pictures import test_pictures as pictures_of_test
from src.models.probe import nested
from src.models.probe.data import ProbeData
from src.schema.models import FineTune, Probe
from src.stages import data, features, folds
from src.stages import probe as stage
from tests.conftest import CLASSES, TINY_CLIP, read_json, toy_competition
from tests.running import run_stage

SPEC = Probe(clip=TINY_CLIP, cs=(0.1, 1.0, 10.0, 100.0), normalise=(False,), widen=False)


CS = (0.01, 0.1, 1.0, 10.0)  # a loss is right to a share of the objective, which is least with a large C


def toy(n: int = 700, d: int = 30, k: int = 4, noise: float = 1.0):
    """Features; labels of them; the share of a number; folds."""
    rng = np.random.default_rng(0)
    feats = rng.normal(size=(n, d)).astype(np.float32)
    logits = feats @ rng.normal(size=(d, k)) + np.linspace(-4, 1, k) + noise * rng.logistic(size=(n, k))
    shares = 0.5 + feats @ rng.normal(size=d) / 30 + 0.1 * noise * rng.normal(size=n)
    return feats, (logits > 0).astype(np.float32), shares.clip(0, 1)[:, None].astype(np.float32), rng.permutation(n) % 4


def fit_folds(feats, targets, fold, link, spec=SPEC):
    return nested.fit_folds(spec, ProbeData(lambda unit: feats, targets, fold, targets.shape[1], link=link))


def out_of_fold(fits, feats, fold):
    return np.concatenate([fits[number].predict(feats[fold == number]) for number in range(len(fits))])[
        np.argsort(np.argsort(fold, kind="stable"), kind="stable")
    ]


@pytest.mark.parametrize("solver", ["batched", "scikit-learn"])
@pytest.mark.parametrize("weight", ["none", "balanced"])
def test_a_fit_of_labels_is_scikit_learns_optimum_by_the_c_of_each(solver, weight):
    feats, labels, _, fold = toy()
    spec = SPEC.model_copy(update={"solver": solver, "class_weight": weight})
    for number, fit in enumerate(fit_folds(feats, labels, fold, Sigmoids(), spec)):
        rows = fold != number
        for label, c in enumerate(fit.each):
            balance = None if weight == "none" else weight
            judge = LogisticRegression(C=c, tol=1e-6, solver="newton-cg", class_weight=balance)
            judge.fit(feats[rows].astype(float), labels[rows, label])
            assert np.abs(fit.predict(feats)[:, label] - judge.predict_proba(feats)[:, 1]).max() < 1e-4


@pytest.mark.parametrize("solver", ["batched", "scikit-learn"])
def test_a_fit_of_a_number_is_scikit_learns_ridge_within_the_span(solver):
    feats, _, shares, fold = toy()
    spec = SPEC.model_copy(update={"solver": solver})
    for number, fit in enumerate(fit_folds(feats, shares, fold, Clipped(-10, 10), spec)):
        rows = fold != number
        judge = Ridge(alpha=1 / fit.c).fit(feats[rows].astype(float), 20 * shares[rows, 0] - 10)
        np.testing.assert_allclose(fit.predict(feats)[:, 0], judge.predict(feats).clip(-10, 10), atol=20 * 1e-4)
        assert fit.each == ()


@pytest.mark.parametrize("link", [Sigmoids(), Clipped(0, 1), Share(0, 1)])
def test_the_curve_is_the_nested_loss_and_the_cs_are_where_it_is_least(link):
    """By definition: one fit without each two folds, for each C."""
    feats, labels, shares, fold = toy(n=400)
    targets = labels if isinstance(link, Sigmoids) else shares
    fits = fit_folds(feats, targets, fold, link, SPEC.model_copy(update={"cs": CS}))
    for outer, fit in enumerate(fits):
        losses = np.zeros((len(CS), targets.shape[1]))
        for at, c in enumerate(CS):
            for inner in set(range(4)) - {outer}:
                rows, held_out = ~np.isin(fold, [outer, inner]), fold == inner
                losses[at] += loss_by_scikit_learn(link, feats, targets, rows, held_out, c)
        losses /= (fold != outer).sum()
        np.testing.assert_allclose(list(fit.curves["raw"].values()), losses.mean(axis=1), rtol=2e-3)
        assert fit.c == CS[losses.mean(axis=1).argmin()]
        if fit.each:
            assert fit.each == tuple(CS[i] for i in losses.argmin(axis=0))
            assert fit.loss == pytest.approx(losses.min(axis=0).mean(), rel=1e-3)


def loss_by_scikit_learn(link, feats, targets, rows, held_out, c):
    if isinstance(link, Clipped):
        model = Ridge(alpha=1 / c).fit(feats[rows], targets[rows, 0])
        return ((model.predict(feats[held_out]).clip(0, 1) - targets[held_out, 0]) ** 2).sum()
    probs = []
    for own in targets[rows].T:
        both, weights = np.repeat([1, 0], rows.sum()), np.concatenate([own, 1 - own])
        model = LogisticRegression(C=c, solver="newton-cg", tol=1e-6)
        probs.append(model.fit(np.tile(feats[rows], (2, 1)), both, weights).predict_proba(feats[held_out])[:, 1])
    share, probs = targets[held_out], np.stack(probs, axis=1).clip(1e-7, 1 - 1e-7)
    return -(share * np.log(probs) + (1 - share) * np.log(1 - probs)).sum(axis=0)


def test_shuffled_labels_score_chance_and_true_ones_do_not():
    rng = np.random.default_rng(1)
    feats, labels, _, fold = toy(n=400, d=300)
    shuffled = labels[rng.permutation(400)]
    chance, learnt = (
        [roc_auc_score(own, found) for own, found in zip(each.T, out_of_fold(fits, feats, fold).T, strict=True)]
        for each in (shuffled, labels)
        for fits in [fit_folds(feats, each, fold, Sigmoids())]
    )
    assert abs(np.mean(chance) - 0.5) < 0.05
    assert np.mean(learnt) > 0.65


@pytest.mark.parametrize("link", [Clipped(0, 1), Share(0, 1)])
def test_shuffled_numbers_are_predicted_no_better_than_by_their_mean(link):
    feats, _, shares, fold = toy(n=400, d=300)
    spec = SPEC.model_copy(update={"cs": (1e-6, 1e-3, 1.0)})
    shuffled = shares[np.random.default_rng(1).permutation(400)]
    for targets, least, most in ((shuffled, 0.98, 1.1), (shares, 0, 0.75)):
        found = out_of_fold(fit_folds(feats, targets, fold, link, spec), feats, fold)
        assert least < ((found - targets) ** 2).mean() / targets.var() < most


@pytest.mark.parametrize("link", [Sigmoids(), Clipped(0, 1)])
def test_a_folds_choices_and_weights_do_not_depend_on_its_targets(link):
    feats, labels, shares, fold = toy(n=200)
    targets = labels if isinstance(link, Sigmoids) else shares
    changed = np.where((fold == 0)[:, None], 1 - targets, targets)
    before, after = (fit_folds(feats, each, fold, link)[0] for each in (targets, changed))
    assert (before.c, before.each) == (after.c, after.each)
    np.testing.assert_allclose(before.coef, after.coef, atol=1e-4)


def test_a_label_without_a_training_row_has_its_smoothed_frequency():
    feats, labels, _, fold = toy()
    labels[:, 0] = (fold == 0) & (np.arange(700) % 2 == 0)
    for solver in ("batched", "scikit-learn"):
        fits = fit_folds(feats, labels, fold, Sigmoids(), SPEC.model_copy(update={"solver": solver}))
        n = (fold != 0).sum()
        np.testing.assert_allclose(fits[0].predict(feats)[:, 0], 0.5 / (n + 1), rtol=1e-4)
        assert np.ptp(fits[1].predict(feats)[:, 0]) > 0.1


def test_views_of_a_label_or_number_as_rows_count_as_one_picture():
    feats, labels, shares, fold = toy(n=300)
    for targets, link in ((labels, Sigmoids()), (shares, Clipped(0, 1))):
        rows = ProbeData(
            lambda unit: np.tile(feats, (2, 1)), np.tile(targets, (2, 1)), np.tile(fold, 2), 4, 2, link=link
        )
        twice, once = nested.fit_folds(SPEC, rows), fit_folds(feats, targets, fold, link)
        for a, b in zip(twice, once, strict=True):
            assert (a.c, a.each) == (b.c, b.each)
            np.testing.assert_allclose(a.predict(feats), b.predict(feats), atol=1e-3)


@pytest.mark.parametrize(
    ("task", "changes", "said"),
    [
        ("labels", {"towards": "zeroshot"}, "towards='zeroshot' is for one class a picture"),
        ("labels", {"number": "share"}, "number='share' is for task='number'"),
        ("labels", {"label_noise": "drop"}, "leave label_noise out"),
        ("number", {"class_weight": "balanced"}, "class_weight is of classes and labels"),
        ("number", {"label_noise": "drop"}, "leave label_noise out"),
    ],
)
def test_what_does_not_fit_the_task_is_refused_in_the_config(task, changes, said):
    target = (
        {"classes": (), "span": (0, 1), "metric": "rmse", "prompts": None}
        if task == "number"
        else {"metric": "log_loss"}
    )
    with pytest.raises(ValueError, match=f"models.probe: .*{said}"):
        toy_competition(task=task, models={"probe": Probe(clip=TINY_CLIP, **changes)}, **target)


FEW = {"cs": (1.0, 100.0, 10000.0), "widen": False}  # where the choice of C is not what is looked at


class TestStage:
    @pytest.fixture
    def made(self, folder):
        """Makes a competition's probe, with the labels `relabelled` gives for the toy's classes."""

        def make(relabel, spec, **changes):
            train = pd.read_csv(folder / "train.csv")
            train["label"] = relabel(train["label"].to_numpy(), np.arange(len(train)))
            train.to_csv(folder / "train.csv", index=False)
            competition = toy_competition(models={"probe": spec}, prompts=None, **changes)
            for module in (data, folds, features):
                run_stage(module, competition)
            assert run_stage(stage, competition) == ["probe"]
            model = competition.model_folder("probe")
            return competition, read_json(model / "model.json"), pd.read_parquet(model / "oof.parquet")

        return make

    def test_labels(self, made, capsys):
        def relabel(labels, i):  # another label on every second row, or none
            return np.where(i % 2, labels, np.where(i % 4, "", [f"{label} blue" for label in labels]))

        competition, model, oof = made(relabel, Probe(clip=TINY_CLIP), task="labels", metric="micro_f1")
        assert "probe  log loss inside the training rows, by C" in capsys.readouterr().out
        assert [list(each) for each in model["c_of_labels"]] == [list(CLASSES)] * 3
        assert ((oof[list(CLASSES)] >= 0) & (oof[list(CLASSES)] <= 1)).all().all()
        self.check_loaded(competition)

    @pytest.mark.parametrize("number", ["ridge", "share"])
    def test_numbers(self, made, capsys, number):
        spec = Probe(clip=TINY_CLIP, number=number, **FEW)
        relabel = lambda labels, i: np.where(labels == "red", 90, np.where(labels == "green", 50, 12)) + i % 3  # noqa: E731
        competition, model, oof = made(relabel, spec, task="number", classes=(), span=(10, 110), metric="rmse")
        assert ("mean squared error of the share" in capsys.readouterr().out) == (number == "ridge")
        assert model["cv"] < 30  # of numbers that are 32 from their mean
        assert oof["label"].between(10, 110).all()
        self.check_loaded(competition)
        with pytest.raises(UserError, match="is not of the config as it is now"):
            fitted.load(competition.model_copy(update={"span": (0, 120)}), "probe")

    def check_loaded(self, competition):
        """The probe of the files predicts the test rows as its stage has."""
        from src.data.rows import read_dataset

        table = pd.read_parquet(competition.model_folder("probe") / "test.parquet")[list(competition.outputs)]
        rows = read_dataset(competition)
        np.testing.assert_allclose(
            fitted.load(competition, "probe").predict(pictures_of_test(competition, rows)), table, rtol=1e-5
        )

    def test_columns_of_the_table_stand_beside_the_picture(self, folder, made, capsys):
        from src.commands.predict.session import InferenceSession

        rng = np.random.default_rng(0)
        for part in ("train", "test"):  # pictures say nothing of the number, and one column says all of it
            rows = pd.read_csv(folder / f"{part}.csv")
            rows.assign(width=rng.permutation(len(rows)) + 1.0, site="here").to_csv(folder / f"{part}.csv", index=False)
        width = pd.read_csv(folder / "train.csv")["width"].to_numpy()
        target = {"task": "number", "classes": (), "span": (0, 40), "metric": "rmse"}
        spec = Probe(clip=TINY_CLIP, **FEW)
        competition, without, _ = made(lambda labels, i: width, spec, **target)
        competition, model, _ = made(lambda labels, i: width, spec, columns=("width", "site"), **target)
        assert "columns" in capsys.readouterr().out
        assert without["cv"] > 8
        assert model["cv"] < 3
        self.check_loaded(competition)
        pictures = InferenceSession(sorted((folder / "test").iterdir()))
        with pytest.raises(UserError, match="read width, site of its tables too"):
            fitted.load(competition, "probe").predict(pictures)

    @pytest.mark.parametrize("task", ["labels", "number"])
    def test_a_networks_head_that_starts_from_a_probe_predicts_by_the_networks_link(self, made, task):
        from src.data.rows import read_dataset
        from src.models.finetune import heads
        from src.models.links import link
        from src.networks.features import Features

        relabel, fields = (lambda labels, i: labels), {"task": "labels", "metric": "micro_f1"}
        if task == "number":
            relabel = lambda labels, i: np.where(labels == "red", 90, 12)  # noqa: E731
            fields = {"task": "number", "classes": (), "span": (10, 110), "metric": "rmse"}
        competition, _, _ = made(relabel, Probe(clip=TINY_CLIP, **FEW), **fields)
        spec = FineTune(clip=TINY_CLIP, head="probe", epochs=2, lr=1e-3)
        rows = read_dataset(competition)
        feats = Features(competition, [spec.encoder], rows.train)[:]
        found = np.zeros((36, len(competition.outputs)))
        for head, held_out in zip(heads.probes(competition, spec, rows), rows.held_out, strict=True):
            outputs = feats[held_out] @ head.coef.T + head.intercept
            found[held_out] = link(competition).predict(outputs)
        loss, constant = (
            competition.target.loss(rows.targets, table).mean()
            for table in (found, competition.target.constant(rows.targets, found.shape[1]))
        )
        assert loss < constant / 2
