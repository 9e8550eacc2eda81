"""The training loop: every field of the recipe does what it says, and nothing that interrupts it changes the weights."""

import dataclasses
import functools
import json
import math
import multiprocessing
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F
from torch.utils.data._utils import signal_handling

from src.__main__ import exit_code
from src.base import interrupts, machine
from src.base.errors import UserError
from src.base.threads import cores
from src.data.geometry import Geometry
from src.models.finetune import augment, losses, resume, training, waiting
from src.models.finetune import batches as batches_module
from src.models.finetune.batches import Batches, Fold
from src.models.finetune.resume import Checkpointer, Running
from src.models.finetune.training import Training
from src.networks import classifiers
from src.results import checkpoints
from src.schema.models import Augment, FineTune
from src.stages import find_lr
from src.units import pace
from src.units.pace import OutOfTime
from tests.conftest import TINY_CLIP, toy_competition

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
TARGETS = np.arange(40) % 3
SMALL = {"depths": (1, 1, 1, 1), "dims": (8, 8, 8, 8)}  # of a test_convnext

PREDICT = training.predict


class Squares(list):
    """Pictures in memory."""

    geometry = Geometry(32, 32)

    @property
    def pictures(self):
        return self

    def read(self, i):
        return self[i]

    def picture(self, raw):
        return raw


def spec_of(**changes) -> FineTune:
    fields = {"backbone": "test_convnext", "pretrained": False, "img_size": 32, "epochs": 2, "lr": 1e-3}
    if "backbone" not in changes:
        changes["backbone_args"] = {**SMALL, **changes.get("backbone_args", {})}
    return FineTune(**{**fields, "batch_size": 10, "warmup_epochs": 0.5, "augment": (), **changes})


def fold_of(spec: FineTune, targets=TARGETS, n: int = 30) -> Fold:
    every = np.arange(40)
    config = classifiers.data_config(spec)
    return Fold(
        competition=toy_competition(), title="it fold 0", number=0, seed=spec.seed, spec=spec, squares=Squares(PIXELS), ids=[f"id{i}" for i in every],
        train=every[:n], targets=targets[:n], valid=every[n:], valid_targets=targets[n:], data_config=config,
        precision="float32",
    )  # fmt: skip


def start(spec: FineTune, targets=TARGETS) -> Training:
    fold = fold_of(spec, targets)
    made = Training(fold, classifiers.create(spec, 3, 0, False))
    made.set_mode()
    return made


def batch(fold: Fold, step: int = 0):
    return list(Batches(fold, augment.compose(())).of(0))[step]


def weights(made: Training) -> dict:
    return {name: tensor.clone() for name, tensor in made.model.state_dict().items()}


def moved(made: Training, before: dict) -> set[str]:
    return {name for name, tensor in made.model.state_dict().items() if not torch.equal(tensor, before[name])}


def alike(model, fold, rows, *rest):
    """Predicts that all classes are equally likely."""
    return np.full((len(rows), 3), 1 / 3, np.float32)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Predicting is not what is tested here."""
    monkeypatch.setattr(training, "predict", alike)


def fit(spec, folder, key="key", behind=0.0, **changes):
    fold = dataclasses.replace(fold_of(spec), **changes)
    running = Running(folder / "fold0.safetensors", {"it": key})
    model, history = training.train_fold(
        fold, lambda pretrained: classifiers.create(spec, 3, 0, False), augment.compose(()), running, behind=behind
    )
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}, history


class TestGradients:
    def test_of_parts_are_those_of_the_batch(self):
        whole, parts = start(spec_of()), start(spec_of(micro_batch=3))
        for made in (whole, parts):
            made.model.eval()  # no drop path
        pixels, targets = batch(whole.fold)
        pixels = pixels.float()
        losses = [float(made.backward(pixels, targets, made.micro.size)) for made in (whole, parts)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
            assert torch.allclose(one.grad, other.grad, atol=1e-5)

    def test_balanced_weights_are_those_of_scikit_learn(self):
        from sklearn.utils.class_weight import compute_class_weight

        targets = np.repeat([0, 1, 2], [30, 6, 4])
        made = start(
            spec_of(class_weight="balanced", label_smoothing=0.1), np.random.default_rng(1).permutation(targets)
        )
        counted = made.fold.targets
        expected = compute_class_weight("balanced", classes=np.arange(3), y=counted)
        assert np.allclose(made.loss.weight, expected)
        pixels, wanted = batch(made.fold)
        made.model.eval()
        logits = made.model(pixels.float())
        each = F.cross_entropy(logits, wanted, label_smoothing=0.1, reduction="none") * made.loss.weight[wanted]
        assert float(made.backward(pixels.float(), wanted, 10)) == pytest.approx(each.mean().item(), rel=1e-5)

    @pytest.mark.parametrize("most", [1, 4])
    def test_out_of_memory_goes_on_with_the_same_batch_in_smaller_parts(self, most, capsys):
        whole, small = start(spec_of()), start(spec_of())
        for made in (whole, small):
            made.model.eval()
        sizes, forward = [], small.model.forward

        def cramped(pixels):
            if len(pixels) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            sizes.append(len(pixels))
            return forward(pixels)

        small.forward = cramped
        for made in (whole, small):
            made.train_step(*batch(made.fold))
        assert sum(sizes) == 10
        assert max(sizes) <= most
        assert small.step == 1
        assert small.about()["micro_batch"] == small.micro.size <= most
        for name, tensor in whole.model.state_dict().items():
            assert torch.allclose(tensor, small.model.state_dict()[name], atol=2e-3)  # AdamW's first step is a sign
        said = capsys.readouterr().out
        assert (
            "it fold 0: out of GPU memory in epoch 1, step 1, with a batch of 10, continuing with 5 images at a time"
            in said
        )

    def test_no_memory_for_one_image_is_a_sentence(self):
        made = start(spec_of())

        def full(pixels):
            raise torch.OutOfMemoryError("CUDA out of memory")

        made.forward = full
        with pytest.raises(UserError, match="it fold 0: the GPU has no memory for a single image"):
            made.train_step(*batch(made.fold))


def test_out_of_memory_in_predicting_goes_on_in_smaller_parts(capsys):
    fold = fold_of(spec_of())
    model, sizes = classifiers.create(fold.spec, 3, 0, False), []
    expected = PREDICT(model, fold, fold.valid, ("identity", "hflip"), 10)

    def cramped(pixels):
        if len(pixels) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(pixels))
        return forward(pixels)

    forward, model.forward = model.forward, cramped
    probs = PREDICT(model, fold, fold.valid, ("identity", "hflip"), 10)
    assert sizes == [3, 3, 3, 3, 3, 3, 1, 1]
    assert np.allclose(probs, expected, atol=1e-6)
    assert "it fold 0: out of GPU memory, continuing with 3 images at a time" in capsys.readouterr().out


@pytest.mark.skipif(cores() < 2, reason="one core has no workers")
def test_however_many_workers_there_are_the_batches_are_the_same(monkeypatch):
    fold = fold_of(spec_of(batch_size=7))
    transform = augment.compose((Augment("Affine", rotate=(-40, 40), p=0.9), Augment("HorizontalFlip", p=0.5)))
    alone = [list(Batches(fold, transform).of(epoch)) for epoch in range(3)]
    assert not torch.equal(alone[0][0][0], alone[1][0][0])
    monkeypatch.setattr(machine, "workers", lambda: 2)
    batches = Batches(fold, transform)
    for epoch, first in ((0, 0), (2, 1), (1, 3)):
        many = list(batches.of(epoch, first))
        assert len(many) == len(alone[epoch]) - first
        for (pixels, targets), (same, same_targets) in zip(many, alone[epoch][first:], strict=True):
            assert torch.equal(pixels, same)
            assert torch.equal(targets, same_targets)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_that_is_prepared_has_the_same_batches(monkeypatch, workers):
    fold, transform = fold_of(spec_of(batch_size=7)), augment.compose((Augment("HorizontalFlip", p=0.5),))
    expected = [list(Batches(fold, transform).of(epoch)) for epoch in range(2)]
    monkeypatch.setattr(machine, "workers", lambda: workers)
    for asked, first in ((1, 0), (1, 2), (0, 0)):  # what was prepared is not always what is wanted
        batches = Batches(fold, transform)
        assert len(list(batches.of(0))) == 5
        batches.prepare(1)
        found = list(batches.of(asked, first))
        assert len(found) == 5 - first
        for (pixels, targets), (same, same_targets) in zip(found, expected[asked][first:], strict=True):
            assert torch.equal(pixels, same)
            assert torch.equal(targets, same_targets)


def test_the_next_epochs_pictures_are_loaded_while_the_held_out_ones_are_predicted(monkeypatch, tmp_path):
    began, end_epoch = multiprocessing.get_context("fork").Value("i", -1), Training.end_epoch
    whole = batches_module.Augmented.batch

    def batch_of(self, epoch, step, positions):
        began.value = max(began.value, epoch)
        return whole(self, epoch, step, positions)

    def waiting(self):
        wanted = min(self.epoch + 1, 1)  # there is no third epoch
        deadline = time.monotonic() + 20
        while began.value < wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        assert began.value == wanted
        return end_epoch(self)

    monkeypatch.setattr(machine, "workers", lambda: 2)
    monkeypatch.setattr(batches_module.Augmented, "batch", batch_of)
    monkeypatch.setattr(Training, "end_epoch", waiting)
    fit(spec_of(), tmp_path)


def with_workers(monkeypatch, work, fold: Fold, **changes: object) -> Batches:
    """Batches of two processes, in which `work` is done for a batch."""
    monkeypatch.setattr(machine, "workers", lambda: 2)
    for name, value in changes.items():
        monkeypatch.setattr(batches_module, name, value)
    monkeypatch.setattr(batches_module.Augmented, "__getitem__", lambda self, at: work())
    return Batches(fold, augment.compose(()))


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda: time.sleep(1000), "DataLoader timed out after 1 seconds"),
        (lambda: os._exit(1), "DataLoader worker (pid"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the other dead one, in the end
def test_a_loader_that_hangs_or_is_dead_is_a_sentence(monkeypatch, work, said):
    others = multiprocessing.active_children()
    batches = with_workers(monkeypatch, work, fold_of(spec_of()), PATIENCE_S=1, PICTURE_S=0)
    batches.prepare(0)
    for process in {*multiprocessing.active_children()}.difference(others) if "worker" in said else ():
        process.join(60)  # it counts as dead when it has ended
    with pytest.raises(UserError, match=re.escape(f"it fold 0: {said}")) as error:
        next(batches.of(0))
    assert "/dev/shm" in str(error.value)


def test_a_batch_of_pictures_that_take_long_is_waited_for(monkeypatch):
    batches = with_workers(monkeypatch, lambda: time.sleep(0.4) or 7, fold_of(spec_of()), PATIENCE_S=0.1, PICTURE_S=1)
    assert next(batches.of(0)) == 7


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mistake_that_a_worker_finds_is_one_sentence(monkeypatch, workers):
    monkeypatch.setattr(machine, "workers", lambda: workers)
    crop = augment.compose((Augment("CenterCrop", height=16, width=16),))
    with pytest.raises(UserError, match=r"^it fold 0: its augmentations turn 32 pixels a side into \(16, 16\)$"):
        next(Batches(fold_of(spec_of()), crop).of(0))


def test_a_bug_in_a_worker_keeps_its_traceback(monkeypatch):
    def bug():
        raise RuntimeError("a bug of ours")

    with pytest.raises(RuntimeError, match="a bug of ours"):
        next(with_workers(monkeypatch, bug, fold_of(spec_of())).of(0))


def test_the_first_signal_ends_the_wait_for_a_loader_that_hangs(monkeypatch):
    batches, seconds = with_workers(monkeypatch, lambda: time.sleep(1000), fold_of(spec_of())), {"wait": 0.0}
    batches.prepare(0)  # a signal while processes are started may be raised in one of Python's own hooks, and get lost
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
    with interrupts.deferred_signals() as stop:
        timer.start()
        assert list(waiting.timed(batches.of(0), seconds, stop)) == []
    assert stop.signal == signal.SIGTERM
    assert not stop.waiting
    assert seconds["wait"] < 20


def test_a_signal_while_the_loader_starts_is_noted_and_raised_afterwards(monkeypatch, tmp_path):
    """Python drops what is raised in its own hooks of a fork, and the loader would be waited for until it counts as dead."""
    seen, leave = [], batches_module.leave_ended_processes

    def disturbed():
        if not seen:
            os.kill(os.getpid(), signal.SIGTERM)
            seen.append("went on")
        leave()

    monkeypatch.setattr(machine, "workers", lambda: 2)
    monkeypatch.setattr(batches_module, "leave_ended_processes", disturbed)
    with pytest.raises(KeyboardInterrupt):
        fit(spec_of(), tmp_path)
    assert seen == ["went on"]
    assert len(list(tmp_path.glob("*running*"))) == 1


@pytest.mark.parametrize(
    ("batches_free", "workers", "ahead"), [(100, 8, 4), (30, 8, 2), (14, 8, 1), (8, 4, 1), (3, 0, 0), (None, 8, 4)]
)
def test_the_loader_takes_no_more_of_dev_shm_than_there_is(monkeypatch, capsys, batches_free, workers, ahead):
    fold = fold_of(spec_of())
    free = math.inf if batches_free is None else batches_free * fold.spec.batch_size * 3 * fold.squares.geometry.size**2
    monkeypatch.setattr(machine, "workers", lambda: 8)
    monkeypatch.setattr(machine, "free_shared_memory", lambda: free)
    assert batches_module.processes(fold) == (workers, ahead)
    said = f"{workers} of 8 loader processes are started, each {ahead} and not 4 batches ahead"
    assert (said in capsys.readouterr().out) == ((workers, ahead) != (8, 4))


class TestMixed:
    def test_as_it_is(self):
        pixels, targets = torch.rand(8, 3, 8, 8), torch.arange(8) % 3
        assert losses.mixed(pixels, targets, spec_of(), 3) == (pixels, targets)
        assert losses.mixed(pixels, targets, spec_of(mixup=1.0, mix_p=0.0), 3) == (pixels, targets)

    def test_mixup_mixes_pixels_as_it_mixes_targets(self):
        torch.manual_seed(0)
        targets = torch.arange(8) % 3
        pixels = F.one_hot(targets, 3).float()[:, :, None, None].expand(8, 3, 8, 8)
        mixed, shares = losses.mixed(pixels, targets, spec_of(mixup=1.0), 3)
        assert torch.allclose(mixed[:, :, 0, 0], shares)
        assert 0 < float(shares[0].max()) < 1

    def test_cutmix_gives_each_class_its_share_of_the_area(self):
        torch.manual_seed(1)
        targets = torch.arange(8) % 3
        pixels = F.one_hot(targets, 3).float()[:, :, None, None].expand(8, 3, 64, 64)
        mixed, shares = losses.mixed(pixels, targets, spec_of(cutmix=1.0), 3)
        assert torch.allclose(mixed.mean((2, 3)), shares, atol=1e-5)
        assert set(mixed.unique().tolist()) == {0.0, 1.0}

    def test_both_take_turns(self):
        pixels, targets, ways = torch.rand(8, 3, 16, 16), torch.arange(8) % 3, set()
        for seed in range(20):
            torch.manual_seed(seed)
            mixed, _ = losses.mixed(pixels, targets, spec_of(mixup=1.0, cutmix=1.0), 3)
            ways.add(bool(torch.isin(mixed, pixels).all()))
        assert ways == {True, False}


class TestOptimizer:
    def test_biases_and_norms_do_not_decay(self):
        made = start(spec_of(weight_decay=0.1))
        decays = {id(p): group["weight_decay"] for group in made.optimizer.param_groups for p in group["params"]}
        for _, parameter in made.model.named_parameters():
            assert decays[id(parameter)] == (0.1 if parameter.ndim > 1 else 0)

    def test_early_layers_learn_slower(self):
        made = start(spec_of(layer_decay=0.5))
        made.set_lr()
        lrs = {id(p): group["lr"] for group in made.optimizer.param_groups for p in group["params"]}
        named = dict(made.model.named_parameters())
        head, stem = lrs[id(named["head.fc.weight"])], lrs[id(named["stem.0.weight"])]
        assert head == pytest.approx(made.lr)
        assert stem < head / 8

    def test_the_head_has_its_own_peak_and_the_layers_theirs(self):
        plain, made = start(spec_of(layer_decay=0.5)), start(spec_of(layer_decay=0.5, head_lr=0.01))
        head, plans = {id(weight) for weight in made.model.get_classifier().parameters()}, []
        for epoch, step in ((0, 0), (0, 2), (1, 1), (1, 2)):  # warm-up, the peak, the cosine
            of = []
            for one in (plain, made):
                one.epoch, one.step = epoch, step
                one.set_lr()
                of.append({id(p): group["lr"] for group in one.optimizer.param_groups for p in group["params"]})
            lrs = [[by[id(p)] for p in one.model.parameters()] for one, by in zip((plain, made), of, strict=True)]
            own = np.array([id(p) in head for p in made.model.parameters()])
            assert np.allclose(np.array(lrs[1])[own], made.lr * 10)
            assert np.array_equal(np.array(lrs[1])[~own], np.array(lrs[0])[~own])
            plans.append(made.lr)
        assert plans[1] == pytest.approx(1e-3, rel=0.05)
        assert plans[3] < plans[2] < plans[1]

    def test_a_head_of_its_own_lr_resumes_and_a_recipe_without_one_has_the_old_key(self, tmp_path, monkeypatch):
        assert "head_lr" not in spec_of().model_dump(mode="json")
        assert spec_of(head_lr=0.01).model_dump(mode="json")["head_lr"] == 0.01
        spec = spec_of(head_lr=0.01)
        expected, _ = fit(spec, tmp_path / "whole")
        with monkeypatch.context() as patch:
            patch.setattr(training, "train_epoch", stop_after(training.train_epoch, 1))
            with pytest.raises(KeyboardInterrupt):
                fit(spec, tmp_path / "it")
        again, _ = fit(spec, tmp_path / "it")
        assert all(torch.equal(again[name], expected[name]) for name in expected)
        for wrong in (0.0, -1.0, 10.0, float("nan")):
            with pytest.raises(ValidationError, match="head_lr"):
                spec_of(head_lr=wrong)

    def test_only_the_head_learns_at_first(self):
        made = start(spec_of(backbone="test_resnet", head_epochs=1))
        before = weights(made)
        made.train_step(*batch(made.fold))
        assert moved(made, before) == {"fc.weight", "fc.bias"}
        made.epoch, made.step = 1, 0
        made.set_mode()
        made.train_step(*batch(made.fold))
        assert {"conv1.0.weight", "bn1.running_mean"} <= moved(made, before)

    def test_the_first_groups_of_layers_stay_as_they_are(self):
        made = start(spec_of(backbone="test_resnet", frozen_groups=2))
        before = weights(made)
        made.train_step(*batch(made.fold))
        learnt = moved(made, before)
        assert {name.partition(".")[0] for name in learnt} == {"layer2", "layer3", "layer4", "fc"}
        assert "layer2.0.bn1.running_mean" in learnt
        whole = spec_of().model_dump(mode="json")
        assert "frozen_groups" not in whole

    @pytest.mark.parametrize("clip", [False, True])
    def test_the_first_groups_of_a_vit_are_its_embeddings_and_blocks(self, clip):
        if clip:
            deeper = TINY_CLIP.model_copy(update={"vision_cfg": {**TINY_CLIP.vision_cfg, "layers": 2}})
            recipe = {"epochs": 2, "lr": 1e-3, "warmup_epochs": 0.5, "batch_size": 10}
            spec = FineTune(clip=deeper, head="random", img_size=32, frozen_groups=2, **recipe)
            prefix, blocks = "visual.", "visual.transformer.resblocks"
        else:
            spec = spec_of(backbone="test_vit", backbone_args={"img_size": 32}, img_size=None, frozen_groups=2)
            prefix, blocks = "", "blocks"
        made = start(spec)
        before = weights(made)
        made.train_step(*batch(made.fold))
        learnt = moved(made, before)
        assert not any(name.startswith((f"{blocks}.0.", f"{prefix}pos", f"{prefix}cls")) for name in learnt)
        assert {"head.weight", f"{blocks}.1.{'ln_1' if clip else 'norm1'}.weight"} <= learnt

    @pytest.mark.parametrize("changes", [{}, {"head_epochs": 1, "head_lr": 1e-2}])
    def test_a_distilled_network_has_two_heads(self, changes):
        small = {"depth": 1, "embed_dim": 24, "patch_size": 16}
        made = start(spec_of(backbone="deit_tiny_distilled_patch16_224", backbone_args=small, **changes))
        before = weights(made)
        made.train_step(*batch(made.fold))
        heads = {f"{head}.{part}" for head in ("head", "head_dist") for part in ("weight", "bias")}
        assert heads == moved(made, before) if changes else heads < moved(made, before)

    @pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "test_convnext", "test_vit", "test_resnet"])
    def test_as_many_groups_as_there_are_leave_nothing_to_train(self, backbone):
        spec = spec_of(backbone=backbone, img_size=None)
        classifiers.check(spec.model_copy(update={"frozen_groups": 2}))
        with pytest.raises(UserError, match="frozen_groups=99 leaves nothing to train: the network has"):
            classifiers.check(spec.model_copy(update={"frozen_groups": 99}))

    def test_the_average_follows(self):
        made = start(spec_of(ema_decay=0.9))
        for step in range(2):  # the first is taken whole
            made.train_step(*batch(made.fold, step))
        assert made.predictor is made.ema.module
        assert any(
            not torch.equal(a, b) for a, b in zip(made.model.parameters(), made.ema.module.parameters(), strict=True)
        )


class TestStopped:
    SPEC = spec_of(epochs=3, batch_size=8, ema_decay=0.5, mixup=0.4, backbone_args={"drop_path_rate": 0.2})

    @pytest.fixture(scope="class")
    @classmethod
    def undisturbed(cls, tmp_path_factory):
        """The weights and the history of a run to which nothing happened."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "predict", alike)
            return fit(cls.SPEC, tmp_path_factory.mktemp("undisturbed"))

    @pytest.mark.parametrize(  # 4 steps are an epoch; 12 are all
        ("step", "number"),
        [(step, signal.SIGTERM) for step in (1, 3, 4, 6, 11)] + [(6, signal.SIGINT), (6, signal.SIGALRM)],
    )
    def test_by_a_signal_it_saves_and_ends_with_the_weights_of_an_undisturbed_run(
        self, undisturbed, tmp_path, monkeypatch, step, number, capsys
    ):
        expected, history = undisturbed
        train_step, steps = Training.train_step, []

        def disturbed(self, *arguments):
            train_step(self, *arguments)
            steps.append(1)
            if len(steps) == step:
                os.kill(os.getpid(), number)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "train_step", disturbed)
            with pytest.raises(KeyboardInterrupt) as error:
                fit(self.SPEC, tmp_path / "it")
        assert error.value.args == (number,)
        assert len(steps) == step
        again, history_again = fit(self.SPEC, tmp_path / "it")
        assert "it fold 0  resuming after epoch" in capsys.readouterr().out
        assert all(torch.equal(again[name], expected[name]) for name in expected)
        assert [row["loss"] for row in history_again] == [row["loss"] for row in history]

    def test_a_worker_that_heard_the_signal_too_costs_nothing(self, undisturbed, tmp_path, monkeypatch):
        """As when a whole process group is told to end."""
        expected, _ = undisturbed

        def dying(self, epoch, first=0):
            for step, item in enumerate(of(self, epoch, first)):
                if epoch == 1 and step == 2:
                    os.kill(os.getpid(), signal.SIGTERM)
                    raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated.")
                yield item

        of = Batches.of
        with monkeypatch.context() as patch:
            patch.setattr(Batches, "of", dying)
            with pytest.raises(KeyboardInterrupt):
                fit(self.SPEC, tmp_path / "it")
        again, _ = fit(self.SPEC, tmp_path / "it")
        assert all(torch.equal(again[name], expected[name]) for name in expected)

    @pytest.mark.parametrize("place", ["train_step", "prepare", "end_epoch", "state"])
    def test_by_a_signal_to_all_processes_it_saves_wherever_it_is(self, tmp_path, monkeypatch, place):
        """As timeout, Slurm and systemd send it: the loader's processes end at once, while a step is half done."""
        processes, owner = multiprocessing.get_context("fork"), Batches if place == "prepare" else Training
        done = getattr(owner, place)
        reached, sent = processes.Event(), processes.Event()

        def disturbed(self, *arguments):
            if (arguments[0] - 1 if place == "prepare" else self.epoch) == 1 and not reached.is_set():
                reached.set()
                assert sent.wait(20)
                time.sleep(0.3)  # the processes end meanwhile
            return done(self, *arguments)

        def alone():
            os.setsid()
            monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)  # as in a process of its own
            monkeypatch.setattr(machine, "workers", lambda: 2)
            monkeypatch.setattr(resume, "EVERY_S", 0)
            monkeypatch.setattr(owner, place, disturbed)
            os._exit(exit_code(lambda: fit(self.SPEC, tmp_path)[0] and 0, "stopped"))

        process = processes.Process(target=alone)
        process.start()
        assert reached.wait(20)
        os.killpg(process.pid, signal.SIGTERM)
        sent.set()
        process.join(30)
        assert process.exitcode == 128 + signal.SIGTERM
        saved = checkpoints.about(Running(tmp_path / "fold0.safetensors", {}).paths()[-1])
        assert saved["epoch"] == (2 if place in ("prepare", "end_epoch") else 1)
        assert saved["step"] == 1 or place != "train_step"

    def test_a_signal_while_the_last_checkpoint_is_written_is_not_lost(self, tmp_path, monkeypatch):
        wait, calls, last = resume.Checkpointer.wait, [], None

        def disturbed(self):
            calls.append(1)
            if len(calls) == last:
                os.kill(os.getpid(), signal.SIGTERM)
            wait(self)

        with monkeypatch.context() as patch:
            patch.setattr(resume.Checkpointer, "wait", disturbed)
            expected, _ = fit(self.SPEC, tmp_path / "whole")
            last = 2 * len(calls)
            with pytest.raises(KeyboardInterrupt):
                fit(self.SPEC, tmp_path / "it")
        again, _ = fit(self.SPEC, tmp_path / "it")
        assert all(torch.equal(again[name], expected[name]) for name in expected)

    def test_a_signal_that_comes_twice_is_one(self, monkeypatch):
        """timeout sends it to the process, and to all of its group."""
        monkeypatch.setattr(interrupts, "ONE_S", 60)
        with interrupts.deferred_signals() as asked:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
            assert asked.signal == signal.SIGTERM

    def test_a_second_signal_is_obeyed_at_once_and_the_handlers_come_back(self, monkeypatch):
        monkeypatch.setattr(interrupts, "ONE_S", 0)
        before = signal.getsignal(signal.SIGINT)
        with interrupts.deferred_signals() as asked:
            os.kill(os.getpid(), signal.SIGINT)
            assert asked.signal == signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before

    @pytest.mark.usefixtures("saved_each_step")
    def test_two_checkpoints_are_kept_and_the_older_serves_where_the_newer_is_damaged(
        self, undisturbed, tmp_path, monkeypatch, capsys
    ):
        expected, _ = undisturbed
        running = Running(tmp_path / "it" / "fold0.safetensors", {"it": "key"})
        monkeypatch.setattr(training, "train_epoch", stop_after(training.train_epoch, 2))
        with pytest.raises(KeyboardInterrupt):
            fit(self.SPEC, tmp_path / "it")
        monkeypatch.undo()
        monkeypatch.setattr(training, "predict", alike)
        older, newer = running.paths()
        newer.write_bytes(newer.read_bytes()[:1000])
        again, _ = fit(self.SPEC, tmp_path / "it")
        said = capsys.readouterr().out
        assert f"{newer.name} is damaged" in said
        assert "resuming after epoch 1" in said
        assert all(torch.equal(again[name], expected[name]) for name in expected)
        assert checkpoints.about(older) is None  # it has made room

    @pytest.mark.parametrize("killed_at", [2, 5, 7, 12])  # the step after: a checkpoint is of whole steps
    def test_a_checkpoint_within_an_epoch_resumes_to_the_weights_of_an_undisturbed_run(
        self, undisturbed, tmp_path, monkeypatch, killed_at, saved_each_step, capsys
    ):
        expected, history = undisturbed
        with monkeypatch.context() as patch:
            patch.setattr(Training, "train_step", stop_after(Training.train_step, killed_at - 1))
            with pytest.raises(KeyboardInterrupt):
                fit(self.SPEC, tmp_path / "it")
        capsys.readouterr()
        again, history_again = fit(self.SPEC, tmp_path / "it")
        epoch, step = divmod(killed_at - 1, 4)
        assert f"resuming after epoch {epoch}" + (f" and {step} steps" if step else "") in capsys.readouterr().out
        assert all(torch.equal(again[name], expected[name]) for name in expected)
        assert [row["loss"] for row in history_again] == [row["loss"] for row in history]

    @pytest.mark.parametrize(("seconds", "behind", "step"), [(100.0, 0.0, 5), (25.0, 0.0, 3), (200.0, 1.0, 5)])
    def test_a_pace_that_ends_too_late_is_stopped_and_saved_and_a_later_run_goes_on(
        self, undisturbed, tmp_path, monkeypatch, capsys, seconds, behind, step
    ):
        """Steps of 10 s: 12 of them take 120 s, and as long again if as much is behind them."""
        expected, history = undisturbed
        now, train_step = 0.0, Training.train_step

        def slow(made, *batch):
            nonlocal now
            now += 10.0
            train_step(made, *batch)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "train_step", slow)
            patch.setattr(pace.time, "monotonic", lambda: now)
            with pace.allowed(seconds), pytest.raises(OutOfTime) as error:
                fit(self.SPEC, tmp_path / "it", behind=behind)
        where = "epoch 1 and 1 steps" if step == 5 else "epoch 0 and 3 steps"
        assert f"stopped after {where}, where a later run with more time goes on" in str(error.value)
        assert str(error.value).startswith("it fold 0: it ")
        if step == 5:
            assert error.value.seconds == pytest.approx(120.0 * (1 + behind))
        capsys.readouterr()
        again, history_again = fit(self.SPEC, tmp_path / "it")
        assert f"resuming after {where}" in capsys.readouterr().out
        assert all(torch.equal(again[name], expected[name]) for name in expected)
        assert [row["loss"] for row in history_again] == [row["loss"] for row in history]

    def test_what_is_late_with_its_last_step_is_finished(self, tmp_path, monkeypatch):
        monkeypatch.setattr(pace.Pace, "is_too_slow", lambda self, done: done == self.total)
        assert len(fit(self.SPEC, tmp_path)[1]) == 3

    def test_a_batch_larger_than_the_data_is_said(self, tmp_path, capsys):
        fit(spec_of(batch_size=64), tmp_path)
        assert "it fold 0  batch_size 64 is more than all its rows: one batch of 30" in capsys.readouterr().out


def stop_after(function, n: int):
    calls = []

    def stopping(*arguments):
        if len(calls) == n:
            raise KeyboardInterrupt
        calls.append(1)
        function(*arguments)

    return stopping


class TestCheckpointer:
    TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}

    @pytest.fixture
    def running(self, tmp_path):
        return Running(tmp_path / "fold0.safetensors", {"it": "key"})

    @pytest.fixture
    def held(self, monkeypatch):
        """Writes wait for this event."""
        go, save = threading.Event(), checkpoints.save

        def saving(*arguments):
            assert go.wait(20)
            save(*arguments)

        monkeypatch.setattr(checkpoints, "save", saving)
        return go

    def test_writes_what_was_there_while_training_goes_on(self, running, held):
        tensors = {name: tensor.clone() for name, tensor in self.TENSORS.items()}
        about = {"history": [1]}
        with ThreadPoolExecutor(1) as pool:
            checkpointer = Checkpointer(running, pool)
            checkpointer.save(tensors, about)
            tensors["a"] += 1
            about["history"].append(2)
            assert running.paths() == []
            held.set()
        found, facts = running.latest("it")
        assert all(torch.equal(found[name], tensor) for name, tensor in self.TENSORS.items())
        assert facts == {"history": [1], "key": {"it": "key"}}

    def test_one_write_at_a_time_and_a_minute_between_two(self, running, held, monkeypatch):
        monkeypatch.setattr(resume, "EVERY_S", 0)
        with ThreadPoolExecutor(1) as pool:
            checkpointer = Checkpointer(running, pool)
            assert checkpointer.due
            checkpointer.save(self.TENSORS, {})
            assert not checkpointer.due
            held.set()
            checkpointer.save(self.TENSORS, {})  # waits for the first
            assert len(running.paths()) >= 1
            checkpointer.wait()
            assert len(running.paths()) == 2
            assert checkpointer.due
            monkeypatch.setattr(resume, "EVERY_S", 60)
            assert not checkpointer.due

    def test_copies_are_made_in_the_same_memory(self, running):
        with ThreadPoolExecutor(1) as pool:
            checkpointer, places = Checkpointer(running, pool), []
            for _ in range(2):
                checkpointer.save(self.TENSORS, {})
                checkpointer.wait()
                places.append([tensor.data_ptr() for tensor in checkpointer.copies.values()])
        assert places[0] == places[1]

    def test_a_full_disk_ends_the_training_with_its_sentence(self, tmp_path, monkeypatch):
        def full(path, *arguments):
            raise UserError(f"cannot write {path}: the disk is full")

        monkeypatch.setattr(checkpoints, "save", full)
        monkeypatch.setattr(resume, "EVERY_S", 0)
        with pytest.raises(UserError, match=r"cannot write .*running-000001.safetensors: the disk is full"):
            fit(spec_of(), tmp_path)

    def test_a_signal_waits_for_the_write_that_is_under_way_and_saves(self, tmp_path, monkeypatch, held):
        train_step, steps = Training.train_step, []

        def disturbed(self, *arguments):
            train_step(self, *arguments)
            steps.append(1)
            if len(steps) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
                threading.Timer(0.2, held.set).start()

        monkeypatch.setattr(resume, "EVERY_S", 0)
        monkeypatch.setattr(Training, "train_step", disturbed)
        with pytest.raises(KeyboardInterrupt):
            fit(spec_of(), tmp_path)
        paths = Running(tmp_path / "fold0.safetensors", {}).paths()
        assert [checkpoints.about(path)["step"] for path in paths] == [1, 2]


def test_a_compiled_model_is_used_and_saved_under_its_own_names(monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda model: lambda pixels: calls.append(1) or model(pixels))
    made = start(spec_of(compile=True))
    made.train_step(*batch(made.fold))
    assert calls
    assert "model.head.fc.weight" in made.state()


def test_where_torch_cannot_compile_it_is_a_sentence(monkeypatch):
    def broken(pixels):
        raise torch._dynamo.exc.TorchDynamoException("InvalidCxxCompiler: No working C++ compiler found\n\nmore")

    monkeypatch.setattr(torch, "compile", lambda model: broken)
    made = start(spec_of(compile=True))
    said = r"^it fold 0: torch cannot compile here \(InvalidCxxCompiler: No working .* found\): set compile=False$"
    with pytest.raises(UserError, match=said):
        made.train_step(*batch(made.fold))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_checkpointing_gradients_changes_none(name):
    spec = spec_of(backbone=name)
    ones = [start(spec), start(spec.model_copy(update={"grad_checkpointing": True}))]
    for made in ones:
        made.model.eval()
        pixels, targets = batch(made.fold)
        made.backward(pixels.float(), targets, 10)
    for one, other in zip(*(made.model.parameters() for made in ones), strict=True):
        assert isinstance(one, nn.Parameter)
        assert torch.allclose(one.grad, other.grad, atol=1e-6)


class TestRange:
    def test_the_lr_rises_and_the_curve_ends_where_the_loss_explodes(self):
        spec = spec_of()
        found = find_lr.lr_curve(fold_of(spec), classifiers.create(spec, 3, 0, False), augment.compose(()))
        assert 20 < len(found) <= find_lr.STEPS
        assert np.allclose(np.diff(np.log(found["lr"])), np.log(find_lr.HIGH / find_lr.LOW) / (find_lr.STEPS - 1))
        assert found["lr"].iloc[0] == pytest.approx(find_lr.LOW)
        assert find_lr.LOW < find_lr.suggest_lr(found) < found["lr"].iloc[int(found["smooth"].argmin())]

    def test_the_suggestion_is_where_the_loss_falls_most_steeply(self):
        lrs = np.logspace(-6, 0, 61)
        loss = 2 - np.tanh(4 * (np.log10(lrs) + 3)) + np.maximum(np.log10(lrs) + 1, 0) * 20
        found = find_lr.suggest_lr(pd.DataFrame({"lr": lrs, "smooth": loss}))
        assert found == pytest.approx(1e-3, rel=0.3)

    def test_a_loss_that_is_not_finite_is_the_curves_end(self, monkeypatch):
        spec, normalised, calls = spec_of(), training.normalised, []

        def broken(pixels, *rest):
            calls.append(1)
            return normalised(pixels, *rest) * (float("nan") if len(calls) == 31 else 1)

        monkeypatch.setattr(training, "normalised", broken)
        assert len(find_lr.lr_curve(fold_of(spec), classifiers.create(spec, 3, 0, False), augment.compose(()))) == 30

    def test_a_dead_loader_is_no_end_of_the_curve(self, monkeypatch):
        spec = spec_of()

        def dead(self, epoch, first=0):
            raise UserError("it fold 0: DataLoader worker (pid")
            yield

        monkeypatch.setattr(Batches, "of", dead)
        with pytest.raises(UserError, match="DataLoader worker"):
            find_lr.lr_curve(fold_of(spec), classifiers.create(spec, 3, 0, False), augment.compose(()))


class TestFloat16:
    """Of GPUs without bfloat16: gradients are scaled, so that small ones are not lost."""

    def test_trains_as_float32_does_but_for_rounding(self, tmp_path):
        (half, _), (full, _) = (fit(spec_of(epochs=1), tmp_path / p, precision=p) for p in ("float16", "float32"))
        before = classifiers.create(spec_of(), 3, 0, False).state_dict()
        for name in full:
            if full[name].is_floating_point() and not torch.equal(full[name], before[name]):
                way, other = (made[name] - before[name] for made in (full, half))
                assert torch.nn.functional.cosine_similarity(way.flatten(), other.flatten(), dim=0) > 0.8, name

    def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_halved(self):
        fold = dataclasses.replace(fold_of(spec_of(clip_grad=1.0)), precision="float16")
        made = Training(fold, classifiers.create(fold.spec, 3, 0, False))
        made.set_mode()
        made.train_step(*batch(fold))
        made.scaler.load_state_dict({**made.scaler.state_dict(), "scale": 2.0**60})
        before, scale = weights(made), made.scaler.get_scale()
        made.train_step(*batch(fold, 1))
        assert moved(made, before) == set()
        assert made.scaler.get_scale() == scale / 2
        assert torch.isfinite(made.losses[:2]).all()

    def test_a_resumed_run_goes_on_with_its_scale(self, monkeypatch):
        monkeypatch.setattr(torch.amp, "GradScaler", functools.partial(torch.amp.GradScaler, growth_interval=2))
        fold = dataclasses.replace(fold_of(spec_of()), precision="float16")
        made, resumed = (Training(fold, classifiers.create(fold.spec, 3, 0, False)) for _ in range(2))
        made.set_mode()
        for step in range(3):
            made.train_step(*batch(fold, step))
        resumed.restore(made.state(), json.loads(json.dumps(made.about())))
        assert resumed.scaler.state_dict() == made.scaler.state_dict()
        assert resumed.scaler.state_dict()["scale"] == 2.0**17


@pytest.mark.parametrize(
    ("device", "native", "precision"),
    [("cpu", False, "float32"), ("cuda", True, "bfloat16"), ("cuda", False, "float16")],
)
def test_the_precision_is_what_the_device_has(monkeypatch, device, native, precision):
    monkeypatch.setattr(machine, "device", lambda: torch.device(device))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native and not including_emulation)
    assert machine.precision("auto") == precision
    assert machine.precision("float32") == "float32"


class TestEpochsByRows:
    @pytest.mark.parametrize(("rows", "epochs"), [(60, 20), (2_000, 6), (20_000, 1), (50_000, 1)])
    def test_steps_limit_the_epochs_of_many_rows(self, rows, epochs):
        """As of 80 % of the rows of a config for two cores."""
        spec = spec_of(epochs=20, warmup_epochs=2.0, max_steps=300, batch_size=32, head_epochs=3)
        made = spec.scheduled(rows * 4 // 5)
        assert (made.epochs, made.max_steps, made.warmup_epochs) == (epochs, None, 2.0 * epochs / 20)
        assert made.head_epochs == min(3, epochs - 1)
        assert type(made).model_validate(made.model_dump()) == made  # as a config with these epochs

    @pytest.mark.parametrize(("rows", "epochs"), [(60, 30), (2_000, 30), (50_000, 10)])
    def test_a_gpus_steps_are_more(self, rows, epochs):
        assert spec_of(epochs=30, max_steps=6000, batch_size=64).scheduled(rows * 4 // 5).epochs == epochs

    def test_without_a_limit_of_steps_nothing_changes(self):
        assert (spec := spec_of()).scheduled(10**6) is spec
        assert "max_steps" not in spec_of().model_dump(mode="json")
