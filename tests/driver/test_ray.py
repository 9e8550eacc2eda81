"""A run by Ray ends with the bytes of one that runs unit after unit: also where processes are killed, or machines apart."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.driver import run as driver
from src.driver.placing import Placing
from tests.conftest import set_roots, toy_competition, toy_files
from tests.driver.test_run import WHOLE, files_of

ray = pytest.importorskip("ray")
EPOCHS = 30  # long enough to be killed in


def competition(*names: str):
    toy = toy_competition()
    convnext = toy.models["convnext"].model_copy(update={"epochs": EPOCHS})
    models = {"probe": toy.models["probe"], "convnext": convnext}
    return toy.model_copy(update={"models": {name: models[name] for name in names}})


@pytest.fixture
def expected(tmp_path_factory):
    """The files of a run of one unit after the other, with one thread, as units of Ray have here."""

    def expected(*names: str):
        roots = tmp_path_factory.mktemp("inline")
        with pytest.MonkeyPatch.context() as patch:
            set_roots(patch, roots)
            toy_files(roots / "input" / "toy")
            driver.run(competition(*names), WHOLE)
            return files_of(competition(*names).folder)

    return expected


@pytest.fixture
def home(ray_home, monkeypatch):
    """A home for Ray's token, and one thread in this process too."""
    monkeypatch.setenv("HOME", ray_home)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def process_of(title: str) -> int:
    """The process that Ray has named after a unit, once there is one, of those that this one has begun."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended
                if path.read_bytes().startswith(f"ray::{title}".encode()) and os.getpid() in above(path.parent.name):
                    return int(path.parent.name)
        time.sleep(0.05)
    raise AssertionError(f"no process of {title}")


def above(pid: str) -> Iterator[int]:
    """The processes by which a process was begun, the next one first."""
    while pid != "0":
        pid = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[1]
        yield int(pid)


def test_a_run_by_ray_whose_process_is_killed_ends_with_the_same_bytes(folder, home, expected, capfd):
    def kill():
        os.kill(process_of("finetune convnext 1 42"), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    driver.run(one := competition("convnext"), WHOLE, Placing(at_once=2))
    killer.join()
    said = capfd.readouterr()
    assert files_of(one.folder) == expected("convnext")
    assert "finetune convnext 1 42: its process on " in said.err
    assert said.out.count("convnext fold 2  accuracy") == 1


def test_machines_with_folders_of_their_own_end_with_the_same_bytes(folder, home, expected, tmp_path_factory):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        apart = []
        for name in ("first", "second"):
            roots = tmp_path_factory.mktemp(name)
            toy_files(roots / "input" / "toy")
            (roots / "submissions").mkdir()
            own = {"INPUT_DIR": str(roots / "input"), "SUBMISSIONS_DIR": str(roots / "submissions")}
            cluster.add_node(num_cpus=1, env_vars=own, wait=False)
            apart.append(roots / "submissions" / "toy")
        cluster.wait_for_nodes()
        driver.run(one := competition("probe", "convnext"), WHOLE, Placing(ray=cluster.address))
    finally:
        cluster.shutdown()
    assert files_of(one.folder) == expected("probe", "convnext")
    made = [path for one in apart for path in one.glob("models/convnext/fold*.safetensors")]
    assert {path.name for path in made} == {f"fold{number}.safetensors" for number in range(3)}
