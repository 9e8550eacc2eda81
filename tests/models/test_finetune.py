"""Fine-tuning: learns, resumes to the very weights of an undisturbed run, reuses what is finished, leaks nothing."""

import dataclasses
import itertools
import shutil

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from src.base import files
from src.base.errors import UserError
from src.data.geometry import normalised
from src.data.rows import read_dataset
from src.models import fitted
from src.models.finetune import batches, optimizer, training
from src.models.finetune.keys import finetune_key, network_key
from src.models.finetune.run import Run, runs_of, squares_of
from src.models.pictures import test_pictures as pictures_of_test
from src.networks import backbones
from src.results import checkpoints
from src.results.model import model_tables
from src.schema.models import Augment, FineTune, Probe
from src.stages import data, features, finetune, folds
from src.units.pace import OutOfTime, allowed
from tests.conftest import TINY_CLIP, Evil, read_json, roots_at, snapshot, toy_competition, toy_files
from tests.running import run_stage


def with_model(**changes):
    toy = toy_competition()
    return toy.model_copy(update={"models": {"convnext": toy.models["convnext"].model_copy(update=changes)}})


@pytest.fixture
def prepared(toy):
    data.run(toy)
    folds.run(toy)
    return toy


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory):
    """The folder of the toy competition's network, trained once for all tests that begin with it."""
    roots = tmp_path_factory.mktemp("finished")
    with roots_at(roots):
        toy_files(roots / "input" / "toy")
        competition = with_model()
        for stage in (data, folds, finetune):
            run_stage(stage, competition)
        return competition.model_folder("convnext")


@pytest.fixture
def trained(prepared, finished_once):
    """The competition with its network trained."""
    shutil.copytree(finished_once, prepared.model_folder("convnext"))
    return prepared


def tables_of(competition):
    return model_tables(competition, "convnext", read_dataset(competition))


def test_learns_and_predicts_every_row_out_of_fold(prepared):
    competition = with_model(epochs=8)
    assert run_stage(finetune, competition) == ["convnext"]
    oof, test = tables_of(competition)
    targets = read_dataset(competition).targets
    assert (oof.argmax(axis=1) == targets).mean() > 0.9
    assert (test.argmax(axis=1) == np.arange(12) % 3).mean() > 0.9
    folder = competition.model_folder("convnext")
    history = pd.read_csv(folder / "history.csv")
    assert history.groupby("fold").size().tolist() == [8, 8, 8]
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [f"fold{k}.safetensors" for k in range(3)]
    assert read_json(folder / "model.json")["cv"] == pytest.approx((oof.argmax(axis=1) == targets).mean())


def test_the_written_weights_are_those_that_predicted(trained):
    rows, spec = read_dataset(trained), trained.models["convnext"]
    model = backbones.create(spec, 3, 0, None)
    model.load_state_dict(load_file(trained.model_folder("convnext") / "fold1.safetensors"))
    squares = squares_of(trained, spec, rows)
    pixels = torch.stack([torch.from_numpy(squares[i]).permute(2, 0, 1) for i in np.flatnonzero(rows.fold == 1)])
    with torch.inference_mode():
        config = backbones.data_config(spec)
        probs = model.eval()(normalised(pixels, config.mean, config.std)).softmax(dim=1)
    assert np.abs(tables_of(trained)[0][rows.fold == 1] - probs.numpy()).max() < 1e-6


def test_a_second_run_changes_no_file(trained):
    before = snapshot(trained.folder)
    assert run_stage(finetune, trained) == []
    assert snapshot(trained.folder) == before


@pytest.mark.parametrize("change", [{"lr": 1e-3}, {"seed": 1}, {"augment": ()}])
def test_a_changed_config_is_trained_again(trained, change, capsys):
    before = tables_of(trained)[0]
    assert run_stage(finetune, with_model(**change)) == ["convnext"]
    said = next(line for line in capsys.readouterr().out.splitlines() if "recomputing:" in line)
    assert f"{next(iter(change))} changed" in said
    assert np.abs(tables_of(trained)[0] - before).max() > 1e-4


@pytest.mark.parametrize("change", [{"views": ("identity", "hflip")}, {"temperature": True}, {"seeds": 2}])
def test_what_does_not_reach_the_weights_trains_none_again(trained, change, monkeypatch, capsys):
    before, folder = tables_of(trained)[0], trained.model_folder("convnext")
    weights = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    capsys.readouterr()
    assert run_stage(finetune, with_model(**change)) == ["convnext"]
    said = capsys.readouterr().out
    assert f"{next(iter(change))} changed" in said
    assert said.count("  train 24  valid 12") == (3 if "seeds" in change else 0)  # the second seed's
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("fold?.safetensors")} == weights
    assert np.abs(tables_of(trained)[0] - before).max() > 1e-4
    changed = tables_of(trained)
    for path in folder.iterdir():
        path.unlink()
    run_stage(finetune, with_model(**change))  # all of it at once
    assert all((ours == theirs).all() for ours, theirs in zip(tables_of(trained), changed, strict=True))


@pytest.mark.parametrize("change", ["more rows", "fewer rows", "other pictures"])
def test_another_test_set_is_predicted_with_the_weights_that_are_there(trained, folder, change, capsys):
    """As a notebook sees it: the hidden test set is another than that of the competition's page."""
    oof, before = tables_of(trained)
    weights = {path.name: path.read_bytes() for path in trained.model_folder("convnext").glob("*.safetensors")}
    df = pd.read_csv(folder / "test.csv", dtype=str)
    if change == "more rows":
        df = pd.concat([df, df.assign(id="9" + df["id"])])
    elif change == "fewer rows":
        df = df[3:]
    else:
        df["image"] = df["image"].iloc[::-1].tolist()
    df.to_csv(folder / "test.csv", index=False)
    df[["id"]].assign(label="red").to_csv(folder / "sample_submission.csv", index=False)
    capsys.readouterr()
    held_out = {
        path.name: path.stat().st_mtime_ns for path in trained.model_folder("convnext").glob("fold?-oof.parquet")
    }
    assert run_stage(finetune, trained) == ["convnext"]
    assert all(
        path.stat().st_mtime_ns == held_out[path.name]
        for path in trained.model_folder("convnext").glob("fold?-oof.parquet")
    )
    said = capsys.readouterr().out
    assert said.count("predicts with the weights that it has") == 3
    assert "  train 24  valid 12" not in said
    assert {path.name: path.read_bytes() for path in trained.model_folder("convnext").glob("*.safetensors")} == weights
    again, test = tables_of(trained)
    assert (again == oof).all()
    expected = {"more rows": np.concatenate([before, before]), "fewer rows": before[3:], "other pictures": before[::-1]}
    assert np.abs(test - expected[change]).max() < 1e-6


def test_a_larger_test_set_changes_no_pixel_that_was_trained_on(prepared, folder):
    competition = with_model(img_size=16).model_copy(update={"store_gb": 0.00005})  # 48 pictures fit, and not 60

    def pixels():
        data = read_dataset(competition)
        square = squares_of(competition, competition.models["convnext"], data)[0].copy()
        return finetune_key(competition, competition.models["convnext"], data)["pictures"], square

    side, square = pixels()
    df = pd.read_csv(folder / "test.csv", dtype=str)
    df = pd.concat([df, df.assign(id="9" + df["id"])])
    df.to_csv(folder / "test.csv", index=False)
    df[["id"]].assign(label="red").to_csv(folder / "sample_submission.csv", index=False)
    again, same = pixels()
    assert side == again == 16
    assert (same == square).all()


@pytest.mark.parametrize("beside", ["larger", "encoder"])
def test_another_model_changes_neither_the_key_nor_a_pixel_of_the_others(prepared, beside):
    alone, size = with_model(img_size=16), {"larger": 18, "encoder": 32}[beside]
    network = alone.models["convnext"]
    other = {
        "larger": network.model_copy(update={"img_size": size}),
        "encoder": Probe(backbone="test_convnext", pretrained=False, img_size=size, views=("crop_center",)),
    }[beside]
    data = read_dataset(alone)
    more = alone.model_copy(update={"models": {"convnext": network, "other": other}})
    assert finetune_key(more, network, data) == finetune_key(alone, network, data)
    assert finetune_key(alone, network, data)["pictures"] == 16
    expected = squares_of(alone, network, data)[0]
    if beside == "larger":
        squares_of(more, other, data)
    else:
        run_stage(features, more)
    assert (squares_of(more, network, data)[0] == expected).all()


def test_epochs_that_steps_allow_are_the_epochs_of_the_key(trained, capsys):
    """Of 24 rows, in batches of 8, six steps are two epochs: the same model as one of two epochs."""
    limited = with_model(epochs=50, max_steps=6, warmup_epochs=25.0)
    key = finetune_key(limited, limited.models["convnext"], read_dataset(trained))
    assert (key["model"]["epochs"], key["model"]["warmup_epochs"]) == (2, 1.0)
    assert run_stage(finetune, limited) == []
    assert "convnext  reused" in capsys.readouterr().out
    (trained.model_folder("convnext") / "fold0.safetensors").unlink()
    (trained.model_folder("convnext") / "test.parquet").unlink()
    assert run_stage(finetune, limited) == ["convnext"]
    assert "convnext fold 0  2 epochs of at most 50, by max_steps=6" in capsys.readouterr().out
    assert len(pd.read_csv(trained.model_folder("convnext") / "history.csv")) == 2 * 3


def test_a_frozen_clip_has_a_key_of_its_own_and_a_backbone_the_old_one(prepared):
    recipe, rows = {"epochs": 2, "lr": 1e-3}, read_dataset(prepared)
    for network, entries in (({"clip": TINY_CLIP, "head": "random"}, {"frozen"}), ({"backbone": "test_vit"}, set())):
        found = [network_key(prepared, FineTune(**network, **recipe, frozen_groups=n), rows) for n in (0, 1)]
        assert found[1].keys() - found[0].keys() == entries


def test_smoothing_beside_weights_has_a_key_of_its_own(prepared):
    rows = read_dataset(prepared)
    for weights, smoothing in (("none", 0.1), ("balanced", 0.0), ("balanced", 0.1)):
        spec = FineTune(backbone="test_vit", epochs=2, lr=1e-3, class_weight=weights, label_smoothing=smoothing)
        for key in (finetune_key, network_key):  # network_key: of a cell of `compare`
            assert ("smoothing" in key(prepared, spec, rows)) == (weights == "balanced" and smoothing > 0)


def test_a_head_that_starts_from_a_probe_of_few_rows_names_their_code(prepared):
    rows = read_dataset(prepared)
    for head in ("probe", "random"):
        spec = FineTune(clip=TINY_CLIP, head=head, epochs=2, lr=1e-3)
        for key in (finetune_key, network_key):
            assert ("few_rows" in key(prepared, spec, rows)) == (head == "probe")


def test_a_model_of_epochs_that_steps_allow_is_of_its_config(trained):
    limited = with_model(epochs=50, max_steps=6, warmup_epochs=25.0)
    expected = fitted.load(trained, "convnext").predict(pictures_of_test(trained, rows := read_dataset(trained)))
    assert (fitted.load(limited, "convnext").predict(pictures_of_test(limited, rows)) == expected).all()
    with pytest.raises(UserError, match="is not of the config as it is now"):
        fitted.load(with_model(epochs=50, max_steps=12, warmup_epochs=25.0), "convnext")


def test_weights_that_are_trained_again_predict_again(trained):
    folder = trained.model_folder("convnext")
    before = (folder / "fold1-oof.parquet").stat().st_mtime_ns
    for name in ("fold1.safetensors", "test.parquet"):
        (folder / name).unlink()
    run_stage(finetune, trained)
    assert (folder / "fold1-oof.parquet").stat().st_mtime_ns > before


def test_weights_whose_key_still_names_the_test_rows_are_taken(trained):
    """Those that an earlier version wrote."""
    key = finetune_key(trained, trained.models["convnext"], read_dataset(trained))
    one = runs_of(trained, "convnext", 0)[0]
    about = checkpoints.about(one.finished)
    checkpoints.save(one.finished, checkpoints.load(one.finished), {**about, "key": {**about["key"], "test": "other"}})
    assert not one.untrained(key)


def test_test_tables_that_are_gone_are_made_again(trained):
    expected, folder = tables_of(trained), trained.model_folder("convnext")
    (folder / "fold1-test.parquet").unlink()
    (folder / "test.parquet").unlink()
    assert run_stage(finetune, trained) == ["convnext"]
    assert all((ours == theirs).all() for ours, theirs in zip(tables_of(trained), expected, strict=True))


def test_nothing_is_trained_where_predict_only_is_set(prepared, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("PREDICT_ONLY", "1")
        with pytest.raises(UserError, match=r"convnext fold 0 would have to be trained \(fold0.safetensors is missing"):
            run_stage(finetune, prepared)
    run_stage(finetune, prepared)
    monkeypatch.setenv("PREDICT_ONLY", "1")
    assert run_stage(finetune, with_model(views=("hflip",))) == ["convnext"]
    with pytest.raises(UserError, match=r"lr changed \(0.003 to 0.001\)\), and PREDICT_ONLY is set"):
        run_stage(finetune, with_model(lr=1e-3))


def test_a_model_that_was_a_probe_is_trained(prepared):
    folder = prepared.model_folder("convnext")
    checkpoints.save(folder / "fold0.safetensors", {"coef": torch.zeros(3, 4)}, {"c": 1.0, "normalise": True})
    assert run_stage(finetune, prepared) == ["convnext"]


def test_weights_that_a_network_has_under_two_names_are_saved_under_both(tmp_path):
    weight = torch.arange(3.0)
    checkpoints.save(tmp_path / "a.safetensors", {"one": weight, "other": weight, "part": weight[1:]}, {})
    found = checkpoints.load(tmp_path / "a.safetensors")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {
        "one": [0.0, 1.0, 2.0], "other": [0.0, 1.0, 2.0], "part": [1.0, 2.0]
    }  # fmt: skip


class Killed(BaseException):
    pass


def test_killed_while_it_predicts_again_and_changed_back_it_has_no_foreign_tables(trained, monkeypatch):
    expected, write = tables_of(trained), files.write_json

    def dying(path, value):
        if path.name == "fold1.json":
            raise Killed
        write(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", dying)
        with pytest.raises(Killed):
            run_stage(finetune, with_model(views=("identity", "rot90")))
    for path in trained.model_folder("convnext").glob("model.json"):
        path.unlink()
    run_stage(finetune, trained)
    assert all((ours == theirs).all() for ours, theirs in zip(tables_of(trained), expected, strict=True))


def kill_at(monkeypatch, number):
    """Dies at the number-th write of a checkpoint: before it, as `kill -9` in the epoch would."""
    save, writes = checkpoints.save, []

    def saving(*arguments):
        writes.append(1)
        if len(writes) == number:
            raise Killed
        save(*arguments)

    monkeypatch.setattr(checkpoints, "save", saving)


STEPS = 2 * 3  # of a fold: 2 epochs of 24 rows, 8 in a batch


@pytest.mark.usefixtures("saved_each_step")
@pytest.mark.parametrize("number", [2, 4, 6, STEPS + 1, STEPS + 2])  # a write a step, and the finished file's
def test_a_killed_run_ends_as_an_undisturbed_one(trained, monkeypatch, number):
    """A run of all folds, or one of the first alone that is killed in it."""
    folder = trained.model_folder("convnext")
    whole = {name: data for name, (_, data) in snapshot(folder).items() if name.endswith(".parquet")}
    weights = [load_file(folder / f"fold{k}.safetensors") for k in range(3)]
    others = ("fold1", "fold2") if number in (2, 6, STEPS + 1) else ()
    for path in folder.iterdir():
        if not path.name.startswith(others):
            path.unlink()
    with monkeypatch.context() as patch:
        kill_at(patch, number)
        with pytest.raises(Killed):
            run_stage(finetune, trained)
    assert run_stage(finetune, trained) == ["convnext"]
    assert {name: data for name, (_, data) in snapshot(folder).items() if name.endswith(".parquet")} == whole
    for k in range(3):
        again = load_file(folder / f"fold{k}.safetensors")
        assert all(torch.equal(again[name], weights[k][name]) for name in weights[k])


@pytest.mark.usefixtures("saved_each_step")
def test_a_finished_fold_and_epoch_are_not_done_again(prepared, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        kill_at(patch, STEPS + 1 + 4)  # fold 1, after its first epoch
        with pytest.raises(Killed):
            run_stage(finetune, prepared)
    capsys.readouterr()
    run_stage(finetune, prepared)
    said = capsys.readouterr().out
    assert "convnext fold 0  reused" in said
    assert "convnext fold 1  resuming after epoch 1" in said
    assert said.count("epoch ") == 1 + 1 + 2  # "after epoch 1", one epoch of fold 1, two of fold 2
    assert not list(prepared.model_folder("convnext").glob("*.running.*"))


@pytest.mark.usefixtures("saved_each_step")
def test_killed_after_a_change_of_config_and_changed_back_it_has_no_foreign_tables(trained, monkeypatch):
    expected = tables_of(trained)
    changed = with_model(lr=1e-4)
    with monkeypatch.context() as patch:
        kill_at(patch, 2 * (STEPS + 1))  # fold 0 is new, fold 1 has written all its epochs and not yet its weights
        with pytest.raises(Killed):
            run_stage(finetune, changed)
    for path in trained.model_folder("convnext").glob("model.json"):
        path.unlink()
    run_stage(finetune, trained)
    assert all((ours == theirs).all() for ours, theirs in zip(tables_of(trained), expected, strict=True))


@pytest.mark.usefixtures("saved_each_step")
def test_an_epoch_of_another_config_is_not_gone_on_from(prepared, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        kill_at(patch, 2)
        with pytest.raises(Killed):
            run_stage(finetune, prepared)
    run_stage(finetune, with_model(lr=1e-4))
    said = capsys.readouterr().out
    assert "convnext fold 0  starting over: lr changed (0.003 to 0.0001)" in said
    assert "resuming after" not in said


def test_a_fold_that_has_no_time_left_is_saved_and_gone_on_from_to_the_same_tables(trained, monkeypatch, capsys):
    expected, behind = tables_of(trained), []
    for path in trained.model_folder("convnext").iterdir():
        path.unlink()
    train_fold = training.train_fold

    def noted(*arguments, **more):
        behind.append(more["behind"])
        return train_fold(*arguments, **more)

    monkeypatch.setattr(training, "train_fold", noted)
    with allowed(0.0), pytest.raises(OutOfTime, match=r"convnext fold 0: .* stopped after epoch 0 and 1 steps"):
        finetune.run_fold(trained, "convnext", 0)
    run_stage(finetune, trained)
    assert "convnext fold 0  resuming after epoch 0 and 1 steps" in capsys.readouterr().out
    assert all((ours == theirs).all() for ours, theirs in zip(tables_of(trained), expected, strict=True))
    data = read_dataset(trained)
    n, held_out = data.n_learnt, len(data.train) - data.n_learnt
    assert behind[0] == pytest.approx((held_out + len(data.test)) / (2 * (3 * n + held_out)))  # of 2 epochs, a view


def test_a_fold_is_started_with_nothing_but_names_in_any_order(trained):
    expected = tables_of(trained)
    for path in trained.model_folder("convnext").iterdir():
        path.unlink()
    for fold in (2, 0, 1):
        finetune.run_fold(trained, "convnext", fold)
    run_stage(finetune, trained)
    assert all((ours == theirs).all() for ours, theirs in zip(tables_of(trained), expected, strict=True))


@pytest.mark.parametrize("leak", [False, True])
def test_random_labels_score_chance_unless_they_leak(folder, monkeypatch, leak):
    """What leaks, so that the test is seen to notice it: the held-out rows are among those that are learnt from."""
    df = pd.read_csv(folder / "train.csv", dtype=str)
    df["label"] = np.random.default_rng(3).permutation(df["label"])
    df.to_csv(folder / "train.csv", index=False)
    competition = with_model(epochs=15, warmup_epochs=2.0, augment=(), temperature=True)
    data.run(competition)
    folds.run(competition)
    if leak:
        honest, targets = Run.fold, read_dataset(competition).targets
        every = {"train": np.arange(36), "targets": targets}
        monkeypatch.setattr(Run, "fold", lambda *arguments: dataclasses.replace(honest(*arguments), **every))
    run_stage(finetune, competition)
    score = read_json(competition.model_folder("convnext") / "model.json")["cv"]
    assert (abs(score - 1 / 3) < 2 * np.sqrt(2 / 9 / 36)) != leak


def test_a_folds_weights_do_not_depend_on_its_labels(prepared, folder):
    finetune.run_fold(prepared, "convnext", 0)
    weights = load_file(prepared.model_folder("convnext") / "fold0.safetensors")
    df = pd.read_csv(folder / "train.csv", dtype=str)
    held_out = read_dataset(prepared).fold == 0
    df.loc[held_out, "label"] = df.loc[held_out, "label"].map({"red": "blue", "blue": "green", "green": "red"})
    df.to_csv(folder / "train.csv", index=False)
    prepared.folds_csv.with_suffix(".json").unlink()  # these folds, as somebody's own
    finetune.run_fold(prepared, "convnext", 0)
    again = load_file(prepared.model_folder("convnext") / "fold0.safetensors")
    assert all(torch.equal(again[name], weights[name]) for name in weights)


@pytest.mark.usefixtures("saved_each_step")
def test_a_loss_that_is_not_finite_stops_and_is_not_saved(prepared, monkeypatch):
    calls = []

    def broken(pixels, *rest):
        calls.append(1)
        return normalised(pixels, *rest) * (float("nan") if len(calls) == 4 else 1)

    monkeypatch.setattr(training, "normalised", broken)  # of steps alone: an epoch has two
    with pytest.raises(UserError) as error:
        run_stage(finetune, with_model(views=("identity",), batch_size=12))
    assert "convnext fold 0: the loss is not finite in epoch 2, step 2 of 2, at lr 0.0" in str(error.value)
    rows, fold = read_dataset(prepared), Run(with_model(batch_size=12), "convnext", 0, 42)
    batch = batches.order(fold.fold(rows, None), 1)[1]
    ids = [rows.train.ids[i] for i in np.flatnonzero(rows.fold != 0)[batch]]
    assert f"(ids {', '.join(ids)})" in str(error.value)
    saved = [checkpoints.load(path) for path in prepared.model_folder("convnext").glob("*.running-*")]
    assert all(torch.isfinite(tensor).all() for tensors in saved for tensor in tensors.values())
    assert len(saved) == 2


def test_warm_up_rises_and_the_cosine_falls_to_nothing():
    lrs = [optimizer.lr_at(step, 100, 10, 1.0) for step in range(100)]
    assert all(b > a for a, b in itertools.pairwise(lrs[:11]))
    assert all(b < a for a, b in itertools.pairwise(lrs[10:]))
    assert max(lrs) == lrs[10] == 1.0
    assert lrs[-1] < 1e-3


def fold_of(prepared, **changes) -> batches.Fold:
    return Run(with_model(**changes), "convnext", 0, 42).fold(read_dataset(prepared), None)


def test_no_batch_is_of_one(prepared):
    sizes = [len(batch) for batch in batches.order(fold_of(prepared, batch_size=23), 0)]  # of 24 rows
    assert sizes == [12, 12]


def test_balanced_sampling_draws_each_class_as_often(prepared):
    fold = fold_of(prepared, sampling="balanced")
    targets = np.repeat([0, 1, 2], [20, 3, 1])
    rare = dataclasses.replace(fold, train=np.arange(24), targets=targets)
    drawn = np.concatenate([targets[batch] for epoch in range(200) for batch in batches.order(rare, epoch)])
    assert np.abs(np.bincount(drawn) / len(drawn) - 1 / 3).max() < 0.03


class TestAugment:
    @pytest.mark.parametrize(
        ("transform", "said"),
        [
            (
                Augment("HorizontalFilp"),
                "unknown albumentations transform 'HorizontalFilp': did you mean 'HorizontalFlip'",
            ),
            (Augment("HorizontalFlip", prob=1.0), "HorizontalFlip: unknown argument 'prob'"),
            (Augment("CoarseDropout", max_height=8), "CoarseDropout: unknown argument 'max_height'"),
            (Augment("RandomResizedCrop", height=8, width=8), "RandomResizedCrop: unknown argument 'height'"),
            (Augment("HorizontalFlip", p=1.5), "HorizontalFlip does not take {'p': 1.5}"),
        ],
    )
    def test_what_albumentations_only_warns_of_is_refused(self, transform, said):
        with pytest.raises(UserError) as error:
            finetune.check(with_model(augment=(transform,)))
        assert said in str(error.value)
        assert "model 'convnext'" in str(error.value)

    def test_another_size_is_refused(self, prepared):
        with pytest.raises(UserError, match="turn 32 pixels a side into"):
            run_stage(finetune, with_model(augment=(Augment("CenterCrop", height=16, width=16),)))


class TestBackbones:
    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"backbone": "convnext_tinny"}, "unknown timm backbone 'convnext_tinny': did you mean 'convnext_tiny"),
            ({"backbone": "convnext_tiny.in1k"}, "convnext_tiny: unknown tag 'in1k'"),
            ({"backbone": "test_convnext3.nope", "pretrained": True}, "unknown tag 'nope'"),
            (
                {"weights_file": "/nowhere.safetensors", "pretrained": True},
                "weights_file /nowhere.safetensors is missing",
            ),
            ({"weights_file": "/nowhere.safetensors"}, "contradict each other"),
            (
                {"backbone": "vgg11", "backbone_args": {}, "grad_checkpointing": True},
                "vgg11 has no gradient checkpointing: leave grad_checkpointing out",
            ),
            (
                {"backbone": "pit_ti_224", "backbone_args": {}, "img_size": None, "frozen_groups": 1},
                "frozen_groups=1: timm knows no groups of layers of a PoolingVisionTransformer: leave it out",
            ),
        ],
    )
    def test_what_is_not_known_is_refused_before_training(self, fields, said):
        with pytest.raises(UserError) as error:
            finetune.check(with_model(**fields))
        assert said in str(error.value)

    def test_an_argument_that_timm_refuses_is_said(self):
        spec = with_model(backbone_args={"widht": 3}).models["convnext"]
        with pytest.raises(UserError, match="timm does not make it with"):
            backbones.create(spec, 3, 0, None)

    @pytest.fixture
    def file(self, tmp_path):
        torch.manual_seed(5)
        save_file(timm.create_model("test_convnext").state_dict(), tmp_path / "in1k.safetensors")
        return tmp_path / "in1k.safetensors"

    def spec(self, **fields) -> FineTune:
        whole = {"backbone": "test_convnext.r160_in1k", "backbone_args": {}, "pretrained": True}
        return with_model(**whole, **fields).models["convnext"]

    def test_a_local_file_is_loaded_and_the_head_is_new(self, file):
        model = backbones.create(self.spec(weights_file=str(file)), 3, 0, file)
        theirs = load_file(file)
        assert torch.equal(model.state_dict()["stem.0.weight"], theirs["stem.0.weight"])
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)

    def test_a_file_of_another_model_is_refused(self, tmp_path):
        path = tmp_path / "resnet.safetensors"
        save_file(timm.create_model("test_resnet").state_dict(), path)
        with pytest.raises(UserError, match="does not fit: is it another model's"):
            backbones.create(self.spec(weights_file=str(path)), 3, 0, path)

    def test_a_pickle_that_would_run_code_is_refused_and_not_run(self, tmp_path):
        path = tmp_path / "evil.pth"
        torch.save({"weight": Evil(str(tmp_path / "it_ran"))}, path)
        with pytest.raises(UserError, match="would run code"):
            backbones.create(self.spec(weights_file=str(path)), 3, 0, path)
        assert not (tmp_path / "it_ran").exists()

    def test_a_pickle_of_plain_weights_is_loaded(self, tmp_path):
        path = tmp_path / "in1k.pth"
        torch.save(timm.create_model("test_convnext").state_dict(), path)
        assert backbones.create(self.spec(weights_file=str(path)), 3, 0, path)(torch.zeros(1, 3, 32, 32)).shape == (
            1,
            3,
        )

    @pytest.mark.parametrize("data", [b"", b"half of it"])
    def test_a_damaged_file_is_refused(self, tmp_path, data):
        for path in (tmp_path / "a.safetensors", tmp_path / "a.pth"):
            path.write_bytes(data)
            with pytest.raises(UserError, match=str(path)):
                backbones.create(self.spec(weights_file=str(path)), 3, 0, path)

    def test_the_head_of_the_same_seed_is_the_same(self):
        spec = with_model().models["convnext"]
        heads = [backbones.create(spec, 3, seed, None).state_dict()["head.fc.weight"] for seed in (1, 1, 2)]
        assert torch.equal(heads[0], heads[1])
        assert not torch.equal(heads[0], heads[2])
