"""Tables: ids stay what the file says, and every fault is listed at once."""

import itertools
import os

import pandas as pd
import pytest

from src.base.errors import UserError
from src.base.spellings import by_id
from src.data import tables
from src.leaderboard import faults
from src.schema.settings import Folds
from src.stages import data
from tests.conftest import toy_competition


def rewrite(path, change):
    df = pd.read_csv(path, dtype=str, keep_default_na=False)
    df = change(df)
    df.to_csv(path, index=False)


def test_ids_keep_their_leading_zeros_and_are_sorted(toy):
    read = tables.read(toy)
    assert read.train["id"].tolist()[:2] == ["000", "001"]
    assert os.path.basename(read.test[tables.PATH].iloc[0]) == "100.png"


def test_numbers_sort_by_their_value():
    assert [["10", "9", "100", "1"][i] for i in by_id(["10", "9", "100", "1"])] == ["1", "9", "10", "100"]


def test_a_byte_order_mark_is_no_part_of_a_column(toy, folder):
    path = folder / "train.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert "id" in tables.read(toy).train


def test_a_label_called_NA_is_a_label(toy, folder):
    rewrite(folder / "train.csv", lambda df: df.replace({"label": {"red": "NA"}}))
    rewrite(folder / "sample_submission.csv", lambda df: df)
    read = tables.read(toy.model_copy(update={"classes": ("NA", "blue", "green")}))
    assert (read.train["label"] == "NA").sum() == 12


def test_an_image_may_be_a_pattern_over_columns(folder):
    for part in ("train", "test"):
        rewrite(folder / f"{part}.csv", lambda df, part=part: df.drop(columns="image").assign(part=part))
    read = tables.read(toy_competition(image="{part}/{id}.png"))
    assert read.train[tables.PATH].iloc[3] == str(folder / "train/003.png")


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("train", lambda df: df.rename(columns={"label": "lable"}), "unknown column 'label': did you mean 'lable'"),
        ("test", lambda df: df.drop(columns="image"), "unknown column 'image'"),
        ("sample_submission", lambda df: df.assign(extra="1"), "unknown column 'extra'"),
        (
            "train",
            lambda df: pd.concat([df, df.iloc[:1].assign(label="red")]),
            "id '000' stands in 2 rows, with the label 'blue' and 'red'",
        ),
        (
            "train",
            lambda df: pd.concat([df, df.iloc[:1].assign(image="train/001.png")]),
            "with the image 'train/000.png' and 'train/001.png'",
        ),
        ("sample_submission", lambda df: pd.concat([df, df.iloc[:1]]), "id '111' stands in 2 rows"),
        (
            "sample_submission",
            lambda df: df.assign(id=df["id"] + ".png"),
            "12 ids of sample_submission as names of files, '100.png' for '100' of test: write the bare name",
        ),
        ("train", lambda df: df.assign(id=df["id"].replace("000", "100")), "id '100' is in train and in test"),
        ("test", lambda df: df.iloc[1:], "id '100' is in sample_submission but not in test"),
        ("sample_submission", lambda df: df.iloc[1:], "id '111' is in test but not in sample_submission"),
        (
            "sample_submission",
            lambda df: df.assign(id=df["id"].str.lstrip("1")),
            "in test but not in sample_submission",
        ),
        (
            "train",
            lambda df: df.assign(label=df["label"].replace("red", "rde")),
            "unknown label 'rde': the classes are",
        ),
        ("train", lambda df: df.assign(label=df["label"].replace("red", "Red")), "unknown label 'Red': write it 'red'"),
        ("train", lambda df: df.assign(label=df["label"].replace("red", "red ")), "write it 'red'"),
        ("train", lambda df: df.assign(label=df["label"].where(df["id"] != "001", "")), "id '001' has no label"),
        ("train", lambda df: df[(df["label"] != "red") | (df["id"] == "002")], "class 'red' has 1 train row: "),
        ("train", lambda df: df[df["label"] != "red"], "class 'red' has 0 train rows"),
        ("train", lambda df: df.assign(id=df["id"].where(df["id"] != "001", "")), "1 row without id"),
        ("test", lambda df: df.iloc[:0], "has no rows"),
    ],
)
def test_a_fault_is_said(toy, folder, file, change, said):
    rewrite(folder / f"{file}.csv", change)
    with pytest.raises(UserError) as error:
        tables.read(toy)
    assert said in str(error.value)


def test_twenty_faults_are_listed_and_the_rest_counted(toy, folder):
    rewrite(folder / "train.csv", lambda df: df.assign(label="x" + df["id"]))
    with pytest.raises(UserError) as error:
        tables.read(toy)
    assert str(error.value).count("unknown label") == 20
    assert "39 faults" in str(error.value)  # 36 labels, 3 empty classes
    assert "and 19 more" in str(error.value)


def test_a_wrong_name_of_the_column_of_labels_is_one_fault_a_table(toy):
    with pytest.raises(UserError) as error:
        tables.read(toy.model_copy(update={"label": "lable"}))
    assert "the tables have 2 faults" in str(error.value)
    assert str(error.value).count("unknown column 'lable': did you mean 'label'?") == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        (b"", "is not a CSV table"),
        (b"id,label\n\xff\xfe1,red\n", "is not UTF-8"),
        (b'id,label\n"1,red', "is not a CSV"),
    ],
)
def test_what_is_no_table_is_said(toy, folder, content, said):
    path = folder / "train.csv"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        tables.read(toy)


def test_rows_that_repeat_another_are_one_row_and_counted(toy, folder, capsys):
    before = tables.read(toy).train["id"].tolist()
    rewrite(folder / "train.csv", lambda df: pd.concat([df.assign(who="x"), df.assign(who="y")]))
    rewrite(folder / "test.csv", lambda df: pd.concat([df, df.iloc[:1]]))
    assert tables.read(toy).train["id"].tolist() == before
    data.run(toy)
    said = capsys.readouterr().out
    assert "passed over in train.csv: 36 rows that only repeat another in id, image, label\n" in said
    assert "passed over in test.csv: 1 row that only repeats another\n" in said


def test_the_sample_may_have_the_index_that_pandas_writes(toy, folder):
    df = pd.read_csv(folder / "sample_submission.csv", dtype=str)
    df.to_csv(folder / "sample_submission.csv")
    assert tables.read(toy).sample_submission.columns.tolist() == ["id", "label"]
    assert faults.requirements(toy)[0].columns == ["id", "label"]
    df.reset_index().to_csv(folder / "sample_submission.csv", index=False)
    assert tables.read(toy).sample_submission.columns.tolist() == ["id", "label"]


@pytest.mark.parametrize(("one", "other"), [("True", "False"), ("TRUE", "FALSE"), ("1", "0"), ("1.0", " 0")])
def test_columns_of_ones_make_labels_however_they_are_written(toy, folder, one, other):
    labels = tables.read(toy).train["label"].tolist()

    def spread(df):
        columns = {name: (df["label"] == name).map({True: one, False: other}) for name in toy.classes}
        return df.assign(**columns).drop(columns="label")

    rewrite(folder / "train.csv", spread)
    assert tables.read(toy).train["label"].tolist() == labels


@pytest.mark.parametrize("name", ["path", "part", "index", "image_path", "0", "file.name", "a b", "Usage", "sha"])
def test_the_id_may_have_any_name(folder, name):
    for part in ("train", "test", "sample_submission"):
        rewrite(
            folder / f"{part}.csv", lambda df: df.rename(columns={"id": name}).drop(columns="image", errors="ignore")
        )
    image = "{part}/{" + name + "}.png" if name != "part" else None
    if image is None:
        for part in ("train", "test"):
            rewrite(folder / f"{part}.csv", lambda df, part=part: df.assign(image=part + "/" + df["part"] + ".png"))
    read = tables.read(toy_competition(id=name, image=image or "image"))
    assert read.train[name].tolist() == [f"{i:03d}" for i in range(36)]
    assert read.test[tables.PATH].tolist() == [str(folder / f"test/{i}.png") for i in range(100, 112)]


def test_a_column_called_part_is_not_the_part_of_a_pattern(folder):
    for part in ("train", "test"):
        rewrite(folder / f"{part}.csv", lambda df: df.assign(part="leaf", path="x"))
    read = tables.read(toy_competition(image="{part}/{id}.png"))
    assert read.train[tables.PATH].iloc[0] == str(folder / "train/000.png")
    assert set(read.train["path"]) == {"x"}


@pytest.mark.parametrize(("name", "said"), [("fold", "the column of folds.csv"), ("red", "a class")])
def test_an_id_that_tables_of_ours_have_no_place_for_is_refused(name, said):
    with pytest.raises(ValueError, match=f"'{name}' is the name of {said} too"):
        toy_competition(id=name)


class TestHandful:
    def test_is_stratified_and_the_same_each_time(self, folder):
        read = tables.read(toy_competition(limit=12))
        assert read.train["label"].value_counts().to_dict() == {"blue": 4, "green": 4, "red": 4}
        assert read.train["id"].tolist() == tables.read(toy_competition(limit=12)).train["id"].tolist()
        assert set(read.sample_submission["id"]) == set(read.test["id"])

    def test_has_two_of_a_small_class(self, folder):
        rewrite(folder / "train.csv", lambda df: df[(df["label"] != "red") | (df["id"] < "008")])
        counts = tables.read(toy_competition(limit=10)).train["label"].value_counts()
        assert counts["red"] == 2
        assert counts.sum() == 10

    def test_of_too_few_is_refused(self, folder):
        with pytest.raises(UserError, match="need at least 6"):
            tables.read(toy_competition(limit=5, folds=Folds(n=3)))


def test_both_parts_may_count_from_one(folder):
    """As CIFAR-10 does: an id is a train picture and a test picture, in the folder of its part."""
    for part, first in (("train", 0), ("test", 100)):
        for path in (folder / part).iterdir():
            path.rename(path.with_name(f"{int(path.stem) - first}.png"))
    for name in ("train", "test", "sample_submission"):
        df = pd.read_csv(folder / f"{name}.csv", dtype=str)
        df["id"] = (df["id"].astype(int) % 100).astype(str)
        df.drop(columns="image", errors="ignore").to_csv(folder / f"{name}.csv", index=False)
    competition = toy_competition(image="{part}/{id}.png", ids_overlap=True)
    found = tables.read(competition)
    assert found.train[tables.PATH].tolist() == [str(folder / "train" / f"{i}.png") for i in range(36)]
    assert found.test[tables.PATH].tolist() == [str(folder / "test" / f"{i}.png") for i in range(12)]
    with pytest.raises(UserError, match="id '0' is in train and in test"):
        tables.read(toy_competition(image="{part}/{id}.png"))


def rename(folder, endings):
    """Give the pictures in `folder` these endings in turn."""
    for path, ending in zip(sorted(folder.iterdir()), itertools.cycle(endings)):
        path.rename(path.with_suffix(ending))


@pytest.mark.parametrize("image", ["image", "{part}/{id}.png", "{part}/é{id}.png"])
def test_pictures_are_found_by_other_spellings_of_their_ending_and_it_is_counted(toy, folder, image, capsys):
    if "é" in image:
        for path in sorted((*folder.glob("train/*"), *folder.glob("test/*"))):
            path.rename(path.with_name("e\u0301" + path.name))
    rename(folder / "train", [".PNG", ".png", ".Png"])
    competition = toy_competition(image=image)
    read = tables.read(competition)
    assert all(map(os.path.isfile, (*read.train[tables.PATH], *read.test[tables.PATH])))
    (note,) = read.notes
    assert note.startswith("train: 24 pictures found by another spelling of the ending, such as ")
    data.run(competition)
    assert note in capsys.readouterr().out


def test_jpg_and_jpeg_are_one_ending_and_two_files_for_one_name_are_refused(toy, folder):
    for table in ("train.csv", "test.csv"):
        (folder / table).write_text((folder / table).read_text().replace(".png", ".jpg"))
    rename(folder / "train", [".jpeg", ".JPG"])
    rename(folder / "test", [".jpg"])
    assert os.path.basename(tables.read(toy).train[tables.PATH][0]) == "000.jpeg"
    (folder / "train/000.JPEG").write_bytes((folder / "train/000.jpeg").read_bytes())
    with pytest.raises(UserError, match=r"train/000.jpg is not one picture, but 000.JPEG, 000.jpeg: leave one"):
        tables.read(toy)
    (folder / "train/000.jpg").write_bytes((folder / "train/000.jpeg").read_bytes())
    assert os.path.basename(tables.read(toy).train[tables.PATH][0]) == "000.jpg"  # the name as it stands comes first


def test_a_picture_of_another_format_is_not_the_one_that_is_named(toy, folder):
    rename(folder / "train", [".jpg"])
    assert not os.path.exists(tables.read(toy).train[tables.PATH][0])
    assert not tables.read(toy).notes


def test_rows_of_hidden_files_are_passed_over_in_train_alone(toy, folder):
    """As in sorghum-id's table, which a Mac's listing made."""
    rows = "".join(f"{name},{name},red\n" for name in (".DS_Store", "train/Thumbs.db"))
    (folder / "train.csv").write_text((folder / "train.csv").read_text() + rows)
    found = tables.read(toy)
    assert len(found.train) == 36
    assert found.notes == ("passed over in train.csv: 2 rows of no picture, as .DS_Store",)
