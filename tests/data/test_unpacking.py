"""Archives of every format beside and in each other: unpacked once, whole, beside what is there, and never outside."""

import bz2
import gzip
import io
import os
import sys
import tarfile
import zipfile
from functools import partial
from types import SimpleNamespace

import py7zr
import pytest

from src.base import parts
from src.base.errors import UserError
from src.data import archives, unpacking
from tests.conftest import broken_off, snapshot


def as_zip(entries, **options) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def as_tar(entries, mode="w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in entries.items():
            about = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return buffer.getvalue()


def as_7z(entries, **options) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", **options) as archive:
        for name, data in entries.items():
            archive.writestr(data, name)
    return buffer.getvalue()


FORMATS = {
    ".zip": as_zip,
    ".ZIP": as_zip,
    ".tar": as_tar,
    ".tar.gz": lambda entries: as_tar(entries, "w:gz"),
    ".tgz": lambda entries: as_tar(entries, "w:gz"),
    ".tar.bz2": lambda entries: as_tar(entries, "w:bz2"),
    ".tar.xz": lambda entries: as_tar(entries, "w:xz"),
    ".7z": as_7z,
}


def put(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def files_in(folder) -> list[str]:
    """The files that are there to be seen."""
    return sorted(path.relative_to(folder).as_posix() for path in unpacking.patterns.visible_files(folder))


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_is_unpacked_beside_itself_and_stays(ending, tmp_path, capsys):
    pack = FORMATS[ending]
    put(
        tmp_path,
        {
            f"test{ending}": pack({"1.png": b"x", "2.png": b"y"}),
            f"train{ending}": pack({"train/Käfer 1.png": b"z", "train/deep/2.png": b""}),
            f"labels.csv{ending}": pack({"labels.csv": b"id,label\n"}),
        },
    )
    unpacking.unpack_beside(tmp_path)
    assert files_in(tmp_path) == sorted(
        [
            *(f"{name}{ending}" for name in ("labels.csv", "test", "train")),
            *("labels.csv", "test/1.png", "test/2.png", "train/Käfer 1.png", "train/deep/2.png"),
        ]
    )
    assert (tmp_path / "train/Käfer 1.png").read_bytes() == b"z"
    assert f"unpacking test{ending}\n" in capsys.readouterr().out
    before = snapshot(tmp_path)
    unpacking.unpack_beside(tmp_path)
    assert snapshot(tmp_path) == before
    assert capsys.readouterr().out == ""
    assert unpacking.settled(tmp_path) == {f"{name}{ending}" for name in ("labels.csv", "test", "train")}


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_packed_table_is_unpacked_and_a_packed_volume_is_none_of_ours(ending, pack, tmp_path):
    put(tmp_path, {f"train.csv{ending}": pack(b"id,label\n"), f"head.nii{ending}": pack(b"x")})
    unpacking.unpack_beside(tmp_path)
    assert files_in(tmp_path) == [f"head.nii{ending}", "train.csv", f"train.csv{ending}"]
    assert (tmp_path / "train.csv").read_bytes() == b"id,label\n"


def test_archives_in_archives_are_unpacked_and_removed_there(tmp_path):
    deepest = as_7z({"3.png": b"z"})
    put(tmp_path, {"all.zip": as_zip({"train.tar": as_tar({"a.zip": as_zip({"b.7z": deepest}), "1.png": b"x"})})})
    unpacking.unpack_beside(tmp_path)
    assert files_in(tmp_path) == ["all.zip", "train/1.png", "train/b/3.png"]


def test_what_is_there_already_stays_and_what_lacks_is_added(tmp_path, capsys):
    put(tmp_path, {"train/1.png": "x", "train.zip": as_zip({"train/1.png": "x", "train/2.png": "yy"})})
    written = (tmp_path / "train/1.png").stat().st_mtime_ns
    unpacking.unpack_beside(tmp_path)
    assert files_in(tmp_path / "train") == ["1.png", "2.png"]
    assert (tmp_path / "train/1.png").stat().st_mtime_ns == written
    capsys.readouterr()
    put(tmp_path, {"test/1.png": "x", "test.zip": as_zip({"1.png": "x"}), "code.zip": as_zip({"main.py": "x"})})
    unpacking.unpack_beside(tmp_path)
    assert capsys.readouterr().out == "code.zip stays packed: it has no picture and no table\n"
    unpacking.unpack_beside(tmp_path)
    assert capsys.readouterr().out == ""


def test_what_would_be_written_over_stays_and_is_said(tmp_path, capsys):
    put(tmp_path, {"train/1.png": "mine", "train.zip": as_zip({"train/1.png": "x", "train/2.png": "x"})})
    unpacking.unpack_beside(tmp_path)
    assert files_in(tmp_path) == ["train.zip", "train/1.png"]
    assert capsys.readouterr().out == "train.zip stays packed: train/1.png is there, and is another file\n"
    put(tmp_path, {"test": "a file", "test.zip": as_zip({"1.png": "x", "2.png": "x"})})
    unpacking.unpack_beside(tmp_path)
    assert "test.zip stays packed: test is there, and is another file\n" in capsys.readouterr().out
    assert unpacking.settled(tmp_path) == set()


def test_what_a_mac_puts_beside_the_files_is_left_in_the_archive(tmp_path):
    zipped = as_zip({"labels.csv": "a", "__MACOSX/._labels.csv": "b", ".DS_Store": "c"})
    put(tmp_path, {"labels.zip": zipped, "more.zip": as_zip({"2.csv": "a", "__MACOSX/._labels.csv": "bb"})})
    unpacking.unpack_beside(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".csv") == ["2.csv", "labels.csv"]
    assert not (tmp_path / "__MACOSX").exists()


def test_what_was_removed_or_changed_is_unpacked_again(tmp_path):
    put(tmp_path, {"train.zip": as_zip({"train/1.png": "x"})})
    unpacking.unpack_beside(tmp_path)
    (tmp_path / "train/1.png").unlink()
    (tmp_path / "train").rmdir()
    unpacking.unpack_beside(tmp_path)
    put(tmp_path, {"train.zip": as_zip({"train/1.png": "x", "train/2.png": "x"})})
    unpacking.unpack_beside(tmp_path)
    assert files_in(tmp_path / "train") == ["1.png", "2.png"]


@pytest.mark.parametrize(("owner", "name", "after"), [(archives, "copy", 1), (unpacking.os, "replace", 1)])
def test_killed_half_way_it_goes_on(tmp_path, owner, name, after):
    put(tmp_path, {"train/1.png": "x", "train.tgz": as_tar({f"train/{i}.png": b"x" for i in range(4)}, "w:gz")})
    with broken_off(owner, name, after, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        unpacking.unpack_beside(tmp_path)
    assert (tmp_path / "train/1.png").read_text() == "x"
    left = tmp_path / f".train.tgz.{parts.machine()}-{os.getpid()}-00000000.part"
    left.mkdir()  # a killed process removes nothing
    unpacking.unpack_beside(tmp_path)
    assert files_in(tmp_path) == ["train.tgz", *(f"train/{i}.png" for i in range(4))]
    assert not left.exists()


def linked(kind) -> tarfile.TarInfo:
    about = tarfile.TarInfo("train/link.png")
    about.type, about.linkname = kind, "/etc/passwd"
    return about


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.tar", as_tar({"../1.png": b"x"}), "would leave its folder"),
        ("a.tar.gz", as_tar({"/etc/1.png": b"x"}, "w:gz"), "would leave its folder"),
        ("a.tar", as_tar({linked(tarfile.SYMTYPE): b""}), "is a link"),
        ("a.tar", as_tar({linked(tarfile.LNKTYPE): b""}), "is a link"),
        ("a.tar", as_tar({linked(tarfile.CHRTYPE): b""}), "is no file"),
        ("a.7z", partial(as_7z, {"1.png": b"x"}, password="secret"), "is encrypted"),  # the key takes it 0.2 s
        ("a.7z", partial(as_7z, {"1.png": b"x"}, password="secret", header_encryption=True), "is encrypted"),
        ("a.7z", as_7z({"1.png": bytes(range(256)) * 9})[:-20], "a.7z is not a whole 7z file"),
        ("a.7z", b"7z? no", "a.7z is not a whole 7z file"),
        ("a.tar.gz", as_tar({"1.png": bytes(range(256)) * 9}, "w:gz")[:-60], "a.tar.gz is not a whole tar file"),
        ("a.tar", as_tar({"1.png": bytes(2000)})[:1500], "a.tar is not a whole tar file"),
        ("a.tar.bz2", b"BZh9 and more", "a.tar.bz2 is not a whole tar file"),
        ("a.csv.gz", gzip.compress(bytes(99), mtime=0)[:-9], "a.csv.gz is not a whole packed file"),
        ("a.csv.bz2", b"BZh9 and more", "a.csv.bz2 is not a whole packed file"),
        ("a.csv.gz", b"a,b\n", "a.csv.gz is not a whole packed file"),
    ],
)
def test_what_is_unsafe_or_damaged_is_refused_and_nothing_stays(name, data, said, tmp_path, capsys):
    put(tmp_path, {f"in/{name}": data() if callable(data) else data})
    before = snapshot(tmp_path)
    with pytest.raises(UserError, match=said):
        unpacking.unpack_beside(tmp_path / "in")
    (tmp_path / "in" / f"{unpacking.RECORD}.lock").unlink()
    assert snapshot(tmp_path) == before
    put(tmp_path, {"in/other.png": "a picture beside it"})
    unpacking.unpack_beside(tmp_path / "in")  # goes on without it
    assert f"{name} stays packed: {tmp_path / 'in' / name} " in capsys.readouterr().out


def test_a_flipped_byte_in_a_7z_is_found(tmp_path):
    data = as_7z({"1.png": bytes(range(256))}, filters=[{"id": py7zr.FILTER_COPY}])
    put(tmp_path, {"a.7z": data.replace(bytes(range(99, 110)), bytes(11))})
    with pytest.raises(UserError, match=r"a\.7z is not a whole 7z file"):
        unpacking.unpack_beside(tmp_path)


def test_without_its_package_a_7z_is_said_with_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "py7zr", None)
    put(tmp_path, {"in/labels.csv.7z": as_7z({"labels.csv": b"a"})})
    command = f"(cd {tmp_path / 'in'} && 7z x labels.csv.7z)"
    with pytest.raises(UserError) as error:
        unpacking.unpack_beside(tmp_path / "in")
    assert "which the package py7zr reads: pip install py7zr" in str(error.value)
    assert command in str(error.value)
    put(tmp_path, {"corn.zip": as_zip({"labels.csv.7z": as_7z({"labels.csv": b"a"}), "1.png": "x"})})
    unpacking.unpack(tmp_path / "corn.zip", tmp_path / "corn")
    assert files_in(tmp_path / "corn") == ["1.png", "labels.csv.7z"]
    assert command.replace("/in ", "/corn ") in capsys.readouterr().out


def test_bombs_are_refused_also_where_many_small_ones_lie_in_one(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "LEAST_BOMB", 1_000_000)
    zeros = as_zip({"1.png": bytes(400_000)}, compression=zipfile.ZIP_DEFLATED)
    put(tmp_path, {"one.zip": as_zip({"a.zip": zeros})})
    unpacking.unpack(tmp_path / "one.zip", tmp_path / "one")
    put(tmp_path, {"many.zip": as_zip({f"{i}/a.zip": zeros for i in range(4)}, compression=zipfile.ZIP_DEFLATED)})
    with pytest.raises(UserError, match=r"2/a\.zip in .*many\.zip claims to unpack to 400,000 bytes"):
        unpacking.unpack(tmp_path / "many.zip", tmp_path / "many")
    assert not (tmp_path / "many").exists()


def test_more_than_the_disk_has_is_one_sentence(tmp_path, monkeypatch):
    put(tmp_path, {"train.zip": as_zip({"1.png": bytes(1000), "2.png": b""})})
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda path: SimpleNamespace(free=999))
    with pytest.raises(UserError, match=r"train\.zip unpacks to 1,000 bytes and the disk has 999 free: make room"):
        unpacking.unpack_beside(tmp_path)


def test_names_in_utf_8_without_a_flag_are_read(tmp_path):
    put(tmp_path, {"a.zip": as_zip({"K--fer.png": "x", "2.png": "y"}).replace(b"K--fer", "Käfer".encode())})
    unpacking.unpack_beside(tmp_path)
    assert files_in(tmp_path) == ["a.zip", "a/2.png", "a/Käfer.png"]


def test_links_stand_for_what_is_read_only(tmp_path):
    there = put(tmp_path / "there", {"train/1.png": "x", "a/b/more.zip": as_zip({"2.png": "y"}), "a/3.png": "z"})
    before = snapshot(there)
    unpacking.unpack_linked(there, tmp_path / "ours")
    assert files_in(tmp_path / "ours") == ["a/3.png", "a/b/more/2.png", "train/1.png"]
    assert (tmp_path / "ours/train").is_symlink()
    assert snapshot(there) == before
