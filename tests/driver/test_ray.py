"""A run by Ray ends with the bytes of one that runs unit after unit: also where processes are killed, or machines apart."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from src.driver import run as driver
from src.driver.placing import Placing
from tests.conftest import set_roots, toy_competition, toy_files
from tests.driver.test_run import WHOLE, files_of
from tests.units.works import parent

ray = pytest.importorskip("ray")
EPOCHS = 30  # long enough to be killed in


def competition():
    toy = toy_competition()
    models = {**toy.models, "convnext": toy.models["convnext"].model_copy(update={"epochs": EPOCHS})}
    return toy.model_copy(update={"models": models})


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The files of a run of one unit after the other, with one thread, as units of Ray have here."""
    import torch

    roots, threads = tmp_path_factory.mktemp("inline"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        set_roots(patch, roots)
        toy_files(roots / "input" / "toy")
        torch.set_num_threads(1)
        driver.run(competition(), WHOLE)
        torch.set_num_threads(threads)
        return files_of(competition().folder)


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
            try:
                if path.read_bytes().startswith(f"ray::{title}".encode()) and is_below(pid := int(path.parent.name)):
                    return pid
            except OSError:  # it has ended
                continue
        time.sleep(0.05)
    raise AssertionError(f"no process of {title}")


def is_below(pid: int) -> bool:
    """Whether this process has begun another, or one that has begun it."""
    while pid not in (0, os.getpid()):
        pid = parent(pid)
    return bool(pid)


def test_a_run_by_ray_whose_process_is_killed_ends_with_the_same_bytes(folder, home, expected, capfd):
    def kill():
        os.kill(process_of("finetune convnext 1 42"), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    driver.run(competition(), WHOLE, Placing(at_once=2))
    killer.join()
    assert files_of(competition().folder) == expected
    said = capfd.readouterr()
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
        driver.run(competition(), WHOLE, Placing(ray=cluster.address))
    finally:
        cluster.shutdown()
    assert files_of(competition().folder) == expected
    made = [path for one in apart for path in one.glob("models/convnext/fold*.safetensors")]
    assert {path.name for path in made} == {f"fold{number}.safetensors" for number in range(3)}
