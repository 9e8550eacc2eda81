"""Units: several pictures that are one row of the submission share a label, a fold and a line of every stored table."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from src.base.errors import UserError
from src.commands import report
from src.commands.pack import hidden
from src.data import tables, units
from src.data.rows import read_dataset
from src.data.units import Units
from src.driver import run as driver
from src.report import material
from src.results.model import save_model
from src.schema.forms import Label, OneProbability
from src.schema.models import Pixels, Probe
from src.schema.settings import Parts, Unit
from src.scoring import bootstrap, intervals
from src.stages import audit
from tests.conftest import CLASSES, TINY_CLIP, toy_competition

MODELS = {"pixels": Pixels(), "probe": Probe(clip=TINY_CLIP, cs=(1.0, 100.0))}


def patient(i: int) -> str:
    """Rows 0, 3; 1, 4; 2, 5; 6, 9 ... are two pictures of one patient, and of one class."""
    return f"P{i // 6 * 3 + i % 3}"


@pytest.fixture
def patients(folder):
    """The toy competition by patients: 18 of two train pictures each, and 6 of test; the sample is by patient."""
    for part in ("train", "test"):
        df = pd.read_csv(folder / f"{part}.csv", dtype=str)
        df["who"] = [patient(i) if part == "train" else f"Q{patient(i)}" for i in range(len(df))]
        df.to_csv(folder / f"{part}.csv", index=False)
    sample = pd.DataFrame({"who": sorted(set(df["who"]), reverse=True), "label": "red"})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    return folder


def by_patient(**changes):
    return toy_competition(**{"unit": Unit("who"), "models": MODELS, **changes})


def test_tables_are_read_by_picture_and_asked_for_by_unit(patients):
    frames = tables.read(by_patient())
    assert (len(frames.train), len(frames.test), len(frames.sample_submission)) == (36, 12, 6)
    scored = tables.read_scored(by_patient())
    assert scored.test["id"].tolist() == ["QP0", "QP1", "QP2", "QP3", "QP4", "QP5"]
    assert scored.test[tables.PATH].map(os.path.basename).tolist() == [f"{100 + i}.png" for i in (0, 1, 2, 6, 7, 8)]


def test_a_smoke_run_has_whole_units(patients):
    frames = tables.read(by_patient(limit=9))
    assert frames.train["who"].value_counts().to_dict() == dict.fromkeys(frames.train["who"], 2)
    assert (frames.train["who"].nunique(), frames.test["who"].nunique(), len(frames.sample_submission)) == (9, 6, 6)


@pytest.mark.parametrize(
    ("rows", "pictures", "copies"), [(None, 12, 0), (5, 6, 0), (12, 12, 0), (15, 16, 2), (29, 30, 9)]
)
def test_a_hidden_test_set_has_whole_units_under_names_of_their_own(
    patients, tmp_path, monkeypatch, rows, pictures, copies
):
    made_up = hidden.lay_out(by_patient(), rows, tmp_path / "hidden" / "toy")
    assert (made_up.rows, len(made_up.copied_from)) == (pictures, copies)
    monkeypatch.setenv("INPUT_DIR", str(tmp_path / "hidden"))
    there = tables.read(by_patient())
    assert (len(there.test), len(there.sample_submission)) == (pictures, pictures // 2)
    assert sorted(made_up.asked.ids) == sorted(there.test["who"].unique())
    colours = there.test[tables.PATH].map(lambda path: Path(path).resolve().name).groupby(there.test["who"]).agg(set)
    for new, old in made_up.copied_from.items():
        assert colours[new] == colours.get(old, colours[new])


@pytest.mark.parametrize(
    ("columns", "changes"),
    [
        (["id", "who"], {"image": "{part}/{who}/{id}.png"}),
        (["who"], {"image": "{part}/{who}/{file}", "id": "image"}),
        (["who", "image"], {"test": "test/{who}/{file}", "id": "image"}),
    ],
)
def test_a_hidden_test_set_has_new_folders_of_new_units(patients, tmp_path, monkeypatch, columns, changes):
    for part in ("train", "test"):
        df = pd.read_csv(patients / f"{part}.csv", dtype=str)
        df["image"] = f"{part}/" + df["who"] + "/" + df["id"] + ".png"
        for row in df.itertuples():
            (patients / row.image).parent.mkdir(exist_ok=True)
            (patients / part / f"{row.id}.png").rename(patients / row.image)
        table = df[[*columns, *(["label"] if part == "train" else [])]].drop_duplicates()
        table.to_csv(patients / f"{part}.csv", index=False)
    competition = by_patient(**changes)
    made_up = hidden.lay_out(competition, 16, tmp_path / "hidden" / "toy")
    assert made_up.copied_from == {"QP0x1": "QP0", "QP1x1": "QP1"}
    monkeypatch.setenv("INPUT_DIR", str(tmp_path / "hidden"))
    there = tables.read(competition).test
    assert there["who"].value_counts().to_dict() == dict.fromkeys(made_up.asked.ids, 2)
    files = there[tables.PATH].map(lambda path: Path(path).resolve().name).groupby(there["who"]).agg(set)
    assert files["QP0x1"] == files["QP0"]


def test_a_hidden_test_set_has_no_more_units_where_their_names_are_a_part_of_their_ids(folder, tmp_path, monkeypatch):
    competition = by_patient(unit=Unit("{id:.2}"), submission=Label(id="who"))
    sample = pd.DataFrame({"who": ["10", "11"], "label": "red"})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    made_up = hidden.lay_out(competition, 30, tmp_path / "hidden" / "toy")
    assert (made_up.copied_from, sorted(made_up.asked.ids)) == ({}, ["10", "11"])
    assert len(pd.read_csv(tmp_path / "hidden/toy/test.csv")) == 12


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("train", {"who": {"P1": "P0"}}, "unit 'P0' has rows with the label 'blue' and 'green': a unit has one"),
        ("train", {"who": {"P1": ""}}, "train.csv: 2 rows without who"),
        ("train", {"who": {"P0": "QP0"}}, "who 'QP0' is in train and in test"),
        ("test", {"who": {"QP0": "QP9"}}, "who 'QP0' is in sample_submission but not in test"),
        ("test", {"who": {"QP0": "QP9"}}, "who 'QP9' is in test but not in sample_submission"),
    ],
)
def test_faults_are_named_by_unit(patients, part, change, said):
    path = patients / f"{part}.csv"
    pd.read_csv(path, dtype=str).replace(change).to_csv(path, index=False)
    with pytest.raises(UserError) as error:
        tables.read(by_patient())
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"task": "labels", "metric": "micro_f1"}, {"red": "red  blue", "green": "green", "blue": "blue"}),
        ({"task": "number", "classes": (), "span": (0, 9), "metric": "rmse"}, {"red": "3", "green": "4", "blue": "5"}),
    ],
)
def test_pictures_of_a_unit_may_say_the_same_in_other_words(patients, fields, labels):
    path = patients / "train.csv"
    df = pd.read_csv(path, dtype=str).replace({"label": labels})
    other = {"red  blue": "blue red", "3": "3.0", "4": "4.00"}
    df["label"] = df["label"].where(df["who"].duplicated(), df["label"].replace(other))
    df.to_csv(path, index=False)
    one = by_patient(models={"pixels": Pixels()}, prompts=None, **fields)
    assert len(tables.read_scored(one).train) == 18
    df.loc[df.index[-1], "label"] = "green" if one.task == "labels" else "7"
    df.to_csv(path, index=False)
    with pytest.raises(UserError, match="a unit has one"):
        tables.read(one)


def test_a_column_that_is_missing_is_named(patients):
    with pytest.raises(UserError, match="unknown column 'whom': did you mean 'who'"):
        tables.read(by_patient(unit=Unit("whom"), submission=Label(id="who")))


def test_a_run_stores_and_submits_a_row_a_unit(patients, capsys):
    competition = by_patient()
    driver.run(competition, ("data", "folds", "features", "pixels", "probe", "blend", "submission"))
    data = read_dataset(competition)
    assert (len(data.train), len(data.scored.train), len(data.scored.test)) == (36, 18, 6)
    assert data.scored.key == data.key
    of = dict(zip(data.scored.train.ids, data.scored.fold, strict=True))
    who = dict(zip(tables.read(competition).train["id"], tables.read(competition).train["who"], strict=True))
    assert [of[who[id]] for id in data.train.ids] == data.fold.tolist()
    for model in ("pixels", "probe", "blend"):
        folder = competition.model_folder(model)
        assert pd.read_parquet(folder / "oof.parquet")["id"].tolist() == data.scored.train.ids
        assert pd.read_parquet(folder / "test.parquet")["id"].tolist() == data.scored.test.ids
    (path,) = competition.folder.glob("blend-*.csv")
    answers = pd.read_csv(path, dtype=str).set_index("who")["label"]
    assert answers.to_dict() == {f"QP{i}": CLASSES[i % 3] for i in range(6)}
    driver.run(competition, ("pixels", "probe", "blend"))
    assert capsys.readouterr().out.count("reused: accuracy") == 3


def test_another_way_to_combine_is_another_model(patients, capsys):
    competition = by_patient(models={"pixels": Pixels()})
    driver.run(competition, ("data", "folds", "pixels"))
    driver.run(by_patient(models={"pixels": Pixels()}, unit=Unit("who", by="max")), ("pixels",))
    out = capsys.readouterr().out
    assert "pixels  recomputing: by changed (mean to max)" in out


def test_the_most_of_another_class_is_another_model(patients, capsys):
    sample = pd.read_csv(patients / "sample_submission.csv", dtype=str)
    sample.assign(label=0.5).to_csv(patients / "sample_submission.csv", index=False)

    def asked(*positive: str, by: str = "max"):
        unit, form = Unit("who", by=by), OneProbability(*positive)
        return by_patient(models={"pixels": Pixels()}, unit=unit, metric="auc", submission=form)

    driver.run(asked("red"), ("data", "folds", "pixels"))
    capsys.readouterr()
    driver.run(asked("green", "blue"), ("pixels",))
    assert "pixels  recomputing: of changed" in capsys.readouterr().out
    driver.run(asked("red", by="mean"), ("pixels",))
    capsys.readouterr()
    driver.run(asked("green", by="mean"), ("pixels",))
    assert "pixels  reused" in capsys.readouterr().out


def test_another_way_to_combine_does_not_train_again(patients, capsys):
    models = {"convnext": toy_competition().models["convnext"]}
    driver.run(by_patient(models=models), ("data", "folds", "finetune"))
    capsys.readouterr()
    driver.run(by_patient(models=models, unit=Unit("who", by="max")), ("finetune",))
    out = capsys.readouterr().out
    assert "convnext  recomputing: by changed (mean to max)" in out
    assert [f"convnext fold {fold}  reused" in out for fold in range(3)] == [True] * 3


def test_a_unit_may_be_made_of_several_columns(patients):
    for part in ("train", "test"):
        path = patients / f"{part}.csv"
        df = pd.read_csv(path, dtype=str)
        df.assign(who=df["who"].str[:-1], side=df["who"].str[-1]).to_csv(path, index=False)
    with pytest.raises(ValueError, match="a pattern is no column's name"):
        by_patient(unit=Unit("{who}{side}"))
    competition = by_patient(unit=Unit("{who}{side}"), submission=Label(id="who"))
    assert tables.read_scored(competition).test["id"].tolist() == [f"QP{i}" for i in range(6)]


def test_pictures_in_a_folder_each_are_listed_for_a_table_by_unit(roots):
    folder = roots / "input" / "toy"
    for part, n in (("train", 18), ("test", 6)):
        who = [f"{part}{i}" for i in range(n)]
        for i, one in enumerate(who):
            for k in range(1 + i % 3):
                (folder / part / one).mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (9, 9), (i, k, 0)).save(folder / part / one / f"{k}.png")
        df = pd.DataFrame({"who": who, "label": [CLASSES[i % 3] for i in range(n)]})
        (df if part == "train" else df.drop(columns="label")).to_csv(folder / f"{part}.csv", index=False)
    df.to_csv(folder / "sample_submission.csv", index=False)
    competition = by_patient(id="image", image="{part}/{who}/{file}")
    frames = tables.read(competition)
    assert (len(frames.train), len(frames.test)) == (36, 12)
    assert frames.train["image"].iloc[0] == "train/train0/0.png"
    assert all(map(os.path.isfile, [*frames.train[tables.PATH], *frames.test[tables.PATH]]))
    path = folder / "train.csv"
    pd.read_csv(path, dtype=str).assign(image="3", **{"Unnamed: 3": ""}).to_csv(path, index=False)
    again = tables.read(competition)  # with a column that is called as that of the paths, and an empty one
    assert again.train["image"].tolist() == frames.train["image"].tolist()
    assert again.notes == ("passed over in train.csv: 1 empty column",)
    (folder / "test" / "test0" / "0.png").unlink()
    with pytest.raises(UserError, match=r"1 row of test without a picture by .*, as of who 'test0'"):
        tables.read(competition)


class TestCombine:
    UNITS = Units(["a", "b"], np.array([1, 0, 1, 1]))
    TABLE = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.0, 0.6, 0.4], [0.0, 0.8, 0.2]])

    def test_the_mean_is_of_each_column(self):
        found = self.UNITS.combine(by_patient(), self.TABLE)
        assert found == pytest.approx(np.array([[0.2, 0.3, 0.5], [0.3, 0.5, 0.2]]))

    def test_the_greatest_of_each_class_is_divided_by_their_sum(self):
        found = self.UNITS.combine(by_patient(unit=Unit("who", by="max")), self.TABLE)
        assert found == pytest.approx(np.array([[0.2, 0.3, 0.5], [0.9 / 2.1, 0.8 / 2.1, 0.4 / 2.1]]))

    def test_of_one_probability_the_picture_that_has_the_greatest_speaks(self):
        asked = {"metric": "auc", "submission": OneProbability("green", "red")}
        found = self.UNITS.combine(by_patient(unit=Unit("who", by="max"), **asked), self.TABLE)
        assert found[:, 1:].sum(axis=1) == pytest.approx([0.8, 1.0])
        assert found.sum(axis=1) == pytest.approx([1, 1])


def test_groups_that_rows_and_units_connect_are_one():
    held = Units(["a", "b", "c", "d"], np.array([0, 0, 1, 1, 2, 3]))
    names = units.join_groups(held, ["x", "y", "y", "z", "w", "v"])
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert units.join_groups(None, ["x", "y"]) == ["x", "y"]


def test_a_part_may_name_its_pictures_in_its_own_way(folder):
    for part in ("train", "test"):
        df = pd.read_csv(folder / f"{part}.csv", dtype=str).drop(columns="image")
        for id, label in zip(df["id"], df.get("label", df["id"]), strict=True):
            if part == "train":
                (folder / part / label).mkdir(exist_ok=True)
                (folder / part / f"{id}.png").rename(folder / part / label / f"{id}.png")
        df.to_csv(folder / f"{part}.csv", index=False)
    frames = tables.read(toy_competition(image=Parts(train="train/{label}/{id}.png", test="test/{id}.png")))
    assert all(map(os.path.isfile, [*frames.train[tables.PATH], *frames.test[tables.PATH]]))


def test_the_report_is_of_units(patients, capsys):
    competition = by_patient(models={"pixels": Pixels()})
    driver.run(competition, ("data", "folds", "pixels", "blend", "submission"))
    report.run(competition)
    assert "report: without" not in capsys.readouterr().out
    evidence = material.read(competition)
    assert evidence.test_ids == [f"QP{i}" for i in range(6)]
    assert {name: len(model.oof) for name, model in evidence.models.items()} == {"pixels": 18, "blend": 18}


def test_the_noise_ceiling_is_of_units(patients, capsys, few_candidates, monkeypatch):
    monkeypatch.setattr(bootstrap, "REPLICATES", 5)
    competition = by_patient(models={"probe": MODELS["probe"]})
    driver.run(competition, ("data", "folds", "features"))
    rows = read_dataset(competition)
    sure = np.where(np.eye(3)[rows.targets] == 1, 0.95, 0.025)
    save_model(competition, "probe", rows.key, rows, sure, np.full((12, 3), 1 / 3), 1.0)
    audit.run(competition)
    low, high = intervals.edge_interval("accuracy", 1.0, 18)
    assert f"noise ceiling 1.0000 ({low:.4f} to {high:.4f})" in capsys.readouterr().out
