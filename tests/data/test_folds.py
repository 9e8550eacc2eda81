"""Folds: each id once, stratified, independent of row order, groups whole; the file is not believed blindly."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from src.audit import duplicates, pairs
from src.base.errors import UserError
from src.data import folds
from src.data.rows import read_dataset
from src.networks import inference
from src.schema.models import Probe
from src.schema.settings import Folds
from src.stages import data, features
from src.stages import folds as stage
from tests.conftest import TINY_CLIP, broken_off, read_json, snapshot, toy_competition
from tests.running import run_stage

IDS = [str(i) for i in range(100)]
LABELS = ["a"] * 60 + ["b"] * 37 + ["c"] * 3


def test_every_fold_has_its_share_of_every_class():
    fold = folds.split(IDS, LABELS, None, 5, seed=42)
    for label, share in (("a", 12), ("b", 7.4)):
        counts = np.bincount(fold[np.array(LABELS) == label], minlength=5)
        assert np.abs(counts - share).max() < 1


def test_a_class_smaller_than_the_folds_is_spread():
    assert len(set(folds.split(IDS, LABELS, None, 5, seed=42)[-3:])) == 3


def test_the_table_of_folds_is_aligned_whatever_the_classes_are_called():
    table = pd.DataFrame({0: [7, 12], 1: [10, 1]}, index=["青蛙", "pure"])
    assert stage.table_lines(table) == ["fold   0   1", "青蛙   7  10", "pure  12   1"]


def test_row_order_does_not_matter():
    fold = folds.split(IDS, LABELS, None, 5, seed=42)
    order = np.random.default_rng(0).permutation(100)
    shuffled = folds.split([IDS[i] for i in order], [LABELS[i] for i in order], None, 5, seed=42)
    assert (shuffled == fold[order]).all()
    assert (folds.split(IDS, LABELS, None, 5, seed=43) != fold).any()


def test_groups_stay_whole():
    groups = [str(i // 4) for i in range(100)]
    labels = ["ab"[i % 2] for i in range(100)]
    fold = folds.split(IDS, labels, groups, 5, seed=42)
    assert all(len(set(fold[np.array(groups) == group])) == 1 for group in set(groups))
    assert np.bincount(fold).min() >= 16


def test_groups_are_dealt_as_by_scikit_learn_since_1_8_whichever_is_installed():
    rng = np.random.default_rng(3)
    labels, groups = np.array(list("aab" * 10)), np.array([f"g{group}" for group in rng.integers(0, 12, 30)])
    fold = np.empty(30, int)
    for k, held_out in enumerate(folds.held_out_rows(labels, groups, 3, seed=5)):
        fold[held_out] = k
    assert "".join(map(str, fold)) == "102221110002120000002111221120"  # of StratifiedGroupKFold(3, shuffle=True)


def test_a_class_in_one_group_could_not_be_learnt():
    groups = [str(i // 4) for i in range(97)] + ["last"] * 3
    with pytest.raises(UserError, match="all rows of class 'c' are in one group"):
        folds.split(IDS, LABELS, groups, 5, seed=42)


def test_more_folds_than_rows_or_groups_is_refused():
    with pytest.raises(UserError, match="5 folds cannot be made of 4 rows"):
        folds.split(IDS[:4], ["a", "a", "b", "b"], None, 5, seed=0)
    with pytest.raises(UserError, match="5 folds cannot be made of 2 groups"):
        folds.split(IDS, LABELS, ["x"] * 50 + ["y"] * 50, 5, seed=0)


class TestFewRowsAClass:
    """Where each class has fewer rows than folds, they are dealt out."""

    def test_rows_of_a_class_are_in_different_folds_and_folds_are_of_one_size(self):
        ids, labels = [str(i) for i in range(20)], [f"w{i % 10}" for i in range(20)]
        fold = folds.split(ids, labels, None, 5, seed=42)
        assert np.bincount(fold).tolist() == [4] * 5
        assert all(len({fold[i], fold[i + 10]}) == 2 for i in range(10))
        order = np.random.default_rng(0).permutation(20)
        again = folds.split([ids[i] for i in order], [labels[i] for i in order], None, 5, seed=42)
        assert (again == fold[order]).all()
        assert (folds.split(ids, labels, None, 5, seed=43) != fold).any()

    def test_of_groups_too(self):
        labels = [f"w{i % 10}" for i in range(40)]
        groups = [str(i // 2) for i in range(40)]  # two rows of two classes
        fold = folds.split(IDS[:40], labels, groups, 5, seed=1)
        assert all(len(set(fold[np.array(groups) == group])) == 1 for group in groups)
        assert np.bincount(fold).tolist() == [8] * 5
        assert all(len(set(fold[i::10])) == 4 for i in range(10))

    def test_of_rows_that_are_hardly_more_than_folds(self):
        assert sorted(folds.split(list("abcde"), list("xxyyz"), None, 5, seed=0, rare=True)) == [0, 1, 2, 3, 4]

    def test_no_fold_is_empty_where_groups_are_few(self):
        groups = [*"aaaaaaaaaa", *"bbbbbbbbbb", *"cc", *"dd", *"ee"]
        labels = ["xy"[i % 2] for i in range(26)]
        assert set(folds.split(IDS[:26], labels, groups, 5, seed=0)) == {0, 1, 2, 3, 4}

    def test_two_rows_are_no_folds_whatever_the_config_says(self):
        with pytest.raises(UserError, match="3 folds cannot be made of 2 rows: 3 are the fewest"):
            folds.split(["a", "b"], ["x", "y"], None, 3, seed=0)


class TestStage:
    def test_an_empty_group_is_one_of_its_own(self, folder, capsys):
        df = pd.read_csv(folder / "train.csv", dtype=str)
        known = [f"p{i // 2}" for i in range(36)]
        df.assign(patient=["", " "] * 10 + known[20:]).to_csv(folder / "train.csv", index=False)
        competition = toy_competition(group="patient")
        stage.run(competition)
        fold = pd.read_csv(competition.folds_csv)["fold"]
        assert fold.value_counts().tolist() == [12, 12, 12]
        assert (fold[20::2].to_numpy() == fold[21::2].to_numpy()).all()
        assert "20 rows without patient: each is a group of its own" in capsys.readouterr().out
        key = read_json(competition.folder / "folds.json")["key"]
        df.assign(patient=known).to_csv(folder / "train.csv", index=False)
        stage.run(competition)
        assert read_json(competition.folder / "folds.json")["key"] != key
        assert "without patient" not in capsys.readouterr().out

    def test_a_group_of_more_than_a_fold_is_said(self, folder, capsys):
        df = pd.read_csv(folder / "train.csv", dtype=str)
        df.assign(patient=["unknown"] * 15 + [f"p{i}" for i in range(21)]).to_csv(folder / "train.csv", index=False)
        stage.run(toy_competition(group="patient"))
        assert "warning: patient 'unknown' has 15 of 36 rows, more than a fold's share" in capsys.readouterr().out

    def test_small_classes_are_counted_where_they_are_many(self, folder, capsys):
        df = pd.read_csv(folder / "train.csv", dtype=str)
        names = tuple(f"w{i:02d}" for i in range(18))
        df.assign(label=[names[i % 18] for i in range(36)]).to_csv(folder / "train.csv", index=False)
        stage.run(toy_competition(classes=names, prompts=None, models={"probe": Probe(clip=TINY_CLIP)}))
        said = capsys.readouterr().out
        assert said.count("has none of it to score") == 10
        assert "... and 8 more classes have fewer rows than folds" in said

    def test_writes_once(self, toy):
        stage.run(toy)
        before = snapshot(toy.folder)
        stage.run(toy)
        assert snapshot(toy.folder) == before
        assert sorted(before) == ["folds.csv", "folds.json"]

    def test_says_how_a_small_class_is_handled(self, folder, capsys):
        df = pd.read_csv(folder / "train.csv", dtype=str)
        df[(df["label"] != "red") | (df["id"] < "012")].to_csv(folder / "train.csv", index=False)
        stage.run(toy_competition(folds=Folds(n=6)))
        assert "class 'red' has 4 rows for 6 folds: 2 folds have none of it to score" in capsys.readouterr().out
        stage.run(toy_competition(folds=Folds(n=5)))
        assert "class 'red' has 4 rows for 5 folds: 1 fold has none of it to score" in capsys.readouterr().out

    def test_another_seed_makes_them_anew_and_says_so(self, toy, capsys):
        stage.run(toy)
        before = toy.folds_csv.read_text()
        stage.run(toy_competition(folds=Folds(n=3, seed=43)))
        assert "seed changed (42 to 43)" in capsys.readouterr().out
        assert toy.folds_csv.read_text() != before

    def test_a_changed_file_is_refused(self, toy):
        stage.run(toy)
        toy.folds_csv.write_text(toy.folds_csv.read_text().replace("000,0", "000,1").replace("000,2", "000,1"))
        toy.folds_csv.write_text(toy.folds_csv.read_text() + "\n")
        with pytest.raises(UserError, match="was changed since it was made"):
            stage.run(toy)

    def test_somebodys_own_folds_are_taken(self, toy, capsys):
        text = "id,fold\n" + "".join(f"{i:03d},{i % 4}\n" for i in range(36))
        toy.folder.mkdir(parents=True)
        toy.folds_csv.write_text(text)
        stage.run(toy)
        assert toy.folds_csv.read_text() == text
        assert "which is your own" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("id,fold\n000,0\n", "is of other rows"),
            ("id,part\n000,0\n", "must have the columns id,fold"),
            ("id,fold\n" + "".join(f"{i:03d},{i % 3 + 1}\n" for i in range(36)), "numbers from 0 up"),
            ("id,fold\n" + "".join(f"{i:03d},x\n" for i in range(36)), "numbers from 0 up"),
            ("id,fold\n" + "".join(f"{i:03d},{i % 2}\n" for i in range(36)), "three or more"),
        ],
    )
    def test_but_not_if_they_are_wrong(self, toy, text, said):
        toy.folder.mkdir(parents=True)
        toy.folds_csv.write_text(text)
        with pytest.raises(UserError, match=said):
            stage.run(toy)


class TestNearDuplicates:
    """Folds(groups="near-duplicates"): what is one picture is held out together, whatever the test set is."""

    SEEN = Probe(clip=TINY_CLIP)
    UNSEEN = {"models": {"convnext": toy_competition().models["convnext"]}, "prompts": None}  # without an encoder
    CLUSTER = ["000", "003", "006", "009", "012", "015"]  # all of one class: without it, they would be spread

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr(duplicates, "DRAWN", 40)
        monkeypatch.setattr(duplicates, "CANDIDATES", {"upright": 2, "hash": 1, "features": 1})

    @pytest.fixture
    def planted(self, folder):
        """Copies, one after the other a little darker, so that the last is like the first by way of others too."""
        image = Image.open(folder / "train/000.png")
        for i, id in enumerate(self.CLUSTER[1:]):
            image.point(lambda value, i=i: (0.95 - 0.05 * i) * value).save(folder / f"train/{id}.png")
        return folder

    def competition(self, **changes):
        fields = {**self.UNSEEN, "folds": Folds(n=3, groups="near-duplicates")}
        return toy_competition(**{**fields, **changes})

    def fold_of(self, competition):
        return pd.read_csv(competition.folds_csv, dtype=str).set_index("id")["fold"]

    def test_stay_in_one_fold(self, planted, capsys):
        stage.run(toy_competition())
        assert self.fold_of(toy_competition())[self.CLUSTER].nunique() == 3
        stage.run(self.competition())
        assert self.fold_of(self.competition())[self.CLUSTER].nunique() == 1
        said = capsys.readouterr().out
        assert "blue   6  3  3" in said
        assert "near-duplicates: 1 cluster of 6 train rows stay together, the largest of 6" in said
        assert "near_duplicates changed; the models of the old folds are recomputed too" in said

    def test_together_with_the_rows_of_their_groups(self, planted):
        df = pd.read_csv(planted / "train.csv", dtype=str)
        df["plant"] = df["id"]
        df.loc[df["id"].isin(["000", "031"]), "plant"] = "a"
        df.loc[df["id"].isin(["015", "035"]), "plant"] = "b"
        df.loc[df["id"].isin(["001", "002"]), "plant"] = "c"
        df.to_csv(planted / "train.csv", index=False)
        competition = self.competition(group="plant")
        stage.run(competition)
        fold = self.fold_of(competition)
        assert fold[[*self.CLUSTER, "031", "035"]].nunique() == 1
        assert fold[["001", "002"]].nunique() == 1

    def test_without_them_the_key_is_what_it_was(self, toy):
        stage.run(toy)
        assert sorted(read_json(toy.folder / "folds.json")["key"]) == ["group", "n", "rows", "seed"]

    def test_another_test_set_moves_no_row_and_nothing_is_looked_for_again(self, planted, monkeypatch, capsys):
        competition = self.competition()
        stage.run(competition)
        before = competition.folds_csv.read_bytes()
        for id in ("100", "101"):  # both like a cluster of train rows
            shutil.copy(planted / "train/015.png", planted / f"test/{id}.png")
        for part in ("test", "sample_submission"):
            df = pd.read_csv(planted / f"{part}.csv", dtype=str)
            df[df["id"] < "108"].to_csv(planted / f"{part}.csv", index=False)
        for name in ("find_pairs", "fingerprint"):
            monkeypatch.setattr(duplicates, name, None)
        monkeypatch.setenv("PREDICT_ONLY", "1")
        shutil.rmtree(competition.folder / "duplicates")  # as in a packed notebook, which has folds.csv alone
        stage.run(competition)
        assert competition.folds_csv.read_bytes() == before
        assert f"reused {competition.folds_csv}" in capsys.readouterr().out

    def test_a_test_row_does_not_link_train_rows(self, folder):
        image = Image.open(folder / "train/000.png").resize((60, 54))
        image.crop((0, 0, 42, 54)).save(folder / "train/000.png")
        image.crop((18, 0, 60, 54)).save(folder / "train/003.png")
        image.save(folder / "test/100.png")
        competition = self.competition()
        stage.run(competition)
        rows, prints = read_dataset(competition), duplicates.fingerprint(read_dataset(competition).rows)
        train = pairs.find_train_pairs(competition, rows)
        assert len(train.places) == 0
        assert sorted(pairs.find_test_pairs(competition, rows, train, prints).places.tolist()) == [[0, 36], [3, 36]]
        alone = competition.folds_csv.read_bytes()
        shutil.copy(folder / "test/101.png", folder / "test/100.png")
        shutil.rmtree(competition.folder)
        stage.run(competition)
        assert competition.folds_csv.read_bytes() == alone

    def test_features_are_made_where_they_lack_and_serve_the_later_stages(self, planted, monkeypatch):
        counts, encode = [], inference.EncoderRunner.__call__
        monkeypatch.setattr(
            inference.EncoderRunner, "__call__", lambda self, x: counts.append(len(x)) or encode(self, x)
        )
        competition = self.competition(models={"probe": self.SEEN})
        stage.run(competition)
        assert sum(counts) == 48
        run_stage(features, competition)
        assert sum(counts) == 48

    def test_a_model_that_is_put_first_changes_nothing(self, planted, monkeypatch):
        stage.run(self.competition(models={"probe": self.SEEN}))
        before = snapshot(self.competition(models={"probe": self.SEEN}).folder)
        monkeypatch.setattr(duplicates, "find_pairs", None)
        other = self.SEEN.model_copy(update={"seed": 7})
        stage.run(self.competition(models={"new": other, "probe": self.SEEN}))
        assert snapshot(self.competition(models={"probe": self.SEEN}).folder) == before

    def test_another_encoder_that_finds_the_same_leaves_the_folds(self, planted, capsys):
        stage.run(self.competition(models={"probe": self.SEEN}))
        path = self.competition(models={"probe": self.SEEN}).folds_csv
        before = path.stat().st_mtime_ns
        other = self.competition(models={"probe": self.SEEN.model_copy(update={"seed": 7})})
        stage.run(other)
        said = capsys.readouterr().out
        assert f"{path} stays as it is: " in said
        assert "the folds are the same" in said
        assert path.stat().st_mtime_ns == before
        stage.run(other)
        assert f"reused {path}" in capsys.readouterr().out

    def test_of_a_smoke_run_too(self, planted):
        competition = self.competition(limit=20)
        data.run(competition)
        stage.run(competition)
        fold = self.fold_of(competition)
        there = [id for id in self.CLUSTER if id in fold.index]
        assert len(there) > 1
        assert fold[there].nunique() == 1

    def test_somebodys_own_folds_are_taken_unlooked(self, toy, monkeypatch):
        monkeypatch.setattr(duplicates, "find_pairs", None)
        text = "id,fold\n" + "".join(f"{i:03d},{i % 4}\n" for i in range(36))
        toy.folder.mkdir(parents=True)
        toy.folds_csv.write_text(text)
        stage.run(self.competition())
        assert toy.folds_csv.read_text() == text

    def test_killed_while_they_are_looked_for_the_old_folds_are_still_there(self, planted):
        stage.run(toy_competition())
        before = snapshot(toy_competition().folder)
        with broken_off(duplicates, "find_pairs", 0, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
            stage.run(self.competition())
        after = snapshot(toy_competition().folder)
        assert {name: after[name] for name in ("folds.csv", "folds.json")} == {
            name: before[name] for name in ("folds.csv", "folds.json")
        }
        stage.run(self.competition())
        assert self.fold_of(self.competition())[self.CLUSTER].nunique() == 1


def test_a_smoke_run_may_draw_few_rows_of_a_label_that_stands_beside_rarer_ones(toy):
    one = toy.model_copy(update={"task": "labels", "classes": ("a", "b"), "metric": "auc"})
    ids, cells = [str(i) for i in range(9)], ["a", "b a", *["b"] * 7]
    cells[0] = ""  # one row with the label a is left
    with pytest.raises(UserError, match="all rows of label 'a'"):
        stage.split(one, ids, cells, None)
    assert sorted(np.bincount(stage.split(one.model_copy(update={"limit": 9}), ids, cells, None))) == [3, 3, 3]


def test_a_small_class_is_held_out_without_a_warning(recwarn):
    labels, groups = np.array(["oak"] * 30 + ["ash"]), np.arange(31) // 3
    assert folds.first_fold(labels, groups, 5, seed=0).any()
    folds.split([str(i) for i in range(31)], labels.tolist(), None, 5, seed=0, rare=True)
    assert not recwarn.list
