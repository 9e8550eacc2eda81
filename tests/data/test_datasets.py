"""Data sets as competitions, from miniatures in the libraries' own formats; phrasings, and what goes wrong."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import numpy as np
import pandas as pd
import pytest
import requests
from PIL import Image
from pydantic import ValidationError

from src import config
from src.base.errors import UserError
from src.base.paths import submissions_root
from src.commands.compare import phrasings
from src.data.sources import wilds_sets
from src.data.sources.folder import Folder
from src.data.sources.torchvision_sets import Torchvision
from src.data.sources.wilds_sets import Wilds
from src.schema.strict import faults
from src.stages import data
from tests import miniatures
from tests.conftest import ROOT, broken_off, picture, serving

FIRST = {  # of train.csv: id, image, what else, label
    "imagenette": "train/n01440764/n01440764_0,imagenette2-320/train/n01440764/n01440764_0.JPEG,tench",
    "cifar10_official": "train/00000,train/00000.png,airplane",
    "cifar100": "train/00000,train/00000.png,apple",
    "textures": "banded/banded_0000,dtd/dtd/images/banded/banded_0000.jpg,banded",
    "fmow": "rgb_img_0,fmow_v1.1/images/rgb_img_0.png,Europe,2010,airport",
    "aircraft": "1000000,fgvc-aircraft-2013b/data/images/1000000.jpg,707-320",
    "flowers102": "image_00001,flowers-102/jpg/image_00001.jpg,pink primrose",
    "food101": "apple_pie/10000,food-101/images/apple_pie/10000.jpg,apple pie",
    "iwildcam": "00000000,iwildcam_v2.0/train/00000000.jpg,0,0,empty",
    "stl10": "train/00000,train/00000.png,airplane",
}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No library reaches the network, and each is told so at once."""

    def refused(request, *arguments, **named):
        raise urllib.error.URLError("no network in tests")

    send = requests.adapters.HTTPAdapter.send

    def here(adapter, request, **named):
        if urllib.parse.urlsplit(request.url).hostname != "127.0.0.1":
            raise requests.ConnectionError("no network in tests")
        return send(adapter, request, **named)

    monkeypatch.setattr(urllib.request, "urlopen", refused)
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", here)


@pytest.fixture
def inputs(roots):
    return roots / "input"


def state(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")}


def fault(make):
    """What a config that says this is told."""
    with pytest.raises(ValidationError) as raised:
        make()
    return "; ".join(faults(raised.value, None))


def refusal(source, inputs):
    with pytest.raises(UserError) as raised:
        source.fetch(inputs)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("name", FIRST)
def test_a_data_set_runs_through_data_with_its_own_labels_splits_and_groups_and_a_second_run_writes_nothing(
    name, inputs, monkeypatch, capsys
):
    miniatures.make(name, inputs, monkeypatch)
    competition = config.load(name)
    data.run(competition)
    folder = inputs / competition.source.slug
    train, test, sample, solution = (
        pd.read_csv(folder / f"{part}.csv", dtype=str) for part in ("train", "test", "sample_submission", "solution")
    )
    assert (folder / "train.csv").read_text().splitlines()[1] == FIRST[name]
    k = len(competition.classes)
    assert (len(train), len(test)) == (2 * k, k)
    assert not set(train["id"]) & set(test["id"])
    assert list(sample["id"]) == list(test["id"]) == list(solution["id"])
    assert set(solution["Usage"]) == {"Public"}
    assert "label" not in test
    assert sorted(solution["label"]) == sorted(competition.classes)
    assert list(train["label"].unique()) == list(competition.classes)  # in the library's order
    labelled = pd.concat([train, test.merge(solution, on="id")])
    for row in labelled[:: len(labelled) // 20].itertuples():  # the picture is of the class that the table says
        seen = np.asarray(Image.open(folder / row.image)).mean(axis=(0, 1))
        colour = np.random.default_rng(competition.classes.index(row.label)).integers(0, 200, 3)
        assert np.abs(seen - colour - 27.5).max() < 12, row
    before = state(inputs)
    data.run(competition)
    assert state(inputs) == before
    assert "Warning" not in capsys.readouterr().err


def test_groups_are_camera_and_sequence_or_region_and_year_and_two_numbers_of_one_name_are_two_classes(
    inputs, monkeypatch
):
    species = ("empty", "mazama temama", "lama glama", "mazama temama (3)")
    miniatures.iwildcam(inputs / "iwildcam", monkeypatch, species)
    miniatures.fmow(inputs / "fmow", monkeypatch, ("airport", "crop field", "zoo"), pictured=("train", "val"))
    Wilds("iwildcam").fetch(inputs)
    Wilds("fmow", test="val").fetch(inputs)
    cameras = pd.read_csv(inputs / "iwildcam/train.csv")
    metadata = pd.read_csv(inputs / "iwildcam/iwildcam_v2.0/metadata.csv").set_index("filename")
    of = metadata.loc[cameras["image"].str.rpartition("/")[2]]
    assert (cameras["location"].to_numpy() == of["location_remapped"].to_numpy()).all()
    assert set(of["split"]) == {"train"}
    assert cameras["sequence"].is_unique
    assert config.load("iwildcam").group == "location"
    assert list(cameras["label"].unique()) == list(species)
    places = pd.read_csv(inputs / "fmow/test.csv")
    assert set(places["year"]) == {2014}
    assert set(places["region"]) == {"Europe", "Africa", "Other"}


FMOW = """\
,split,category,country_code,timestamp
0,train,zoo,FRA,2002-08-14T23:59:59Z
1,seq,zoo,FRA,1999-05-01T00:00:00Z
2,train,crop_field,KEN,2012-12-31T23:59:59.643Z
3,train,zoo,FRA,2013-01-01T00:00:00Z
4,val,zoo,XXX,2012-12-31T23:59:59Z
5,val,crop_field,FRA,2013-01-01T00:00:00.000Z
6,val,zoo,,2015-12-31T23:59:59.999Z
7,val,zoo,FRA,2016-01-01T00:00:00Z
8,test,zoo,KEN,2009-12-31T23:59:59Z
9,test,zoo,KEN,2014-06-01T00:00:00Z
10,test,crop_field,ATA,2016-01-01T00:00:00Z
11,test,zoo,KEN,2017-12-31T23:59:59Z
12,train,zoo,FRA,2015-01-01T01:00:00+02:00
"""
FMOW_ROWS = {  # the picture's number, region, year, label
    "train": [(0, "Europe", 2002, "zoo"), (2, "Africa", 2012, "crop field")],
    "id_val": [(4, "Other", 2012, "zoo")],
    "id_test": [(8, "Africa", 2009, "zoo")],
    "val": [(5, "Europe", 2013, "crop field"), (6, "Other", 2015, "zoo")],
    "test": [(10, "", 2016, "crop field"), (11, "Africa", 2017, "zoo")],
}


def test_fmows_official_splits_are_cut_by_year_and_its_sequestered_rows_count_for_the_pictures_number(tmp_path):
    (tmp_path / "rgb_metadata.csv").write_text(FMOW)
    (tmp_path / "country_code_mapping.csv").write_text("name,alpha-3,region\nA,FRA,Europe\nB,KEN,Africa\nC,ATA,\n")
    df = wilds_sets.fmow(tmp_path).fillna("")
    assert list(df) == ["split", "image", "region", "year", "label"]
    for split, rows in FMOW_ROWS.items():
        found = df[df["split"] == split].drop(columns="split").itertuples(index=False, name=None)
        assert list(found) == [(f"images/rgb_img_{i}.png", *rest) for i, *rest in rows], split
    assert len(df) == 12
    (tmp_path / "rgb_metadata.csv").write_text(FMOW.replace("2017-12-31", "2018-12-31"))
    with pytest.raises(ValueError, match="not of 2002 to 2017"):
        wilds_sets.fmow(tmp_path)


def test_iwildcams_rows_are_those_of_its_metadata_with_the_names_of_its_categories(tmp_path):
    (tmp_path / "metadata.csv").write_text(
        ",split,filename,datetime,location,location_remapped,sequence_remapped,y\n"
        "0,train,a.jpg,2013-04-05 06:07:08.000,501,3,0,2\n"
        "1,id_val,b.jpg,2013-04-05 06:07:08.000,502,0,1,0\n"
        "2,train,c.jpg,2013-04-05 06:07:08.000,501,3,0,1\n"
    )
    (tmp_path / "categories.csv").write_text(
        "category_id,name,y\n0,empty,0\n9,mazama temama,2\n4,mazama temama,1\n5,lama glama,99999\n6,ara,99999\n"
    )
    assert wilds_sets.iwildcam(tmp_path).to_dict("split")["data"] == [
        ["train", "train/a.jpg", 3, 0, "mazama temama (2)"],
        ["id_val", "train/b.jpg", 0, 1, "empty"],
        ["train", "train/c.jpg", 3, 0, "mazama temama"],
    ]


def packed(data, archive, *more) -> None:
    """Packs the folder of a WILDS data set as its archive, with further entries: (name, type)."""
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(data, ".")
        for name, kind in more:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "rgb_metadata.csv"
            tar.addfile(entry)


@pytest.fixture
def archive(inputs, monkeypatch, tmp_path):
    """A miniature of fmow as an archive, outside of input/; its data set and the folder that it is for."""
    data = inputs / "fmow/fmow_v1.1"
    miniatures.fmow(inputs / "fmow", monkeypatch, ("airport", "zoo"))
    packed(data, tmp_path / "fmow.tar.gz")
    shutil.rmtree(data)
    return tmp_path / "fmow.tar.gz", Wilds("fmow"), data


def test_a_wilds_archive_that_lies_there_is_unpacked_and_removed(archive, inputs):
    path, source, data = archive
    data.mkdir()
    path.rename(data / "archive.tar.gz")
    (data / "images").mkdir()
    (data / "images/rgb_img_0.png").write_bytes(b"half")  # of an unpacking that was killed
    source.fetch(inputs)
    names = ["RELEASE_v1.1.txt", "country_code_mapping.csv", "images", "rgb_metadata.csv"]
    assert sorted(path.name for path in data.iterdir()) == names
    assert Image.open(data / "images/rgb_img_0.png").size == (16, 16)
    assert len(pd.read_csv(inputs / "fmow/train.csv")) == 4


def test_a_wilds_archive_is_downloaded_as_it_is(archive, inputs, monkeypatch):
    path, source, data = archive
    body, asked = path.read_bytes(), []

    class Server(BaseHTTPRequestHandler):
        length = len(body)

        def do_GET(self):
            asked.append(self.headers["Accept-Encoding"])
            self.send_response(200)
            self.send_header("Content-Length", str(self.length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with serving(Server) as server:
        about = replace(wilds_sets.WILDS["fmow"], url=f"http://127.0.0.1:{server.server_port}/blob/")
        monkeypatch.setitem(wilds_sets.WILDS, "fmow", about)
        Server.length += 1
        said = refusal(source, inputs)
        assert f"download {about.url} to {data / 'archive.tar.gz'}, or" in said
        assert list(data.iterdir()) == []  # no half of it
        Server.length -= 1
        source.fetch(inputs)
    assert asked == ["identity"] * 2
    assert len(pd.read_csv(inputs / "fmow/train.csv")) == 4


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda path, data: path.write_bytes(path.read_bytes()[:2000]), "end-of-stream"),
        (lambda path, data: path.write_bytes(b"<html>"), "not a gzip file"),
        (lambda path, data: packed(data, path, ("../out.txt", tarfile.REGTYPE)), "outside the destination"),
        (lambda path, data: packed(data, path, ("link.csv", tarfile.SYMTYPE)), "'link.csv' is a link"),
        (lambda path, data: packed(data, path, ("hard.csv", tarfile.LNKTYPE)), "'hard.csv' is a link"),
        (lambda path, data: packed(data / "images", path), "no RELEASE_v1.1.txt in it"),
    ],
)
def test_a_wilds_archive_that_is_broken_or_would_escape_is_refused(inputs, monkeypatch, tmp_path, fault, said):
    data = inputs / "fmow/fmow_v1.1"
    miniatures.fmow(inputs / "fmow", monkeypatch, ("airport", "zoo"))
    packed(data, path := tmp_path / "archive.tar.gz")
    fault(path, data)
    shutil.rmtree(data)
    data.mkdir()
    path = path.rename(data / path.name)
    for _ in range(2):  # what it leaves does not count as the data set
        refused = refusal(Wilds("fmow"), inputs)
        assert said in refused
        assert f"codalab.org/rest/bundles/0xaec91eb7c9d548ebb15e1b5e60f966ab/contents/blob/ to {path}, or" in refused
        assert not (data / "RELEASE_v1.1.txt").exists()
    assert not (data.parent / "out.txt").exists()


def test_unknown_data_sets_splits_and_options_are_refused_with_what_there_is():
    assert "'Imagenett': did you mean 'Imagenette'?" in fault(lambda: Torchvision("Imagenett"))
    assert "unknown torchvision data set 'MNIST': one of Imagenette, CIFAR10" in fault(lambda: Torchvision("MNIST"))
    assert "unknown split 'valid'" in (said := fault(lambda: Torchvision("DTD", test="valid")))
    assert "one of train, val, test" in said
    assert "unknown split 'val': one of train, test" in fault(lambda: Torchvision("CIFAR10", test="val"))
    assert "unknown option 'sise': did you mean 'size'?" in fault(lambda: Torchvision("Imagenette", sise="320px"))
    assert "unknown size '32px'" in fault(lambda: Torchvision("Imagenette", size="32px"))
    assert "unknown WILDS data set 'camelyon17': one of fmow, iwildcam" in fault(lambda: Wilds("camelyon17"))
    assert "train and test are both 'train'" in fault(lambda: Wilds("fmow", test="train"))


def test_without_a_network_a_message_says_what_to_download_and_where_to_put_it(inputs):
    said = refusal(Torchvision("Imagenette", size="320px"), inputs)
    assert "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz cannot be downloaded (no network" in said
    assert f"put it at {inputs / 'imagenette/imagenette2-320.tgz'}" in said
    broken = inputs / "flowers102/flowers-102/102flowers.tgz"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"half")
    assert f"{broken} is there but is not the whole file, and https://" in refusal(Torchvision("Flowers102"), inputs)
    said = refusal(Wilds("fmow"), inputs)
    assert "no network in tests" in said
    assert f"to {inputs / 'fmow/fmow_v1.1/archive.tar.gz'}" in said


def test_a_data_set_that_is_half_there_is_refused_with_what_to_delete(inputs, monkeypatch):
    archive = inputs / "fgvcaircraft/fgvc-aircraft-2013b.tar.gz"  # torchvision has no checksum of it
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"\x1f\x8b half of it")
    assert "FGVCAircraft is there but not whole (" in (said := refusal(Torchvision("FGVCAircraft"), inputs))
    assert f"delete {archive}" in said
    archive.unlink()
    for name, gone, delete in (
        ("imagenette", "imagenette2-320/val/n03888257/n03888257_2.JPEG", "imagenette2-320"),
        ("aircraft", "fgvc-aircraft-2013b/data/images/1000000.jpg", "fgvc-aircraft-2013b"),
        ("textures", "dtd/dtd/labels/val1.txt", "dtd/dtd"),
        ("food101", "food-101/images/zoo/10001.jpg", "food-101"),
        ("fmow", "fmow_v1.1/images/rgb_img_0.png", "fmow_v1.1"),
        ("iwildcam", "iwildcam_v2.0/categories.csv", "iwildcam_v2.0"),
    ):
        source = config.load(name).source
        folder = inputs / source.slug
        miniatures.MAKERS[name](folder, monkeypatch, ("airport", "zoo"))
        (folder / gone).unlink()
        said = refusal(source, inputs)
        assert f"delete {folder / delete} and" in said, said
        assert gone in said or "for the classes n03888257" in said, said
        assert not (folder / "train.csv").exists()


def test_an_archive_that_lies_there_is_unpacked_once_its_checksum_is_right(inputs, monkeypatch, tmp_path):
    from torchvision.datasets import DTD

    miniatures.make("textures", inputs, monkeypatch)
    archive = inputs / "dtd/dtd/dtd-r1.0.1.tar.gz"
    with tarfile.open(tmp_path / archive.name, "w:gz") as tar:
        tar.add(inputs / "dtd/dtd/dtd", "dtd")
    shutil.rmtree(inputs / "dtd/dtd/dtd")
    (tmp_path / archive.name).rename(archive)
    said = refusal(config.load("textures").source, inputs)
    assert f"{archive} is there but is not the whole file" in said  # by torchvision's own checksum
    monkeypatch.setattr(DTD, "_MD5", miniatures.md5(archive))
    config.load("textures").source.fetch(inputs)
    assert len(pd.read_csv(inputs / "dtd/train.csv")) == 94


def test_pictures_that_are_no_files_are_written_whole_or_not_at_all(inputs, monkeypatch):
    miniatures.make("stl10", inputs, monkeypatch)
    source = config.load("stl10").source
    with broken_off(Image.Image, "save", after=25, error=KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        source.fetch(inputs)
    assert len(list((inputs / "stl10/train").iterdir())) == 20
    assert not (inputs / "stl10/test").exists()
    source.fetch(inputs)
    assert len(list((inputs / "stl10/test").iterdir())) == 10
    assert not list((inputs / "stl10").glob(".*"))


def test_tables_of_another_split_or_of_somebody_else_are_not_overwritten(inputs, monkeypatch):
    miniatures.make("textures", inputs, monkeypatch)
    Torchvision("DTD", partition=1).fetch(inputs)
    said = refusal(Torchvision("DTD", partition=1, test="test"), inputs)
    assert "test changed (val to test)" in said
    assert f"rm -f {inputs}/dtd/{{source.json,train.csv" in said
    for name in ("source.json", "train.csv"):
        (inputs / "dtd" / name).unlink()
    assert f"{inputs / 'dtd/test.csv'} is there and was not written by this source" in refusal(
        Torchvision("DTD"), inputs
    )


@pytest.fixture
def pets(tmp_path):
    """pets/: three colours as classes, 10, 10 and 5 pictures."""
    for label, n in (("blue", 10), ("green", 10), ("red", 5)):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for i in range(n):
            picture(label, seed=i).save(tmp_path / "pets" / label / f"{i}.png")
    return tmp_path / "pets"


def rows(inputs, slug="pets"):
    return (
        pd.read_csv(inputs / slug / name, dtype=str, keep_default_na=False) for name in ("train.csv", "solution.csv")
    )


def test_a_folder_a_class_is_split_the_same_way_each_time_and_it_is_said(pets, inputs, capsys):
    Folder(str(pets)).fetch(inputs)
    train, test = rows(inputs)
    assert "5 of 25 rows are held out, always the same" in capsys.readouterr().out
    assert test["label"].value_counts().to_dict() == {"blue": 2, "green": 2, "red": 1}
    assert set(train["id"]) | set(test["id"]) == {f"{p.parent.name}/{p.stem}" for p in pets.glob("*/*.png")}
    assert train["image"].map(lambda name: (inputs / "pets" / name).is_file()).all()
    before = state(inputs)
    Folder(str(pets)).fetch(inputs)
    assert state(inputs) == before
    Folder(str(pets), slug="again").fetch(inputs)
    assert (inputs / "again/solution.csv").read_text() == (inputs / "pets/solution.csv").read_text()
    picture("red", seed=9).save(pets / "red/9.png")
    assert "of other rows than the config asks for: files changed" in refusal(Folder(str(pets)), inputs)


def test_where_inputs_are_read_only_the_tables_are_written_below_the_submissions(pets, inputs, monkeypatch):
    source = Folder(str(pets))
    assert source.root == inputs
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, how: False)
        own = source.root
    assert own.parent == submissions_root()
    source.fetch(own)
    assert (own / source.slug / "train.csv").is_file()
    assert not (inputs / source.slug / "train.csv").exists()
    images = pd.read_csv(own / source.slug / "train.csv")["image"]
    assert all((own / source.slug / image).is_file() for image in images)
    assert source.root == own  # where they are, also when more may be written


@pytest.mark.parametrize("name", ["digits", "imagenette", "stl10", "textures", "fmow"])
def test_a_set_whose_inputs_are_read_only_is_written_below_the_submissions(name, inputs, monkeypatch):
    source = config.load(name).source
    if name != "digits":
        miniatures.make(name, inputs, monkeypatch)
    before = state(inputs)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, how: False)
        assert source.root == submissions_root() / ".input"
        source.fetch(source.root)
        assert source.root == submissions_root() / ".input"
    folder = source.root / source.slug
    assert state(inputs) == before
    assert all((folder / image).is_file() for image in pd.read_csv(folder / "train.csv")["image"])
    if name != "digits":
        assert (folder / "train.csv").read_text().splitlines()[1] == FIRST[name]  # the same rows as in INPUT_DIR
    before = state(folder)
    source.fetch(source.root)
    assert state(folder) == before


def test_an_archive_in_read_only_inputs_is_unpacked_below_the_submissions(archive, inputs, monkeypatch):
    path, source, data = archive
    data.mkdir(parents=True)
    path.rename(data / "archive.tar.gz")
    before = state(inputs)
    monkeypatch.setattr(os, "access", lambda path, how: False)
    source.fetch(source.root)
    assert state(inputs) == before
    assert len(pd.read_csv(submissions_root() / ".input/fmow/train.csv")) == 4
    source.fetch(source.root)


def test_tables_that_are_there_are_found_again_whatever_may_be_written(pets, inputs, monkeypatch):
    source = Folder(str(pets))
    source.fetch(inputs)
    monkeypatch.setattr(os, "access", lambda path, how: False)
    assert source.root == inputs


@pytest.mark.parametrize(("train", "test"), [("train", "val"), ("Training", "valid"), (None, "test")])
def test_a_folder_with_its_own_splits_keeps_them(train, test, pets, inputs, tmp_path):
    home = tmp_path / "home/pets"
    home.parent.mkdir(exist_ok=True)
    for source, part in (("blue", train), ("green", train), ("blue", test)):
        target = home / (part or "") / source
        target.mkdir(parents=True)
        for file in sorted((pets / source).iterdir())[5 * (part == test) :]:
            (target / file.name).write_bytes(file.read_bytes())
    Folder(str(home)).fetch(inputs)
    learnt, held_out = rows(inputs)
    assert len(learnt) == 20
    assert len(held_out) == 5
    assert set(held_out["label"]) == {"blue"}
    assert held_out["id"].str.startswith(f"{test}/blue/").all()


def test_a_csv_names_the_images_labels_splits_and_groups(pets, inputs):
    df = pd.DataFrame({"file": [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]})
    df = df.assign(breed=df["file"].str.split("/").str[0], owner=[str(i % 6) for i in range(len(df))])
    df.assign(part=["valid" if i % 5 == 0 else "train" for i in range(len(df))]).to_csv(pets / "own.csv", index=False)
    Folder(str(pets / "own.csv"), image="file", label="breed", split="part").fetch(inputs)
    train, test = rows(inputs, "own")
    assert len(train) == 20
    assert set(test["id"]) == set(df["file"][::5].str.removesuffix(".png"))
    Folder(str(pets / "own.csv"), image="file", label="breed", group="owner", slug="grouped").fetch(inputs)
    train, test = rows(inputs, "grouped")
    owners = set(pd.read_csv(inputs / "grouped/test.csv", dtype=str)["owner"])
    assert len(test)
    assert not owners & set(train["owner"])
    said = refusal(Folder(str(pets / "own.csv"), image="fil", label="breed", slug="other"), inputs)
    assert "unknown column 'fil': did you mean 'file'?" in said
    said = refusal(Folder(str(pets / "own.csv"), image="file", label="breed", split="part", test="x", slug="o"), inputs)
    assert "unknown split 'x': one of train, valid" in said


def test_another_column_called_label_gives_way_to_the_labels(pets, inputs):
    df = pd.DataFrame({"file": [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]})
    df.assign(label="?", breed=df["file"].str.split("/").str[0]).to_csv(pets / "own.csv", index=False)
    Folder(str(pets / "own.csv"), image="file", label="breed").fetch(inputs)
    train, test = rows(inputs, "own")
    assert set(train["label"]) == set(test["label"]) == {"blue", "green", "red"}


@pytest.mark.parametrize("name", ["id", "image", "label"])
@pytest.mark.parametrize("field", ["group", "split"])
def test_groups_and_splits_called_as_a_column_of_the_tables_are_refused(pets, inputs, field, name):
    df = pd.DataFrame({"file": [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]})
    df = df.assign(breed=df["file"].str.split("/").str[0]).assign(**{name: [str(i % 6) for i in range(len(df))]})
    df.to_csv(pets / "own.csv", index=False)
    said = refusal(Folder(str(pets / "own.csv"), image="file", label="breed", **{field: name}), inputs)
    assert f"{field}={name!r}: the tables have a column {name!r} of their own: rename it in the CSV" in said


@pytest.mark.parametrize("field", ["group", "split"])
@pytest.mark.parametrize(("name", "what"), [("breed", "labels"), ("file", "pictures")])
def test_a_group_or_split_that_is_the_column_of_labels_or_pictures_is_refused(field, name, what):
    with pytest.raises(ValidationError, match=f"{field}: '{name}' is the column of {what}: name another"):
        Folder("own.csv", image="file", label="breed", **{field: name})


def test_a_picture_of_several_labels_may_have_none(pets, inputs):
    df = pd.DataFrame({"image": [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]})
    df.assign(label=["red blue", "red", ""] * 8 + [""]).to_csv(pets / "own.csv", index=False)
    Folder(str(pets / "own.csv"), task="labels").fetch(inputs)
    train, test = rows(inputs, "own")
    assert (train["label"] == "").sum() == 7
    assert (test["label"] == "").sum() == 2
    assert "own.csv: label is empty in 9 rows" in refusal(Folder(str(pets / "own.csv"), slug="of_class"), inputs)


def test_a_split_is_not_validated_on_if_it_is_learnt(pets, inputs):
    df = pd.DataFrame({"image": [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]})
    df = df.assign(label=df["image"].str.split("/").str[0], part=["train", "test"] * (len(df) // 2) + ["train"])
    df.to_csv(pets / "own.csv", index=False)
    for split in ({"train": "test"}, {"test": "train"}, {"train": "test", "test": "test"}):
        said = refusal(Folder(str(pets / "own.csv"), split="part", **split), inputs)
        assert "is the split to learn from and to validate on: name another" in said
    (pets / "test").mkdir()
    for label in ("blue", "green", "red"):
        (pets / label).rename(pets / "test" / label)
    for split in ({"train": "test"}, {"train": "test", "test": "test"}):
        assert "'test' is the split to learn from and to" in refusal(Folder(str(pets), slug="x", **split), inputs)


def test_numbers_that_are_none_are_said_before_rows_are_held_out(pets, inputs):
    df = pd.DataFrame({"image": [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]})
    df.assign(label=["n/a" if i == 7 else str(i) for i in range(len(df))]).to_csv(pets / "own.csv", index=False)
    said = refusal(Folder(str(pets / "own.csv"), task="number"), inputs)
    assert "own.csv: 1 label are no numbers, such as 'n/a': correct them" in said


def test_a_name_that_is_no_utf8_is_refused(pets, inputs):
    os.rename(pets / "red/0.png", os.path.join(os.fsencode(pets), b"red/caf\xe9.png"))
    assert "red/caf\\xe9.png has a name that is no UTF-8: rename it" in refusal(Folder(str(pets)), inputs)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_groups_are_held_out_whole(pets, inputs, n):
    df = pd.DataFrame({"file": [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]})
    df = df.assign(breed=df["file"].str.split("/").str[0], owner=[str(i % n) for i in range(len(df))])
    df.to_csv(pets / "own.csv", index=False)
    Folder(str(pets / "own.csv"), image="file", label="breed", group="owner").fetch(inputs)
    train, test = rows(inputs, "own")
    owners = pd.read_csv(inputs / "own/test.csv", dtype=str)["owner"]
    assert len(train) + len(test) == len(df)
    assert owners.nunique() == 1
    assert owners[0] not in set(train["owner"])


def test_rows_of_one_group_have_none_to_hold_out(pets, inputs):
    df = pd.DataFrame({"file": [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]})
    df.assign(breed=df["file"].str.split("/").str[0], owner="7").to_csv(pets / "own.csv", index=False)
    said = refusal(Folder(str(pets / "own.csv"), image="file", label="breed", group="owner"), inputs)
    assert "all rows are of one group" in said


def test_pictures_may_lie_here_and_elsewhere(pets, inputs, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (pets / "red").rename(elsewhere)
    here = [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]
    df = pd.DataFrame({"image": here, "label": [file.split("/")[0] for file in here]})
    others = pd.DataFrame({"image": sorted(map(str, elsewhere.glob("*.png"))), "label": "red"})
    table = inputs / "own/labels.csv"
    shutil.copytree(pets, table.parent)
    pd.concat([df, others]).to_csv(table, index=False)
    Folder(str(table), slug="own").fetch(inputs)
    train, test = rows(inputs, "own")
    assert set(train["label"]) == set(test["label"]) == {"blue", "green", "red"}
    ids = [*train["id"], *test["id"]]
    assert len(set(ids)) == len(ids) == len(here) + len(others)


def test_classes_of_two_pictures_each_have_none_to_hold_out(pets, inputs):
    for path in pets.glob("*/*.png"):
        if int(path.stem) > 1:
            path.unlink()
    with pytest.raises(
        UserError, match="no class has 3 pictures, of which one is held out: add pictures, or make a fo"
    ):
        Folder(str(pets)).fetch(inputs)


def test_rows_of_a_csv_without_a_group_are_held_out_each_by_itself_and_repeats_are_one_row(pets, inputs, capsys):
    df = pd.DataFrame({"file": [path.relative_to(pets).as_posix() for path in sorted(pets.glob("*/*.png"))]})
    df = df.assign(breed=df["file"].str.split("/").str[0], owner="")
    pd.concat([df, df[:3]]).to_csv(pets / "own.csv", sep=";", index=False)
    Folder(str(pets / "own.csv"), image="file", label="breed", group="owner").fetch(inputs)
    train, test = rows(inputs, "own")
    assert len(train) + len(test) == len(df)
    assert set(train["label"]) == set(test["label"]) == set(df["breed"])
    said = capsys.readouterr().out
    assert "own.csv: 3 rows that only repeat another\n" in said
    assert f"{len(df)} rows without owner: each is a group of its own\n" in said


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("red/0.png,red,1", "passed over in {}: 1 row that only repeats another\n"),
        ("./red/0.png,red,1", "passed over in {}: 1 row that only repeats another\n"),  # the same file
        ("red/0.png,red,9", "passed over in {}: 1 row that only repeats another in image, label\n"),
        ("red/0.png,blue,1", "'red/0.png' stands in 2 rows, with the label 'red' and 'blue'"),
        ("blue/../red/0.png,blue,1", "'red/0.png' stands in 2 rows, with the label 'red' and 'blue'"),
        ("red/0.png,,1", "label is empty in 1 row, the first of them 'red/0.png, '"),
    ],
)
def test_repeated_rows_of_a_csv_are_counted_or_refused_by_what_they_say(row, said, pets, inputs, capsys):
    lines = [f"{path.parent.name}/{path.name},{path.parent.name},1" for path in sorted(pets.glob("*/*.png"))]
    csv = pets / "own.csv"
    csv.write_text("\n".join(["image,label,note", *lines, row, ""]))
    if said.startswith("passed over"):
        Folder(str(csv)).fetch(inputs)
        assert said.format(csv) in capsys.readouterr().out
        assert sum(map(len, rows(inputs, "own"))) == 25
    else:
        with pytest.raises(UserError, match=re.escape(said)):
            Folder(str(csv)).fetch(inputs)


def test_a_folder_that_cannot_be_learnt_is_refused_and_files_of_your_own_are_kept(pets, inputs, tmp_path):
    assert "there is no folder or CSV file" in refusal(Folder(str(tmp_path / "cats")), inputs)
    (tmp_path / "alone").mkdir()
    (pets / "red").rename(tmp_path / "alone/red")
    assert "has 1 class to learn (red): two are needed" in refusal(Folder(str(tmp_path / "alone")), inputs)
    (tmp_path / "none/a").mkdir(parents=True)
    assert "has no pictures in folders, one a class" in refusal(Folder(str(tmp_path / "none")), inputs)
    assert "unknown split 'vall'" in refusal(Folder(str(pets), test="vall"), inputs)
    (inputs / "pets").mkdir(parents=True)
    (inputs / "pets/train.csv").write_text("mine")
    assert "was not written by this source" in refusal(Folder(str(pets)), inputs)
    assert (inputs / "pets/train.csv").read_text() == "mine"


def test_configs_of_data_sets_load_without_torch_and_say_what_the_article_had():
    names = [*FIRST]
    code = (
        "import sys; from src import config\n"
        f"for name in {names}: config.load(name)\n"
        "print([name for name in ('torch', 'torchvision', 'timm') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"
    scores = {}
    for name in names:
        for row in config.load(name).reported:
            scores[name, row.model, row.epoch] = float(row.valid)
            assert row.note
    assert len(scores) == 74
    for name, resnet, clip in (
        ("cifar10_official", 0.9501, 0.9792),
        ("food101", 0.8149, 0.8863),
        ("fmow", 0.5234, 0.5661),
        ("textures", 0.6181, 0.6170),
        ("cifar100", 0.8204, 0.8910),
        ("flowers102", 0.8374, 0.1164),
        ("aircraft", 0.6199, 0.3162),
        ("iwildcam", 0.9894, 0.8976),
        ("stl10", 0.9534, 0.9860),
    ):
        assert (scores[name, "resnet50", 10], scores[name, "clip_vit_b32", 10]) == (resnet, clip)


def test_each_data_set_has_as_many_templates_of_one_kind_as_varied_ones():
    for name in FIRST:
        kinds = phrasings.kinds(config.load(name).phrasings)
        assert list(kinds) == ["one kind", "varied"]
        assert {len(templates) for templates in kinds.values()} == {8}
        assert all("photo of" in template for template in kinds["one kind"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[one kind]\na {}.\n", r"no templates under \[varied\]"),
        ("[one kind]\na {}.\n[varied]\nb {}.\nc {}.", "1 templates? of one kind and 2 varied"),
        ("[one kind]\na photo.\n[varied]\n{}", r"line 2: the template 'a photo.' needs one \{\}"),
        ("[one kind]\na {}.\na {}.\n[varied]\n{}", "line 3: .* twice"),
        ("a {}.\n[varied]\n{}", "line 1: 'a {}.' is in no part"),
        ("[one kinds]\na {}.", "line 1: unknown part 'one kinds': did you mean 'one kind'"),
    ],
)
def test_a_faulty_file_of_phrasings_is_refused_with_its_line(text, said, tmp_path, monkeypatch):
    monkeypatch.setattr(phrasings, "FOLDER", tmp_path)
    (tmp_path / "toys.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        phrasings.kinds("toys")
    with pytest.raises(UserError, match="unknown file of phrasings 'toy': did you mean 'toys'"):
        phrasings.kinds("toy")


LEFT_BEHIND = (".ipynb_checkpoints", "@eaDir/0.png", "__MACOSX", "lost+found", "$RECYCLE.BIN")


@pytest.mark.parametrize("inside", LEFT_BEHIND)
def test_what_programs_put_beside_the_files_is_neither_picture_nor_class(inside, pets, inputs, capsys):
    Folder(str(pets), slug="clean").fetch(inputs)
    key = Folder(str(pets)).key
    for folder in (pets / inside, pets / "red" / inside):
        folder.mkdir(parents=True)
        shutil.copy(pets / "red/0.png", folder / "0-copy.png")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
        (pets / "red" / name).write_bytes(b"x")
    assert Folder(str(pets)).key == key
    Folder(str(pets)).fetch(inputs)
    for table in ("train.csv", "solution.csv"):
        assert (inputs / "pets" / table).read_text() == (inputs / "clean" / table).read_text()
    assert "left out" not in capsys.readouterr().out


@pytest.mark.parametrize("copy", ["again", "red", "more/deeper"])
def test_a_set_that_is_in_itself_once_more_is_refused(copy, pets, inputs):
    kept = {label: list((pets / label).iterdir()) for label in ("blue", "green", "red")}
    for label, files in kept.items():
        (pets / copy / label).mkdir(parents=True)
        for file in files:
            shutil.copy(file, pets / copy / label)
    said = refusal(Folder(str(pets)), inputs)
    top = pets / copy.partition("/")[0]
    assert f"{top} has folders of other classes in it (blue, green" in said
    assert f"move it out of {pets}, or name it alone" in said
    shutil.rmtree(pets / copy / "green")
    assert "has folders of other classes in it (blue" in refusal(Folder(str(pets)), inputs)


def test_what_is_not_taken_is_counted_by_its_reason(pets, inputs, capsys):
    (pets / "red/a.heic").write_bytes(b"x")
    (pets / "red/b.HEIC").write_bytes(b"x")
    (pets / "notes.txt").write_bytes(b"x")
    (pets / "green/gone.png").symlink_to("nowhere.png")
    shutil.copy(pets / "red/0.png", pets / "cover.png")
    picture("red", 7).save(pets / "red/c.jfif", "JPEG")
    Folder(str(pets)).fetch(inputs)
    said = capsys.readouterr().out
    assert "3 files of other kinds (2 .heic, 1 .txt)" in said
    assert "1 picture in no class's folder, or of a split left alone, such as cover.png" in said
    assert "1 link to what is not there, such as green/gone.png" in said
    train, test = rows(inputs)
    assert {"red/c.jfif"} & (set(train["id"]) | set(test["id"]))


def test_links_are_followed_but_not_in_a_circle(pets, inputs, tmp_path):
    (pets / "red").rename(tmp_path / "elsewhere")
    (pets / "red").symlink_to(tmp_path / "elsewhere")
    (pets / "green/up").symlink_to(pets)
    Folder(str(pets)).fetch(inputs)
    assert sum(map(len, rows(inputs))) == 25
    picture("red", 9).save(tmp_path / "elsewhere/9.png")
    assert "files changed" in refusal(Folder(str(pets)), inputs)


@pytest.mark.parametrize("where", ["test", "test/unknown", "valid/all"])
def test_a_split_without_labels_is_left_alone(where, pets, inputs, tmp_path, capsys):
    home = tmp_path / "home/pets"
    shutil.copytree(pets, home / "train")
    shutil.copytree(pets / "red", home / where)
    Folder(str(home)).fetch(inputs)
    said = capsys.readouterr().out
    assert f"{where.partition('/')[0]} has no folder of a class, so its pictures have no labels" in said
    assert "5 of 25 rows are held out" in said
    assert "5 pictures in no class's folder, or of a split left alone" in said


def test_a_csv_may_name_pictures_by_a_pattern_any_ending_and_other_spellings(tmp_path, inputs):
    lines = ["id,breed"]
    for i in range(20):
        label, ending = (("red", "jpg"), ("blue", "PNG"), ("red", "png"), ("blue", "JPG"))[i % 4]
        target = tmp_path / "set/pictures" / f"{unicodedata.normalize('NFD', 'café')}_{i}.{ending}"
        target.parent.mkdir(parents=True, exist_ok=True)
        picture(label, i).save(target)
        lines.append(f"{unicodedata.normalize('NFC', 'café')}_{i},{label}")
    (tmp_path / "set/labels.csv").write_text("\n".join(lines), encoding="utf-8")
    named = {"image": "pictures/{id}.*", "label": "breed"}
    Folder(str(tmp_path / "set/labels.csv"), **named).fetch(inputs)
    train, test = rows(inputs, "labels")
    assert (len(train), len(test)) == (16, 4)
    assert train["image"].map(lambda name: (inputs / "labels" / name).is_file()).all()
    lines[0] = "file.name,breed"  # a column may be called so
    (tmp_path / "set/dotted.csv").write_text("\n".join(lines), encoding="utf-8")
    Folder(str(tmp_path / "set/dotted.csv"), image="pictures/{file.name}.*", label="breed").fetch(inputs)
    assert [len(part) for part in rows(inputs, "dotted")] == [16, 4]
    picture("red", 3).save(tmp_path / "set/pictures/café_0.png")
    said = refusal(Folder(str(tmp_path / "set/labels.csv"), **named, slug="other"), inputs)
    assert "is not one picture, but" in said
    said = refusal(Folder(str(tmp_path / "set/labels.csv"), image="{nr}.jpg", label="breed", slug="third"), inputs)
    assert "unknown column 'nr'" in said


def test_a_csv_may_spell_the_endings_of_its_pictures_otherwise(pets, inputs, capsys):
    for path in pets.glob("*/*.png"):
        path.rename(path.with_suffix(".PNG"))
    lines = [f"{path.parent.name}/{path.stem}.png,{path.parent.name}" for path in sorted(pets.glob("*/*.PNG"))]
    (pets / "labels.csv").write_text("image,label\n" + "\n".join(lines) + "\n")
    Folder(str(pets / "labels.csv")).fetch(inputs)
    assert "25 pictures found by another spelling of the ending, such as 0.PNG for 0.png" in capsys.readouterr().out
    train, _ = rows(inputs, "labels")
    assert train["image"].str.endswith(".PNG").all()
