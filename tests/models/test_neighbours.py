"""Nearest neighbours: the votes of rows that a fold may see, how they vote chosen without its rows."""

import numpy as np
import pandas as pd
import pytest

from src.base.errors import UserError
from src.data.rows import read_dataset
from src.models import fitted
from src.models.neighbours.searching import Index, Nearest
from src.models.neighbours.voting import Said, Vote, choose
from src.models.pictures import test_pictures as pictures_of_test
from src.networks.features import l2_normalise
from src.results.model import model_tables, read_model
from src.schema.models import Neighbours
from src.schema.settings import Folds
from src.scoring.targets import TARGETS
from src.stages import data, features, folds, neighbours
from tests.conftest import TINY_CLIP, toy_competition
from tests.running import run_stage

RNG = np.random.default_rng(0)
SPEC = Neighbours(clip=TINY_CLIP)


def clustered(n=200, k=20, d=16, noise=0.3):
    targets = np.arange(n) % k
    centres = RNG.normal(size=(k, d))
    return l2_normalise(centres[targets] + noise * RNG.normal(size=(n, d))).astype(np.float32), targets


def test_the_nearest_are_those_of_brute_force():
    feats, _ = clustered()
    fold = np.arange(200) % 5
    found = Index(feats, fold, 7).search(feats[:30], [(0,), (0, 3)], "search")
    similar = feats[:30].astype(float) @ feats.T.astype(float)
    for near, without in zip(found, [(0,), (0, 3)], strict=True):
        allowed = np.where(np.isin(fold, without), -2, similar)
        assert (near.rows == np.argsort(-allowed, axis=1, kind="stable")[:, :7]).all()
        assert not np.isin(fold[near.rows], without).any()


def test_where_there_are_fewer_rows_than_neighbours_the_mean_has_its_vote():
    feats, targets = clustered(n=6, k=2)
    (near,) = Index(feats, np.array([0, 0, 1, 1, 2, 2]), 5).search(feats[:1], [(0, 1)], "search")
    assert (near.rows[0] >= 0).sum() == 2
    (none,) = Index(feats, np.zeros(6, int), 5).search(feats[:1], [(0,)], "search")
    mean = np.array([0.25, 0.75])
    assert Vote(3, 0.1, 0.5).predict(none, Said(targets, 2), mean)[0] == pytest.approx(mean)


def test_votes_fall_with_the_difference_to_the_nearest():
    near = Nearest(np.array([[0, 1, 2]], np.int32), np.array([[0.9, 0.8, 0.7]], np.float32))
    probs = Vote(3, 0.1, 0.1).predict(near, Said(np.array([0, 1, 1]), 3), np.array([0.2, 0.3, 0.5]))
    votes = np.array([1, np.exp(-1) + np.exp(-2), 0]) + 0.1 * np.array([0.2, 0.3, 0.5])
    assert probs[0] == pytest.approx(votes / votes.sum(), abs=1e-6)
    assert probs.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("task", "said", "expected"),
    [
        ("labels", np.array([[1, 1], [0, 1]], np.uint8), [0.5, 1.0]),
        ("number", np.array([10.0, 30.0]), [20.0]),
    ],
)
def test_labels_and_numbers_are_voted_on_too(task, said, expected):
    near = Nearest(np.array([[0, 1]], np.int32), np.array([[0.9, 0.9]], np.float32))
    found = Vote(2, 0.1, 1e-9).predict(near, Said(said, len(expected)), np.array(expected))
    assert found[0] == pytest.approx(expected)
    assert TARGETS[task].find_fault(found) is None


def test_many_classes_of_few_rows_are_found_and_chance_is_not():
    feats, targets = clustered(n=300, k=100)
    fold, said = np.arange(300) // 100, Said(targets, 100)
    places = np.arange(300)
    rows = {f: Index(feats, fold, 50).search(feats[fold == f], [(f,)], "search")[0] for f in range(3)}
    near = Nearest(*(np.concatenate([getattr(rows[f], name) for f in range(3)]) for name in ("rows", "similarity")))
    mean = said.mean(places >= 0)
    vote, _ = choose(SPEC, near, targets, said, mean, TARGETS["class"])
    assert (vote.predict(near, said, mean).argmax(axis=1) == targets).mean() > 0.9
    shuffled = RNG.permutation(targets)
    vote, loss = choose(SPEC, near, shuffled, Said(shuffled, 100), mean, TARGETS["class"])
    assert loss > np.log(100) - 0.3
    assert (vote.predict(near, Said(shuffled, 100), mean).argmax(axis=1) == shuffled).mean() < 0.05


class TestStage:
    def test_test_rows_and_pictures_are_predicted_alike_and_the_second_run_reuses(self, folder, capsys):
        toy = toy_competition(models={"near": SPEC})
        for module in (data, folds, features, neighbours):
            run_stage(module, toy)
        rows = read_dataset(toy)
        test = model_tables(toy, "near", rows)[1]
        assert read_model(toy.model_folder("near"))["cv"] > 0.9
        again = fitted.load(toy, "near").predict(pictures_of_test(toy, rows))
        assert again == pytest.approx(test, abs=1e-6)
        capsys.readouterr()
        assert run_stage(neighbours, toy) == []
        assert "near  reused" in capsys.readouterr().out

    def test_a_fold_s_labels_do_not_reach_its_rows(self, folder):
        toy = toy_competition(models={"near": SPEC})
        for module in (data, folds, features, neighbours):
            run_stage(module, toy)
        before, fold = model_tables(toy, "near", rows := read_dataset(toy))[0], read_dataset(toy).fold
        train = pd.read_csv(folder / "train.csv", dtype=str)
        swapped = train["id"].isin([id for id, f in zip(rows.train.ids, fold, strict=True) if f == 0])
        train.loc[swapped, "label"] = train.loc[swapped, "label"].map({"red": "green", "green": "blue", "blue": "red"})
        train.to_csv(folder / "train.csv", index=False)
        toy.folds_csv.with_suffix(".json").unlink()  # the folds stay
        run_stage(neighbours, toy)
        after = model_tables(toy, "near", read_dataset(toy))[0]
        assert (after[fold == 0] == before[fold == 0]).all()
        assert (after[fold == 1] != before[fold == 1]).any()

    @pytest.mark.parametrize("changed", ["train", "folds"])
    def test_other_train_rows_do_not_vote_for_a_finished_model(self, folder, changed):
        toy = toy_competition(models={"near": SPEC})
        for module in (data, folds, features, neighbours):
            run_stage(module, toy)
        if changed == "train":
            train = pd.read_csv(folder / "train.csv", dtype=str)
            train["label"] = train["label"].map({"red": "green", "green": "blue", "blue": "red"})
            train.to_csv(folder / "train.csv", index=False)
        else:
            toy = toy.model_copy(update={"folds": Folds(n=4)})
        run_stage(folds, toy)
        with pytest.raises(UserError, match=rf"near is of other rows .*{changed} changed.*: \./run\.sh toy neighbours"):
            fitted.load(toy, "near")
