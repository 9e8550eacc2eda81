"""Zero-shot: open_clip's classifier, prompts ranked by what they do, and nothing learnt from held-out rows."""

import numpy as np
import open_clip
import pandas as pd
import pytest
from scipy.special import softmax

from src.models import prompt_variants, zeroshot
from src.networks import clip, texts
from src.networks.texts import Texts
from src.results import checkpoints
from src.schema.models import Prompts, ZeroShot
from src.schema.networks import ClipArch
from src.scoring.metrics import METRICS
from src.stages import data, features, folds
from src.stages import zeroshot as stage
from tests.conftest import CLASSES, TINY_CLIP, read_json, snapshot, toy_competition
from tests.running import run_stage

RNG = np.random.default_rng(0)
PROMPTS = Prompts(
    templates=("a {}.", "the {}.", "one {}."),
    class_templates={"blue": ("sky {}", "sea {}")},
    classnames={"red": ("red", "crimson", "scarlet")},
)


def known(prompts=PROMPTS, d=8) -> Texts:
    """Random unit vectors."""
    rng = np.random.default_rng(1)
    every = sorted({text for label in CLASSES for text in prompts.texts(label)})
    feats = rng.normal(size=(len(every), d)).astype(np.float32)
    return Texts(dict(zip(every, feats / np.linalg.norm(feats, axis=1, keepdims=True), strict=True)), 10.0)


class TestClassifier:
    @pytest.mark.parametrize(
        ("tokenizer", "context"),  # what open_clip ships without a download; masks choose at random what is too long
        [
            ({}, 8),
            ({"clean": "lower"}, 8),
            ({"clean": "whitespace"}, 8),
            ({"clean": "canonicalize"}, 8),
            ({"reduction_mask": "random"}, 77),
            ({"reduction_mask": "simple"}, 77),
            ({"reduction_mask": "shuffle"}, 77),
        ],
    )
    def test_is_open_clips(self, tokenizer, context, roots):
        arch = ClipArch(
            name="tiny",
            embed_dim=16,
            vision_cfg=TINY_CLIP.vision_cfg,
            text_cfg={**TINY_CLIP.text_cfg, "layers": 2, "context_length": context, "tokenizer_kwargs": tokenizer},
        )
        spec, names = ZeroShot(clip=arch), ("RED maize,  cracked", "green-ish thing of many and many words", "blue")
        prompts = Prompts(templates=("a photo of a {}.", "a {} in the field, by night or by day"))
        competition = toy_competition(classes=names, prompts=prompts)
        ours = texts.read(competition, spec).classifier(prompts, names)
        model = clip.load(spec)
        assert isinstance(model.tokenizer, open_clip.SimpleTokenizer)
        theirs = open_clip.build_zero_shot_classifier(
            model.model, model.tokenizer, names, [t.format for t in prompts.templates]
        )
        assert np.abs(ours - theirs.numpy()).max() < 1e-5

    def test_more_phrases_weigh_like_more_templates(self):
        one = known().classifier(PROMPTS, ["red"])[:, 0]
        mean = np.mean(
            [known().feats[f"{a} {b}."] for a in ("a", "the", "one") for b in ("red", "crimson", "scarlet")], axis=0
        )
        assert np.abs(one - mean / np.linalg.norm(mean)).max() < 1e-6

    def test_a_class_has_its_own_templates(self):
        assert PROMPTS.texts("blue") == ["sky blue", "sea blue"]
        assert PROMPTS.texts("green") == ["a green.", "the green.", "one green."]


class TestTexts:
    """What was encoded once is read from the disk; what is new is encoded."""

    def test_are_kept(self, roots, monkeypatch):
        competition, spec = toy_competition(), ZeroShot(clip=TINY_CLIP)
        first = texts.read(competition, spec)
        before = snapshot(roots)
        monkeypatch.setattr(clip, "load", lambda spec: pytest.fail("loaded again"))
        again = texts.read(competition, spec)
        assert first.scale == again.scale == pytest.approx(1 / 0.07, rel=1e-5)
        assert all((first.feats[text] == again.feats[text]).all() for text in first.feats)
        assert snapshot(roots) == before

    @pytest.mark.parametrize("change", ["prompts", "key", "damage"])
    def test_are_recomputed_when_something_changed(self, roots, monkeypatch, change):
        competition, spec = toy_competition(), ZeroShot(clip=TINY_CLIP)
        texts.read(competition, spec)
        (path,) = (roots / "submissions/toy/features").glob("*-texts.safetensors")
        if change == "prompts":
            competition = toy_competition(prompts=Prompts(templates=("something new {}",)))
        elif change == "key":
            about = checkpoints.about(path)
            checkpoints.save(path, checkpoints.load(path), {**about, "key": {**about["key"], "code": 0}})
        else:
            path.write_bytes(path.read_bytes()[:50])
        loaded, load = [], clip.load
        monkeypatch.setattr(clip, "load", lambda spec: loaded.append(1) or load(spec))
        texts.read(competition, spec)
        assert loaded == [1]


class TestLeaderboard:
    def test_every_template_and_phrase_alone_and_left_out(self):
        said = [(v.kind, v.label, v.text) for v in prompt_variants.variants(PROMPTS, CLASSES)]
        assert said == [
            ("all", "", ""),
            *(("template", "", text) for text in PROMPTS.templates),
            *(("template", "blue", text) for text in ("sky {}", "sea {}")),
            *(("phrase", "red", text) for text in ("red", "crimson", "scarlet")),
            *(("without template", "", text) for text in PROMPTS.templates),
            *(("without phrase", "red", text) for text in ("red", "crimson", "scarlet")),
        ]
        prompts = {(v.kind, v.label, v.text): v.prompts for v in prompt_variants.variants(PROMPTS, CLASSES)}
        assert prompts["phrase", "red", "crimson"].texts("red") == ["a crimson.", "the crimson.", "one crimson."]
        assert prompts["without template", "", "a {}."].texts("green") == ["the green.", "one green."]
        assert prompts["template", "blue", "sea {}"].texts("blue") == ["sea blue"]

    @pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
    def test_scores_are_the_metrics(self, metric, monkeypatch):
        monkeypatch.setattr(zeroshot, "ROWS", 7)
        feats, targets, fold = RNG.normal(size=(50, 8)), RNG.integers(0, 3, 50), np.arange(50) % 4
        classifiers = [RNG.normal(size=(8, 3)) for _ in range(5)]
        scores = zeroshot.scores(feats, targets, fold, classifiers, 2.0, METRICS[metric])
        board = zeroshot.leaderboard(
            [prompt_variants.Variant("template", "", str(i), PROMPTS) for i in range(5)], scores, metric
        )
        for row in board.to_dict("records"):
            probs = softmax(2.0 * feats @ classifiers[int(row["text"])], axis=1)
            score, se = METRICS[metric].score(targets, probs)
            assert (row[metric], row["se"]) == pytest.approx((score, se))
            assert row["log_loss"] == pytest.approx(METRICS["log_loss"].score(targets, probs)[0])
        assert board[metric].tolist() == sorted(board[metric], reverse=metric == "accuracy")
        part = scores.mean(scores.score, np.array([1, 3]))
        rows = fold % 2 == 1
        expected = METRICS[metric].score(targets[rows], softmax(2.0 * feats[rows] @ classifiers[2], axis=1))[0]
        assert part[2] == pytest.approx(expected)


def test_greedy_leaves_out_what_does_harm_and_looks_only_at_its_folds():
    vectors, fold = known(), np.arange(300) % 3
    targets = RNG.integers(0, 3, 300)
    good = vectors.classifier(PROMPTS.model_copy(update={"templates": ("one {}.",)}), CLASSES)
    feats = good.T[targets] + 0.6 * RNG.normal(size=(300, 8))

    def evaluate(targets, candidates):
        classifiers = [vectors.classifier(prompts, CLASSES) for prompts in candidates]
        return zeroshot.scores(feats, targets, fold, classifiers, vectors.scale, METRICS["accuracy"])

    def chosen(targets):
        return zeroshot.greedy(
            PROMPTS, CLASSES, lambda candidates: evaluate(targets, candidates), METRICS["accuracy"], np.array([0, 1])
        )

    found = chosen(targets)
    assert "one {}." in found.templates
    before, after = evaluate(targets, [PROMPTS, found]).mean(
        evaluate(targets, [PROMPTS, found]).score, np.array([0, 1])
    )
    assert after > before
    assert chosen(np.where(fold == 2, (targets + 1) % 3, targets)) == found


def test_the_prior_makes_classes_as_frequent_as_they_are_and_lowers_the_loss():
    targets = RNG.choice(3, 500, p=[0.7, 0.25, 0.05])
    logits = 2 * np.eye(3)[targets] + RNG.normal(size=(500, 3)) + np.array([0, 3.0, 5.0])
    bias = zeroshot.prior_bias(logits, targets)
    assert np.abs(softmax(logits + bias, axis=1).mean(axis=0) - np.bincount(targets) / 500).max() < 1e-5
    loss = METRICS["log_loss"]
    assert loss.score(targets, softmax(logits + bias, axis=1))[0] < loss.score(targets, softmax(logits, axis=1))[0]


def test_the_prior_of_a_class_that_does_not_occur_is_finite():
    bias = zeroshot.prior_bias(RNG.normal(size=(50, 3)), RNG.integers(0, 2, 50))
    assert np.isfinite(bias).all()
    assert bias[2] < bias[:2].min() - 5


class TestStage:
    @pytest.fixture
    def prepared(self, toy):
        def make(**options):
            competition = toy_competition(
                models={"zeroshot": ZeroShot(clip=TINY_CLIP, **options)},
                prompts=Prompts(templates=("a {} thing.", "something {}.", "{} it is")),
            )
            for module in (data, folds, features):
                run_stage(module, competition)
            run_stage(stage, competition)
            return competition, read_json(competition.model_folder("zeroshot") / "model.json")

        return make

    def test_ranks_the_prompts(self, prepared, capsys):
        competition, _ = prepared()
        board = pd.read_csv(competition.model_folder("zeroshot") / "prompts.csv")
        assert len(board) == 7
        assert board["accuracy"].is_monotonic_decreasing
        assert "prompts on the training rows" in capsys.readouterr().out

    def test_the_score_of_the_whole_ensemble_is_the_models(self, prepared):
        competition, model = prepared()
        board = pd.read_csv(competition.model_folder("zeroshot") / "prompts.csv")
        whole = board[board["kind"] == "all"].iloc[0]
        assert (whole["accuracy"], whole["se"], whole["log_loss"]) == pytest.approx(
            (model["cv"], model["se"], model["log_loss"])
        )

    def test_a_prior_is_fitted_and_kept_for_each_fold(self, prepared):
        plain = prepared()[1]
        competition, model = prepared(prior="train")
        assert len(model["bias"]) == 3
        assert model["log_loss"] < plain["log_loss"]
        oof = pd.read_parquet(competition.model_folder("zeroshot") / "oof.parquet")
        assert np.abs(oof[list(CLASSES)].mean() - 1 / 3).max() < 0.02

    @pytest.mark.parametrize(("ensemble", "again"), [("greedy", ["zeroshot"]), ("all", [])])
    def test_an_ensemble_is_chosen_again_by_another_metric(self, prepared, folder, ensemble, again):
        competition, _ = prepared(ensemble=ensemble)
        assert "ranked_by" not in read_json(competition.model_folder("zeroshot") / "model.json")["key"]
        by_loss = competition.model_copy(update={"metric": "log_loss"})
        sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
        sample.assign(**dict.fromkeys(CLASSES, 0.3)).to_csv(folder / "sample_submission.csv", index=False)
        assert run_stage(stage, by_loss) == again
        assert run_stage(stage, by_loss) == []

    def test_a_greedy_ensemble_is_kept_for_each_fold(self, prepared):
        _, model = prepared(ensemble="greedy")
        assert len(model["ensemble"]) == 3
        assert all(1 <= len(chosen["red"]) <= 3 for chosen in model["ensemble"])

    def test_two_tags_of_one_architecture_are_told_apart(self, roots):
        from src.networks import encoders

        tags = ("laion2b_s34b_b79k", "datacomp_xl_s13b_b90k")
        specs = [ZeroShot(clip="ViT-B-32", weights=tag) for tag in tags]
        assert len({encoders.slug(spec) for spec in specs}) == 2
        assert len({toy_competition().text_features(encoders.slug(spec)) for spec in specs}) == 2
        assert clip.identity(specs[0]) != clip.identity(specs[1])
