"""new: archives in a competition's folder, arrays and DICOM in the place of pictures; volumes are refused."""

import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import py7zr
import pytest
from PIL import Image

from src import config
from src.base import packages
from src.base.errors import UserError
from src.commands.new import command as new
from src.commands.pack import packing
from src.commands.predict import gathering
from src.driver import run as driver
from src.schema.settings import Parts
from tests.commands import test_new
from tests.data.test_dicom import file, saved

made, put = test_new.made, test_new.put
pytestmark = pytest.mark.usefixtures("configs")


def pack(folder: Path) -> None:
    """The pictures and the table of a layout, each part in an archive of another format."""
    shutil.make_archive(folder / "train", "zip", folder / "train")
    with tarfile.open(folder / "test.tar.gz", "w:gz") as archive:
        archive.add(folder / "test", "test")
    with py7zr.SevenZipFile(folder / "labels.csv.7z", "w") as archive:
        archive.write(folder / "labels.csv", "labels.csv")
    for name in ("train", "test"):
        shutil.rmtree(folder / name)
    (folder / "labels.csv").unlink()


def test_a_competition_in_archives_of_three_formats_is_what_it_is_unpacked(put, made, capsys):
    pack(put("dogs"))
    new.run("dogs", small=True)
    out, competition = capsys.readouterr().out, config.load("dogs")
    assert "unpacking labels.csv.7z\nunpacking test.tar.gz\nunpacking train.zip\n" in out
    for field, value in made["dogs"][1].items():
        assert getattr(competition, field) == value
    driver.run(competition, ("data",))
    assert "unpacking" not in capsys.readouterr().out


def rewrite_as(folder: Path, ending: str) -> None:
    """Every picture of a layout in another format, and no longer in its own."""
    for path in folder.rglob("*.jpg"):
        pixels = np.asarray(Image.open(path))
        if ending == ".npy":
            np.save(path.with_suffix(".npy"), np.moveaxis(pixels, 2, 0).astype(np.float16) / 255)
        else:
            path.with_suffix(".dcm").write_bytes(saved(file(pixels[..., 0], WindowCenter=128, WindowWidth=256)))
        path.unlink()


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        (".npy", "images: 54 of 36 x 30 pixels, float16 array, from 0 to 1"),
        (".dcm", "images: 54 of 36 x 30 pixels, DICOM MONOCHROME2, by its window"),
    ],
)
def test_arrays_and_dicom_files_are_pictures(ending, said, put, capsys):
    folder = put("dogs")
    rewrite_as(folder, ending)
    new.run("dogs", small=True)
    assert config.load("dogs").image == f"{{part}}/{{id}}{ending}"
    assert said in capsys.readouterr().out
    pictures, faults = gathering.gather([gathering.Word("train", folder / "train")], folder)
    assert (len(pictures), faults) == (45, [])


def test_masks_that_are_arrays_beside_the_pictures_are_none(put, made):
    folder = put("dogs")
    for path in sorted(folder.rglob("*.jpg")):
        np.save(path.with_suffix(".npy"), np.zeros((30, 36), np.uint8))
    new.run("dogs", small=True)
    assert config.load("dogs").image == made["dogs"][1]["image"]


@pytest.mark.parametrize(
    ("ending", "usual", "image"),
    [
        (".dcm", "jpeg/{part}", "jpeg/{part}/{id}.jpg"),
        (".tif", "jpeg/{part}", "jpeg/{part}/{id}.jpg"),
        (".dcm", "{part}-jpg", "{part}-jpg/{id}.jpg"),
        (".tif", "{part}-v2-jpg", Parts(train="train-v2-jpg/{id}.jpg", test="test-jpg/{id}.jpg")),
    ],
)
def test_of_two_formats_the_usual_one_is_taken_with_a_word(ending, usual, image, put, capsys):
    """As in siim-isic, whose DICOM files lie beside JPEGs, and planet, whose folders are called otherwise in test."""
    folder = put("dogs")
    for part in ("train", "test"):
        there = folder / usual.format(part=part)
        there = there if part == "train" else there.with_name(there.name.replace("-v2", ""))
        there.mkdir(parents=True)
        for path in (folder / part).glob("*.jpg"):
            shutil.copy(path, there)
            Image.open(path).save(path.with_suffix(".tif"))
            if ending == ".dcm":
                pixels = np.asarray(Image.open(path))[..., 0]
                path.with_suffix(".dcm").write_bytes(saved(file(pixels, WindowCenter=128, WindowWidth=256)))
                path.with_suffix(".tif").unlink()
            path.unlink()
    new.run("dogs", small=True)
    assert config.load("dogs").image == image
    said = capsys.readouterr().out
    assert "look at this: pictures are there in two formats, " in said
    assert f"{ending}: the first are taken; --image takes others" in said
    sys.modules.pop("src.configs.dogs")
    new.run("dogs", small=True, force=True, image=f"{{part}}/{{id}}{ending}")
    assert config.load("dogs").image == f"{{part}}/{{id}}{ending}"


@pytest.mark.parametrize("layout", ["{id}/{i}.dcm", "{id}/T1w/Image-{i}.dcm"])
def test_folders_of_slices_are_refused_as_volumes(layout, roots):
    folder = roots / "input" / "scans"
    for part, ids in (("train", range(9)), ("test", range(9, 12))):
        for id in ids:
            for i in range(4):
                path = folder / part / layout.format(id=f"{id:05d}", i=i)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(saved(file(np.zeros((4, 4), np.uint8))))
    pd.DataFrame({"scan": [f"{i:05d}" for i in range(9)], "tumour": [i % 2 for i in range(9)]}).to_csv(
        folder / "train.csv", index=False
    )
    sample = pd.DataFrame({"scan": [f"{i:05d}" for i in range(9, 12)], "tumour": 0})
    sample.to_csv(folder / "sample_submission.csv", index=False)
    with pytest.raises(
        UserError, match=r"is a folder of DICOM slices, as scan '00009' with 4: volumes are not offered"
    ):
        new.run("scans", small=True)


def test_patients_with_several_pictures_that_a_table_names_are_no_volumes(roots):
    folder, rows = roots / "input" / "chests", []
    for i in range(60):
        part, patient = ("train", i % 12) if i < 48 else ("test", 20 + i % 4)
        path = folder / part / f"p{patient}" / f"{1000 + i}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        shade = 200 if i % 2 else 60
        path.write_bytes(
            saved(file(np.random.default_rng(i).integers(shade - 50, shade + 50, (8, 8)).astype(np.uint8)))
        )
        rows.append({"image_id": str(1000 + i), "patient": f"p{patient}", "finding": "yes" if i % 2 else "no"})
    df = pd.DataFrame(rows)
    df[:48].to_csv(folder / "train.csv", index=False)
    df[48:].drop(columns="finding").to_csv(folder / "test.csv", index=False)
    df[48:][["image_id"]].assign(finding="no").to_csv(folder / "sample_submission.csv", index=False)
    new.run("chests", small=True, image="{part}/{patient}/{image_id}.dcm")
    assert config.load("chests").classes == ("no", "yes")


def test_a_notebook_has_what_reads_dicom_where_the_pictures_are_so(put):
    rewrite_as(put("dogs"), ".dcm")
    put("cassava")
    new.run("dogs", small=True)
    new.run("cassava", small=True)
    assert set(packages.DICOM) <= {*packing.packages_of(config.load("dogs"))}
    assert not set(packages.DICOM) & {*packing.packages_of(config.load("cassava"))}
