"""Sources: a folder, a zip, the API, or one sentence; an archive is unpacked safely and whole, or not at all."""

import io
import os
import stat
import zipfile
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from src.base import paths
from src.base.errors import UserError
from src.base.paths import submissions_root
from src.data import unpacking
from src.data.sources import kaggle
from src.data.sources.digits import Digits
from src.data.sources.kaggle import Kaggle
from tests.conftest import snapshot


@pytest.fixture
def input_dir(roots):
    (roots / "input").mkdir()
    return roots / "input"


def make_zip(path, entries, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def test_a_folder_that_is_there_is_used_as_it_is(input_dir):
    (input_dir / "corn").mkdir()
    (input_dir / "corn.zip").write_bytes(b"no zip, and nobody looks")
    Kaggle("corn").fetch(input_dir)
    assert list((input_dir / "corn").iterdir()) == []


def test_a_zip_is_unpacked(input_dir):
    make_zip(input_dir / "corn.zip", {"corn/train.csv": "a,b\n", "corn/train/1.png": b"x"})
    Kaggle("corn").fetch(input_dir)
    assert (input_dir / "corn/corn/train/1.png").read_bytes() == b"x"


@pytest.mark.parametrize("inside", ["", "competitions"])
def test_a_zip_in_read_only_inputs_is_unpacked_below_the_submissions(inside, input_dir, monkeypatch):
    (input_dir / inside).mkdir(exist_ok=True)
    make_zip(input_dir / inside / "corn.zip", {"train.csv": "a,b\n"})
    before = snapshot(input_dir)
    monkeypatch.setattr(os, "access", lambda path, how: False)
    source = Kaggle("corn")
    own = submissions_root() / ".input"
    assert source.root == own
    source.fetch(source.root)
    assert snapshot(input_dir) == before
    assert (own / "corn/train.csv").is_file()
    monkeypatch.undo()
    monkeypatch.setenv("INPUT_DIR", str(input_dir))
    monkeypatch.setenv("SUBMISSIONS_DIR", str(own.parent))
    assert source.root == own  # it is found again, also where more may be written


@pytest.mark.parametrize("inside", ["", "competitions"])
def test_zips_in_a_read_only_folder_are_unpacked_below_the_submissions(inside, input_dir, monkeypatch):
    there = input_dir / inside / "corn"
    there.mkdir(parents=True)
    make_zip(there / "train.zip", {"train/1.png": "x"})
    (there / "train.csv").write_text("a,b\n")
    before = snapshot(input_dir)
    source = Kaggle("corn")
    own = submissions_root() / ".input"
    for module in (kaggle, paths):
        monkeypatch.setattr(module, "may_write", lambda folder: False)
    source.fetch(source.root)
    assert snapshot(input_dir) == before
    assert source.root == own
    assert sorted(path.name for path in (own / "corn").iterdir()) == ["train", "train.csv"]
    assert (own / "corn/train/1.png").read_text() == "x"
    assert (own / "corn/train.csv").read_text() == "a,b\n"
    (there / "train").mkdir()  # a newer version, unpacked
    (there / "train/1.png").write_text("y")
    kaggle.has_packed_data.cache_clear()
    assert source.root == there.parent


def test_a_read_only_folder_whose_archives_are_unpacked_is_used_as_it_is(input_dir, monkeypatch):
    (input_dir / "corn/train").mkdir(parents=True)
    (input_dir / "corn/train/1.png").write_text("x")
    make_zip(input_dir / "corn/train.zip", {"1.png": "x"})
    make_zip(input_dir / "corn/code.zip", {"main.py": "x"})
    monkeypatch.setattr(kaggle, "may_write", lambda folder: False)
    Kaggle("corn").fetch(input_dir)
    assert Kaggle("corn").root == input_dir


def test_a_folder_or_a_zip_in_a_notebooks_competitions_is_taken(input_dir):
    make_zip(input_dir / "oats.zip", {"whole": "x"})
    (input_dir / "competitions/corn").mkdir(parents=True)
    (input_dir / "oats.zip").rename(input_dir / "competitions/oats.zip")
    assert Kaggle("corn").root == input_dir / "competitions"
    Kaggle("oats").fetch(Kaggle("oats").root)
    assert (Kaggle("oats").root / "oats/whole").is_file()


def zipped(entries) -> bytes:
    buffer = io.BytesIO()
    make_zip(buffer, entries)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (b"half of it", "is not a whole zip file"),
        (zipped({"../out.txt": "x"}), "would leave its folder"),
        (zipped({"a.csv": "yyyyyyyyyyyyyyyyyyyyy"}).replace(b"yyyy", b"yzyy", 1), "is not a whole zip file"),
    ],
)
def test_a_damaged_zip_inside_is_one_sentence_and_nothing_stays(inner, said, input_dir):
    make_zip(input_dir / "corn.zip", {"train.zip": inner, "train.csv": "x"})
    before = snapshot(input_dir.parent)
    with pytest.raises(UserError, match=said) as raised:
        Kaggle("corn").fetch(input_dir)
    assert f"train.zip in {input_dir / 'corn.zip'}" in str(raised.value)
    assert ".part" not in str(raised.value)
    assert snapshot(input_dir.parent) == before


def named(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("x")  # whose own __init__ would change the name
    entry.filename = name
    return entry


@pytest.mark.parametrize(
    "names",
    [
        ["train\\", "train\\1.png", "train.csv"],
        ["./", "./train/", "./train/1.png", "./train.csv"],
        ["/", "train//1.png", "train.csv"],
        [".\\", ".\\train\\.\\1.png", ".\\train.csv"],
    ],
)
def test_entries_in_the_spelling_of_other_tools_are_files_in_folders(input_dir, names):
    make_zip(input_dir / "corn.zip", {named(name): "" if name[-1] in "/\\" else "x" for name in names})
    Kaggle("corn").fetch(input_dir)
    files = sorted(str(path.relative_to(input_dir / "corn")) for path in (input_dir / "corn").rglob("*"))
    assert files == ["train", "train.csv", "train/1.png"]
    assert (input_dir / "corn/train/1.png").read_text() == "x"


def test_one_path_in_two_spellings_is_one_file_or_is_refused(input_dir):
    make_zip(input_dir / "corn.zip", {named("train\\1.png"): "x", "train/1.png": "x"})
    make_zip(input_dir / "oats.zip", {named("train\\1.png"): "x", "train/1.png": "y"})
    Kaggle("corn").fetch(input_dir)
    assert (input_dir / "corn/train/1.png").read_text() == "x"
    with pytest.raises(UserError, match=r"has two entries that are both 'train/1.png': unpack it to .*oats yourself"):
        Kaggle("oats").fetch(input_dir)


def test_a_method_that_is_not_read_here_is_named(input_dir):
    path = input_dir / "corn.zip"
    make_zip(path, {"a.txt": "x" * 100}, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()  # the method is in the entry's own header and in the directory
    path.write_bytes(
        data.replace(b"PK\x03\x04\x14\0\0\0\x08", b"PK\x03\x04\x14\0\0\0\x09").replace(
            b"PK\x01\x02\x14\x03\x14\0\0\0\x08", b"PK\x01\x02\x14\x03\x14\0\0\0\x09"
        )
    )
    said = f"packed by deflate64, which is not read here \\('a.txt'\\): unpack it to {input_dir / 'corn'} yourself"
    with pytest.raises(UserError, match=said):
        Kaggle("corn").fetch(input_dir)
    assert not (input_dir / "corn").exists()


def test_no_data_and_no_credentials_says_how_to_get_either(input_dir):
    with pytest.raises(UserError) as error:
        Kaggle("corn").fetch(input_dir)
    assert str(input_dir / "corn.zip") in str(error.value)
    assert "KAGGLE_API_TOKEN" in str(error.value)
    assert "https://www.kaggle.com/competitions/corn/rules" in str(error.value)


def link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("corn/link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"../out.txt": "x"}, "would leave its folder"),
        ({"a/../../out.txt": "x"}, "would leave its folder"),
        ({"/etc/out.txt": "x"}, "would leave its folder"),
        ({"..\\out.txt": "x"}, "would leave its folder"),
        ({"C:/out.txt": "x"}, "would leave its folder"),
        ({link(): "/etc/passwd"}, "is a link"),
    ],
)
def test_an_entry_that_would_escape_is_refused(input_dir, entries, said):
    make_zip(input_dir / "corn.zip", {"fine.txt": "x", **entries})
    before = snapshot(input_dir.parent)
    with pytest.raises(UserError, match=said):
        Kaggle("corn").fetch(input_dir)
    assert snapshot(input_dir.parent) == before


def test_a_bomb_is_refused_by_its_declared_size(input_dir, monkeypatch):
    make_zip(input_dir / "corn.zip", {"zeros": bytes(3_000_000)}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(unpacking, "LEAST_BOMB", 1_000_000)
    with pytest.raises(UserError, match="claims to unpack to 3,000,000 bytes"):
        Kaggle("corn").fetch(input_dir)
    assert not (input_dir / "corn").exists()


def test_more_than_the_disk_has_is_refused(input_dir, monkeypatch):
    make_zip(input_dir / "corn.zip", {"a": bytes(1000)})
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda path: SimpleNamespace(free=999))
    with pytest.raises(UserError, match="make room"):
        Kaggle("corn").fetch(input_dir)


@pytest.mark.parametrize("cut", ["truncated", "not a zip", "flipped", "empty"])
def test_a_damaged_zip_leaves_nothing_behind(input_dir, cut):
    path = input_dir / "corn.zip"
    make_zip(path, {"first.txt": "x" * 500, "second.txt": "y" * 5000})
    data = path.read_bytes()
    path.write_bytes(
        {
            "truncated": data[: len(data) // 2],
            "not a zip": b"<html>sign in</html>",
            "flipped": data.replace(b"yyyy", b"yzyy", 1),
            "empty": b"",
        }[cut]
    )
    before = snapshot(input_dir)
    with pytest.raises(UserError, match="is not a whole zip file"):
        Kaggle("corn").fetch(input_dir)
    assert snapshot(input_dir) == before


def test_a_killed_unpacking_is_done_again(input_dir):
    (input_dir / ".corn.part").mkdir()
    (input_dir / ".corn.part" / "half").write_text("of it")
    make_zip(input_dir / "corn.zip", {"whole": "x"})
    Kaggle("corn").fetch(input_dir)
    assert [path.name for path in (input_dir / "corn").iterdir()] == ["whole"]


def test_digits_are_a_competition(input_dir):
    Digits().fetch(input_dir)
    folder = input_dir / "digits"
    train, test, sample, solution = (
        pd.read_csv(folder / f"{name}.csv", dtype=str) for name in ("train", "test", "sample_submission", "solution")
    )
    assert (len(train), len(test)) == (1437, 360)
    assert not set(train["id"]) & set(test["id"])
    assert set(test["id"]) == set(sample["id"]) == set(solution["id"])
    assert test["id"].tolist() != sample["id"].tolist()
    assert solution["Usage"].value_counts().to_dict() == {"Private": 288, "Public": 72}
    assert Image.open(folder / train["image"][0]).size == (8, 8)
    before = snapshot(folder)
    Digits().fetch(input_dir)
    assert snapshot(folder) == before
