"""new: where the files lie, and what they prove: COCO, classes in paths, pictures of one unit, groups."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from src.base.errors import UserError
from src.commands.new import class_layouts, inferring, locating, looking, own_pictures
from src.commands.new.grouping import are_apart
from src.commands.new.guess import Flags
from src.data import tables
from src.data.sources.kaggle import Kaggle
from src.schema.competition import Competition
from src.schema.forms import Label, OneProbability
from src.schema.models import Pixels
from src.schema.settings import Parts, Unit
from tests import layouts

FIELDS = ("train", "test", "id", "image", "images", "label", "classes", "ids_overlap", "rare_classes", "group", "unit")
SPECIES = ("Puma concolor", "Lama glama", "Vicugna vicugna")


@pytest.fixture
def root(roots):
    folder = roots / "input" / "made"
    folder.mkdir(parents=True)
    return folder


def infer(root, **flags):
    return inferring.infer(looking.look(root), Flags(**flags))


def read(guess) -> tables.Tables:
    """The tables as the config reads them, all of whose pictures are there."""
    fields = {name: getattr(guess, name) for name in (*FIELDS, "sample_submission", "metric", "submission", "task")}
    competition = Competition(title="Made", source=Kaggle("made"), models={"pixels": Pixels()}, name="made", **fields)
    found = tables.read(competition)
    assert all(df[tables.PATH].map(os.path.isfile).all() for df in (found.train, found.test))
    return found


def pictures(root, place: str, n: int = 30, start: int = 0) -> list[str]:
    """Draws pictures of three kinds by turns; `place` has fields i, kind and hundred."""
    names = ["cats", "dogs", "horses"]
    paths = [place.format(i=i, kind=names[i % 3], hundred=i // 10) for i in range(start, start + n)]
    for i, path in enumerate(paths, start):
        layouts.draw(root / path, i % 3, i)
    return paths


def sample(root, ids, answers, columns=("id", "label")) -> None:
    layouts.write(root, "sample_submission.csv", pd.DataFrame(dict(zip(columns, (ids, answers), strict=True))))


class TestTablesThatAreNone:
    @pytest.fixture
    def labels(self, root):
        """The labels of train pictures by their names, beside a sample submission."""
        pictures(root, "train/{i}.png", 30)
        pictures(root, "test/{i}.png", 6, start=30)
        sample(root, [f"{i}.png" for i in range(30, 36)], "cats")
        return {f"{i}.png": ("cats", "dogs", "horses")[i % 3] for i in range(30)}

    def test_one_without_a_header_loses_no_row(self, root, labels):
        (root / "train.csv").write_text("".join(f"{id},{label}\n" for id, label in labels.items()))
        with pytest.raises(
            UserError, match=r"train.csv has no header, but a row as its first line, 0.png,cats: put col"
        ):
            infer(root)
        (root / "train.csv").write_text("".join(f"train/{i}.png,{i}.5\n" for i in range(30)))
        assert "train/0.png,0.5" in looking.look(root).damaged["train.csv"]

    def test_columns_of_digits_beside_pictures_of_these_names_are_a_header(self, root, labels):
        columns = pd.get_dummies(pd.Series(range(30)) % 3, dtype=int)
        layouts.write(root, "train.csv", columns.assign(id=[*labels]))
        assert list(looking.look(root).tables["train.csv"]) == ["0", "1", "2", "id"]

    def test_labels_in_other_formats_are_named(self, root, labels):
        (root / "labels.json").write_text(json.dumps(labels))
        with pytest.raises(UserError, match=r"labels.json has a label for each picture's name: save it as CSV"):
            infer(root)
        (root / "labels.json").rename(root / "labels.jsonl")
        with pytest.raises(UserError, match=r"labels.jsonl has a JSON object a line: save it as CSV"):
            infer(root)
        (root / "labels.jsonl").unlink()
        pd.Series(labels).to_frame("label").to_parquet(root / "train.parquet")
        with pytest.raises(
            UserError, match=r"what is in train.parquet is not read: if it is a table of labels, save it"
        ):
            infer(root)
        (root / "sample_submission.csv").unlink()
        with pytest.raises(UserError, match=r"and no table of labels; what is in train.parquet is not read"):
            own_pictures.source(root, Flags())

    @pytest.mark.parametrize("cells", [("cats", "dogs"), ("cats dogs", "dogs", "cats", "horses dogs", "horses")])
    def test_one_of_the_rows_of_both_parts_has_test_rows_in_it(self, root, labels, cells):
        rows = pd.DataFrame({"id": [f"{i}.png" for i in range(36)], "label": [*(cells * 15)[:30], *[""] * 6]})
        layouts.write(root, "metadata.csv", rows)
        with pytest.raises(
            UserError, match=r"metadata.csv has the test rows too, 6 rows without label that sample_subm"
        ):
            infer(root)

    def test_names_of_classes_that_pictures_have_too_are_no_labels(self, root, labels):
        (root / "names.json").write_text(json.dumps({str(i): f"species {i}" for i in range(3)}))
        assert looking.look(root).lists.keys() == {"names.json"}


class TestPicturesThatAreNotFound:
    @pytest.mark.parametrize(
        ("train", "test", "said"),
        [
            ("img_{}.jpg", "img_{}.jpg", "has 'img_0.jpg', and the file is train/IMG_0.jpg: write the column as"),
            ("train\\IMG_{}.jpg", "test\\IMG_{}.jpg", "has 'train\\\\IMG_0.jpg', and the file is train/IMG_0.jpg"),
            ("made/train/IMG_{}.jpg", "made/test/IMG_{}.jpg", "has 'made/train/IMG_0.jpg', and the file is train/"),
            ("IMG_{}", "IMG_{}.0", "has 'IMG_30.0', and the file is test/IMG_30.jpg: write"),
        ],
    )
    def test_are_spelt_otherwise(self, root, train, test, said):
        pictures(root, "train/IMG_{i}.jpg", 30)
        pictures(root, "test/IMG_{i}.jpg", 6, start=30)
        rows = pd.DataFrame({"id": [train.format(i) for i in range(30)], "label": ["cats", "dogs"] * 15})
        layouts.write(root, "train.csv", rows)
        sample(root, [test.format(i) for i in range(30, 36)], "cats")
        with pytest.raises(UserError) as raised:
            infer(root)
        assert said in str(raised.value)

    def test_are_not_there_of_a_hidden_test_set(self, root):
        pictures(root, "train/{i}.jpg", 30)
        layouts.write(root, "train.csv", pd.DataFrame({"id": range(30), "label": ["cats", "dogs"] * 15}))
        sample(root, range(900, 906), "cats")
        with pytest.raises(UserError, match=r"of train rows are found by id, and none of a test row, as '900': fetch"):
            infer(root)

    def test_have_no_ending(self, root):
        for path in pictures(root, "train/{i}.png", 3):
            (root / path).rename((root / path).with_suffix(""))
        (root / "LICENSE").write_text("free")
        with pytest.raises(UserError, match=r"files that are some and have none, as train/0, train/1, train/2: rename"):
            infer(root)

    def test_lie_in_folders_of_the_test_set(self, root):
        pictures(root, "train/{kind}/{i}.jpg", 30)
        tests = pictures(root, "test/{kind}/{i}.jpg", 6, start=30)
        sample(root, [path.rpartition("/")[2] for path in tests], "cats")
        with pytest.raises(
            UserError, match=r"in several folders, test/cats, test/dogs, test/horses: bring them together"
        ):
            infer(root)


class TestCoco:
    @pytest.fixture
    def camera(self, root):
        """As iWildCam's: burst after burst of 2 pictures, of 12 cameras in train and 4 others in test."""
        pictures(root, "train/{i}.jpg", 72)
        pictures(root, "test/{i}.jpg", 24, start=72)

        def images(rows):
            return [
                {"id": i, "file_name": f"{i}.jpg", "location": i // 6, "seq_id": f"s{i // 2}", "frame_num": i % 2}
                for i in rows
            ]

        annotations = [{"id": 900 + i, "image_id": i, "category_id": 7 * (i % 3), "count": 1} for i in range(72)]
        categories = [{"id": 7 * i, "name": name, "count": i} for i, name in enumerate(SPECIES)]
        train = {"info": {}, "annotations": annotations, "images": images(range(72)), "categories": categories}
        (root / "train_annotations.json").write_text(json.dumps(train))
        test = {"categories": categories, "images": images(range(72, 96))}
        (root / "test_information.json").write_text(json.dumps(test))
        detections = {"images": [{"file": "1.jpg", "detections": []}], "detection_categories": {"1": "animal"}}
        (root / "detector_results.json").write_text(json.dumps(detections))
        sample(root, range(72, 96), 0, ("Id", "Category"))
        return root

    def test_a_table_is_found_with_the_names_of_classes_and_the_groups(self, camera):
        guess = infer(camera)
        assert (guess.train, guess.test, guess.id) == ("train_annotations.json", "test_information.json", "id")
        assert (guess.label, guess.classes) == ("category_id", ("0", "7", "14"))
        assert guess.submission == Label(id="Id", column="Category")
        assert guess.words == dict(zip(guess.classes, SPECIES, strict=True))
        assert guess.group == "location"
        assert "12 values in train and 4 in test, none in both; so it is of seq_id" in guess.why["group"]
        assert any("group='location'" in one for one in guess.odd)
        (passed_over,) = [one for one in guess.odd if one.startswith("not read")]
        assert "detector_results.json is no table of pictures" in passed_over
        assert len(read(guess).train) == 72

    def test_rows_for_validation_are_train_rows_too(self, camera):
        whole = json.loads((camera / "train_annotations.json").read_text())
        for name, rows in (("train2019", range(48)), ("val2019", range(48, 72))):
            part = {**whole, "images": [one for one in whole["images"] if one["id"] in rows]}
            part["annotations"] = [one for one in whole["annotations"] if one["image_id"] in rows]
            (camera / f"{name}.json").write_text(json.dumps(part))
        (camera / "train_annotations.json").unlink()
        guess = infer(camera)
        assert guess.train == ("train2019.json", "val2019.json")
        assert guess.words["7"] == "Lama glama"
        assert len(read(guess).train) == 72

    def test_a_class_at_one_place_alone_is_allowed(self, camera):
        path = camera / "train_annotations.json"
        whole = json.loads(path.read_text())
        whole["categories"].append({"id": 99, "name": "Lynx lynx"})
        for one in whole["annotations"][:4]:
            one["category_id"] = 99
        path.write_text(json.dumps(whole))
        guess = infer(camera)
        assert guess.rare_classes
        assert guess.why["rare_classes"].startswith("1 of 4 classes are in one location alone, such as '99'")

    def test_pictures_in_folders_of_hundreds_are_found_by_their_file_names(self, root):
        """As herbarium's: file names are relative to the folder of the JSON, and both parts count from 0."""
        for part, n in (("train", 30), ("test", 12)):
            paths = pictures(root, f"nybg/{part}/images/{{hundred:03d}}/{{i}}.jpg", n)
            images = [{"id": i, "file_name": path.removeprefix(f"nybg/{part}/")} for i, path in enumerate(paths)]
            annotations = [{"id": i, "image_id": i, "category_id": 100 + i % 3} for i in range(n)]
            content = {"images": images, **({"annotations": annotations} if part == "train" else {})}
            (root / "nybg" / part / "metadata.json").write_text(json.dumps(content))
        sample(root, range(12), 0, ("Id", "Predicted"))
        guess = infer(root)
        assert (guess.image, guess.label) == ("nybg/{part}/{file_name}", "category_id")
        assert guess.ids_overlap
        assert len(read(guess).test) == 12


class TestClasses:
    def test_may_be_right_beside_the_test_pictures(self, root):
        pictures(root, "{kind}/{i}.jpg")
        pictures(root, "test/{i}.jpg", 6, start=30)
        sample(root, range(30, 36), "dogs")
        guess = infer(root)
        assert (guess.train, guess.test) == ("{label}/{id}.jpg", "test/{id}.jpg")
        assert guess.classes == ("cats", "dogs", "horses")
        assert len(read(guess).train) == 30

    @pytest.mark.parametrize("name", ["{kind}.{i}.jpg", "{kind}_{i:04d}.jpg", "{kind} ({i}).jpg", "{kind}-{i}.jpg"])
    def test_may_be_in_the_names(self, root, name):
        paths = pictures(root, f"train/{name}")
        pictures(root, "test/{i}.jpg", 6)
        sample(root, range(6), 0.5)
        guess = infer(root)
        assert guess.classes == ("cats", "dogs", "horses")
        assert guess.train == "train/" + name.replace("{i:04d}", "{i}").format(kind="{label}", i="{number}")
        assert isinstance(guess.submission, OneProbability)
        assert not guess.ids_overlap
        rows = read(guess).train
        assert rows["id"].tolist() == rows["image"].tolist()
        assert dict(zip(rows["image"], rows["label"], strict=True)) == {
            path: ("cats", "dogs", "horses")[i % 3] for i, path in enumerate(paths)
        }

    def test_a_file_name_in_several_folders_is_no_id(self, root):
        for kind in ("cats", "dogs", "horses"):
            pictures(root, f"train/{kind}/{{i}}.jpg", 10)
        pictures(root, "test/{i}.jpg", 6)
        sample(root, range(6), "dogs")
        guess = infer(root)
        assert (guess.train, guess.test) == ("train/{label}/{file}", "test/{id}.jpg")
        assert read(guess).train["id"].is_unique

    def test_of_two_levels_the_sample_says_which_they_are(self, root):
        for i in range(36):
            layouts.draw(root / f"train/{('Birds', 'Plants')[i % 2]}/s{i % 6}/{i}.jpg", i % 3, i)
        pictures(root, "test/{i}.jpg", 6, start=36)
        sample(root, range(36, 42), "s3")
        guess = infer(root)
        assert guess.train == "train/{folder}/{label}/{id}.jpg"
        assert guess.classes == tuple(f"s{i}" for i in range(6))
        assert len(read(guess).train) == 36
        sample(root, range(36, 42), "Birds")
        guess = infer(root)
        assert (guess.train, guess.classes) == ("train/{label}/{folder}/{id}.jpg", ("Birds", "Plants"))
        assert read(guess).train["label"].value_counts().to_dict() == {"Birds": 18, "Plants": 18}
        sample(root, range(36, 42), "")
        with pytest.raises(UserError, match=r"does not tell whether these are the classes .* or those in them"):
            infer(root)

    def test_parts_of_numbers_are_none(self, root):
        pictures(root, "train/{hundred:03d}/{i}.jpg")
        pictures(root, "test/{i}.jpg", 6, start=30)
        sample(root, range(30, 36), 300)
        with pytest.raises(UserError, match="train/000, train/001, train/002 look like parts of a number") as error:
            infer(root)
        assert "leave one" not in str(error.value)

    @pytest.mark.parametrize(
        ("names", "cells", "shards"),
        [
            (["000", "001", "002"], {"7"}, True),
            (["000", "001", "002"], {"001"}, False),
            (["0", "1", "2"], {"7"}, False),
            ([*"0123456789abcdef"], {"x"}, True),
            (["a", "b"], set(), False),
            (["202", "203"], set(), False),
        ],
    )
    def test_shards_are_told_by_their_names(self, names, cells, shards):
        assert class_layouts.are_shards(names, cells) == shards


class TestLocating:
    def test_train_pictures_in_folders_of_a_column_that_test_has_not(self, root):
        """As hotel-id's: train_images/<chain>/<image>, test_images/<image>."""
        paths = pictures(root, "train_images/{hundred}/{i}.jpg")
        pictures(root, "test_images/{i}.jpg", 6, start=30)
        df = pd.DataFrame([(path.split("/")[2], path.split("/")[1]) for path in paths], columns=["image", "chain"])
        layouts.write(root, "train.csv", df.assign(hotel=[f"h{i % 3}" for i in range(30)]))
        sample(root, [f"{i}.jpg" for i in range(30, 36)], "h1", ("image", "hotel"))
        guess = infer(root)
        assert guess.image == Parts(train="train_images/{chain}/{image}", test="test_images/{image}")
        assert len(read(guess).test) == 6

    def test_a_folder_that_is_no_column_is_none(self, root):
        pictures(root, "train/{hundred}/{i}.jpg")
        df = pd.DataFrame({"id": [f"{i}" for i in range(30)]})
        assert locating.pattern_of(looking.look(root), df, "id", "train") is None


class TestUnits:
    @pytest.fixture
    def breasts(self, root):
        """As rsna-breast-cancer-detection: two views of each side, whose id only the test table has."""
        rows = [(f"p{i // 4}", "LR"[i // 2 % 2], f"{1000 + i}") for i in range(96)]
        df = pd.DataFrame(rows, columns=["patient_id", "laterality", "image_id"])
        df["cancer"] = (df.groupby(["patient_id", "laterality"]).ngroup() % 3 == 0).astype(int)
        train, test = df[:72], df[72:].drop(columns="cancer")
        for part, some in (("train", train), ("test", test)):
            for patient, image in zip(some["patient_id"], some["image_id"], strict=True):
                layouts.draw(root / f"{part}_images" / patient / f"{image}.png", int(image) % 3, int(image))
        test = test.assign(prediction_id=test["patient_id"] + "_" + test["laterality"])
        layouts.write(root, "train.csv", train)
        layouts.write(root, "test.csv", test)
        sample(root, test["prediction_id"].unique(), 0.3, ("prediction_id", "cancer"))
        return root

    def test_are_made_of_columns_where_the_train_table_lacks_theirs(self, breasts):
        guess = infer(breasts)
        assert (guess.id, guess.unit) == ("image_id", Unit("{patient_id}_{laterality}"))
        assert guess.submission == OneProbability("1", id="prediction_id")
        assert guess.image == "{part}_images/{patient_id}/{image_id}.png"
        assert guess.group == "patient_id"
        assert len(read(guess).sample_submission) == 12

    def test_of_several_labels_are_refused(self, breasts):
        df = pd.read_csv(breasts / "train.csv")
        df.loc[0, "cancer"] = 1 - df.loc[0, "cancer"]
        layouts.write(breasts, "train.csv", df)
        with pytest.raises(UserError, match="rows of one patient_id_laterality, as 'p0 L', have several cancer"):
            infer(breasts)

    def test_that_nothing_in_the_train_table_makes_are_refused(self, breasts):
        df = pd.read_csv(breasts / "train.csv").drop(columns="laterality")
        layouts.write(breasts, "train.csv", df)
        with pytest.raises(UserError, match=r"train.csv has no such column, nor two of which it is made"):
            infer(breasts)


class TestApart:
    def test_values_dealt_out_row_by_row_are_not(self):
        rng = np.random.default_rng(0)
        values = pd.Series([f"v{i // 4}" for i in range(400)])
        for _ in range(20):
            mask = rng.random(400) < 0.75
            assert not are_apart(values[mask], values[~mask])

    def test_values_dealt_out_value_by_value_are(self):
        values = pd.Series([f"v{i // 4}" for i in range(400)])
        assert are_apart(values[:300], values[300:])

    def test_a_value_a_row_proves_nothing(self):
        values = pd.Series([f"v{i}" for i in range(400)])
        assert not are_apart(values[:300], values[300:])
        assert not are_apart(values[:0], values)


class TestSeveralFilesARow:
    """As in the protein atlas, whose rows have a picture of each stain: 7_red.png, 7_green.png."""

    def put(self, root, words, name="{i}_{word}.png"):
        for i in range(42):
            for word in words:
                path = root / ("train" if i < 30 else "test") / name.format(i=i, word=word)
                layouts.draw(path, i % 3, i)
        train = pd.DataFrame({"Id": range(30), "Target": [("0 16", "7", "16")[i % 3] for i in range(30)]})
        layouts.write(root, "train.csv", train)
        sample(root, range(30, 42), "0", ("Id", "Predicted"))

    @pytest.mark.parametrize(
        ("words", "name", "image"),
        [
            (("red", "green", "blue", "yellow"), "{i}_{word}.png", "{part}/{Id}_{channel}.png"),
            (("w1", "w2"), "{i}_s1_{word}.png", "{part}/{Id}_s1_{channel}.png"),
            (("front", "back"), "x-{i}-{word}_b.png", "{part}/x-{Id}-{channel}_b.png"),
        ],
    )
    def test_are_pictures_of_one_unit(self, root, words, name, image):
        self.put(root, words, name)
        guess = infer(root)
        assert (guess.image, guess.id, guess.unit, guess.task) == (image, "image", Unit("Id"), "labels")
        assert (guess.submission.id, guess.submission.column) == ("Id", "Predicted")
        assert any(one.startswith(f"a row has {len(words)} pictures, as train/") for one in guess.odd)
        assert len(read(guess).train) == 30 * len(words)

    @pytest.mark.parametrize("word", ["mask", "segmentation", "thumbnail"])
    def test_may_be_what_only_lies_beside_a_picture(self, root, word):
        self.put(root, ("picture", word))
        with pytest.raises(UserError, match=r"pictures are found in several ways, Id .*: choose by --image, such as"):
            infer(root)


class TestRefusals:
    @pytest.mark.parametrize("rows", [0, 6])
    def test_masks_are_told_by_the_train_table_where_the_sample_tells_nothing(self, root, rows):
        """As in uw-madison, whose sample has no rows, or a row a picture and organ."""
        pictures(root, "train/{i}.png")
        parts = [(i, organ) for i in range(30) for organ in ("bowel", "stomach")]
        train = pd.DataFrame(parts, columns=["id", "class"]).assign(segmentation="28000 5 28358 7 28716 10")
        layouts.write(root, "train.csv", train)
        test = pd.DataFrame(parts[:rows], columns=["id", "class"]).assign(predicted="1 2")
        layouts.write(root, "sample_submission.csv", test)
        with pytest.raises(UserError, match=r"train.csv: 'segmentation' is of masks \(segmentation\), as '28000 5"):
            infer(root)

    def test_labels_of_units_in_another_table_than_their_pictures(self, root):
        """As in yelp's: photos of restaurants."""
        for part, ids in (("train", range(30)), ("test", range(30, 42))):
            pictures(root, part + "/{i}.png", len(ids), start=ids[0])
            photos = pd.DataFrame({"photo_id": ids, "business_id": [f"b{i // 3}" for i in ids]})
            layouts.write(root, f"{part}_photos.csv", photos)
        businesses = pd.DataFrame({"business_id": [f"b{i}" for i in range(10)], "labels": ["1 2", "2"] * 5})
        layouts.write(root, "train.csv", businesses)
        sample(root, [f"b{i}" for i in range(10, 14)], "1 2 3", ("business_id", "labels"))
        with pytest.raises(UserError, match=r"train.csv has the labels of each business_id, and another table the pic"):
            infer(root)

    def test_pictures_in_a_format_that_is_not_read_are_named(self, root):
        pictures(root, "train/{i}.png")
        (root / "test-image.hdf5").write_bytes(b"x")
        layouts.write(root, "train.csv", pd.DataFrame({"id": range(30), "label": [0, 1] * 15}))
        sample(root, range(30, 42), 0.5)
        with pytest.raises(UserError, match=r"what is in test-image.hdf5 is not read"):
            infer(root)

    def test_a_row_of_a_hidden_file_is_none(self, root):
        pictures(root, "train/{i}.png", 36)
        train = pd.DataFrame({"id": [f"{i}.png" for i in range(30)], "label": ["a", "b", "c"] * 10})
        train.loc[30] = (".DS_Store", "")
        layouts.write(root, "train.csv", train)
        sample(root, [f"{i}.png" for i in range(30, 36)], "a")
        guess = infer(root)
        assert not any("have no picture" in one for one in guess.odd)
        assert len(read(guess).train) == 30
