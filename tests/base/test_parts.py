"""Half-written files: each is one writer's, and what killed writers leave goes when nobody can want it any more."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from src.base import files, parts
from tests.conftest import ROOT, snapshot

FORK = multiprocessing.get_context("fork")
ROUNDS, BYTES = 200, 50_000


def write_file(path, letter):
    files.write_text(path, letter * BYTES)


def write_folder(path, letter):
    with files.replacing_folder(path) as part:
        for name in "ab":
            (part / name).write_text(letter * BYTES)


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_processes_that_write_the_same_at_once_all_end_well_and_a_whole_one_stays(tmp_path, write):
    start = FORK.Barrier(3)

    def writer(letter):
        for i in range(ROUNDS):
            start.wait(20)
            write(tmp_path / f"{i}", letter)

    writers = [FORK.Process(target=writer, args=letter) for letter in "xyz"]
    for one in writers:
        one.start()
    for one in writers:
        one.join(60)
    assert [one.exitcode for one in writers] == [0, 0, 0]
    found = [path.read_text() for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert all(text in (letter * BYTES for letter in "xyz") for text in found)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(ROUNDS)))
    if write is write_folder:  # and all of a folder is one writer's
        assert all(one == other for one, other in zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "a.csv"])
def test_a_name_of_any_length_can_be_written(tmp_path, name):
    files.write_text(tmp_path / name, "x")
    write_folder(tmp_path / f"{name[:-1]}_", "x")
    with parts.beside(tmp_path / name) as one, parts.beside(tmp_path / name) as other:
        assert one != other
        assert one.parent == tmp_path
        assert parts.is_part(one.name)


@pytest.fixture
def writer(tmp_path):
    """A process that has half written a file and a folder below tmp_path/deep, until it is killed."""
    code = (
        "import sys, time; from pathlib import Path; from src.base import parts\n"
        "with parts.beside(Path(sys.argv[1], 'a.csv')) as file, parts.folder_beside(Path(sys.argv[1], 'b')) as folder:\n"
        "    for path in (file, folder / 'c'): path.write_text('half')\n"
        "    print('in it', flush=True); time.sleep(60)"
    )
    (tmp_path / "deep").mkdir()
    command = [sys.executable, "-c", code, tmp_path / "deep"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in it\n"
        yield process
        process.kill()


def test_what_a_process_writes_goes_when_it_was_killed_and_not_before(tmp_path, writer):
    (tmp_path / "deep/a.csv").write_text("whole")
    before = snapshot(tmp_path)
    assert len(before) == 3
    parts.remove_strays(tmp_path)
    with parts.folder_beside(tmp_path / "deep/b"):
        pass
    assert snapshot(tmp_path) == before
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    parts.remove_strays(tmp_path)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.csv"]


def test_a_killed_writer_s_folder_has_gone_before_the_next_is_written(tmp_path, writer):
    writer.kill()
    writer.wait()
    with parts.folder_beside(tmp_path / "deep/b") as part:
        assert list((tmp_path / "deep").iterdir()) == [part]


def test_what_this_process_writes_stays_also_where_its_number_was_another_s_before(tmp_path):
    with parts.beside(tmp_path / "a") as own:
        own.write_text("half")
        before = tmp_path / f".b.{parts.machine()}-{os.getpid()}-00000000.part"  # as in a container that began again
        before.write_text("half")
        parts.remove_strays(tmp_path)
        assert list(tmp_path.iterdir()) == [own]


@pytest.mark.parametrize("name", [".a.csv.0badc0de-1-0123abcd.part", ".a.csv.part"])
def test_what_another_machine_or_an_older_version_writes_stays_for_a_day(tmp_path, name):
    file, folder = tmp_path / name, tmp_path / "deep" / name
    file.write_text("half")
    (folder / "below").mkdir(parents=True)
    day_before = time.time() - parts.STRAY_S - 60
    for path in (file, folder):
        os.utime(path, (day_before, day_before))
    parts.remove_strays(tmp_path)
    assert not file.exists()
    assert (folder / "below").is_dir()  # it has changed since
    os.utime(folder / "below", (day_before, day_before))
    parts.remove_strays(tmp_path)
    assert list((tmp_path / "deep").iterdir()) == []


def test_what_only_ends_like_a_part_stays(tmp_path):
    for name in ("corn.part", ".part of it", "a.part.csv"):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    before = snapshot(tmp_path)
    parts.remove_strays(tmp_path)
    assert snapshot(tmp_path) == before
