"""Files are whole or not there; what the system refuses is one sentence."""

import errno
import os

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import SafetensorError

from src.base import files, parts
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
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EFBIG, "may not be larger"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "may not write"),
    ],
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


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, files.DiskFull), (errno.EDQUOT, files.DiskFull), (errno.EACCES, UserError)]
)
def test_a_full_disk_is_told_from_other_refusals(tmp_path, number, kind):
    with pytest.raises(UserError) as raised, files.replacing(tmp_path / "a"):
        raise OSError(number, "as the system says it")
    assert raised.type is kind


def test_another_error_keeps_its_traceback(tmp_path):
    with pytest.raises(OSError, match="something else"), files.replacing(tmp_path / "a"):
        raise OSError(errno.EIO, "something else")


def test_a_file_where_a_folder_is_needed_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        files.write_text(tmp_path / "file" / "a.txt", "x")


@pytest.mark.parametrize(
    ("write", "value"), [(files.write_text, "x" * 100_000), (files.write_parquet, pd.DataFrame({"x": range(100_000)}))]
)
def test_a_full_disk_is_said(tmp_path, monkeypatch, write, value):
    monkeypatch.setattr(parts.secrets, "token_hex", lambda n: "00000000")
    part = tmp_path / f".a.{parts.machine()}-{os.getpid()}-00000000.part"
    part.symlink_to("/dev/full")  # a device on which every write finds the disk full
    with pytest.raises(UserError, match="the disk is full"):
        write(tmp_path / "a", value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ('Os { code: 28, kind: StorageFull, message: "No space left on device" }', "the disk is full"),
        ("No space left on device (os error 28)", "the disk is full"),
        ("Disk quota exceeded (os error 122)", "your disk quota is used up"),
    ],
)
def test_a_full_disk_is_said_of_a_checkpoint(tmp_path, monkeypatch, system, said):
    def full(tensors, path, metadata):  # as safetensors says it, which opens its file in a way that /dev/full is not
        path.write_bytes(b"half")
        raise SafetensorError(f"Error while serializing: I/O error: {system}")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(files.DiskFull, match=said):
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
