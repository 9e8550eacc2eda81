"""The files that a table names are found as the folder spells them, and paths are spelt as Path spells them."""

import os

import pytest

from src.data import locating


@pytest.mark.parametrize(
    "name", ["a/1.png", "./a/1.png", "a//1.png", "a/./1.png", "b/../a/1.png", "none.png", "a/x.*", "/none/1.png"]
)
def test_a_path_is_spelt_in_one_way(tmp_path, name):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").touch()
    assert [str(path) for path in locating.locate(tmp_path, [name])] == [str(tmp_path / name)]


def test_names_with_and_without_a_file_keep_their_order(tmp_path):
    for name in ("1.png", "2.JPG", "3.webp"):
        (tmp_path / name).touch()
    found = locating.locate(tmp_path, ["3.*", "1.png", "4.png", "2.jpg"])
    assert [path.name for path in found] == ["3.webp", "1.png", "4.png", "2.JPG"]


def test_another_file_may_have_a_name_that_is_no_text(tmp_path):
    (tmp_path / "1.png").touch()
    try:
        open(os.path.join(os.fsencode(tmp_path), b"\xff.png"), "wb").close()
    except OSError:
        pytest.skip("this file system wants text")
    assert locating.locate(tmp_path, ["1.png"]) == [tmp_path / "1.png"]
