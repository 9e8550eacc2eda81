"""bench gpu: parts in processes of their own, figures that are kept, and what fails or is left out is named."""

import json
import multiprocessing
import os
import subprocess
import sys

import pytest

from src.base import files
from src.base.errors import UserError
from src.bench import gpu, gpu_parts
from src.bench.gpu import Part
from tests.units.works import has_ended, wait_for


@pytest.fixture
def child(tmp_path, monkeypatch):
    """child(script): what stands for Python where a part is measured; $3 is the part and $4 the folder."""

    def make(script: str) -> None:
        (tmp_path / "python").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "python").chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    return make


def test_all_parts_fit_into_eight_minutes():
    assert sum(part.seconds for part in gpu.PARTS.values()) <= 480
    assert all(callable(getattr(gpu_parts, part.measure)) for part in gpu.PARTS.values())


def test_figures_are_kept_and_the_rest_is_tried_again(tmp_path, monkeypatch, child, capsys):
    lacks = Part("matrix", 9, ("no-such-package",))
    monkeypatch.setattr(gpu, "PARTS", {"good": Part("matrix", 9), "bad": Part("matrix", 9), "lacks": lacks})
    figures = json.dumps({"where": gpu.where(quick=True), "figures": {"images/s": 1234.5}})
    child(
        f"echo $3 >>{tmp_path}/calls; [ $3 = bad ] && echo 'RuntimeError: broken' && exit 1; echo '{figures}' >$4/$3.json"
    )
    assert gpu.run(quick=True, folder=tmp_path / "figures") == 1
    said = capsys.readouterr().out
    assert "a rehearsal, whose numbers mean nothing; device " in said
    assert [line.split() for line in said.splitlines() if line.startswith("good ")] == [["good", "images/s", "1234"]]
    assert "failed: RuntimeError: broken (all of it: " in said
    assert "left out: this environment lacks no-such-package" in said
    monkeypatch.setattr(gpu, "PARTS", {"good": Part("matrix", 9), "bad": Part("matrix", 9)})
    child(f"echo again $3 >>{tmp_path}/calls; echo '{figures}' >$4/$3.json")
    (tmp_path / "figures/pictures-mine").mkdir()
    (tmp_path / "figures" / gpu.SCRATCH / "pictures-1").mkdir(parents=True)
    assert gpu.run(quick=True, folder=tmp_path / "figures") == 0
    assert (tmp_path / "calls").read_text().split("\n") == ["good", "bad", "again bad", ""]
    assert (tmp_path / "figures/pictures-mine").exists()
    assert not (tmp_path / "figures" / gpu.SCRATCH).exists()


def test_figures_of_another_device_are_not_taken_for_this_one_s(tmp_path):
    here = gpu.where(quick=False)
    files.write_json(tmp_path / "matrix.json", {"where": {**here, "device": "another"}, "figures": {}})
    assert gpu.of_here(tmp_path, "matrix", here) == {}


def test_a_part_that_hangs_is_ended_with_its_workers(tmp_path, monkeypatch, child):
    log, wait = tmp_path / "matrix.log", subprocess.Popen.wait

    def wait_once_begun(process, *seconds):
        wait_for(lambda: log.read_text().endswith("\n"))
        return wait(process, *seconds)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_once_begun)
    child(f"mkdir -p $4/{gpu.SCRATCH}/tmp1; sleep 60 & echo $!; wait")
    assert "not finished after 0.1s" in gpu.failure("matrix", Part("matrix", 0.1), tmp_path, quick=True)
    assert list((tmp_path / gpu.SCRATCH).iterdir()) == []
    wait_for(lambda: has_ended(log.read_text().strip()))


def test_there_is_no_measuring_without_a_gpu(tmp_path):
    with pytest.raises(UserError, match="there is no GPU here: "):
        gpu.run(folder=tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_the_overheads_of_training_are_shares(tmp_path):
    figures = gpu_parts.overheads(tmp_path, quick=True)
    shares = [value for name, value in figures.items() if "share of all time" in name or name.endswith("share")]
    assert len(shares) == 2
    assert all(0 <= share <= 1 for share in shares)
    assert figures["its size, GB"] > 0


def test_a_part_ends_with_the_process_that_started_it():
    """A closed terminal ends the one that counts the seconds, and the next call would measure beside this one."""
    part = multiprocessing.get_context("fork").Process(target=gpu_parts.end_with, args=(os.getppid(),), daemon=True)
    part.start()  # its parent is this process, and no more the one that it is to end with
    part.join(60)
    assert part.exitcode == 1
