"""Locks: of another process, of one that was killed, and where there are none."""

import errno
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from src.base import locks
from src.base.errors import UserError
from tests.conftest import ROOT


@contextmanager
def another(name, path):
    """A process that has the lock of `path`, until it is killed."""
    code = (
        "import sys, time; from pathlib import Path; from src.base import locks\n"
        "with getattr(locks, sys.argv[1])(Path(sys.argv[2])): print('in it', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, name, path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_second_run_is_refused_at_once_until_the_first_is_killed(tmp_path):
    with another("exclusive", tmp_path / "toy") as process:
        assert process.stdout.readline() == "in it\n"
        start = time.monotonic()
        with pytest.raises(UserError, match=r"^another run of toy is at work: wait for it, or stop it$"):
            locks.exclusive(tmp_path / "toy").__enter__()
        assert time.monotonic() - start < 20
        assert list((tmp_path / "toy").iterdir()) == []
    with locks.exclusive(tmp_path / "toy"):
        assert list((tmp_path / "toy").iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_who_wants_a_locked_file_waits_until_its_process_is_killed(tmp_path):
    path = tmp_path / "new/.scores.csv.lock"
    with another("locked", path) as first:
        assert first.stdout.readline() == "in it\n"
        start = time.monotonic()
        with another("locked", path) as second:
            assert second.stdout.readline() == "waiting for another process that is at work on scores.csv\n"
            assert time.monotonic() - start >= locks.SILENT_S
            first.kill()
            assert second.stdout.readline() == "in it\n"


@pytest.mark.parametrize("name", ["exclusive", "locked"])
def test_a_lock_goes_with_its_process_though_a_worker_of_it_lives_on(tmp_path, name):
    code = (
        "import os, sys, time; from pathlib import Path; from src.base import locks\n"
        "with getattr(locks, sys.argv[1])(Path(sys.argv[2])):\n"
        "    os.fork() or print(os.getpid(), flush=True)\n"
        "    time.sleep(60)"
    )
    arguments = [sys.executable, "-c", code, name, tmp_path / "toy"]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        worker = int(process.stdout.readline())
        handle = os.open(tmp_path / "toy", os.O_RDONLY)
        try:
            assert not locks.lock(handle, blocking=False), "the worker has freed its parent's lock"
            process.kill()
            process.wait()
            assert locks.lock(handle, blocking=False)
            os.kill(worker, 0)  # it is alive
        finally:
            process.kill()
            os.kill(worker, signal.SIGKILL)
            os.close(handle)


def test_a_folder_that_goes_away_while_it_is_locked_is_locked_anew(tmp_path, monkeypatch):
    """Who was in it removes it between another's opening and locking: a third would find a new folder, and no lock."""
    lock, calls = locks.lock, []

    def late(handle, blocking):
        calls.append(handle)
        if len(calls) == 1:
            (tmp_path / "toy").rmdir()
        return lock(handle, blocking)

    monkeypatch.setattr(locks, "lock", late)
    with locks.exclusive(tmp_path / "toy"):
        monkeypatch.undo()
        with pytest.raises(UserError, match="another run of toy is at work"):
            locks.exclusive(tmp_path / "toy").__enter__()
    assert len(calls) == 2


def test_a_folder_that_has_something_stays(tmp_path):
    with locks.exclusive(tmp_path / "a/toy"):
        (tmp_path / "a/toy/folds.csv").write_text("")
    assert [path.name for path in (tmp_path / "a/toy").iterdir()] == ["folds.csv"]


@pytest.mark.parametrize(
    "number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY, errno.EINVAL]
)
def test_a_file_system_without_locks_is_said_once_and_gone_on_with(tmp_path, monkeypatch, capsys, number):
    def flock(handle, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    locks.say.cache_clear()
    for _ in range(2):
        with locks.exclusive(tmp_path / "toy"), locks.locked(tmp_path / "toy/.scores.csv.lock"):
            pass
    assert [path.name for path in (tmp_path / "toy").iterdir()] == [".scores.csv.lock"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        f"no locks on this file system ({os.strerror(number)}): start no second run of a competition beside this one"
    )


def test_another_fault_of_a_lock_is_not_passed_over(tmp_path, monkeypatch):
    def flock(handle, how):
        raise OSError(errno.EIO, "something else")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(OSError, match="something else"), locks.locked(tmp_path / ".lock"):
        pass


def test_a_system_without_fcntl_has_the_modules_too(tmp_path):
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from pathlib import Path; from src.base import locks; from src.data import decoded; from src.results import ledger\n"
        "with locks.locked(Path(sys.argv[1])): print('in it')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, tmp_path / ".lock"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.endswith("start no second run of a competition beside this one\nin it\n"), done.stderr
