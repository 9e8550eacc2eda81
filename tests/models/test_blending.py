"""Blending: what each method finds, and a score that neither the methods nor the choice of one have seen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from src.base import files
from src.base.errors import UserError
from src.data.rows import read_dataset
from src.models.blend import fitted, greedy, methods, stacking, weighting
from src.models.blend.pool import Pool
from src.models.finetune import averaging
from src.models.fitted import read_finished
from src.results import summary
from src.results.model import model_tables, save_model
from src.schema.forms import OneProbability
from src.schema.settings import Blend
from src.scoring import blocks, decisions
from src.scoring.class_metrics import CLASS_METRICS
from src.scoring.decisions import Biases
from src.scoring.metrics import METRICS, METRICS_OF
from src.stages import blend, data, folds
from tests.conftest import read_json, toy_competition

RNG = np.random.default_rng(0)
K, N = 3, 600
TARGETS = RNG.integers(0, K, N)
FOLD = RNG.permutation(N) % 5
METHODS = ["best", "mean", "weights", "greedy", "stack"]  # of more than two classes


def model(skill: float, rng=RNG) -> np.ndarray:
    return softmax(rng.normal(size=(N, K)) + skill * np.eye(K)[TARGETS], axis=1).astype(np.float32)


def pool(*oofs: np.ndarray, metric: str = "accuracy", targets: np.ndarray = TARGETS) -> Pool:
    return Pool(np.stack(oofs), targets, FOLD, METRICS[metric])


def auto(pool: Pool) -> np.ndarray:
    return methods.choose(pool, {method: methods.fit(method, pool) for method in METHODS})[2]


def cross_fitted(method: str, pool: Pool) -> np.ndarray:
    """(n, k) what is scored of a method, or of auto."""
    return auto(pool) if method == "auto" else methods.fit(method, pool, nested=False).oof


def leaky(monkeypatch) -> None:
    """From now on every method is fitted on all rows, and its models are judged by all, whatever it must not see."""
    learnt = Pool.learnt
    monkeypatch.setattr(Pool, "learnt", lambda pool, without=(): learnt(pool))
    for method, fit in methods.METHODS.items():
        monkeypatch.setitem(methods.METHODS, method, lambda pool, withouts, fit=fit: fit(pool, [()] * len(withouts)))


class TestWeights:
    def test_are_on_the_simplex_and_useless_models_get_none(self):
        oofs = np.stack([model(2), model(1.5), model(0), np.roll(model(2), 1, axis=1)])
        found = weighting.simplex_weights("class", oofs, TARGETS)
        assert found.min() >= 0
        assert found.sum() == pytest.approx(1)
        assert found[0] > found[1] > 0.1
        assert found[2] < 0.03
        assert found[3] == 0

    def test_are_the_optimum(self):
        oofs = np.stack([model(1), model(1.2), model(0.8)])
        found = weighting.simplex_weights("class", oofs, TARGETS)
        best = METRICS["log_loss"].value(TARGETS, np.tensordot(found, oofs, axes=1))
        for _ in range(300):
            near = np.clip(found + 0.05 * RNG.normal(size=3), 0, None)
            assert METRICS["log_loss"].value(TARGETS, np.tensordot(near / near.sum(), oofs, axes=1)) >= best - 1e-6


class TestGreedy:
    @pytest.mark.parametrize("metric", CLASS_METRICS)
    def test_is_no_worse_than_the_best_model_and_the_best_so_many(self, metric):
        oofs, judge = np.stack([model(skill) for skill in (0.5, 1.5, 1, 0)]), METRICS[metric]
        found = greedy.greedy_weights(oofs, TARGETS, judge)
        rule = Biases(decisions.bias_of(judge, oofs.mean(axis=0), TARGETS))

        def value(weight):
            return judge.sign * judge.value(TARGETS, rule.apply(np.tensordot(weight, oofs, axes=1)))

        order = sorted(range(4), key=lambda j: -value(np.eye(4)[j]))
        firsts = [np.isin(range(4), order[:size]) / size for size in range(1, 5)]
        assert value(found) >= max(map(value, firsts)) - 1e-6
        assert found.sum() == pytest.approx(1)

    def test_of_models_that_are_equally_good_the_one_with_the_least_log_loss_is_taken(self):
        good = model(2)
        shy = (good + 1) / (1 + K)  # the same labels
        other = np.roll(good, 1, axis=1)
        for oofs, expected in ([shy, good, other], [0, 1, 0]), ([good, other, shy], [1, 0, 0]):
            assert greedy.greedy_weights(np.stack(oofs), TARGETS, METRICS["accuracy"]).tolist() == expected

    @pytest.mark.parametrize("metric", CLASS_METRICS)
    def test_its_score_of_a_sum_is_the_metrics(self, metric):
        probs = np.concatenate([model(1), np.full((N, 1), 0.01, np.float32)], axis=1)
        assert greedy.score(METRICS[metric], TARGETS, 3 * probs.T, 3) == pytest.approx(
            METRICS[metric].value(TARGETS, probs), abs=1e-6
        )


class TestStack:
    def test_of_little_c_is_the_mean_but_for_its_bias_and_of_more_is_better_calibrated(self):
        oofs = np.stack([model(2) ** 4, model(1.5) ** 0.3])
        oofs /= oofs.sum(axis=2, keepdims=True)
        (tight,) = stacking.refit(pool(*oofs), [()], [1e-9])
        mean = np.log(oofs.mean(axis=0))
        bias = np.log(tight.predict(oofs)) - mean
        assert (bias - bias.mean(axis=1, keepdims=True)).std(axis=0).max() < 1e-3
        chosen = methods.fit("stack", pool(*oofs), nested=False)
        gain, se = METRICS["log_loss"].gain(TARGETS, chosen.oof, than=oofs.mean(axis=0))
        assert gain > 2 * se
        assert chosen.final.shares(2).sum() == pytest.approx(1)

    def test_c_is_the_one_with_the_least_loss_on_folds_inside(self):
        oofs = np.stack([model(1), model(1)])
        (found,) = stacking.fit(pool(*oofs), [(4,)])
        loss = {}
        for c in stacking.CS:
            parts = stacking.refit(pool(*oofs), [(f, 4) for f in range(4)], [c] * 4)
            probs = [part.predict(oofs[:, f == FOLD]) for f, part in enumerate(parts)]
            known = np.concatenate([TARGETS[f == FOLD] for f in range(4)])
            loss[c] = METRICS["log_loss"].value(known, np.concatenate(probs))
        assert found.c == min(loss, key=loss.get)


@pytest.mark.parametrize("method", METHODS)
def test_identical_models_score_as_one(method):
    one = model(1.5)
    blended = cross_fitted(method, pool(one, one, one))
    assert np.abs(blended.sum(axis=1) - 1).max() < 1e-5
    if method != "stack":
        assert np.abs(blended - one).max() < 1e-6
    gain, se = METRICS["log_loss"].gain(TARGETS, blended, than=one)
    assert gain > -2 * se - 1e-6


OOFS = [model(skill, np.random.default_rng(seed)) for seed, skill in enumerate((0.8, 0.8, 0.7, 0.6, 0))]
POISONED = np.where(FOLD == 1, OOFS[-1].argmax(axis=1), TARGETS)  # in fold 1 the useless model is right


def moved(method: str, metric: str) -> tuple[float, float]:
    """How far probabilities move inside and outside of fold 1 when its labels change."""
    change = cross_fitted(method, pool(*OOFS, metric=metric)) - cross_fitted(
        method, pool(*OOFS, metric=metric, targets=POISONED)
    )
    return np.abs(change[FOLD == 1]).max(), np.abs(change[FOLD != 1]).max()


@pytest.mark.parametrize(
    ("method", "metric"),
    [*((method, "accuracy") for method in [*METHODS, "auto"]), ("greedy", "macro_f1"), ("auto", "auc")],
)
def test_a_folds_rows_do_not_depend_on_its_labels_and_a_leak_would_be_seen(method, metric, monkeypatch):
    inside, outside = moved(method, metric)
    # bit for bit but for the stack: how its batches are rounded depends on when each problem converges
    assert inside <= (1e-4 if method in ("stack", "auto") else 0)
    assert outside > 1e-3  # of a mean too: in the other folds the useless model is now one that has learnt
    leaky(monkeypatch)
    assert moved(method, metric)[0] > 1e-3


def test_the_choice_for_a_fold_does_not_depend_on_its_labels():
    for targets in (TARGETS, POISONED):
        fitted = {method: methods.fit(method, pool(*OOFS, targets=targets)) for method in METHODS}
        for fits in fitted.values():
            assert all(np.isnan(fits.inner[f][f == FOLD]).all() for f in range(5))
            assert all(np.isfinite(fits.inner[f][f != FOLD]).all() for f in range(5))
        if targets is TARGETS:
            first = fitted
    for method, fits in fitted.items():
        # what fold 1 chooses by: rows of other folds, by fits without them and without fold 1
        assert np.nanmax(np.abs(fits.inner[1] - first[method].inner[1])) <= (1e-4 if method == "stack" else 0)


NOISE = [model(0, np.random.default_rng(seed)) for seed in range(100, 130)]


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_random_labels_give_chance(method):
    score, se = METRICS["accuracy"].score(LABELS, cross_fitted(method, pool(*NOISE, targets=LABELS)))
    assert abs(score - 1 / K) < 2 * se


LABELS = np.random.default_rng(5).integers(0, K, N)


@pytest.mark.parametrize("method", ["greedy", "stack"])
def test_a_leak_would_beat_chance(method, monkeypatch):
    leaky(monkeypatch)
    score, se = METRICS["accuracy"].score(LABELS, cross_fitted(method, pool(*NOISE, targets=LABELS)))
    assert score > 1 / K + 2 * se


class TestChoice:
    """Of the methods that score no less than the best model, that of the least log loss is taken."""

    GOOD = model(2, np.random.default_rng(50))
    SHY = (GOOD + 1) / (1 + K)  # the same labels
    WORSE = np.where(np.arange(N)[:, None] < 60, GOOD[:, [1, 2, 0]], GOOD) ** 0.8

    @pytest.mark.parametrize(
        ("tables", "expected"),
        [
            ({"best": GOOD, "mean": SHY}, "best"),
            ({"best": SHY, "mean": GOOD}, "mean"),  # equal by accuracy
            ({"best": SHY, "mean": WORSE}, "best"),  # a lower log loss, and fewer are right
            ({"best": WORSE, "mean": SHY, "greedy": GOOD}, "greedy"),
        ],
    )
    def test_of_tables(self, tables, expected):
        losses = {name: METRICS["log_loss"].value(TARGETS, probs) for name, probs in tables.items()}
        if expected == "best" and "mean" in tables and tables["mean"] is self.WORSE:
            assert losses["mean"] < losses["best"]
        assert methods.surest(pool(self.GOOD), tables.items()) == expected

    def test_by_log_loss_it_is_the_least(self):
        tables = {"best": self.SHY, "mean": self.GOOD, "greedy": self.WORSE}
        assert methods.surest(pool(self.GOOD, metric="log_loss"), tables.items()) == "mean"


def drawn(seed: int, *skills: float, n: int = 574, certain: float = 3.0) -> Pool:
    """Models of two classes whose errors have much in common; the more skill, the less noise of its own."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, n)
    seen = np.eye(2)[targets] + 0.5 * rng.normal(size=(n, 2))
    logits = [certain * (skill * seen + (1.2 - skill) * rng.normal(size=(n, 2))) for skill in skills]
    fold = np.empty(n, int)
    fold[np.argsort(targets, kind="stable")] = np.arange(n) % 5
    return Pool(softmax(np.stack(logits), axis=2).astype(np.float32), targets, fold, METRICS["accuracy"])


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_few_rows_and_one_model_that_is_better_do_not_give_a_blend_that_is_worse(seed):
    """Their mean is within a standard error of the best method in some folds: taken there, it costs up to 0.02."""
    few = drawn(seed, 0.7, 0.7, 0.72, 1.0)
    gain, se = few.metric.gain(few.targets, auto(few), than=few.oofs[3])
    assert gain >= -1.1 * se
    assert gain > -0.004


class TestModelsThatHaveLearntNothing:
    @pytest.mark.parametrize("method", [*METHODS, "auto"])
    def test_are_left_out_so_that_a_mean_of_equal_labels_is_no_less_sure(self, method):
        sure = drawn(0, 1.0, 0.0, 1.0, certain=30)
        sure = replace(sure, oofs=sure.oofs[:2], targets=sure.oofs[0].argmax(axis=1))
        loss = METRICS["log_loss"].value
        assert loss(sure.targets, sure.oofs.mean(axis=0)) > loss(sure.targets, sure.oofs[0]) + 0.3
        assert sure.members().tolist() == [True, False]
        assert loss(sure.targets, cross_fitted(method, sure)) <= loss(sure.targets, sure.oofs[0]) + 0.01

    def test_are_those_that_beat_the_constant_answer_in_nothing(self):
        targets = np.repeat([0, 1], [450, 150])
        right = np.random.default_rng(7).random(N) < 0.72  # of each class: less than the share of class 0
        informed = np.where(right, targets, 1 - targets)[:, None] == [0, 1]
        too_sure = np.clip(informed, 0.001, 0.999)
        shy, shares = 0.5 + 0.1 * (informed - 0.5), np.tile([0.75, 0.25], (N, 1))
        oofs = np.stack([too_sure, shy, shares, model(0)[:, :2], np.eye(2)[targets] * 0.2 + 0.4])
        oofs /= oofs.sum(axis=2, keepdims=True)
        learnt = {metric: Pool(oofs, targets, FOLD, METRICS[metric]).learnt().tolist() for metric in CLASS_METRICS}
        assert learnt["accuracy"] == learnt["log_loss"] == [False, False, False, False, True]
        assert learnt["balanced_accuracy"] == learnt["auc"] == [True, True, False, False, True]

    def test_one_that_is_right_but_far_too_sure_is_kept_by_log_loss(self):
        labels = np.where(np.arange(N) % 4 == 0, (TARGETS + 1) % K, TARGETS)
        too_sure = np.clip(np.eye(K)[labels], 1e-7, 1)
        assert METRICS["log_loss"].value(TARGETS, too_sure) > np.log(K)
        assert pool(too_sure, model(0), metric="log_loss").members().tolist() == [True, False]

    def test_are_all_kept_if_none_has_learnt_anything(self):
        noise = pool(*NOISE[:3], targets=LABELS)
        assert not noise.learnt().any()
        assert noise.members().all()
        assert np.abs(methods.fit("mean", noise).oof - noise.oofs.mean(axis=0)).max() < 1e-6

    def test_are_judged_outside_of_each_fold(self):
        before, after = (pool(*OOFS, targets=targets) for targets in (TARGETS, POISONED))
        assert before.learnt((1,)).tolist() == after.learnt((1,)).tolist() == [True] * 4 + [False]
        assert after.learnt((0,)).all()

    def test_are_known_of_a_pool_without_a_model(self, monkeypatch):
        full = pool(*OOFS)
        full.learnt((2,))
        monkeypatch.delattr(Pool, "has_learnt")
        assert full.without(0).learnt((2,)).tolist() == [True] * 3 + [False]


def test_tables_are_weighed_block_by_block_as_all_at_once(monkeypatch):
    tables, weights = np.random.default_rng(0).random((3, 1000, 7), np.float32), np.array([0.5, 0.3, 0.2])
    whole = methods.Weighted(weights).predict(tables)
    monkeypatch.setattr(blocks, "CELLS", 1000)
    seen = [rows.stop - rows.start for rows in blocks.blocks(tables.shape[1:], methods.EDGE)]
    assert set(seen) == {128}
    assert methods.Weighted(weights).predict(tables) == pytest.approx(whole, rel=1e-15)


@pytest.mark.parametrize("name", ["auc", "quadratic_kappa"])
def test_where_the_metric_is_undefined_the_loss_decides(name):
    """Of rows of one class, as those outside of the folds that have all of the others."""
    targets, metric = np.zeros(40, int), METRICS_OF["class"][name]
    worse, better = np.tile([0.7, 0.3], (40, 1)), np.tile([0.9, 0.1], (40, 1))
    assert np.isnan(metric.value(targets, better))
    oofs = np.stack([worse, better])
    assert weighting.best_weights(oofs, targets, metric).tolist() == [0, 1]
    assert greedy.greedy_weights(oofs, targets, metric).tolist() == [0, 1]
    assert averaging.best_variants(oofs, targets, np.arange(40) % 2, metric).tolist() == [1, 1]


def test_the_best_is_the_one_that_is_right_most_often_and_of_equal_ones_the_surest():
    good, metric = model(2), METRICS["accuracy"]
    for others, expected in (([model(1), (good + 1) / (1 + K), good], 2), ([good**0.9, model(1)], 0)):
        assert (
            weighting.best_weights(np.stack(others), TARGETS, metric).tolist() == np.eye(len(others))[expected].tolist()
        )


@pytest.mark.parametrize("method", METHODS)
def test_the_blend_without_a_model_is_that_of_the_others(method):
    full = pool(*OOFS)
    fitted = methods.fit(method, full, nested=False)
    for j in range(len(OOFS)):
        without = methods.without_model(method, full, fitted, j)
        if method == "stack":
            assert np.isfinite(without).all()
        else:
            again = methods.fit(method, full.without(j), nested=False).oof
            missed = np.array([fitted.outer[f].shares(len(OOFS))[j] > 0 for f in FOLD])
            assert (without[missed] == again[missed]).all()
            assert (without[~missed] == fitted.oof[~missed]).all()


def test_the_score_is_that_on_fresh_rows():
    """Models of different skill, with errors in common and apart, some too sure and some too shy.

    A score may be too low where folds differ in their choice: each is made without the rows that would have been for
    another. None of 20 is too good, and their mean sees an optimism that a single one does not.
    """
    metric, n, m, off = METRICS["accuracy"], 1200, 6, []

    def rows(rng, models):
        targets = rng.choice(K, n, p=[0.5, 0.3, 0.2])
        seen = 1.6 * np.eye(K)[targets] + rng.normal(size=(n, K))
        common = 0.5 * rng.normal(size=(n, K))
        logits = [heat * (skill * seen + common + own * rng.normal(size=(n, K))) for skill, own, heat in models]
        return softmax(np.stack(logits), axis=2).astype(np.float32), targets

    for seed in range(20):
        rng = np.random.default_rng(seed)
        models = [(rng.uniform(0.5, 1.5), rng.uniform(0.5, 1.5), rng.choice([0.4, 1, 2.5])) for _ in range(m)]
        oofs, targets = rows(rng, models)
        drawn = Pool(oofs, targets, rng.permutation(n) % 5, metric)
        fitted = {method: methods.fit(method, drawn) for method in METHODS}
        method, _, oof = methods.choose(drawn, fitted)
        fresh, fresh_targets = rows(rng, models)
        ours, se = metric.score(targets, oof)
        theirs, fresh_se = metric.score(fresh_targets, fitted[method].final.predict(fresh))
        off.append((ours - theirs) / np.hypot(se, fresh_se))
    assert max(off) < 2
    assert -0.7 < np.mean(off) < 2 / np.sqrt(20)


class TestStage:
    @pytest.fixture
    def made(self, toy):
        """made({name: probabilities' skill}) writes finished models."""
        data.run(toy)
        folds.run(toy)
        rows = read_dataset(toy)

        def make(**skills):
            for seed, (name, skill) in enumerate(skills.items()):
                rng = np.random.default_rng(seed)
                oof, test = rng.dirichlet([1, 1, 1], 36), rng.dirichlet([1, 1, 1], 12)
                oof[np.arange(36), (rows.targets + (skill < 0)) % 3] += abs(skill)  # below 0: skilled at being wrong
                key = {**rows.key, "skill": skill}
                save_model(toy, name, key, rows, oof / oof.sum(axis=1, keepdims=True), test, 1.0)

        return make

    def test_takes_the_least_log_loss_of_the_methods_that_are_right_as_often_as_the_best_model(self, toy, made, capsys):
        made(zeroshot=0.5, probe=3, convnext=1)
        assert blend.run(toy) == ["blend"]
        model = read_json(toy.model_folder("blend") / "model.json")
        scored = model["methods"]
        good = [method for method in scored if scored[method]["cv"] >= scored["best"]["cv"]]
        assert model["method"] == min(good, key=lambda method: scored[method]["log_loss"])
        assert f"chose {model['method']}: the least log loss of the methods" in capsys.readouterr().out

    def test_perfect_models_stand_with_intervals_in_columns(self, toy, made, capsys):
        made(zeroshot=5, probe=5, convnext=0)
        assert blend.run(toy) == ["blend"]
        said = capsys.readouterr().out
        assert "blend  oof accuracy 1.0000 (0.9036 to 1.0000)  log loss" in said
        assert "gain of that +0.0000 (identical) over the mean (paired)" in said
        lines = said.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("method"))
        assert lines[start + 1].startswith("best     1.0000 (0.9036 to 1.0000)  ")
        assert len({line.rindex("0.") for line in lines[start + 1 : start + 1 + len(METHODS)]}) == 1
        start = next(i for i, line in enumerate(lines) if line.startswith("model "))
        assert lines[start + 1] == "always 'blue'  0.3333 ± 0.0786"
        assert lines[start + 3].startswith("probe          1.0000 (0.9036 to 1.0000)  0.")
        assert "± 0.0000" not in said
        assert blend.run(toy) == []
        assert capsys.readouterr().out == "blend  reused: accuracy 1.0000 (0.9036 to 1.0000)\n"
        (line,) = [line for line in summary.table(toy, []).splitlines() if line.startswith("blend")]
        assert line.startswith("blend          1.0000 (0.9036 to 1.0000)  ")

    def test_names_what_is_left_out_and_gives_it_no_weight(self, toy, made, capsys):
        made(zeroshot=0, probe=3, convnext=3)
        blend.run(toy)
        reason = "no better than always 'blue' by more than chance: accuracy and log_loss"
        assert f"left out: zeroshot, {reason}\n" in capsys.readouterr().out
        model = read_json(toy.model_folder("blend") / "model.json")
        assert model["left_out"] == {"zeroshot": reason}
        assert model["weights"]["zeroshot"] == 0
        (line,) = [line for line in summary.table(toy, ["blend"]).splitlines() if line.startswith("zeroshot")]
        assert "  0.000  " in line

    def test_keeps_all_if_none_has_learnt_anything_and_says_so(self, toy, made, capsys):
        made(zeroshot=0, probe=0, convnext=-5)
        blend.run(toy)
        assert "all 3 models are kept, and all are no better than always 'blue' by more" in capsys.readouterr().out
        assert read_json(toy.model_folder("blend") / "model.json")["left_out"] == {}

    @pytest.mark.parametrize("method", ["weights", "greedy"])
    def test_its_table_is_cross_fitted(self, toy, made, method):
        made(zeroshot=0, probe=1, convnext=0.5)
        blend.run(toy.model_copy(update={"blend": Blend(method=method)}))
        rows = read_dataset(toy)
        oofs = np.stack([model_tables(toy, name, rows)[0] for name in toy.models])
        expected = methods.fit(method, Pool(oofs, rows.targets, rows.fold, METRICS["accuracy"])).oof
        assert np.abs(model_tables(toy, "blend", rows)[0] - expected).max() < 1e-6

    def test_says_what_each_method_and_model_is_worth(self, toy, made, capsys):
        made(zeroshot=0, probe=1, convnext=0.5)
        blend.run(toy)
        said, model = capsys.readouterr().out, read_json(toy.model_folder("blend") / "model.json")
        assert list(model["methods"]) == list(METHODS)
        assert len(model["auto"]["chosen_by_fold"]) == 3
        assert set(model["models"]["probe"]) == {"cv", "se", "share", "lost", "lost_se"}
        assert "gain over the mean" in said
        assert "loses without it" in said
        apart = pd.read_csv(toy.model_folder("blend") / "disagreement.csv", index_col="model")
        assert list(apart) == list(apart.index) == list(toy.models)

    def test_a_stack_has_no_weights(self, toy, made):
        made(zeroshot=0, probe=1, convnext=0.5)
        blend.run(toy.model_copy(update={"blend": Blend(method="stack")}))
        model = read_json(toy.model_folder("blend") / "model.json")
        assert (model["method"], model["weights"]) == ("stack", {"zeroshot": 0})  # of what is left out
        assert sum(each["share"] for each in model["models"].values()) == pytest.approx(1, abs=1e-3)
        assert summary.table(toy, ["blend"]).count("stack") == 3  # the blend and each of its models

    def test_a_stack_is_loaded_without_what_is_left_out(self, toy, made):
        made(zeroshot=0, probe=1, convnext=0.5)
        blend.run(toy.model_copy(update={"blend": Blend(method="stack")}))
        one = read_finished(toy, "blend")
        assert list(fitted.model_weights(one)) == ["probe", "convnext"]
        tests = [model_tables(toy, name, read_dataset(toy))[1] for name in ("probe", "convnext", "blend")]
        assert np.abs(fitted.refit(one).predict(np.stack(tests[:2])) - tests[2]).max() < 1e-4

    def test_a_stack_is_not_fitted_to_other_labels_than_it_was_made_of(self, toy, made, folder):
        made(zeroshot=0, probe=1, convnext=0.5)
        blend.run(toy.model_copy(update={"blend": Blend(method="stack")}))
        train = pd.read_csv(folder / "train.csv", dtype=str)
        train["label"] = train["label"].map({"red": "green", "green": "blue", "blue": "red"})
        train.to_csv(folder / "train.csv", index=False)
        with pytest.raises(UserError, match=r"toy:blend is of other rows .*train changed.*: \./run\.sh toy blend"):
            fitted.refit(read_finished(toy, "blend"))

    @pytest.mark.parametrize("metric", [name for name, one in CLASS_METRICS.items() if one.answers != "ranking"])
    def test_every_metric_is_blended_and_old_scores_are_recomputed(self, toy, made, folder, metric):
        made(zeroshot=0.5, probe=1, convnext=0.5)
        if not METRICS[metric].of_labels:
            sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
            sample.assign(blue=0.3, green=0.3, red=0.4).to_csv(folder / "sample_submission.csv", index=False)
        other = toy_competition(metric=metric)
        blend.run(other)
        assert read_json(other.model_folder("probe") / "model.json")["metric"] == metric
        model = read_json(other.model_folder("blend") / "model.json")
        assert np.isfinite([model["cv"], model["se"], *model["folds"]]).all()
        assert f"cv {metric}" in summary.table(other, [])
        assert blend.run(other) == []

    def test_is_reused_until_a_model_changes(self, toy, made):
        made(zeroshot=1, probe=1, convnext=1)
        assert blend.run(toy) == ["blend"]
        assert blend.run(toy) == []
        made(zeroshot=2)
        assert blend.run(toy) == ["blend"]

    def test_is_computed_again_for_another_class_whose_probability_is_sent(self, toy, made):
        made(zeroshot=1, probe=1, convnext=1)
        for positive, expected in ("red", ["blend"]), ("red", []), ("green", ["blend"]):
            assert blend.run(toy_competition(metric="auc", submission=OneProbability(positive))) == expected

    def test_of_one_model_is_that_model_and_needs_no_others(self, toy, made, capsys):
        made(probe=1)
        blend.run(toy.model_copy(update={"blend": Blend(models=("probe",))}))
        assert read_json(toy.model_folder("blend") / "model.json")["weights"] == {"probe": 1}
        assert "probe is the only model: its predictions are passed through" in capsys.readouterr().out
        rows = read_dataset(toy)
        for ours, its in zip(*(model_tables(toy, name, rows) for name in ("blend", "probe")), strict=True):
            assert (ours == its).all()

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda df: df.assign(red=np.float32("nan")), "probe/oof.parquet: 36 rows are not probabilities"),
            (lambda df: df[1:], "probe/oof.parquet is of other rows: 1 ids are missing and 0 are not ours"),
            (lambda df: df.assign(id="x" + df["id"]), "is of other rows: 36 ids are missing and 36 are not ours"),
        ],
    )
    def test_a_table_that_is_broken_is_named(self, toy, made, change, said):
        made(zeroshot=1, probe=1, convnext=1)
        path = toy.model_folder("probe") / "oof.parquet"
        files.write_parquet(path, change(pd.read_parquet(path)))
        with pytest.raises(UserError, match=said):
            blend.run(toy)

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
