"""A run by Ray on machines apart, of which a process is killed, ends with the bytes of one that runs unit after unit."""

from functools import partial

import pytest

from src.driver import run as driver
from src.driver import work
from src.driver.placing import Placing
from src.units import lines
from src.units.cluster import SETTINGS
from tests.conftest import toy_competition, toy_files
from tests.driver.conftest import WHOLE, files_of
from tests.placers import Dying

pytest.importorskip("ray")
KILLED = "finetune convnext 1 42"


@pytest.fixture
def home(ray_home, monkeypatch):
    """A home for Ray's token, what Ray is started with, and one thread in this process too."""
    for name, value in {**SETTINGS, "HOME": ray_home, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)


def test_machines_with_folders_of_their_own_end_with_the_same_bytes(
    folder, home, expected, tmp_path, tmp_path_factory, monkeypatch, capfd
):
    from ray.cluster_utils import Cluster

    monkeypatch.setattr(work, "CompetitionWork", partial(Dying, KILLED, tmp_path / "killed"))
    monkeypatch.setattr(lines, "LATE_S", 60)
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
        driver.run(toy_competition(), WHOLE, Placing(ray=cluster.address))
    finally:
        cluster.shutdown()
    assert files_of(toy_competition().folder) == expected
    made = [path for one in apart for path in one.glob("models/convnext/fold*.safetensors")]
    assert {path.name for path in made} == {f"fold{number}.safetensors" for number in range(3)}
    said = capfd.readouterr()
    assert said.err.count(f"{KILLED}: its process on ") == 1
    assert said.out.count("convnext fold 2  accuracy") == 1
