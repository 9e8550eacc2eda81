"""Averages of weights: exact at their ends, chosen on other rows than those that they are scored on."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from scipy.special import softmax

from src.data.rows import Dataset, read_dataset
from src.models.finetune import averaging, heads, training
from src.models.finetune.fold import run_fold
from src.models.finetune.run import Run, squares_of
from src.models.probe import nested
from src.networks import classifiers, texts
from src.networks.features import l2_normalise
from src.results.model import model_tables
from src.schema.models import FineTune, Prompts, Soup
from src.scoring import calibration
from src.scoring.metrics import METRICS
from src.stages import data, finetune, folds
from tests.conftest import CLASSES, TINY_CLIP, broken_off, read_json, snapshot, toy_competition
from tests.running import run_stage

RNG = np.random.default_rng(0)
FOLD = np.arange(90) % 3
TARGETS = RNG.integers(0, 3, 90)


def probs(n=90, k=3):
    return RNG.dirichlet(np.ones(k), n)


def test_the_ends_of_the_line_are_the_ends_and_its_middle_the_mean():
    start, end = ({"a": torch.randn(5), "n": torch.tensor(i)} for i in (3, 8))
    line = [averaging.interpolate(start, end, alpha) for alpha in (0.0, 0.5, 1.0)]
    assert torch.equal(line[0]["a"], start["a"])
    assert torch.equal(line[2]["a"], end["a"])
    assert torch.allclose(line[1]["a"], averaging.mean([start, end])["a"])
    assert [one["n"].item() for one in line] == [8, 8, 8]


def test_a_variant_is_chosen_on_the_other_folds_rows_alone():
    right = np.eye(3)[TARGETS] * 0.8 + 0.1 * (1 - np.eye(3)[TARGETS])
    wrong = np.roll(right, 1, axis=1)
    oofs = np.stack([right, np.where(FOLD[:, None] == 2, right, wrong), np.where(FOLD[:, None] == 2, wrong, right)])
    assert averaging.best_variants(oofs[1:], TARGETS, FOLD, METRICS["accuracy"])[2] == 1  # it is the worse one there
    for number in range(3):  # whatever a fold's labels are, its own choice stays
        changed = np.where(number == FOLD, (TARGETS + 1) % 3, TARGETS)
        before = averaging.best_variants(oofs, TARGETS, FOLD, METRICS["accuracy"])[number]
        assert averaging.best_variants(oofs, changed, FOLD, METRICS["accuracy"])[number] == before


def test_of_equal_scores_the_log_loss_decides():
    sure = np.eye(3)[TARGETS] * 0.8 + 0.1 * (1 - np.eye(3)[TARGETS])
    unsure = np.eye(3)[TARGETS] * 0.2 + 0.25
    unsure /= unsure.sum(axis=1, keepdims=True)
    assert averaging.best_variants(np.stack([unsure, sure]), TARGETS, FOLD, METRICS["accuracy"]).tolist() == [1, 1, 1]


def test_a_soup_takes_what_does_no_harm():
    good = {"a", "b", "d"}
    assert averaging.greedy("abcd", lambda soup: (-len(set(soup) - good), 0.0)) == ("a", "b", "d")


def test_random_labels_and_noise_choose_nothing_that_scores_above_chance():
    rng = np.random.default_rng(0)
    targets, fold = rng.integers(0, 3, 600), rng.permutation(600) % 5
    oofs = rng.dirichlet(np.ones(3), (300, 600))
    best = averaging.best_variants(oofs, targets, fold, METRICS["accuracy"])
    score, se = METRICS["accuracy"].score(targets, oofs[best[fold], np.arange(600)])
    assert abs(score - 1 / 3) < 2 * se
    leaked = max(METRICS["accuracy"].value(targets, oof) for oof in oofs)  # chosen on the rows that it is scored on
    assert leaked > 1 / 3 + 2 * se


CLIP = FineTune(clip=TINY_CLIP, epochs=2, lr=1e-3, batch_size=8, warmup_epochs=0.5, augment=())


def with_models(**models):
    return toy_competition(models=models)


@pytest.fixture
def prepared(toy):
    data.run(toy)
    folds.run(toy)


class TestStage:
    def model(self, competition, name):
        return read_json(competition.model_folder(name) / "model.json")

    def test_a_clip_starts_from_its_zero_shot_classifier(self, prepared):
        competition = with_models(clip=CLIP)
        head, known = heads.zero_shot(competition, CLIP), texts.read(competition, CLIP.encoder)
        assert np.abs(head.coef - known.scale * known.classifier(competition.prompts, CLASSES).T).max() < 1e-6
        assert (head.intercept == 0).all()

    def test_a_probes_head_is_of_the_folds_training_rows(self, prepared):
        competition = with_models(clip=CLIP.model_copy(update={"head": "probe"}))
        spec, rows = competition.models["clip"], read_dataset(competition)
        targets = RNG.permutation(rows.targets)  # not separable: the optimum is near
        poisoned = np.where(rows.fold == 1, (targets + 1) % 3, targets)
        before, after = (
            heads.probes(competition, spec, Dataset(rows.train, given, rows.test, fold=rows.fold, folds_sha=""))
            for given in (targets, poisoned)
        )
        feats = l2_normalise(RNG.normal(size=(50, 16)))
        changes = [
            np.abs(softmax(feats @ a.coef.T + a.intercept, 1) - softmax(feats @ b.coef.T + b.intercept, 1)).max()
            for a, b in zip(before, after, strict=True)
        ]
        assert changes[1] < 1e-4 < changes[0]
        assert run_stage(finetune, competition) == ["clip"]

    @pytest.fixture
    def fitted(self, monkeypatch):
        """A list that grows each time that the probes of all folds are fitted."""
        calls, fit_folds = [], nested.fit_folds
        monkeypatch.setattr(nested, "fit_folds", lambda *arguments: calls.append(1) or fit_folds(*arguments))
        return calls

    @pytest.mark.parametrize("wise_ft", [None, (0.0, 1.0)])
    def test_the_probes_of_all_folds_are_fitted_once(self, prepared, fitted, wise_ft):
        changes = {"head": "probe"} | ({} if wise_ft is None else {"wise_ft": wise_ft})
        competition = with_models(clip=CLIP.model_copy(update=changes))
        for number in (2, 0, 1):  # each in a process that knows nothing of the others
            run_fold(competition, "clip", number)
        assert len(fitted) == 1
        assert run_stage(finetune, competition) == ["clip"]
        assert len(fitted) == 1

    def test_probes_of_other_rows_are_fitted_again_and_those_of_another_test_set_are_not(self, prepared, fitted):
        competition = with_models(clip=CLIP.model_copy(update={"head": "probe"}))
        rows = read_dataset(competition)
        first = heads.starts(competition, "clip", rows)
        same = heads.starts(competition, "clip", replace(rows, test=rows.test.take(np.arange(3))))
        assert all(
            (a.coef == b.coef).all() and (a.intercept == b.intercept).all() for a, b in zip(first, same, strict=True)
        )
        assert len(fitted) == 1
        heads.starts(competition, "clip", replace(rows, targets=np.roll(rows.targets, 1)))
        assert len(fitted) == 2
        assert not heads.has_probes(competition, "clip", rows)

    def test_wise_ft_ends_at_the_zero_shot_model_and_at_the_fine_tuned_one(self, prepared, capsys):
        alphas = (0.0, 0.5, 1.0)
        competition = with_models(clip=CLIP.model_copy(update={"wise_ft": alphas}), plain=CLIP)
        run_stage(finetune, competition)
        rows, facts = read_dataset(competition), self.model(competition, "clip")["wise_ft"]
        assert [row["alpha"] for row in facts["curve"]] == list(alphas)
        assert len(facts["chosen"]) == 3
        assert "alpha chosen for each fold on the others" in capsys.readouterr().out
        one, plain = Run(competition, "clip", 0, 42), Run(competition, "plain", 0, 42)
        assert (one.read(rows, "oof", 1.0) == plain.read(rows, "oof", None)).all()
        head = heads.zero_shot(competition, CLIP)
        start, fold = classifiers.create(CLIP, 3, 0, True, head), plain.fold(rows, squares_of(competition, CLIP, rows))
        zero_shot = training.predict(start, fold, fold.valid, ("identity",), 8)
        assert np.abs(one.read(rows, "oof", 0.0) - zero_shot).max() < 1e-6
        oof, _ = model_tables(competition, "clip", rows)
        for number, alpha in enumerate(facts["chosen"]):
            expected = Run(competition, "clip", number, 42).read(rows, "oof", alpha)
            assert (oof[rows.fold == number] == expected).all()
        assert len(list(competition.model_folder("clip").glob("*.safetensors"))) == 3

    def test_seeds_are_averaged(self, prepared):
        toy = toy_competition().models["convnext"]
        competition = with_models(convnext=toy.model_copy(update={"seeds": 2}), one=toy)
        run_stage(finetune, competition)
        rows = read_dataset(competition)
        tables = [Run(competition, "convnext", 1, seed).read(rows, "oof", None) for seed in (42, 43)]
        assert np.abs(tables[0] - tables[1]).max() > 1e-3
        assert (tables[0] == Run(competition, "one", 1, 42).read(rows, "oof", None)).all()
        oof, _ = model_tables(competition, "convnext", rows)
        assert np.abs(oof[rows.fold == 1] - np.mean(tables, axis=0)).max() < 1e-6
        history = pd.read_csv(competition.model_folder("convnext") / "history.csv")
        assert history.groupby(["fold", "seed"]).size().tolist() == [2] * 6

    def test_a_temperature_is_cross_fitted(self, prepared):
        toy = toy_competition().models["convnext"]
        competition = with_models(convnext=toy.model_copy(update={"temperature": True}), plain=toy)
        run_stage(finetune, competition)
        rows = read_dataset(competition)
        (oof, test), (plain, plain_test) = (model_tables(competition, name, rows) for name in competition.models)
        assert np.abs(oof - calibration.cross_fitted(plain, rows.targets, rows.fold)).max() < 1e-5
        temperature = self.model(competition, "convnext")["temperature"]
        assert temperature == pytest.approx(calibration.temperature(plain, rows.targets), abs=1e-3)
        assert np.abs(test - calibration.scale(plain_test, temperature)).max() < 1e-4

    def test_a_soup_has_each_model_once(self):
        convnext = toy_competition().models["convnext"]
        twice = {"one": convnext, "other": convnext, "soup": Soup(of=("one", "one", "other"))}
        with pytest.raises(ValidationError, match="soup: a model is named twice in of="):
            with_models(**twice)

    def test_a_soup_is_the_mean_of_weights_and_nothing_is_trained_for_it(self, prepared, capsys):
        toy = toy_competition().models["convnext"].model_copy(update={"ema_decay": None})
        models = {"one": toy, "other": toy.model_copy(update={"lr": 2e-3, "seeds": 2})}
        competition = with_models(**models, soup=Soup(of=("one", "other")))
        assert run_stage(finetune, competition) == ["one", "other", "soup"]
        assert "soup fold 2" in capsys.readouterr().out
        rows, made = read_dataset(competition), self.model(competition, "soup")
        oof, _ = model_tables(competition, "soup", rows)
        for number, taken in enumerate(made["ingredients"]):
            assert 1 <= len(set(taken)) == len(taken) <= 3
            states = []
            for one in taken:
                name, seed = one.split()
                states.append(load_file(Run(competition, name, number, int(seed)).finished))
            model = classifiers.create(toy, 3, 0, False)
            model.load_state_dict(averaging.mean(states))
            fold = Run(competition, "one", number, 42).fold(rows, squares_of(competition, toy, rows))
            expected = training.predict(model, fold, fold.valid, ("identity",), 8)
            assert np.abs(oof[rows.fold == number] - expected).max() < 1e-5
        before = snapshot(competition.folder)
        assert run_stage(finetune, competition) == []
        assert snapshot(competition.folder) == before

    def test_killed_between_alphas_it_ends_the_same(self, prepared):
        competition = with_models(clip=CLIP.model_copy(update={"wise_ft": (0.0, 0.3, 1.0)}))
        run_stage(finetune, competition)
        folder = competition.model_folder("clip")
        whole = {name: content for name, (_, content) in snapshot(folder).items() if name.endswith(".parquet")}
        for path in folder.iterdir():
            path.unlink()
        with broken_off(Run, "write", 4, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
            run_stage(finetune, competition)
        run_stage(finetune, competition)
        again = {name: content for name, (_, content) in snapshot(folder).items() if name.endswith(".parquet")}
        assert again == whole

    def test_another_prompt_is_another_start(self, prepared, capsys):
        competition = with_models(clip=CLIP)
        run_stage(finetune, competition)
        other = competition.model_copy(update={"prompts": Prompts(templates=("quite {} it is",))})
        assert run_stage(finetune, other) == ["clip"]
        assert "clip  recomputing: blue changed" in capsys.readouterr().out
