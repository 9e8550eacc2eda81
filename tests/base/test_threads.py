"""Threads: as many as a container may use or a process was given, results in order, few of them waiting."""

import json
import os
import subprocess
import sys

import pytest

from src.base import threads
from src.base.errors import UserError
from tests.conftest import ROOT

V2, V1 = "0::/kubepods/pod7\n", "5:memory:/docker/7f\n4:cpu,cpuacct:/docker/7f\n0::/\n"


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        (V2, {"kubepods/pod7/cpu.max": "400000 100000"}, 4),
        (V2, {"kubepods/pod7/cpu.max": "max 100000", "kubepods/cpu.max": "250000 100000"}, 3),
        (V2, {"kubepods/pod7/cpu.max": "200000 100000", "kubepods/cpu.max": "800000 100000"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        (V2, {"kubepods/pod7/cpu.max": "max 100000"}, 64),
        (V2, {"kubepods/pod7/cpu.max": "9000000 100000"}, 64),
        (V1, {"cpu/docker/7f/cpu.cfs_quota_us": "150000", "cpu/docker/7f/cpu.cfs_period_us": "50000"}, 3),
        (V1, {"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 4),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000", "memory/cpu.max": "1 1"}, 64),
        (V2, {"kubepods/pod7/cpu.max": "50000"}, 64),
        (V2, {"kubepods/pod7/cpu.max": "max", "kubepods/cpu.max": "100000 0"}, 64),
        ("no group\n", {}, 64),
        (None, {}, 64),
    ],
)
def test_cores_are_those_of_the_narrowest_control_group(tmp_path, monkeypatch, own, files, cores):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: set(range(64)))
    monkeypatch.setattr(threads, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(threads, "GROUPS", tmp_path)
    if own is not None:
        (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert threads.cores() == cores


def test_no_more_cores_than_this_process_was_given(monkeypatch):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: {3})
    assert threads.cores() == 1


def test_what_a_process_was_given_is_what_it_may_use(monkeypatch):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: set(range(64)))
    monkeypatch.setenv("UNIT_CORES", "3")
    assert threads.cores() == 3
    monkeypatch.setenv("UNIT_CORES", "")
    assert threads.cores() == 64


@pytest.mark.parametrize("granted", ["0", "-1", "2.5", "all"])
def test_a_grant_that_is_no_number_of_cores_is_refused(monkeypatch, granted):
    monkeypatch.setenv("UNIT_CORES", granted)
    with pytest.raises(UserError, match=f"UNIT_CORES must be a whole number, 1 or more, not '{granted}'"):
        threads.cores()


def test_all_libraries_obey_a_grant_and_the_next_one_when_they_are_loaded():
    code = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
import cv2, pyarrow, scipy.linalg, torch
from threadpoolctl import threadpool_info
from src.base import threads

def counts():
    own = {"cores": threads.cores(), "torch": torch.get_num_threads(), "arrow": pyarrow.cpu_count()}
    with ThreadPoolExecutor(1) as pool:  # OpenMP counts each thread's threads apart
        own["torch beside"] = pool.submit(torch.get_num_threads).result()
    return own | {one["filepath"]: one["num_threads"] for one in threadpool_info()}

found = [counts()]
for n in (3, 2):
    threads.use(n)
    found.append(counts())
print(json.dumps({"found": found, "cv2": cv2.getNumThreads()}))
"""
    env = {**os.environ, "GOMP_SPINCOUNT": "3000", **threads.environment(1), "OMP_DISPLAY_ENV": "VERBOSE"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [set(one.values()) for one in said["found"]] == [{1}, {3}, {2}]
    assert len(said["found"][0]) > 6  # two of BLAS at least, and OpenMP
    assert said["cv2"] == 1
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
    assert "GOMP_SPINCOUNT = '0'" in done.stderr


def test_results_come_in_order_and_few_of_them_wait(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 8)
    done = []
    results = threads.parallel(lambda i: done.append(i) or i, range(1000), "testing")
    assert next(results) == 0
    assert len(done) < 500
    assert list(results) == list(range(1, 1000))
