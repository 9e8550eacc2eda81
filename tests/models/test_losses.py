"""What networks learn by the target: losses beside their formulas, and that labels and numbers are learnt."""

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from sklearn.metrics import r2_score, roc_auc_score
from torch.nn import functional as F

from src.base.errors import UserError
from src.data.rows import read_dataset
from src.models import fitted
from src.models.finetune import augment, batches, losses, training
from src.models.finetune.batches import Fold
from src.models.finetune.losses import BinaryCrossEntropy, CrossEntropy, Margin
from src.models.finetune.resume import Running
from src.models.links import link
from src.models.pictures import test_pictures as pictures_of_test
from src.networks import classifiers
from src.results.model import model_tables
from src.schema.competition import Competition
from src.schema.models import Augment, FineTune, Pixels, Probe, ZeroShot
from src.stages import data, finetune, folds
from tests.conftest import TINY_CLIP, broken_off, read_json, toy_competition
from tests.models.test_training import Squares
from tests.running import run_stage

RNG = np.random.default_rng(0)
N, TRAINED, SIDE = 90, 60, 32
TASKS = {
    "class": {"metric": "log_loss"},
    "labels": {"task": "labels", "metric": "log_loss", "classes": ("reddish", "bluish", "greenish"), "prompts": None},
    "number": {"task": "number", "metric": "rmse", "classes": (), "span": (10.0, 30.0), "prompts": None},
}


def asked(task: str, **changes) -> Competition:
    return toy_competition(**{"models": {"a": Pixels()}, **TASKS[task], **changes})


def colours() -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, SIDE, SIDE, 3) of noise, and how bright (N, 3) each colour is in them, 0 to 1."""
    bright = RNG.random((N, 3))
    noise = RNG.integers(0, 60, (N, SIDE, SIDE, 3))
    return (noise + 180 * bright[:, None, None]).astype(np.uint8), bright


def targets_of(task: str, bright: np.ndarray) -> np.ndarray:
    if task == "number":
        return 10 + 20 * bright[:, 0]
    return (bright > 0.5).astype(np.uint8) if task == "labels" else bright.argmax(axis=1)


def spec_of(**changes) -> FineTune:
    small = {"depths": (1, 1, 1, 1), "dims": (16, 16, 16, 16)}
    recipe = {"backbone": "test_convnext", "backbone_args": small, "pretrained": False}
    shape = {"img_size": SIDE, "epochs": 6, "lr": 1e-2, "batch_size": 10, "ema_decay": 0.9, "augment": ()}
    return FineTune(**{**recipe, **shape, **changes})


def fold_of(competition: Competition, spec: FineTune, pixels: np.ndarray, targets: np.ndarray) -> Fold:
    every = np.arange(N)
    return Fold(
        competition=competition, title="it fold 0", number=0, seed=0, spec=spec, squares=Squares(pixels),
        ids=[f"id{i}" for i in every], train=every[:TRAINED], targets=targets[:TRAINED], valid=every[TRAINED:],
        valid_targets=targets[TRAINED:], data_config=classifiers.data_config(spec), precision="float32",
    )  # fmt: skip


def learnt(folder, task: str, shuffled: bool = False, **changes) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """The targets and predictions of the rows held out, and the history."""
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state  # the same pictures each time
    (pixels, bright), spec = colours(), spec_of(**changes)
    targets = targets_of(task, bright)
    targets = RNG.permutation(targets) if shuffled else targets
    fold = fold_of(asked(task), spec, pixels, targets)
    running = Running(folder / "fold0.safetensors", {})

    def create(pretrained: bool):
        return classifiers.create(spec, fold.k, 0, False)

    model, history = training.train_fold(fold, create, augment.compose(spec.augment), running)
    return fold.valid_targets, training.predict(model, fold, fold.valid, spec.views, 16), history


class TestLearning:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"mixup": 0.2, "cutmix": 1.0, "mix_p": 0.5, "label_smoothing": 0.05, "class_weight": "balanced"},
            {"augment": (Augment("HorizontalFlip", p=0.5),), "augment_on": "device", "views": ("identity", "hflip")},
        ],
        ids=["plain", "mixed, smoothed and balanced", "on the device"],
    )
    def test_labels_are_learnt(self, tmp_path, changes):
        targets, probs, history = learnt(tmp_path, "labels", **changes)
        assert probs.shape == (N - TRAINED, 3)
        assert min(roc_auc_score(targets[:, label], probs[:, label]) for label in range(3)) > 0.9
        assert (probs.sum(axis=1) > 1.2).any()  # several at once
        assert history[-1]["valid_log_loss"] < history[0]["valid_log_loss"]

    @pytest.mark.parametrize("changes", [{}, {"mixup": 0.2, "mix_p": 0.5}], ids=["plain", "mixed"])
    def test_a_number_is_learnt_in_its_own_units(self, tmp_path, changes):
        targets, table, history = learnt(tmp_path, "number", **changes)
        assert table.shape == (N - TRAINED, 1)
        assert r2_score(targets, table[:, 0]) > 0.5
        assert ((table > 10) & (table < 30)).all()
        assert history[-1]["valid_rmse"] == pytest.approx(history[-1]["valid_log_loss"] ** 0.5)
        assert history[-1]["valid_rmse"] < history[0]["valid_rmse"]

    def test_shuffled_labels_give_chance(self, tmp_path):
        targets, probs, _ = learnt(tmp_path, "labels", shuffled=True)
        assert np.mean([roc_auc_score(targets[:, label], probs[:, label]) for label in range(3)]) < 0.75

    def test_a_shuffled_number_gives_chance(self, tmp_path):
        targets, table, _ = learnt(tmp_path, "number", shuffled=True)
        assert r2_score(targets, table[:, 0]) < 0.2

    def test_classes_are_learnt_with_a_margin(self, tmp_path):
        targets, probs, _ = learnt(tmp_path, "class", margin=0.3, label_smoothing=0.1)
        assert (probs.argmax(axis=1) == targets).mean() > 0.85

    @pytest.mark.parametrize("task", ["labels", "number"])
    def test_a_training_that_was_stopped_ends_with_the_same_predictions(self, tmp_path, task, saved_each_step):
        whole = learnt(tmp_path / "whole", task, epochs=3)[1]
        with broken_off(training.Training, "end_epoch", 1, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
            learnt(tmp_path / "cut", task, epochs=3)
        assert list((tmp_path / "cut").glob("fold0.running-*"))
        assert (learnt(tmp_path / "cut", task, epochs=3)[1] == whole).all()


class TestLosses:
    def test_of_labels_is_the_mean_of_each_ones(self):
        logits, wanted = torch.randn(5, 3), torch.randint(0, 2, (5, 3)).float()
        expected = sum(
            -float(F.logsigmoid(logits[i, j] if wanted[i, j] else -logits[i, j])) / 3
            for i in range(5)
            for j in range(3)
        )
        assert float(BinaryCrossEntropy()(logits, wanted)) == pytest.approx(expected, rel=1e-5)
        smoothed = wanted * 0.8 + 0.1
        assert float(BinaryCrossEntropy(None, 0.2)(logits, wanted)) == pytest.approx(
            float(BinaryCrossEntropy()(logits, smoothed)), rel=1e-6
        )

    def test_balanced_labels_weigh_as_much_with_as_without(self):
        labels = np.zeros((1000, 3), np.uint8)
        labels[:250, 0], labels[:1, 1] = 1, 1  # and none has the third
        assert losses.positive_weights(labels).tolist() == [3.0, losses.MOST, losses.MOST]

    @pytest.mark.parametrize("is_mixed", [False, True])
    def test_smoothing_has_the_weight_of_the_row_and_makes_nothing_likely_that_is_rare(self, is_mixed):
        weight, logits = torch.tensor([0.5, 0.5, 50.0]), torch.randn(4, 3)
        wanted = torch.tensor([0, 1, 2, 0])
        shares = F.one_hot(wanted, 3).float()
        each = F.cross_entropy(logits, wanted, label_smoothing=0.1, reduction="none")
        found = CrossEntropy(weight, 0.1)(logits, shares if is_mixed else wanted)
        assert float(found) == pytest.approx(float(each @ weight[wanted]), rel=1e-5)

        labels, positive = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([99.0, 2.0])
        each = F.binary_cross_entropy_with_logits(logits[:2, :2], labels * 0.9 + 0.05, reduction="none")
        expected = (each * torch.where(labels > 0, positive, 1.0)).sum() / 2
        assert float(BinaryCrossEntropy(positive, 0.1)(logits[:2, :2], labels)) == pytest.approx(float(expected))

    def test_a_number_is_least_at_its_share(self):
        share = link(asked("number")).wanted(np.array([15.0]))
        assert share.tolist() == [[0.25]]
        logit = torch.zeros(1, 1, requires_grad=True)
        optimizer = torch.optim.SGD([logit], lr=1.0)
        for _ in range(200):
            optimizer.zero_grad()
            BinaryCrossEntropy()(logit, torch.from_numpy(share)).backward()
            optimizer.step()
        assert link(asked("number")).predict_tensor(logit.detach()).item() == pytest.approx(15.0, abs=1e-3)

    @pytest.mark.parametrize("task", TASKS)
    def test_a_link_says_the_same_of_tensors_and_arrays(self, task):
        logits = RNG.normal(size=(6, len(asked(task).outputs))).astype(np.float32)
        one = link(asked(task))
        assert one.predict_tensor(torch.from_numpy(logits)).numpy() == pytest.approx(one.predict(logits), rel=1e-5)

    def test_balanced_sampling_draws_rows_of_the_rarest_label_as_often(self):
        labels = np.zeros((N, 3), np.uint8)
        labels[:, 0], labels[:6, 1] = 1, 1
        competition, spec = asked("labels"), spec_of(sampling="balanced", batch_size=TRAINED)
        fold = fold_of(competition, spec, np.zeros((N, SIDE, SIDE, 3), np.uint8), labels)
        drawn = np.concatenate([np.concatenate(batches.order(fold, epoch)) for epoch in range(50)])
        assert (drawn < 6).mean() == pytest.approx(0.5, abs=0.05)

    @pytest.mark.parametrize("task", ["labels", "number"])
    def test_mixed_shares_are_those_of_the_pixels(self, task):
        torch.manual_seed(1)
        k = 3 if task == "labels" else 1
        wanted = torch.rand(8, k)
        pixels = wanted.mean(dim=1)[:, None, None, None].expand(8, 3, 64, 64)
        for changes in ({"mixup": 1.0}, {"cutmix": 1.0}):
            mixed, shares = losses.mixed(pixels, wanted, spec_of(**changes), k)
            assert torch.allclose(mixed.mean((1, 2, 3)), shares.mean(dim=1), atol=1e-5)
            assert not torch.allclose(shares, wanted)


class TestMargin:
    def test_is_that_of_the_paper(self):
        angles = torch.tensor([[0.4, 1.2, 2.0], [3.0, 1.0, 0.2]])  # the second's and the margin are beyond 180 degrees
        logits = Margin(10.0, 0.3)(10 * angles.cos(), torch.tensor([1, 0]))
        expected = 10 * angles.cos()
        expected[0, 1] = 10 * np.cos(1.5)
        expected[1, 0] = 10 * (np.cos(3.0) - 0.3 * np.sin(0.3))
        assert torch.allclose(logits, expected, atol=1e-5)

    def test_a_greater_one_is_a_greater_loss_and_gradients_are_finite_at_the_ends(self):
        logits = torch.tensor([[30.0, -30.0, 0.0], [-30.0, 30.0, 0.0]], requires_grad=True)
        found = [CrossEntropy(None, 0.0, Margin(30.0, margin))(logits, torch.tensor([0, 0])) for margin in (0.1, 0.5)]
        assert found[0] < found[1]
        found[1].backward()
        assert torch.isfinite(logits.grad).all()

    @pytest.mark.parametrize(
        "network",
        [
            {"backbone": "test_convnext", "img_size": 32, "pretrained": False},
            {"backbone": "test_vit", "img_size": 160, "pretrained": False},
            {"clip": TINY_CLIP, "head": "random"},
        ],
        ids=["convnext", "vit", "clip"],
    )
    def test_a_networks_logits_are_cosines_and_its_head_alone_is_new(self, network):
        plain, spec = (FineTune(epochs=2, lr=1e-3, **network, **more) for more in ({}, {"margin": 0.3}))
        classifiers.check(spec)
        model, before = (classifiers.create(one, 4, 0, pretrained=False) for one in (spec, plain))
        side = classifiers.size(spec)
        logits = model.eval()(torch.rand(2, 3, side, side))
        assert logits.shape == (2, 4)
        assert logits.abs().max() <= spec.margin_scale
        assert isinstance(model.get_classifier(), classifiers.CosineHead)
        assert before.state_dict().keys() - model.state_dict().keys() == {
            name for name in before.state_dict() if name.endswith(("head.bias", "fc.bias")) and "head" in name
        }
        same = dict(before.named_parameters())
        assert all(torch.equal(tensor, same[name]) for name, tensor in model.named_parameters() if "head" not in name)

    def test_a_head_that_is_no_linear_layer_is_refused(self):
        spec = spec_of(backbone="resnetv2_50", backbone_args={"layers": (1, 1, 1, 1)}, img_size=64, margin=0.3)
        with pytest.raises(UserError, match=r"margin=0\.3 needs a linear head, and resnetv2_50 has none"):
            classifiers.check(spec)  # a convolution of 1 x 1

    def test_no_key_names_it_where_there_is_none(self):
        assert not {name for name in spec_of().model_dump(mode="json") if "margin" in name}
        assert spec_of(margin=0.3).model_dump(mode="json")["margin"] == 0.3

    @pytest.mark.parametrize(
        ("changes", "said"),
        [({"mixup": 0.2}, "mixup and cutmix mix two"), ({"clip": TINY_CLIP, "head": "probe"}, "directions alone")],
    )
    def test_what_does_not_go_with_it_is_refused(self, changes, said):
        base = {"backbone": "test_convnext"} if "clip" not in changes else {}
        with pytest.raises(ValidationError, match=said):
            FineTune(epochs=2, lr=1e-3, margin=0.3, **base, **changes)


@pytest.mark.parametrize(
    ("task", "model", "said"),
    [
        ("labels", spec_of(margin=0.3), r"models\.a: margin is of one class a picture"),
        ("labels", FineTune(clip=TINY_CLIP, epochs=2, lr=1e-3), r"models\.a: .*head='probe' or head='random'"),
        ("number", FineTune(clip=TINY_CLIP, epochs=2, lr=1e-3), r"models\.a: .*head='probe' or head='random'"),
        ("number", spec_of(label_smoothing=0.1), "label_smoothing is of classes and labels"),
        ("number", spec_of(class_weight="balanced"), "class_weight is of classes and labels"),
        ("number", spec_of(sampling="balanced"), "sampling is of classes and labels"),
        ("number", spec_of(temperature=True), "temperature is of classes and labels"),
        ("number", ZeroShot(clip=TINY_CLIP), "zero-shot compares pictures with texts, and a number has none"),
        ("labels", ZeroShot(clip=TINY_CLIP, prior="train"), "leave prior out"),
        ("labels", spec_of(label_noise="drop"), "doubtful labels are found where a picture has one class"),
        (
            "labels",
            Probe(clip=TINY_CLIP, label_noise="drop"),
            "doubtful labels are found where a picture has one class",
        ),
    ],
)
def test_what_is_not_of_the_task_is_refused_when_the_config_is_loaded(task, model, said):
    texts = toy_competition().prompts if task == "labels" and model.reads_prompts else None
    with pytest.raises(ValidationError, match=said):
        asked(task, models={"a": model, "judge": Probe(clip=TINY_CLIP)}, prompts=texts)


def test_labels_have_a_temperature_each_and_the_model_predicts_by_them(folder):
    df = pd.read_csv(folder / "train.csv", dtype=str)
    df["label"] += [" reddish" if label == "red" else "" for label in df["label"]]
    df.to_csv(folder / "train.csv", index=False)
    labels = ("blue", "green", "red", "reddish")
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)[["id"]]
    sample.assign(**dict.fromkeys(labels, 0.5)).to_csv(folder / "sample_submission.csv", index=False)
    models = {name: spec_of(epochs=3, temperature=name == "scaled") for name in ("plain", "scaled")}
    competition = asked("labels", classes=labels, models=models)
    for stage in (data, folds, finetune):
        run_stage(stage, competition)
    plain, made = (read_json(competition.model_folder(name) / "model.json") for name in models)
    assert len(made["temperature"]) == 4
    assert made["log_loss"] < plain["log_loss"]  # too unsure after three epochs
    rows = read_dataset(competition)
    predicted = fitted.load(competition, "scaled").predict(pictures_of_test(competition, rows))
    assert np.abs(predicted - model_tables(competition, "scaled", rows)[1]).max() < 1e-5
