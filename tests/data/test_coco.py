"""COCO: images, annotations and categories become a row a picture, and what is none is said."""

import json
import os

import pandas as pd
import pydantic
import pytest

from src.base.errors import UserError
from src.commands.pack import hidden
from src.data import coco, labels, tables
from src.schema.forms import LabelList
from tests.conftest import toy_competition

IMAGES = [{"id": i, "file_name": f"{i:03d}.jpg", "location": i % 2, "size": None} for i in range(4)]
ANNOTATIONS = [{"id": 90 + i, "image_id": i, "category_id": i % 2, "bbox": [1, 2, 3, 4]} for i in range(4)]
CATEGORIES = [{"id": 0, "name": "Puma concolor", "family": "Felidae"}, {"id": 1, "name": "Lama, glama"}]


def written(path, content):
    path.write_text(json.dumps(content))
    return path


def whole(path, **changes):
    lists = {"info": {"year": 2020, "by": ["a"]}, "images": IMAGES, "annotations": ANNOTATIONS}
    return written(path, {**lists, "categories": CATEGORIES, **changes})


def test_a_row_has_what_is_said_of_a_picture_its_annotation_and_its_category(tmp_path):
    df = coco.read(whole(tmp_path / "train.json"))
    assert list(df) == ["id", "file_name", "location", "category_id", "category_name", "family"]
    assert df.iloc[1].tolist() == ["1", "001.jpg", "1", "1", "Lama, glama", ""]
    assert df["id"].tolist() == ["0", "1", "2", "3"]


def test_ids_may_be_called_image_id_and_category_id_and_be_texts_there_and_numbers_here(tmp_path):
    images = [{"image_id": str(one["id"]), "file_name": one["file_name"]} for one in IMAGES]
    annotations = [{"genus_id": 5, "image_id": one["image_id"], "category_id": 7} for one in ANNOTATIONS]
    categories = [{"category_id": 7, "scientificName": "Zinnia acerosa"}]
    df = coco.read(whole(tmp_path / "a.json", images=images, annotations=annotations, categories=categories))
    assert df.iloc[3].to_dict() == {
        "image_id": "3",
        "file_name": "003.jpg",
        "genus_id": "5",
        "category_id": "7",
        "scientificName": "Zinnia acerosa",
    }


@pytest.mark.parametrize("content", [IMAGES, {"images": IMAGES}, {"categories": CATEGORIES, "images": IMAGES}])
def test_test_rows_are_images_alone_in_a_list_or_an_object(tmp_path, content):
    df = coco.read(written(tmp_path / "test.json", content))
    assert df.to_dict("list") == {
        "id": ["0", "1", "2", "3"],
        "file_name": [one["file_name"] for one in IMAGES],
        "location": ["0", "1", "0", "1"],
    }


def test_a_field_that_several_lists_have_is_named_after_its_own(tmp_path):
    images = [{**one, "count": 3, "family": "x"} for one in IMAGES]
    annotations = [{**one, "count": 1} for one in ANNOTATIONS]
    df = coco.read(whole(tmp_path / "a.json", images=images, annotations=annotations))
    assert (df["count"].unique(), df["annotation_count"].unique()) == (["3"], ["1"])
    assert df["category_family"].tolist() == ["Felidae", "", "Felidae", ""]


def test_labels_in_a_list_are_a_cell_of_words(tmp_path):
    annotations = [{"image_id": 0, "label_id": ["62", "17"]}]
    df = coco.read(whole(tmp_path / "a.json", annotations=annotations, categories=[]))
    assert df["label_id"].tolist() == ["62 17", "", "", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ('{"images": [{"id": 1}', "is no JSON"),
        ('{"images": [{"id": 1} {"id": 2}]}', "Expecting ',' delimiter"),
        ('{"images" [1]}', "Expecting ':'"),
        ("7", "has no list, and no images"),
        ('{"images": [], "detection_categories": {"1": "animal"}}', "it has detection_categories, and no images"),
        ('{"images": [{"file": "1.jpg", "detections": []}]}', "it has images, and no images with ids"),
    ],
)
def test_what_is_no_table_says_what_it_is(tmp_path, text, said):
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        coco.read(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_a_file_that_changed_is_read_again_and_what_was_read_is_not_shared(tmp_path):
    path = whole(tmp_path / "a.json")
    df = coco.read(path)
    df["location"] = "elsewhere"
    assert coco.read(path)["location"].tolist() == ["0", "1", "0", "1"]
    whole(path, images=IMAGES[:1])
    assert len(coco.read(path)) == 1


@pytest.fixture
def metadata(folder):
    """The toy competition with its tables as JSON files: categories 0, 1 and 2 are its classes."""
    names = ["blue", "green", "red"]
    for part in ("train", "test"):
        df = pd.read_csv(folder / f"{part}.csv", dtype=str)
        content = {"images": df[["id", "image"]].rename(columns={"image": "file_name"}).to_dict("records")}
        if part == "train":
            content["categories"] = [{"id": i, "name": name} for i, name in enumerate(names)]
            content["annotations"] = [
                {"id": i, "image_id": id, "category_id": names.index(label)}
                for i, (id, label) in enumerate(zip(df["id"], df["label"], strict=True))
            ]
        written(folder / f"{part}.json", content)
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)
    sample.assign(label="0").rename(columns={"label": "category_id"}).to_csv(
        folder / "sample_submission.csv", index=False
    )
    return folder


def of_json(**fields):
    names = {"train": "train.json", "test": "test.json", "image": "file_name", "label": "category_id"}
    return toy_competition(**{**names, "classes": ("0", "1", "2"), **fields})


def of_labels(competition):
    """The competition of several labels, whatever metrics there are of these: pydantic's own copy is not checked."""
    return pydantic.BaseModel.model_copy(competition, update={"task": "labels", "submission": LabelList()})


def annotate(folder, *more):
    content = json.loads((folder / "train.json").read_text())
    content["annotations"] += [{"id": 900 + i, "image_id": id, "category_id": c} for i, (id, c) in enumerate(more)]
    written(folder / "train.json", content)
    return content


def test_a_competition_reads_its_tables_from_json(metadata):
    rows = tables.read(of_json())
    assert rows.train["category_id"].value_counts().to_dict() == {"0": 12, "1": 12, "2": 12}
    assert all(map(os.path.isfile, [*rows.train[tables.PATH], *rows.test[tables.PATH]]))


def test_an_annotation_again_is_no_second_row_and_one_of_another_class_is_a_fault(metadata):
    own = {one["image_id"]: one["category_id"] for one in annotate(metadata)["annotations"]}
    annotate(metadata, ("000", own["000"]), ("001", own["001"]))
    rows = tables.read(of_json())
    assert len(rows.train) == 36
    assert rows.notes == ("passed over in train.json: 2 rows that only repeat another",)
    annotate(metadata, ("000", (own["000"] + 1) % 3))
    with pytest.raises(UserError, match=r"id '000' stands in 2 rows, with the category_id '.' and '.'"):
        tables.read(of_json())


def test_pictures_without_an_annotation_are_left_out_where_each_row_has_a_class(metadata):
    content = annotate(metadata)
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != "000"]
    written(metadata / "train.json", content)
    rows = tables.read(of_json())
    assert "000" not in rows.train["id"].tolist()
    assert len(rows.train) == 35
    assert rows.notes == ("passed over in train.json: 1 picture without category_id",)


def test_of_several_labels_each_annotation_is_one_and_a_picture_may_have_none(metadata):
    content = annotate(metadata)
    own = {one["image_id"]: one["category_id"] for one in content["annotations"]}
    content["annotations"] = [one for one in content["annotations"] if one["image_id"] != "000"]
    written(metadata / "train.json", content)
    annotate(metadata, ("001", (own["001"] + 1) % 3), ("001", own["001"]))
    rows = tables.read(of_labels(of_json()))
    cells = {id: labels.split(of_labels(of_json()), cell) for id, cell in rows.train[["id", "category_id"]].to_numpy()}
    assert (len(rows.train), cells["000"]) == (36, [])
    assert cells["001"] == [str(own["001"]), str((own["001"] + 1) % 3)]
    assert rows.notes == ("passed over in train.json: 2 rows that give another label to the id of a row above",)


def test_labels_that_stand_in_a_row_each_of_a_csv_are_brought_together_too(folder):
    df = pd.read_csv(folder / "train.csv", dtype=str)
    pd.concat([df, df.assign(label="red")]).to_csv(folder / "train.csv", index=False)
    competition = of_labels(toy_competition())
    cells = tables.read(competition).train["label"]
    assert {tuple(labels.split(competition, cell)) for cell in cells} == {("red",), ("blue", "red"), ("green", "red")}


def test_a_larger_test_set_is_written_as_it_was(metadata, tmp_path):
    made_up = hidden.lay_out(of_json(), 20, tmp_path / "hidden" / "toy")
    df = coco.read(tmp_path / "hidden" / "toy" / "test.json")
    assert sorted(df["id"]) == sorted(made_up.asked.ids)
    assert len(df) == 20
    assert set(df["file_name"]) == set(coco.read(metadata / "test.json")["file_name"])
