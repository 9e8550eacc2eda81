"""Files are whole or not there; what the system refuses is one sentence."""

import errno
import gzip
import os

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from src.base import files
from src.base.errors import UserError
from src.results import checkpoints
from tests.conftest import snapshot


def interrupted(writing) -> None:
    """Ctrl-C in the middle of a write."""
    with writing as part:
        (part / "x" if part.is_dir() else part).write_text("half")
        raise KeyboardInterrupt


def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    before = snapshot(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        interrupted(files.replacing(path))
    assert snapshot(tmp_path) == before


def test_a_folder_that_breaks_off_is_not_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(files.replacing_folder(tmp_path / "a"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "may not write")],
)
def test_a_refusal_is_one_sentence(tmp_path, number, said):
    with pytest.raises(UserError, match=said), files.replacing(tmp_path / "a"):
        raise OSError(number, "as the system says it")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_flush_is_written_without(tmp_path, number, monkeypatch):
    def refuse(handle):
        raise OSError(number, "as a FUSE drive says it")

    monkeypatch.setattr(os, "fsync", refuse)
    files.write_text(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").read_text() == "x"
    number = errno.ENOSPC
    with pytest.raises(UserError, match="the disk is full"):
        files.write_text(tmp_path / "a.txt", "y")
    assert (tmp_path / "a.txt").read_text() == "x"


def test_another_error_keeps_its_traceback(tmp_path):
    with pytest.raises(OSError, match="something else"), files.replacing(tmp_path / "a"):
        raise OSError(errno.EIO, "something else")


def test_a_file_where_a_folder_is_needed_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        files.write_text(tmp_path / "file" / "a.txt", "x")


def test_a_full_disk_is_said(tmp_path):
    (tmp_path / ".a.txt.part").symlink_to("/dev/full")  # a device on which every write finds the disk full
    with pytest.raises(UserError, match="the disk is full"):
        files.write_text(tmp_path / "a.txt", "x" * 100_000)
    assert snapshot(tmp_path) == {}


def test_a_full_disk_is_said_of_a_checkpoint(tmp_path, monkeypatch):
    def full(tensors, path, metadata):  # as safetensors says it, which opens its file in a way that /dev/full is not
        path.write_bytes(b"half")
        raise SafetensorError('I/O error: Os { code: 28, kind: StorageFull, message: "No space left on device" }')

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(UserError, match="the disk is full"):
        checkpoints.save(tmp_path / "a.safetensors", {"x": torch.zeros(10)}, {})
    assert snapshot(tmp_path) == {}


def test_a_checkpoint_comes_back_with_what_it_says(tmp_path):
    tensors = {"x": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}
    checkpoints.save(tmp_path / "a.safetensors", tensors, {"epoch": 3, "key": {"lr": 1e-4}})
    assert checkpoints.about(tmp_path / "a.safetensors") == {"epoch": 3, "key": {"lr": 1e-4}}
    loaded = checkpoints.load(tmp_path / "a.safetensors")
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("data", [None, b"", b"half of it", b"\xff" * 100])
def test_a_missing_or_damaged_checkpoint_says_nothing(tmp_path, data):
    path = tmp_path / "a.safetensors"
    if data is not None:
        path.write_bytes(data)
    assert checkpoints.about(path) is None


def test_changed_names_what_differs():
    old, new = {"lr": 1, "data": {"a": 1, "b": "x" * 40}}, {"lr": 2, "data": {"a": 1, "b": "y" * 40}}
    assert files.describe_changes(old, new) == "b changed, lr changed (1 to 2)"
    assert files.describe_changes(None, new) == "its key is not known"


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert files.digest({"a": 1, "b": [2]}) == files.digest({"b": [2], "a": 1})
    assert files.digest({"a": 1}) != files.digest({"a": 2})
    assert np.unique([files.digest(i) for i in range(9)]).size == 9


class TestTables:
    CELLS = [["007", "oak"], ["8", "Bärlauch"]]

    def read(self, folder, content, name="a.csv"):
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return files.read_csv(path)

    @pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
    def test_are_read_whatever_parts_their_cells(self, tmp_path, mark, encoding):
        text = f"id{mark}label\r\n" + "".join(mark.join(row) + "\r\n" for row in self.CELLS)
        df = self.read(tmp_path, text.encode(encoding))
        assert df.to_numpy().tolist() == self.CELLS
        assert df.columns.tolist() == ["id", "label"]
        assert df.attrs["passed_over"] == []

    @pytest.mark.parametrize(
        ("text", "cells"),
        [
            ("id,tags\n1,a;b\n2,c|d\n", [["1", "a;b"], ["2", "c|d"]]),
            ('id;label\n1;"oak; old"\n2;ash, red\n', [["1", "oak; old"], ["2", "ash, red"]]),
            ("sep=;\nid;label\n1;oak\n", [["1", "oak"]]),
            (
                "id\tlabel\tname, first\n1\toak\tQuercus, L.\n2\tash\tz\n",
                [["1", "oak", "Quercus, L."], ["2", "ash", "z"]],
            ),
            ("id\tlabel\n1\toak, red\n", [["1", "oak, red"]]),
            ("id;label;size, mm\n1;oak;3,5\n2;ash;4,5\n", [["1", "oak", "3,5"], ["2", "ash", "4,5"]]),
            ("id;label, or none;size, mm\n1;oak;3,5\n", [["1", "oak", "3,5"]]),
            ("id;label\n1,5;oak\n", [["1,5", "oak"]]),
            ("id,label;kind\n1,a;b\n2,c;d\n", [["1", "a;b"], ["2", "c;d"]]),
            ("id,label\n1,a;b\n2,c\n", [["1", "a;b"], ["2", "c"]]),
            ("name\na\nb\n", [["a"], ["b"]]),
            ("\tlabel\n0\toak\n", [["0", "oak"]]),
            ('"id"\t"label"\r1\toak\r', [["1", "oak"]]),
        ],
    )
    def test_a_mark_inside_a_cell_parts_nothing(self, tmp_path, text, cells):
        assert self.read(tmp_path, text).to_numpy().tolist() == cells

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("id,label,,\n1,oak,,\n,,,\n2,ash,,\n,,,\n", ["2 empty columns", "2 empty rows"]),
            ("id,label\n1,oak,\n2,ash,,\n", ["2 empty columns"]),
            ("id,label,\n1,oak,\n2,ash,,\n", ["2 empty columns"]),
            ("id,label\n1,oak\n2,ash,\n , \n", ["1 empty column", "1 empty row"]),
            ("id;label;\n1;oak;\n2;ash;\n;;\n", ["1 empty column", "1 empty row"]),
        ],
    )
    def test_empty_rows_and_columns_are_passed_over_and_counted(self, tmp_path, text, said):
        df = self.read(tmp_path, text)
        assert df.to_dict("list") == {"id": ["1", "2"], "label": ["oak", "ash"]}
        assert df.attrs["passed_over"] == said

    def test_an_unnamed_column_with_cells_stays(self, tmp_path):
        assert self.read(tmp_path, ",label\na,oak\nb,ash\n").iloc[:, 0].tolist() == ["a", "b"]

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (
                "id,label\n1,Rome\n2,Washington, D.C.\n3,a,b,c\n",
                "2 rows with more cells than the header (2), the first in line 3",
            ),
            ("id,label\n1,Washington, D.C.\n2,Paris, F.\n", "the first in line 2 (3: '1,Washington, D.C.')"),
            ("id;label\n1;a;b\n", "put quotes around a cell that has ';' in it"),
            ("id,label\n1,Bärlauch\n".encode("latin-1"), "is not UTF-8 text (invalid continuation byte in line 2)"),
            ("id,label\n1,oak\n".encode("utf-16-le"), "has NUL characters"),
            (b"\xff\xfei", "is not UTF-16 text"),
            ("label,label \na,b\n", "has the column 'label' twice"),
            ('id,label\n1,"oak\n', "is not a CSV table: line 2"),
        ],
    )
    def test_what_cannot_be_read_rightly_is_refused(self, tmp_path, content, said):
        with pytest.raises(UserError) as error:
            self.read(tmp_path, content)
        assert said in str(error.value)

    def test_may_be_packed(self, tmp_path):
        assert self.read(tmp_path, gzip.compress(b"id,label\n1,oak\n"), "a.csv.gz").to_numpy().tolist() == [
            ["1", "oak"]
        ]


@pytest.mark.parametrize("header", ["id,label,label", "id, label ,label", "\nid;label;label", '"label",id,label'])
def test_two_columns_of_one_name_are_refused_as_nobody_knows_which_is_meant(tmp_path, header):
    mark = ";" if ";" in header else ","
    (tmp_path / "train.csv").write_text(f"{header}\n{mark.join('abc')}\n")
    with pytest.raises(UserError, match="has the column 'label' twice: rename one of them"):
        files.read_csv(tmp_path / "train.csv")
