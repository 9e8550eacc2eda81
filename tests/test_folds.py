"""Folds: each id once, stratified, independent of row order, groups whole; the file is not believed blindly."""

import numpy as np
import pandas as pd
import pytest

from src import folds
from src.config import Folds
from src.errors import UserError
from src.stages import folds as stage
from tests.conftest import snapshot, toy_competition

IDS = [str(i) for i in range(100)]
LABELS = ["a"] * 60 + ["b"] * 37 + ["c"] * 3


def test_every_fold_has_its_share_of_every_class():
    fold = folds.split(IDS, LABELS, None, 5, seed=42)
    for label, share in (("a", 12), ("b", 7.4)):
        counts = np.bincount(fold[np.array(LABELS) == label], minlength=5)
        assert np.abs(counts - share).max() < 1


def test_a_class_smaller_than_the_folds_is_spread():
    assert len(set(folds.split(IDS, LABELS, None, 5, seed=42)[-3:])) == 3


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


def test_a_class_in_one_group_could_not_be_learnt():
    groups = [str(i // 4) for i in range(97)] + ["last"] * 3
    with pytest.raises(UserError, match="all rows of class 'c' are in one group"):
        folds.split(IDS, LABELS, groups, 5, seed=42)


def test_more_folds_than_rows_or_groups_is_refused():
    with pytest.raises(UserError, match="5 folds cannot be made of 4 rows"):
        folds.split(IDS[:4], ["a", "a", "b", "b"], None, 5, seed=0)
    with pytest.raises(UserError, match="5 folds cannot be made of 2 groups"):
        folds.split(IDS, LABELS, ["x"] * 50 + ["y"] * 50, 5, seed=0)


class TestStage:
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

    def test_another_seed_makes_them_anew_and_says_so(self, toy, capsys):
        stage.run(toy)
        before = toy.folds_csv.read_text()
        stage.run(toy_competition(folds=Folds(n=3, seed=43)))
        assert "is made anew: seed changed (42 to 43)" in capsys.readouterr().out
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
