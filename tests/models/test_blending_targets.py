"""Blends of several labels and of numbers: what each method finds, and a score that has not been seen."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import Ridge

from src.data.rows import read_dataset
from src.models.blend import fitted, greedy, judges, label_stack, methods, ranks, stacking, weighting
from src.models.blend.pool import Pool, pool_of
from src.models.fitted import read_finished
from src.results.model import model_tables, save_model
from src.schema.models import Probe
from src.schema.settings import Blend
from src.scoring.metrics import METRICS_OF
from src.scoring.targets import TARGETS
from src.stages import blend, data, folds
from tests.conftest import CLASSES, TINY_CLIP, read_json, toy_competition
from tests.models.test_blending import leaky

N, K, SPAN = 500, 3, (0.0, 100.0)
FOLD = np.random.default_rng(0).permutation(N) % 5
PRIOR = np.array([0.5, 0.2, 0.08])
METHODS = ["best", "mean", "weights", "greedy", "stack"]


def label_targets(rng: np.random.Generator, n: int = N) -> np.ndarray:
    return (rng.random((n, K)) < PRIOR).astype(np.uint8)


def label_model(targets: np.ndarray, skill: float, rng: np.random.Generator, heat: float = 1.0) -> np.ndarray:
    logits = skill * (2.0 * targets - 2 * PRIOR) + rng.normal(size=targets.shape)
    return expit(heat * logits + np.log(PRIOR / (1 - PRIOR))).astype(np.float32)


def number_targets(rng: np.random.Generator, n: int = N) -> np.ndarray:
    return np.clip(40 + 15 * rng.normal(size=n), *SPAN)


def number_model(targets: np.ndarray, skill: float, rng: np.random.Generator, heat: float = 1.0) -> np.ndarray:
    said = 40 + heat * (skill / 2 * (targets - 40) + 8 * rng.normal(size=len(targets)))
    return np.clip(said, *SPAN).astype(np.float32)[:, None]


MAKERS = {"labels": (label_targets, label_model), "number": (number_targets, number_model)}
FIRST = {"labels": "log_loss", "number": "rmse"}
CASES = [("labels", "log_loss"), ("labels", "auc"), ("labels", "micro_f1"), ("number", "rmse"), ("number", "mae")]


def made(task: str, *skills: float, metric: str = "", seed: int = 0, n: int = N, heats: tuple[float, ...] = ()) -> Pool:
    rng = np.random.default_rng(seed)
    draw, model = MAKERS[task]
    targets = draw(rng, n)
    oofs = [model(targets, skill, rng, heat) for skill, heat in zip(skills, heats or [1.0] * len(skills), strict=True)]
    fold, span = np.arange(n) % 5 if n != N else FOLD, SPAN if task == "number" else (-np.inf, np.inf)
    return Pool(np.stack(oofs), targets, fold, METRICS_OF[task][metric or FIRST[task]], span)


def fresh(task: str, pool: Pool, *skills: float, heats: tuple[float, ...] = ()) -> Pool:
    other = made(task, *skills, seed=99, n=4000, heats=heats)
    return replace(other, metric=pool.metric)


def loss(pool: Pool, table: np.ndarray) -> float:
    return float(pool.metric.target.loss(pool.targets, table).mean())


def auto(pool: Pool) -> np.ndarray:
    return methods.choose(pool, {method: methods.fit(method, pool) for method in methods.methods_for("auto", pool)})[2]


def cross_fitted(method: str, pool: Pool) -> np.ndarray:
    return auto(pool) if method == "auto" else methods.fit(method, pool, nested=False).oof


def test_every_task_has_its_part():
    assert (
        stacking.SOLVERS.keys()
        == stacking.SIZES.keys()
        == weighting.SOLVERS.keys()
        == judges.JUDGES.keys()
        == TARGETS.keys()
    )


@pytest.mark.parametrize("task", MAKERS)
class TestWeights:
    def test_are_the_optimum_on_the_simplex(self, task):
        pool = made(task, 1.0, 1.0, 0.9, heats=(2.0, 2.0, 2.0))
        found = weighting.simplex_weights(task, pool.oofs, pool.targets)
        assert found.min() > 0.05
        assert found.sum() == pytest.approx(1)
        best, rng = loss(pool, np.tensordot(found, pool.oofs, axes=1)), np.random.default_rng(1)
        for _ in range(200):
            near = np.clip(found + 0.05 * rng.normal(size=3), 0, None)
            assert loss(pool, np.tensordot(near / near.sum(), pool.oofs, axes=1)) >= best * (1 - 1e-6)

    def test_do_not_depend_on_the_unit_of_a_number(self, task):
        pool, unit = made(task, 1.2, 1.0, 0.0), 1e-4 if task == "number" else 1
        found = weighting.simplex_weights(task, pool.oofs * unit, pool.targets * unit)
        assert found == pytest.approx(weighting.simplex_weights(task, pool.oofs, pool.targets), abs=1e-3)

    def test_of_a_perfect_model_are_all_its(self, task):
        pool = made(task, 1.0, 1.0)
        perfect = pool.targets.astype(np.float32).reshape(pool.oofs[0].shape)
        found = weighting.simplex_weights(task, np.stack([pool.oofs[0], perfect]), pool.targets)
        assert found == pytest.approx([0, 1], abs=1e-3)


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_greedy_is_no_worse_than_the_best_model_and_the_best_so_many(task, metric):
    pool = made(task, 0.3, 1.0, 0.8, 0.0, metric=metric)
    found = greedy.greedy_weights(pool.oofs, pool.targets, pool.metric)

    def value(weights):
        return pool.metric.sign * pool.metric.value(pool.targets, np.tensordot(weights, pool.oofs, axes=1))

    if not pool.metric.rules:  # of a decision rule of the models' mean others would be compared
        order = sorted(range(4), key=lambda j: -value(np.eye(4)[j]))
        assert value(found) >= max(value(np.isin(range(4), order[:size]) / size) for size in range(1, 5)) - 1e-6
    assert found.sum() == pytest.approx(1)
    assert found[3] < 0.2


class TestLabelStack:
    def test_is_the_optimum(self):
        pool = made("labels", 1.0, 0.6)
        (stack,) = stacking.refit(pool, [(4,)], [0.1])
        seen = pool.fold != 4
        x, offset = label_stack.log_odds(pool.oofs), label_stack.towards(pool.oofs)
        for label in range(K):
            columns = np.column_stack([*(x[:, :, label] - x[:, :, label].mean(axis=1, keepdims=True)), np.ones(N)])[
                seen
            ]
            y, start = pool.targets[seen, label], offset[seen, label]

            def f(coef, columns=columns, y=y, start=start):
                logits = start + columns @ coef
                return (np.logaddexp(0, logits) - y * logits).sum() + coef @ coef / (2 * 0.1)

            found = minimize(f, np.zeros(3), tol=1e-10).x
            assert stack.coef[label] == pytest.approx(found[:2], abs=1e-4)
            centre = x[:, :, label].mean(axis=1)
            assert stack.intercept[label] == pytest.approx(found[2] - found[:2] @ centre, abs=1e-4)

    def test_newtons_steps_that_are_too_long_are_shortened(self):
        """Of a start that is sure and wrong the curvature is nearly 0, and a whole step leads far beyond the optimum."""
        rng = np.random.default_rng(0)
        x = np.column_stack([rng.normal(size=200), np.ones(200)])
        y, trains = (x[:, 0] + 0.1 * rng.normal(size=200) > 0).astype(float), np.ones((1, 200), bool)
        far = label_stack.newton(x, y, np.where(y > 0, -11.0, 11.0), trains, 0.1, np.zeros((1, 2)))
        start = label_stack.newton(x, y, np.where(y > 0, -11.0, 11.0), trains, 0.1, far + 0.5)
        assert np.isfinite(far).all()
        assert far == pytest.approx(start, abs=1e-3)

    def test_a_label_that_no_row_has_stays_near_the_mean(self):
        pool = made("labels", 1.0, 0.6)
        targets = pool.targets.copy()
        targets[:, 2] = 0
        pool = replace(pool, targets=targets)
        fits = methods.fit("stack", pool, nested=False)
        assert np.isfinite(fits.oof).all()
        assert fits.oof[:, 2].min() > 0
        assert fits.oof[:, 2].mean() < pool.oofs[:, :, 2].mean()

    def test_without_much_c_is_the_mean(self):
        pool = made("labels", 1.0, 0.6)
        (tight,) = stacking.refit(pool, [()], [1e-9])
        assert np.abs(tight.predict(pool.oofs) - pool.oofs.mean(axis=0)).max() < 1e-4

    def test_keeps_the_order_of_rare_labels_far_below_the_features_least(self):
        pool = made("labels", 1.0, 0.6)
        (tight,) = stacking.refit(pool, [()], [1e-9])
        low = np.array([1e-7, 1e-6, 1e-5, 1e-4])[None, :, None].repeat(2, axis=0).repeat(K, axis=2)
        assert all((np.diff(column) > 0).all() for column in tight.predict(low).T)

    def test_makes_models_that_are_too_sure_calibrated(self):
        pool = made("labels", 1.0, 0.8, heats=(4.0, 3.0))
        assert loss(pool, cross_fitted("stack", pool)) < 0.9 * loss(pool, cross_fitted("weights", pool))


class TestNumberStack:
    def test_is_ridge_regression_of_what_the_mean_leaves(self):
        pool = made("number", 1.0, 0.6, 0.3)
        (stack,) = stacking.refit(pool, [(4,)], [0.01])
        x, seen = pool.oofs[:, :, 0].T.astype(float), pool.fold != 4
        scale = np.sqrt(np.square(x - x.mean(axis=0)).mean())
        ridge = Ridge(alpha=100 * scale**2).fit(x[seen], (pool.targets - x.mean(axis=1))[seen])
        assert stack.coef == pytest.approx(ridge.coef_, abs=1e-6)
        expected = np.clip(x.mean(axis=1) + ridge.predict(x), *SPAN)
        assert stack.predict(pool.oofs)[:, 0] == pytest.approx(expected, abs=1e-4)

    def test_corrects_scale_and_bias(self):
        pool = made("number", 1.0, 1.0, heats=(0.2, 0.3))
        pool = replace(pool, oofs=pool.oofs + 5)
        assert loss(pool, cross_fitted("stack", pool)) < 0.6 * loss(pool, cross_fitted("weights", pool))

    def test_is_within_the_span(self):
        pool = made("number", 3.0, 3.0)
        (stack,) = stacking.refit(pool, [()], [1.0])
        wide = stack.predict(np.array([-1e3, 1e3]).reshape(1, 2, 1).repeat(2, axis=0))
        assert wide[:, 0].tolist() == list(SPAN)

    def test_of_models_that_say_one_number_is_finite(self):
        pool = made("number", 1.0, 1.0)
        flat = replace(pool, oofs=np.full_like(pool.oofs, 30.0))
        assert np.isfinite(methods.fit("stack", flat, nested=False).oof).all()


@pytest.mark.parametrize("task", MAKERS)
def test_c_is_the_one_with_the_least_loss_on_folds_inside(task):
    pool = made(task, 1.0, 0.5)
    (found,) = stacking.fit(pool, [(4,)])
    losses = {}
    for c in stacking.CS:
        parts = stacking.refit(pool, [(f, 4) for f in range(4)], [c] * 4)
        tables = [part.predict(pool.oofs[:, f == FOLD]) for f, part in enumerate(parts)]
        known = np.concatenate([pool.targets[f == FOLD] for f in range(4)])
        losses[c] = pool.metric.target.loss(known, np.concatenate(tables)).mean()
    assert found.c == min(losses, key=losses.get)


@pytest.mark.parametrize("method", [*METHODS, "auto"])
@pytest.mark.parametrize(("task", "metric"), CASES)
class TestHonesty:
    SKILLS = (0.8, 0.8, 0.6, 0.3, 0.0)

    def moved(self, task: str, metric: str, method: str) -> tuple[float, float]:
        """How far predictions move inside and outside of fold 1 when the useless model is right in it."""
        pool = made(task, *self.SKILLS, metric=metric)
        right = MAKERS[task][0](np.random.default_rng(8))
        poisoned = replace(
            pool, targets=np.where((pool.fold == 1).reshape(-1, *[1] * (right.ndim - 1)), right, pool.targets)
        )
        oofs = poisoned.oofs.copy()
        oofs[-1][FOLD == 1] = pool.oofs[-1][FOLD == 1] = MAKERS[task][1](right, 3.0, np.random.default_rng(9))[
            FOLD == 1
        ]
        change = cross_fitted(method, pool) - cross_fitted(method, replace(poisoned, oofs=oofs))
        size = 1 if task == "labels" else 100
        return np.abs(change[FOLD == 1]).max() / size, np.abs(change[FOLD != 1]).max() / size

    def test_a_folds_rows_do_not_depend_on_its_targets_and_a_leak_would_be_seen(
        self, task, metric, method, monkeypatch
    ):
        inside, outside = self.moved(task, metric, method)
        assert inside < 1e-9
        if method != "best":
            assert outside > 1e-3
            leaky(monkeypatch)
            assert self.moved(task, metric, method)[0] > 1e-3

    def test_random_targets_give_chance(self, task, metric, method):
        pool = made(task, *[0.0] * 12, metric=metric)
        constant = pool.metric.target.constant(pool.targets, pool.oofs.shape[2])
        gain, se = METRICS_OF[task][FIRST[task]].gain(pool.targets, cross_fitted(method, pool), than=constant)
        assert gain < 2 * se


@pytest.mark.parametrize(("task", "metric"), CASES)
class TestGain:
    SKILLS, HEATS = (1.0, 0.9, 0.6, 0.0), (2.0, 1.0, 0.5, 1.0)

    def test_the_choice_is_no_worse_than_the_best_model_and_its_score_that_on_fresh_rows(self, task, metric):
        pool = made(task, *self.SKILLS, metric=metric, heats=self.HEATS)
        other = fresh(task, pool, *self.SKILLS, heats=self.HEATS)
        fitted = {method: methods.fit(method, pool) for method in methods.methods_for("auto", pool)}
        method, _, oof = methods.choose(pool, fitted)
        best = max(range(4), key=lambda j: pool.metric.sign * pool.metric.value(pool.targets, pool.oofs[j]))
        theirs = fitted[method].final.predict(other.oofs)
        assert other.metric.gain(other.targets, theirs, than=other.oofs[best])[0] > 0
        if not pool.metric.rules:
            (ours, se), (value, fresh_se) = (
                pool.metric.score(pool.targets, oof),
                other.metric.score(other.targets, theirs),
            )
            assert abs(ours - value) < 3 * np.hypot(se, fresh_se)

    def test_one_that_has_learnt_nothing_is_left_out(self, task, metric):
        pool = made(task, *self.SKILLS, metric=metric)
        assert pool.learnt().tolist() == [True, True, True, False]

    def test_one_that_is_right_but_of_another_scale_is_kept(self, task, metric):
        pool = made(task, 1.0, 0.0, metric=metric, heats=(30.0, 1.0))
        constant = pool.metric.target.constant(pool.targets, pool.oofs.shape[2])
        assert loss(pool, pool.oofs[0]) > loss(pool, constant)
        assert pool.learnt().tolist() == [True, False]

    def test_the_blend_without_a_model_is_that_of_the_others(self, task, metric):
        pool = made(task, *self.SKILLS, metric=metric)
        for method in ("weights", "stack"):
            fitted = methods.fit(method, pool, nested=False)
            less = methods.without_model(method, pool, fitted, 0)
            assert loss(pool, less) > loss(pool, fitted.oof)
            assert (methods.without_model(method, pool, fitted, 3) == fitted.oof).all()


class TestRanks:
    """Of models of like skill that are shy and sure, ranks weigh all alike."""

    HEATS = (0.1, 1.0, 8.0)

    def pool(self, task: str = "labels", seed: int = 0) -> Pool:
        pool = made("labels", 0.8, 0.8, 0.8, metric="auc", heats=self.HEATS, seed=seed)
        if task == "labels":
            return pool
        second = pool.oofs[:, :, :1].astype(float)
        return Pool(
            np.concatenate([1 - second, second], axis=2),
            pool.targets[:, 0].astype(int),
            FOLD,
            METRICS_OF["class"]["auc"],
        )

    @pytest.mark.parametrize("task", ["labels", "class"])
    def test_are_better_than_a_mean_that_the_surest_model_rules(self, task):
        gains = []
        for seed in range(5):
            pool = self.pool(task, seed)
            gains.append(pool.metric.gain(pool.targets, cross_fitted("ranks", pool), than=pool.oofs.mean(axis=0))[0])
        assert np.mean(gains) > 0.005

    @pytest.mark.parametrize("task", ["labels", "class"])
    def test_are_those_of_the_mean_rank(self, task):
        from scipy.stats import rankdata

        pool = self.pool(task)
        found = methods.fit("ranks", pool, nested=False).final.predict(pool.oofs)
        for column in range(found.shape[1]):
            mean = np.mean([rankdata(oof[:, column]) for oof in pool.oofs], axis=0)
            assert np.abs(rankdata(found[:, column]) - rankdata(mean)).max() < 3  # where sums are rounded

    def test_of_two_classes_have_the_sum_1(self):
        found = cross_fitted("ranks", self.pool("class"))
        assert np.abs(found.sum(axis=1) - 1).max() < 1e-9

    def test_stay_probabilities_as_calibrated_as_the_mean(self):
        pool = self.pool()
        found = cross_fitted("ranks", pool)
        assert pool.metric.target.find_fault(found) is None
        assert loss(pool, found) < loss(pool, pool.oofs.mean(axis=0)) + 0.01

    def test_keep_the_order_of_a_single_model_of_rows_between_and_beyond_those_known(self):
        pool = self.pool()
        one = replace(pool, oofs=pool.oofs[:1])
        (blender,) = ranks.fit(one, [()])
        rows = np.sort(np.random.default_rng(3).random((1, 400, K)).astype(np.float32), axis=1)
        found = blender.predict(rows)
        for column in range(K):
            falls = np.diff(found[:, column])
            assert falls.min() >= 0
            within = (rows[0, 1:, column] < pool.oofs[0, :, column].max()) & (
                rows[0, :-1, column] > pool.oofs[0, :, column].min()
            )
            assert (falls[within] > 0).all()
        alone = np.concatenate([blender.predict(rows[:, i : i + 1]) for i in range(20)])
        assert (alone == found[:20]).all()

    def test_of_more_rows_than_points_lose_no_order(self):
        rng = np.random.default_rng(0)
        column = rng.beta(0.1, 3, size=(2, 5000))
        steps = [ranks.rank_of(values) for values in column]
        assert all(len(one.x) <= ranks.POINTS + 2 for one in steps)
        mean = ranks.mean_rank(steps, column)
        to = ranks.values_of(steps, column)
        ordered = to(np.sort(mean))
        assert all(after >= before for before, after in pairwise(ordered))
        exact = np.argsort(np.argsort(column, axis=1), axis=1).mean(axis=0)
        assert np.corrcoef(exact, mean)[0, 1] > 0.9999

    def test_are_offered_for_metrics_of_order_alone(self):
        offered = {
            (task, metric) for task in ("labels", "class") for metric in ("auc", "log_loss") if self.fits(task, metric)
        }
        assert offered == {("labels", "auc"), ("class", "auc")}
        three = np.full((2, N, 3), 1 / 3)
        assert not ranks.fits(Pool(three, np.zeros(N, int), FOLD, METRICS_OF["class"]["auc"]))

    def fits(self, task: str, metric: str) -> bool:
        return "ranks" in methods.methods_for("auto", replace(self.pool(task), metric=METRICS_OF[task][metric]))

    @pytest.mark.parametrize("task", ["labels", "class"])
    def test_of_a_fold_do_not_depend_on_its_targets(self, task):
        pool = self.pool(task)
        other = replace(
            pool,
            targets=np.where((FOLD == 1).reshape(-1, *[1] * (pool.targets.ndim - 1)), 1 - pool.targets, pool.targets),
        )
        assert (cross_fitted("ranks", pool)[FOLD == 1] == cross_fitted("ranks", other)[FOLD == 1]).all()


class TestStage:
    @pytest.fixture(params=["labels", "number"])
    def made(self, request, folder):
        """A competition of three finished models, the first of which has learnt nothing."""
        train = pd.read_csv(folder / "train.csv", dtype=str)
        rng = np.random.default_rng(0)
        if request.param == "labels":
            cells = [" ".join(label for label in CLASSES if rng.random() < 0.4) for _ in range(len(train))]
            fields = {"task": "labels", "metric": "auc"}
        else:
            cells = [f"{number:.2f}" for number in rng.uniform(0, 10, len(train))]
            fields = {"task": "number", "metric": "rmse", "classes": (), "span": (0.0, 10.0), "prompts": None}
        train.assign(label=cells).to_csv(folder / "train.csv", index=False)
        sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
        values = dict.fromkeys(CLASSES, 0.5) if request.param == "labels" else {"label": 5}
        sample.assign(**values).to_csv(folder / "sample_submission.csv", index=False)
        models = {name: Probe(clip=TINY_CLIP) for name in ("noise", "good", "better")}
        competition = toy_competition(models=models, **fields)
        data.run(competition)
        folds.run(competition)
        rows = read_dataset(competition)
        true = rows.targets.reshape(len(train), -1) / (1 if request.param == "labels" else 10)
        for name, skill in {"noise": 0, "good": 0.5, "better": 0.7}.items():
            oof, test = rng.random(true.shape), rng.random((len(rows.test), true.shape[1]))
            oof = skill * true + (1 - skill) * oof
            scale = 1 if request.param == "labels" else 10
            save_model(competition, name, {**rows.key, "skill": skill}, rows, scale * oof, scale * test, 1.0)
        return competition

    def test_names_the_loss_and_what_models_differ_in(self, made, capsys):
        assert blend.run(made) == ["blend"]
        said = capsys.readouterr().out
        loss = {"labels": "log loss", "number": "rmse"}[made.task]
        (head,) = [line for line in said.splitlines() if line.startswith("method")]
        assert head.split()[:2] == ["method", made.metric]
        assert head.endswith("gain over the mean" if made.metric == loss else loss)
        assert f": the least {loss} of the methods that score no less than best." in said
        assert "left out: noise, no better than always" in said
        assert "1 - correlation, in % (all: disagreement.csv)" in said
        model = read_json(made.model_folder("blend") / "model.json")
        assert list(model["methods"]) == methods.methods_for("auto", pool_of_models(made))
        assert blend.run(made) == []

    @pytest.mark.parametrize("method", ["weights", "stack", "ranks"])
    def test_is_loaded_as_it_was_fitted(self, made, method):
        if method == "ranks" and not made.scorer.is_of_order:
            pytest.skip("ranks are for metrics of order")
        made = made.model_copy(update={"blend": Blend(method=method)})
        blend.run(made)
        one = read_finished(made, "blend")
        names = list(fitted.model_weights(one))
        assert {"better"} <= set(names) <= {"good", "better"}
        tests = [model_tables(made, name, read_dataset(made))[1] for name in (*names, "blend")]
        weights = np.array(list(fitted.model_weights(one).values()))
        again = methods.Weighted(weights) if method == "weights" else fitted.refit(one)
        size = 1 if made.task == "labels" else 10
        assert np.abs(again.predict(np.stack(tests[:-1])) - tests[-1]).max() < 1e-4 * size
        assert np.abs(again.predict(np.stack(tests[:-1])[:, 3:4]) - tests[-1][3:4]).max() < 1e-4 * size  # one picture


def pool_of_models(competition) -> Pool:
    rows = read_dataset(competition)
    return pool_of(
        competition, rows, np.stack([model_tables(competition, name, rows)[0] for name in competition.models])
    )


@pytest.mark.parametrize(
    ("task", "metric"), [("class", "macro_f1"), ("class", "quadratic_kappa"), ("labels", "micro_f1")]
)
def test_of_three_folds_a_model_that_knows_nothing_is_judged_by_the_one_that_is_left(task, metric):
    rng = np.random.default_rng(0)
    oofs, targets = rng.dirichlet(np.ones(4), (2, 45)), rng.integers(0, 4, 45)
    targets = targets if task == "class" else np.eye(4, dtype=np.uint8)[targets]
    pool = Pool(oofs.astype(np.float32), targets, np.arange(45) % 3, METRICS_OF[task][metric])
    assert not pool.learnt((0, 1)).any()
