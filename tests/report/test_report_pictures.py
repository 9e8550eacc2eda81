"""The report's pictures: thumbnails, mistakes, data, map, labels; the numbers are scikit-learn's, each picture once."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from src.base import files
from src.data import tables
from src.data.record import check_images
from src.report import album, features_map, material, page, slices, tiles
from src.report.evidence import Model
from src.report.material import Material
from src.report.mistakes_of import classes, common
from src.report.sections import data, labels, mistakes
from src.report.tasks.classes import thousandths
from src.results import audit, shards
from src.results.ab import Comparison, put_comparison
from src.schema.models import Probe
from src.scoring import decisions
from src.scoring.intervals import wilson
from tests.conftest import CLASSES, picture, toy_competition


def seen(competition, models=("zeroshot", "probe"), right=0.6, never=None, tested=True, checked=True) -> Material:
    """What a run leaves whose models are right for about that share of the train rows; their files are not written.

    Args:
        never: A class that no row is given.
        tested: Whether the models have tables of the test rows.
        checked: Whether the data stage was there.
    """
    found, k = tables.read(competition), len(competition.classes)
    if checked:
        paths = [*found.train[tables.PATH], *found.test[tables.PATH]]
        check_images(map(str, paths), paths, competition.images_record)
    targets = found.train["label"].map(list(competition.classes).index).to_numpy()
    n, m, fold = len(targets), len(found.test), np.arange(len(targets)) // 3 % 3
    one = Material(competition, found.train, found.test, targets, fold, material.images_record(competition), {}, [])
    for seed, name in enumerate(models):
        rng = np.random.default_rng(seed)
        likely = np.where(rng.random(n) < right, targets, rng.integers(0, k, n))
        oof, test = (rng.random((len(of), k)) + 2 * np.eye(k)[of] for of in (likely, rng.integers(0, k, m)))
        if never is not None:
            oof[:, never] = 0
        oof, test = ((of / of.sum(axis=1, keepdims=True)).astype(np.float32) for of in (oof, test))
        decided = decisions.cross_fitted(one.metric, oof, targets, fold)
        cv, se = one.metric.score(targets, decided)
        folder = competition.model_folder(name)
        one.models[name] = Model(
            name, folder, {"cv": cv, "se": se, "log_loss": 1.0}, oof, decided, test if tested else None
        )
    return one


def rendered(found: Material, *sections) -> str:
    """The page of these sections, without their charts."""
    whole = [replace(one.section(found), charts={}) for one in sections]
    head = {"lead": [], "tiles": [], "left_out": found.left_out}
    return page.render("T", head, whole, "k" * 64, "now", found.album.data()).html


def image_of(uri: str) -> Image.Image:
    assert uri.startswith("data:image/webp;base64,")
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def rewritten(folder, **columns) -> None:
    """train.csv with other columns."""
    df = pd.read_csv(folder / "train.csv", dtype=str)
    df.assign(**columns).to_csv(folder / "train.csv", index=False)


class TestAlbum:
    def test_a_picture_is_small_and_the_one_of_its_row(self, toy, folder):
        Image.new("RGB", (600, 300), (0, 200, 0)).save(folder / "train" / "004.png")
        one = seen(toy)
        assert one.album.put([("train", 4)], 10**6) == [("train", 4)]
        made = image_of(one.album.tiles[one.album.rows["train", 4]["tile"]])
        assert made.size == (tiles.SIDE, tiles.SIDE // 2)
        assert np.abs(np.array(made.convert("RGB")).reshape(-1, 3).mean(axis=0) - (0, 200, 0)).max() < 5

    def test_pixels_come_from_the_store_where_the_file_is_as_it_was_checked(self, toy, folder):
        one, grey = seen(toy), np.full((10, 10, 3), 77, np.uint8)
        paths = [Path(path) for path in one.train[tables.PATH][:3]]
        store = toy.pictures
        store.mkdir(parents=True)
        (store / "pixels.bin").write_bytes(grey.tobytes() * 2)
        shas = one.record.loc[[*map(str, paths)], "sha256"].tolist()
        index = {"sha256": shas, "offset": [0, 300, 600], "height": 10, "width": 10}  # the last is cut off
        pd.DataFrame(index).to_parquet(store / "index.parquet")
        files.write_json(store / "key.json", {})
        picture("red", 1).save(folder / "train" / "001.png")
        source = tiles.Source(toy, one.record)
        pixels = [np.array(source.picture(path)) for path in paths]
        assert (pixels[0] == 77).all()
        assert (pixels[1] == np.array(picture("red", 1))).all()
        assert pixels[2].shape == (18, 20, 3)

    def test_a_picture_that_is_gone_or_broken_has_none_and_says_why(self, toy, folder):
        one = seen(toy)
        (folder / "train" / "000.png").unlink()
        (folder / "train" / "001.png").write_bytes(b"no picture")
        assert one.album.put([("train", i) for i in range(3)], 10**6) == [("train", i) for i in range(3)]
        rows = one.album.data()["rows"]
        assert [rows[f"train-{i}"].get("why") for i in range(3)] == [tiles.GONE, tiles.BROKEN, None]
        assert [rows[f"train-{i}"]["tile"] is None for i in range(3)] == [True, True, False]
        assert rows["train-0"]["id"] == "000"

    def test_the_same_picture_is_there_once(self, toy, folder):
        (folder / "test" / "100.png").write_bytes((folder / "train" / "007.png").read_bytes())
        one = seen(toy)
        one.album.put([("train", 7)], 10**6)
        one.album.put([("test", 0), ("train", 7)], 10**6)
        assert len(one.album.tiles) == 1
        assert set(one.album.data()["rows"]) == {"train-7", "test-0"}

    def test_pictures_beyond_their_room_are_left_out(self, toy):
        one = seen(toy)
        all_rows = [("train", i) for i in range(36)]
        there = one.album.put(all_rows, 4000)
        assert 0 < len(there) < 36
        assert there == all_rows[: len(there)]
        assert sum(map(len, one.album.tiles.values())) <= 4000
        assert set(one.album.data()["rows"]) == {album.name(row) for row in there}

    def test_an_id_that_is_in_both_parts_is_two_pictures(self, folder):
        for name in ("test.csv", "sample_submission.csv"):
            df = pd.read_csv(folder / name, dtype=str)
            df.assign(id=df["id"].str[1:].str.zfill(3)).to_csv(folder / name, index=False)
        one = seen(toy_competition(ids_overlap=True))
        one.album.put([("train", 3), ("test", 3)], 10**6)
        rows = one.album.data()["rows"]
        assert rows["train-3"]["id"] == rows["test-3"]["id"] == "003"
        assert rows["train-3"]["tile"] != rows["test-3"]["tile"]
        assert "label" not in rows["test-3"]

    def test_a_row_is_told_as_every_model_sees_it(self, toy):
        one = seen(toy)
        one.album.know([("train", 5), ("test", 2)])
        rows = one.album.data()["rows"]
        for m, model in enumerate(one.models.values()):
            assert rows["train-5"]["said"][m] == model.oof[5].argmax()
            assert rows["train-5"]["p"][m] == np.rint(1000 * model.oof[5]).tolist()
            assert rows["test-2"]["p"][m] == np.rint(1000 * model.test[2]).tolist()
        assert rows["train-5"]["label"] == one.targets[5]
        assert rows["train-5"]["fold"] == one.fold[5]
        assert rows["train-5"]["size"] == [20, 18]
        assert rows["train-5"]["cells"] == ["train/005.png"]

    def test_of_many_classes_the_likeliest_are_told_and_the_label(self):
        probs = np.array([[0.4, 0.0, 0.3, 0.1, 0.1, 0.1, 0.0], [0.4, 0.0, 0.3, 0.2, 0.1, 0.0, 0.0]])
        assert thousandths(probs, [2, 6]) == [[0, 400, 2, 300, 3, 100], [0, 400, 2, 300, 3, 200, 6, 0]]

    def test_a_model_without_test_table_says_nothing_of_test_rows(self, toy):
        one = seen(toy, tested=False)
        one.album.know([("test", 0)])
        assert one.album.data()["rows"]["test-0"]["said"] == (None, None)


class TestMistakes:
    def test_the_matrix_is_scikit_learns(self, toy):
        one = seen(toy)
        about = mistakes.section(one).about
        assert about["chosen"] == one.best.name
        for name, model in one.models.items():
            counts = [[cell["count"] for cell in row] for row in about["matrices"][name]]
            expected = confusion_matrix(one.targets, one.answers(model))
            assert counts == expected.tolist()
            shares = [[cell["share"] for cell in row] for row in about["matrices"][name]]
            assert np.allclose(shares, expected / expected.sum(axis=1, keepdims=True))

    def test_precision_recall_and_f1_are_scikit_learns(self, toy):
        one = seen(toy)
        for name, table in mistakes.section(one).about["tables"].items():
            expected = precision_recall_fscore_support(one.targets, one.answers(one.models[name]))[:3]
            assert np.allclose([[value[0] for value in row["measures"]] for row in table], np.transpose(expected))
            assert [row["rows"] for row in table] == [12, 12, 12]

    def test_intervals_are_scipys_wilson(self):
        for hits, n in ((0, 5), (3, 7), (90, 100), (12, 12)):
            low, high = binomtest(hits, n).proportion_ci(method="wilson")
            share, *ends = wilson(np.array(hits), np.array(n))
            assert np.allclose([share, *ends], [hits / n, low, high], atol=1e-4)
        assert np.isnan(wilson(np.array([0]), np.array([0]))).all()

    def test_the_interval_of_f1_is_that_of_redrawn_rows(self):
        rng = np.random.default_rng(0)
        targets = rng.integers(0, 3, 600)
        labels = np.where(rng.random(600) < 0.7, targets, rng.integers(0, 3, 600))
        found = classes.class_measures(confusion_matrix(targets, labels))["F1"]
        drawn = rng.integers(0, 600, (1000, 600))
        hits = ((targets[drawn] == 0) & (labels[drawn] == 0)).sum(axis=1)
        f1 = 2 * hits / ((targets[drawn] == 0).sum(axis=1) + (labels[drawn] == 0).sum(axis=1))
        assert np.allclose(found[0, 1:], np.quantile(f1, [0.025, 0.975]), atol=0.01)

    def test_a_class_that_is_never_predicted_has_no_precision(self, toy):
        row = mistakes.section(seen(toy, never=2)).about["tables"]["probe"][2]
        assert row["measures"][0] is None
        assert row["measures"][1][0] == 0
        assert row["predicted"] == 0

    def test_the_surest_mistakes_come_first(self, toy):
        one = seen(toy)
        section = mistakes.section(one)
        for name, model in one.models.items():
            listed = section.data["models"][name]
            wrong = np.flatnonzero(one.answers(model) != one.targets)
            assert listed["wrong"] == len(wrong) == len(listed["surest"])
            chance = [model.oof[int(row.partition("-")[2])].max() for row in listed["surest"]]
            assert chance == sorted(chance, reverse=True)
            assert {f"train-{i}" for i in wrong} == set(listed["surest"])
        assert set(section.data["pictures"]) <= set(one.album.data()["rows"])

    def test_each_kind_of_mistake_has_pictures_before_one_has_many(self, toy, monkeypatch):
        one = seen(toy, right=0.1)
        best = one.best
        pairs = {(one.targets[i], one.answers(best)[i]) for i in np.flatnonzero(one.answers(best) != one.targets)}
        monkeypatch.setattr(common, "SUREST", 0)
        monkeypatch.setattr(common, "PICTURES", len(pairs))
        shown = [int(row.partition("-")[2]) for row in classes.body(one, best, [best]).data["pictures"]]
        assert {(one.targets[i], one.answers(best)[i]) for i in shown} == pairs

    def test_of_many_classes_the_most_confused_pairs_and_the_worst_classes_are_shown(self, folder):
        names = tuple(f"c{i:03d}" for i in range(200))
        df = pd.read_csv(folder / "train.csv", dtype=str)
        many = pd.concat([df.assign(id=[f"{1000 + 36 * j + i}" for i in range(36)]) for j in range(17)])
        many["label"] = [names[i % 200] for i in range(len(many))]
        many.to_csv(folder / "train.csv", index=False)
        sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)
        sample.assign(label=names[0]).to_csv(folder / "sample_submission.csv", index=False)
        one = seen(toy_competition(classes=names), models=["probe"], right=0.3)
        about = mistakes.section(one).about
        matrix = confusion_matrix(one.targets, one.answers(one.best), labels=range(200))
        off = matrix * (1 - np.eye(200, dtype=int))
        assert about["matrices"] == {}
        pairs = about["pairs"]["probe"]
        assert len(pairs) == common.LISTED
        assert all(off[pair["label"], pair["prediction"]] == pair["count"] for pair in pairs)
        assert min(pair["count"] for pair in pairs) >= np.sort(off, axis=None)[-common.LISTED]
        f1 = precision_recall_fscore_support(one.targets, one.answers(one.best), labels=range(200), zero_division=0)[2]
        assert [row["measures"][2][0] for row in about["tables"]["probe"]] == pytest.approx(np.sort(f1)[:30].tolist())
        section = data.section(one)
        assert [len(of) for of in section.data["lists"].values()] == [200]
        html = rendered(one, mistakes, data)
        assert "the 30 classes of the lowest F1, of 200" in html

    def test_without_a_model_it_names_the_command(self, toy):
        assert "./run.sh toy" in rendered(seen(toy, models=()), mistakes)

    @pytest.mark.parametrize("metric", ["log_loss", "auc", "macro_f1"])
    def test_other_metrics_have_it_too(self, folder, metric):
        sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)
        if metric != "macro_f1":
            sample[["id"]].assign(**dict.fromkeys(CLASSES, 0.3)).to_csv(folder / "sample_submission.csv", index=False)
        one = seen(toy_competition(metric=metric))
        section = mistakes.section(one)
        assert np.sum([[c["count"] for c in row] for row in section.about["matrices"]["probe"]]) == 36
        assert set(section.charts) == {"classes", "slices"}


class TestSlices:
    def test_are_columns_of_few_values_folds_and_sizes(self, folder):
        rewritten(folder, view=["top", "bottom"] * 18, serial=[str(i) for i in range(36)])
        for i in range(30):
            picture("red", i, (40, 40 + i)).save(folder / "train" / f"{i:03d}.png")
        one = seen(toy_competition())
        of = {(cut.column, cut.value): cut.rows.tolist() for cut in slices.cut(one)}
        assert of["view", "bottom"] == list(range(1, 36, 2))
        assert {column for column, _ in of} == {"view", "fold", "image"}
        images = [rows for (column, _), rows in of.items() if column == "image"]
        assert images == [[0, 1, 2, *range(30, 36)], [*range(3, 12)], [*range(12, 21)], [*range(21, 30)]]
        assert of["image", "1,720 to 2,040 pixels"] == images[1]
        df = slices.scores(one, one.best, [one.best]).set_index(["column", "value"])
        right = one.answers(one.best) == one.targets
        for key, rows in of.items():
            assert df.loc[key, "score"] == accuracy_score(one.targets[rows], one.answers(one.best)[rows])
            assert df.loc[key, "se"] == pytest.approx(right[rows].std() / np.sqrt(len(rows)))


class TestData:
    def test_shares_of_classes_are_counted(self, toy):
        one = seen(toy)
        df = data.section(one).charts["balance"].data.set_index(["of", "label"])
        assert df.loc["train labels", "rows"].tolist() == [12, 12, 12]
        told = np.bincount(one.best.test.argmax(axis=1), minlength=3)
        assert df.loc[f"test, predicted by {one.best.name}", "rows"].tolist() == told.tolist()

    def test_sizes_and_formats_are_the_files(self, toy, folder):
        picture("red", 1, (50, 25)).save(folder / "train" / "001.png")
        section = data.section(seen(toy))
        train, test = section.about["facts"]
        assert train["spans"] == ["20 to 50, median 20", "18 to 25, median 18", "1.11 to 2.00, median 1.11"]
        assert test["spans"] == ["20", "18", "1.11"]
        assert train["formats"] == ["36 × PNG RGB"]
        sizes = section.charts["sizes"].data
        assert sizes[sizes["width"] == 50][["part", "images"]].to_numpy().tolist() == [["train", 1]]

    def test_many_sizes_are_rounded_to_steps(self):
        rng = np.random.default_rng(0)
        sizes = pd.DataFrame(rng.integers(50, 5000, (20_000, 2)), columns=["width", "height"]).assign(part="train")
        df = data.sizes_chart(sizes).data
        assert len(df) <= data.BINS**2
        assert df["images"].sum() == 20_000

    def test_examples_are_of_their_class_and_do_not_depend_on_the_order_of_rows(self, toy, folder):
        one = seen(toy)
        lists = data.section(one).data["lists"]
        for label, name in enumerate(CLASSES):
            rows = [int(row.partition("-")[2]) for row, _ in lists[f"set{label}"]]
            assert len(rows) == data.A_SET
            assert set(one.train["label"][rows]) == {name}
        df = pd.read_csv(folder / "train.csv", dtype=str)
        df.iloc[::-1].to_csv(folder / "train.csv", index=False)
        assert data.section(seen(toy)).data["lists"] == lists

    def test_exact_copies_are_said(self, toy, folder):
        (folder / "train" / "001.png").write_bytes((folder / "train" / "000.png").read_bytes())
        (folder / "test" / "103.png").write_bytes((folder / "train" / "005.png").read_bytes())
        said = " ".join(data.section(seen(toy)).about["copies"])
        assert "2 images" in said
        assert "different labels: 000 (blue), 001 (green)." in said
        assert "in train and in test: 005 (red), 103 (test)." in said

    def test_before_the_data_stage_it_is_there(self, toy):
        html = rendered(seen(toy, models=(), checked=False), data)
        assert "not checked yet" in html
        assert "./run.sh toy features" in html


class TestMap:
    def features(self, competition, without: int = 0, d: int = 8, same: bool = False) -> None:
        """Features of all images but the last few: a class is a place."""
        shas, rng = seen(competition).record["sha256"].tolist(), np.random.default_rng(0)
        folder = competition.features("tiny-test-0000000-random42", "identity")
        feats = (rng.normal(size=(len(shas), d)) + 9 * np.eye(d)[np.arange(len(shas)) % 3]).astype(np.float16)
        feats, n = feats[[0] * len(shas)] if same else feats, len(shas) - without
        for start in range(0, n, 20):
            of = slice(start, min(start + 20, n))
            shards.write(folder, shas[of], shards.binary(shas[of]), feats[of])
        files.write_json(folder / "key.json", {})

    def test_is_of_the_rows_that_have_features(self, toy):
        self.features(toy, without=4)
        made = features_map.features_map(seen(toy))
        assert made.features == "tiny-test-0000000-random42-identity"
        assert made.rows == [("train", i) for i in range(36)] + [("test", i) for i in range(8)]
        centres = np.stack([made.xy[:36][np.arange(36) % 3 == i].mean(axis=0) for i in range(3)])
        away = np.linalg.norm(made.xy[:36, None] - centres, axis=2)
        assert (away.argmin(axis=1) == np.arange(36) % 3).all()

    @pytest.mark.parametrize(
        ("spec", "folder"),
        [
            (Probe(clip="ViT-B-32", weights="openai"), "ViT-B-32-openai"),
            (Probe(clip="ViT-B-32", weights="openai", mean=(0.5, 0.5, 0.5)), "ViT-B-32-openai-0123abc"),
            (Probe(clip="ViT-B-32", weights_file="x.pt"), "ViT-B-32-0123abc"),
            (Probe(clip="ViT-B-32", weights_file="x.pt", precision="float32"), "ViT-B-32-0123abc-float32"),
            (Probe(backbone="resnet18", pretrained=False, seed=3), "resnet18-random3"),
            (Probe(backbone="vit_b/16", img_size=96, stored="float32"), "vit_b_16-96-float32"),
        ],
    )
    def test_another_encoders_folder_is_not_taken_for_its_own(self, folder, spec):
        names = [
            "ViT-B-32-openai",
            "ViT-B-32-openai-0123abc",
            "ViT-B-32-0123abc",
            "ViT-B-32-0123abc-float32",
            "resnet18-random3",
            "vit_b_16-96-float32",
        ]
        (encoder,) = spec.encoders
        assert [name for name in names if re.fullmatch(features_map.name_pattern(encoder), name)] == [folder]

    def test_a_damaged_shard_is_passed_over_and_stays(self, toy):
        self.features(toy)
        first = shards.binary(seen(toy).record["sha256"].tolist()[:20])
        shard = shards.path_of(toy.features("tiny-test-0000000-random42", "identity"), first)
        shard.write_bytes(b"cut off")
        assert len(features_map.features_map(seen(toy)).rows) == 28
        assert shard.is_file()

    def test_of_more_rows_it_is_a_sample_of_each_class_by_its_share(self, toy, monkeypatch):
        monkeypatch.setattr(features_map, "MAX_MAP_ROWS", 16)
        one = seen(toy)
        rows = features_map.sample(one)
        assert len(set(rows)) == 16
        assert sum(part == "test" for part, _ in rows) == 4
        assert np.bincount(one.targets[[i for part, i in rows if part == "train"]]).tolist() == [4, 4, 4]

    def test_tsne_is_kept_until_the_features_change(self, tmp_path, monkeypatch):
        rng, calls = np.random.default_rng(0), []
        monkeypatch.setattr(features_map, "tsne", lambda feats: calls.append(1) or feats[:, :2].astype(float))
        one, other = (rng.normal(size=(5, 4)).astype(np.float32) for _ in range(2))
        folder = tmp_path / "features" / "x-identity"
        first = features_map.tsne_places(folder, one)
        assert (features_map.tsne_places(folder, one) == first).all()
        assert len(calls) == 1
        assert (features_map.tsne_places(folder, other) != first).any()
        (tmp_path / "features" / "x-identity-map.json").write_text("{}")
        features_map.tsne_places(folder, other)
        assert len(calls) == 3

    def test_tsne_parts_what_is_apart_and_gives_the_same_again(self):
        rng = np.random.default_rng(0)
        feats = (rng.normal(size=(100, 20)) + 20 * np.eye(20)[np.arange(100) % 2]).astype(np.float32)
        xy = features_map.tsne(feats)
        side = xy @ (xy[::2].mean(axis=0) - xy[1::2].mean(axis=0))
        assert side[::2].min() > side[1::2].max()
        assert (features_map.tsne(feats) == xy).all()

    def test_pictures_that_are_all_the_same_have_one_place(self, toy, monkeypatch):
        monkeypatch.setattr(features_map, "FEWEST", 4)
        self.features(toy, same=True)
        assert np.unique(features_map.features_map(seen(toy)).xy, axis=0).shape == (1, 2)

    def test_its_pictures_lie_on_one_sheet(self, toy, folder):
        self.features(toy)
        one = seen(toy)
        (folder / "train" / "008.png").unlink()
        told = data.section(one).data["map"]
        assert told["rows"] == [f"train-{i}" for i in range(36)] + [f"test-{i}" for i in range(12)]
        sheet, side = np.array(image_of(told["sheet"]).convert("RGB")).astype(int), told["side"]

        def middle(name: str) -> np.ndarray:
            line, column = divmod(told["rows"].index(name), told["columns"])
            return sheet[line * side + side // 2 - 4 :, column * side + side // 2 - 4 :][:8, :8].mean(axis=(0, 1))

        assert np.abs(middle("train-8") - tiles.GREY).max() < 12
        for name, colour in (("train-9", 2), ("train-10", 1), ("train-11", 0)):
            assert middle(name).argmax() == colour


class TestLabels:
    def audited(self, competition, rows: list[dict], **about) -> None:
        """An audit with these findings."""
        found = pd.DataFrame(rows).reindex(columns=audit.COLUMNS).astype(object)
        found = found.fillna({column: "" for column in audit.COLUMNS if column != "score"})
        audit.write(competition, found, about)

    def doubtful(self, id: str, label: str, suggested: str, score: float = 0.1) -> dict:
        return {
            "id": id,
            "part": "train",
            "kind": "label",
            "score": score,
            "label": label,
            "suggested_label": suggested,
        }

    def test_before_an_audit_it_names_the_command(self, toy):
        html = rendered(seen(toy), labels)
        assert "./run.sh toy audit" in html
        assert "./run.sh toy ab label_noise drop" in html

    def test_findings_are_pictures_with_what_is_said_of_them(self, toy):
        leak = {"id": "103", "part": "test", "kind": "leak", "score": 0.97, "other_id": "007", "other_part": "train"}
        self.audited(toy, [self.doubtful("004", "green", "red"), leak | {"suggested_label": "green"}])
        one = seen(toy)
        section = labels.section(one)
        assert section.data["lists"] == {
            "label": [{"cards": [["train-4", "004", "green → red"]], "said": "p(label) 0.100"}],
            "leak": [{"cards": [["test-3", "103", "test"], ["train-7", "007", "green"]], "said": "alike 0.970"}],
        }
        assert {kind["name"]: kind["found"] for kind in section.about["kinds"] if kind["found"]} == {
            "label": 1,
            "leak": 1,
        }
        assert set(one.album.tiles) == {
            one.album.rows[row]["tile"] for row in (("train", 4), ("test", 3), ("train", 7))
        }

    @pytest.mark.parametrize(("given", "shown"), [({"correlation": 0.9393050106372183}, "0.939"), ({}, "–")])
    def test_the_limit_of_pairs_has_as_many_digits_as_the_pairs(self, given, shown, toy):
        self.audited(toy, [self.doubtful("004", "green", "red")], thresholds=given)
        how = {kind["name"]: kind["how"] for kind in labels.section(seen(toy)).about["kinds"]}
        assert f"correlates to {shown} or more" in how["leak"]

    def test_of_many_findings_the_first_are_shown_and_all_are_counted(self, toy, monkeypatch):
        monkeypatch.setattr(labels, "SHOWN", 2)
        self.audited(toy, [self.doubtful(f"{i:03d}", CLASSES[i % 3], "red") for i in range(5)])
        section = labels.section(seen(toy))
        assert [entry["cards"][0][1] for entry in section.data["lists"]["label"]] == ["000", "001"]
        assert (section.about["kinds"][0]["found"], section.about["kinds"][0]["shown"]) == (5, 2)

    def test_an_audit_that_was_changed_is_left_out(self, toy):
        self.audited(toy, [self.doubtful("004", "green", "red")])
        toy.audit_csv.write_text("id,part\n")
        one = seen(toy)
        assert labels.section(one).about["audited"] is False
        assert [left.what for left in one.left_out][-1] == "the audit"

    @pytest.mark.parametrize("changed", ["model", "label"])
    def test_an_audit_of_another_model_or_other_labels_says_so(self, toy, folder, changed):
        folder_of = toy.model_folder("probe")
        folder_of.mkdir(parents=True)
        (folder_of / "oof.parquet").write_bytes(b"some")
        key = {"judge": {"model": "probe", "oof": files.sha256(folder_of / "oof.parquet")}}
        self.audited(toy, [self.doubtful("004", "green", "red")], key=key, model="probe")
        assert labels.section(seen(toy)).about["notes"] == []
        if changed == "model":
            (folder_of / "oof.parquet").write_bytes(b"another")
        else:
            df = pd.read_csv(folder / "train.csv", dtype=str)
            df.assign(label=df["label"].where(df["id"] != "004", "red")).to_csv(folder / "train.csv", index=False)
        assert "run it again" in labels.section(seen(toy)).about["notes"][0]

    def test_the_ceiling_is_the_audits(self, toy):
        self.audited(toy, [], ceiling={"noise": 0.141, "se": 0.023, "method": "confident learning"}, model="probe")
        html = rendered(seen(toy), labels)
        assert "14.1 % ± 2.3" in html
        assert "0.8590 ± 0.0230" in html

    def test_without_a_doubtful_label_the_ceiling_is_an_interval(self, toy):
        self.audited(toy, [], ceiling={"noise": 0.0, "se": 0.0, "method": "confident learning"}, model="probe")
        html = rendered(seen(toy), labels)
        assert "0.0 % (0.0 to 9.6)" in html
        assert "1.0000 (0.9036 to 1.0000)" in html

    def test_comparisons_are_a_table(self, toy):
        files.write_text(toy.folds_csv, "id,fold\n")
        sha = files.sha256(toy.folds_csv)
        for value, folds_sha in (("drop", sha), ("keep", "other")):
            put_comparison(
                toy.ab_csv,
                Comparison(
                    "label_noise", value, "probe", "accuracy", 0.7, 0.02, 0.72, 0.02, 0.02, 0.004, 5, folds_sha, "k"
                ),
            )
        first, second = labels.section(seen(toy)).about["comparisons"]
        assert (first["base"], first["arm"]) == ("0.7000 ± 0.0200", "0.7200 ± 0.0200")
        assert (first["difference"], first["verdict"]) == ("+0.0200 ± 0.0040", "clearly better")
        assert (first["other_folds"], second["other_folds"]) == (False, True)

    def test_a_damaged_table_of_comparisons_is_left_out(self, toy):
        files.write_text(toy.ab_csv, "a,b\n1,2\n")
        one = seen(toy)
        assert labels.section(one).about["comparisons"] == []
        assert one.left_out[-1].what == "comparisons of the config"


class TestPage:
    EVIL = ("<script>alert(1)</script>", "a\"b'c", "🌽 & co")

    @pytest.fixture
    def evil(self, folder):
        for name, column in (("train.csv", "label"), ("sample_submission.csv", "label")):
            df = pd.read_csv(folder / name, dtype=str)
            df[column] = df[column].map(dict(zip(CLASSES, self.EVIL, strict=True)))
            df.to_csv(folder / name, index=False)
        rewritten(folder, note="<img src=x onerror=alert(1)>")
        competition = toy_competition(classes=self.EVIL)
        return seen(competition)

    def test_labels_and_cells_are_no_html(self, evil):
        html = rendered(evil, mistakes, data, labels)
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
        start = html.index('id="data-album">') + len('id="data-album">')
        told = json.loads(html[start : html.index("</script>", start)])
        assert tuple(told["classes"]) == self.EVIL
        assert "<img src=x onerror=alert(1)>" in next(iter(told["rows"].values()))["cells"]

    def test_the_same_input_gives_the_same_bytes(self, toy):
        first, second = (rendered(seen(toy), mistakes, data, labels) for _ in range(2))
        assert first == second
