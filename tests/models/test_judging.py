"""Labels that a probe doubts: a model that is fine-tuned drops their rows, and is trained again when they change."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression

from src.base import files
from src.base.errors import UserError
from src.data.rows import Dataset, Rows, read_dataset
from src.models.finetune import batches
from src.models.finetune.fold import Shared
from src.models.finetune.run import Run, squares_of, weights_key
from src.models.pictures import train_pictures
from src.models.probe import fitting as probing
from src.models.probe.judging import (
    doubtful,
    judge_of,
    judgement_paths,
    judgements_digest,
    judging_probes,
    write_judgements,
)
from src.results import predictions
from src.schema.models import FineTune, Probe
from src.scoring import label_noise
from src.stages import data, features, finetune, folds, probe
from tests.conftest import TINY_CLIP, read_json, snapshot, toy_competition
from tests.running import run_stage

JUDGE = Probe(clip=TINY_CLIP, cs=(10.0, 100.0), normalise=(True,), widen=False)
WRONG = {"003": "green", "010": "red"}  # a blue one and a green one


def competition_of(how="drop", **changes):
    toy = toy_competition()
    tuned = toy.models["convnext"].model_copy(update={"label_noise": how, "epochs": 2, "ema_decay": None, **changes})
    return toy.model_copy(update={"models": {"probe": JUDGE, "convnext": tuned}})


def relabel(folder, wrong):
    df = pd.read_csv(folder / "train.csv", dtype=str)
    df["label"] = [wrong.get(id, label) for id, label in zip(df["id"], df["label"], strict=True)]
    df.to_csv(folder / "train.csv", index=False)


@pytest.fixture
def prepared(folder):
    relabel(folder, WRONG)
    toy = competition_of()
    for module in (data, folds, features, probe):
        run_stage(module, toy)
    return toy


def doubted(competition) -> list[list[str]]:
    """The ids, of each fold."""
    rows = read_dataset(competition)
    masks = doubtful(competition, competition.models["convnext"], rows)
    return [rows.train.take(rows.fold != number).take(mask).ids for number, mask in enumerate(masks)]


def check_by_scikit_learn(prepared, rows):
    """What is said of a row is by a fit that has seen neither its fold nor the one that is to be scored."""
    train = probing.ProbeRows(prepared, JUDGE, train_pictures(prepared, rows))
    chosen = read_json(prepared.model_folder("probe") / "model.json")["chosen"]
    for outer, path in enumerate(judgement_paths(prepared, "probe", rows)[1]):
        outside = rows.fold != outer
        said = predictions.read(path, toy_competition(), rows.train.take(outside).ids)
        feats = train.feats(chosen[outer]["normalise"])[:].astype(float)
        for inner in {0, 1, 2} - {outer}:
            seen = outside & (rows.fold != inner)
            peer = LogisticRegression(C=chosen[outer]["c"], tol=1e-6, solver="newton-cg")
            peer.fit(feats[seen], rows.targets[seen])
            expected = peer.predict_proba(feats[rows.fold == inner])
            assert np.abs(said[(rows.fold == inner)[outside]] - expected).max() < 1e-3


def test_the_judge_finds_what_was_planted_in_the_training_rows_alone(prepared):
    rows = read_dataset(prepared)
    fold = dict(zip(rows.train.ids, rows.fold, strict=True))
    for number, ids in enumerate(doubted(prepared)):
        assert set(ids) == {id for id in WRONG if fold[id] != number}
    check_by_scikit_learn(prepared, rows)


def test_a_model_is_trained_without_them_and_says_so(prepared, capsys):
    competition = competition_of(mixup=0.2, mix_p=0.5, class_weight="balanced", label_smoothing=0.1)
    assert run_stage(finetune, competition) == ["convnext"]
    folder, counts = competition.model_folder("convnext"), [len(ids) for ids in doubted(competition)]
    said = capsys.readouterr().out
    assert sum(counts) == 4  # each is in the training rows of two folds
    for number, count in enumerate(counts):
        assert f"convnext fold {number}  {count} of 24 training rows dropped: their labels are doubtful" in said
        assert read_json(folder / f"fold{number}.json")["dropped"] == count
    assert read_json(folder / "model.json")["dropped"] == counts
    assert pd.read_csv(folder / "history.csv").groupby("fold")["dropped"].first().tolist() == counts
    before = snapshot(competition.folder)
    assert run_stage(probe, competition) == run_stage(finetune, competition) == []
    assert snapshot(competition.folder) == before


@pytest.fixture
def fold_of(folder):
    """The first fold; of its training rows the first six are dropped, or kept."""

    def made(how, **changes):
        competition = competition_of(how, **changes)
        for module in (data, folds):
            module.run(competition)
        rows, spec = read_dataset(competition), competition.models["convnext"]
        doubtful = np.arange(24) < 6 if how == "drop" else None
        return Run(competition, "convnext", 0, 42).fold(rows, squares_of(competition, spec, rows), doubtful)

    return made


@pytest.mark.parametrize("sampling", ["all", "balanced"])
def test_dropped_rows_are_in_no_batch(fold_of, sampling):
    whole, fold = fold_of("keep"), fold_of("drop", sampling=sampling, batch_size=9)
    assert fold.train.tolist() == whole.train[6:].tolist()
    assert fold.targets.tolist() == whole.targets[6:].tolist()
    assert (whole.noise, fold.noise) == ({}, {"dropped": 6})
    assert fold.steps == 2
    assert np.concatenate(batches.order(fold, 0)).max() < 18
    assert fold.valid.tolist() == whole.valid.tolist()
    assert fold.valid_targets.tolist() == whole.valid_targets.tolist()


def test_what_is_doubted_is_in_the_key(prepared):
    rows = read_dataset(prepared)
    tables = [
        predictions.read(path, toy_competition(), rows.train.take(rows.fold != number).ids)
        for number, path in enumerate(judgement_paths(prepared, "probe", rows)[1])
    ]

    def key():
        return Shared(prepared, "convnext", rows).key

    before = key()
    write_judgements(prepared, "probe", rows, [0.999 * one + 0.001 / 3 for one in tables])
    assert key() == before  # the same rows are dropped
    write_judgements(prepared, "probe", rows, [np.roll(one, 1, axis=1) for one in tables])
    assert files.describe_changes(before, key()) == "judged changed"
    assert weights_key(key()) != weights_key(before)


def test_the_digest_of_doubtful_rows_is_that_of_models_trained_so_far():
    """Else all that was trained without its doubtful rows would be trained again."""
    train, test = (
        Rows(list(ids), [Path(id) for id in ids], list(ids), np.ones((len(ids), 2))) for ids in ("abcdef", "x")
    )
    fold = np.array([0, 1, 2, 0, 1, 2])
    masks = [np.array(mask, bool) for mask in ([0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0])]
    digest = judgements_digest(masks, Dataset(train, fold, test, fold=fold, folds_sha="sha"), 3)
    assert digest == "dae7895da74e0067b290967626aa76bbc2f08cca675e0b00c0676c8a7e539da3"


def test_test_rows_change_nothing_of_what_the_judge_says(prepared, folder, capsys):
    test = pd.read_csv(folder / "test.csv", dtype=str)
    test.iloc[:-1].to_csv(folder / "test.csv", index=False)
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)
    sample[sample["id"].isin(test["id"].iloc[:-1])].to_csv(folder / "sample_submission.csv", index=False)
    assert run_stage(probe, prepared) == ["probe"]
    assert "probe  what it says of labels is reused" in capsys.readouterr().out


def test_without_what_the_judge_says_nothing_is_trained(prepared, monkeypatch):
    before = snapshot(prepared.folder)
    judgement_paths(prepared, "probe", read_dataset(prepared))[0].unlink()
    with pytest.raises(UserError, match=r"'probe' says of the .* labels is missing: run ./run.sh toy probe finetune"):
        run_stage(finetune, prepared)
    monkeypatch.setattr(probing, "CODE", 99)
    files.write_json(prepared.model_folder("probe") / "judged.json", {"key": {"code": 1}})
    with pytest.raises(UserError, match=r"is of another state .*code changed \(1 to 99\).*: run ./run.sh toy"):
        run_stage(finetune, prepared)
    assert not prepared.model_folder("convnext").exists()
    assert len(snapshot(prepared.folder)) == len(before)


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (
            {"convnext": {"label_noise": "drop"}},
            "models.convnext: label_noise='drop': a probe judges the labels, and th",
        ),
        ({"convnext": {"judge": "probe"}}, "models.convnext.judge: a probe judges the labels, and there is none among"),
        (
            {"probe": {}, "convnext": {"judge": "prob"}},
            "models.convnext.judge: unknown probe 'prob': did you mean 'prob",
        ),
        ({"probe": {"label_noise": "soften"}}, "Input should be 'keep' or 'drop'"),
        ({"convnext": {"label_noise": "soften"}}, "Input should be 'keep' or 'drop'"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_config(models, said):
    toy = toy_competition()

    def made():
        changed = {name: toy.models[name].model_copy(update=update) for name, update in models.items()}
        return toy_competition(models=changed)

    with pytest.raises(ValidationError, match=re.escape(said)):
        made()


def test_the_judge_is_the_first_probe_or_the_one_that_is_named():
    models = {"one": Probe(clip=TINY_CLIP), "two": Probe(clip=TINY_CLIP, seed=1)}
    for judge, name in ((None, "one"), ("two", "two")):
        tuned = FineTune(backbone="test_convnext", epochs=2, lr=1e-3, label_noise="drop", judge=judge)
        competition = toy_competition(models={**models, "tuned": tuned})
        assert judge_of(competition, tuned) == name
        assert judging_probes(competition) == {name}
    assert judging_probes(toy_competition()) == set()


@pytest.mark.parametrize(
    ("spec", "digest"),
    [
        (Probe(clip=TINY_CLIP), "183926559bf6ba9b9e06c5bd5868e7b24a2e4ad84f96c2aac4fa5f816f1c6b12"),
        (
            FineTune(backbone="test_convnext", epochs=3, lr=1e-3, judge="probe"),
            "0e5bcef99c9c056c52f40692cf513aee20d67902bc59e385ca0d2ce742ca5875",
        ),
    ],
)
def test_models_that_keep_their_labels_have_the_key_that_they_had_before_there_was_a_choice(spec, digest):
    """Else all that was ever trained would be trained again."""
    assert files.digest(spec.model_dump(mode="json", exclude={"weights_file"})) == digest
    other = spec.model_copy(update={"label_noise": "drop"})
    assert files.digest(other.model_dump(mode="json", exclude={"weights_file"})) != digest


def test_what_is_done_is_said_in_one_line():
    assert label_noise.drop_message(57, 459) == "57 of 459 training rows dropped: their labels are doubtful"
