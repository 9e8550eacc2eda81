"""Machines with folders of their own: two of them, pretended, beside one that places and has nothing to compute on."""

import re
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.base.errors import UserError
from src.base.files import write_text
from src.base.paths import submissions_root
from src.units import apart
from src.units.cluster import SETTINGS, connected
from src.units.inline import Inline
from src.units.rays import Rays
from src.units.unit import NotDone, Unit
from tests.conftest import miss_soon, read_json, roots_at
from tests.units.works import Files, wait_for

pytest.importorskip("ray")
GIVEN = Unit("given", ())
FIRST = [Unit("slow", (i,)) for i in range(4)]
BEHIND = [Unit("b", (i,), after=(("slow", i), ("slow", 3 - i), GIVEN.key)) for i in range(2)]
LIES, LACKS = Unit("lies", ("net",)), Unit("a", ("lacks what it reads",))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, ray_home):
    """Ray's own, which this process has joined, with the folders of its two machines."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, "HOME": ray_home}.items():
            patch.setenv(name, value)
        miss_soon(patch)
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        made.folders = {}
        for name in ("first", "second"):
            folder = tmp_path_factory.mktemp(name)
            node = made.add_node(num_cpus=1, env_vars={"SUBMISSIONS_DIR": str(folder)}, wait=False)
            made.folders[folder] = node
        made.wait_for_nodes()
        with connected(address=made.address):
            yield made
        made.shutdown()


def begun_with(given: str) -> Files:
    work = Files()
    write_text(work.path(GIVEN), given)
    return work


def placed(cluster, work: Files, units: list[Unit]):
    def inputs(unit: Unit) -> list[Path]:
        return [work.path(Unit("none", ()) if unit == LACKS else GIVEN)]

    return Rays(address=cluster.address, inputs=inputs).run(units, work)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.json")}


@pytest.fixture(scope="module")
def run(cluster, tmp_path_factory):
    """(root, work, outcome) of a run."""
    with roots_at(root := tmp_path_factory.mktemp("home")):
        work = begun_with('"old"')
        yield root, work, placed(cluster, work, [*FIRST, *BEHIND, LIES, LACKS])


def test_files_go_to_machines_and_come_back(cluster, run):
    root, work, outcome = run
    units = [*FIRST, *BEHIND]
    assert outcome.failed.keys() == {LIES, LACKS}
    assert files(root) == {work.path(unit).name for unit in (*units, GIVEN)}
    assert any(files(folder) for folder in cluster.folders)  # where they were made
    made = [work.path(unit).read_bytes() for unit in units]
    for unit in units:
        work.path(unit).unlink()
    Inline().run(units, work)
    assert made == [work.path(unit).read_bytes() for unit in units]


def test_what_is_not_sent_back_is_not_done(run):
    error = run[-1].failed[LIES]
    assert isinstance(error, NotDone)
    assert re.match(r"lies net has ended on .+, and its files here do not say so", str(error))


def test_a_file_that_is_not_there_cannot_be_sent(run):
    error = run[-1].failed[LACKS]
    assert isinstance(error, UserError)
    assert str(error).startswith("made/none.json is not there to be sent")


def test_a_file_is_sent_again_when_it_has_changed(cluster, run, roots):
    work = begun_with('"new"')
    units = [Unit("a", (i,), after=(GIVEN.key,)) for i in range(2)]
    assert placed(cluster, work, units).failed == {}
    assert [read_json(work.path(unit))["of"] for unit in units] == [["new"], ["new"]]


def test_a_lost_machines_unit_runs_on_another(cluster, roots):
    work, unit = begun_with(""), Unit("sleeps", ("net", 60))
    lost = threading.Thread(target=lose, args=(cluster, f"made/{work.path(unit).stem}"))
    lost.start()
    assert placed(cluster, work, [unit]).failed == {}
    lost.join()
    assert all(list(folder.glob("made/sleeps-net-60.begun-*")) for folder in cluster.folders)


def lose(cluster, stem: str) -> None:
    """Take the machine away on which a unit begins, which is to end at once on the others."""
    wait_for(lambda: any(list(folder.glob(f"{stem}.begun-*")) for folder in cluster.folders))
    (at,) = (folder for folder in cluster.folders if list(folder.glob(f"{stem}.begun-*")))
    for folder in cluster.folders.keys() - {at}:
        write_text(folder / f"{stem}.checkpoint", "")
    cluster.remove_node(cluster.folders[at], allow_graceful=False)


class Here:
    """A shelf in this process; each call is answered at once."""

    def __init__(self, root: Path):
        self.calls, shelf = [], apart.Shelf(root)
        for name in ("stamps", "read", "write"):
            setattr(self, name, SimpleNamespace(remote=partial(self.call, getattr(shelf, name))))

    def call(self, function, *arguments):
        self.calls.append(function.__name__)
        return function(*arguments)


@pytest.fixture
def shelf(tmp_path, roots, monkeypatch):
    """That of another folder; references are what they refer to."""
    monkeypatch.setattr("ray.get", lambda reference: reference)
    monkeypatch.setattr("ray.put", lambda value: value)
    monkeypatch.setattr(apart, "PART", 3)
    return Here(tmp_path / "home")


@pytest.mark.parametrize("text", ["", "abc", "abcdefgh"])
def test_files_go_in_parts_and_are_not_sent_twice(shelf, tmp_path, text):
    write_text(tmp_path / "home" / "made" / "x", text)
    apart.fetch(shelf, ["made/x"])
    own = submissions_root() / "made" / "x"
    assert own.read_text() == text
    apart.fetch(shelf, ["made/x"])
    apart.bring(shelf, ["made/x"])
    assert shelf.calls.count("read") == max(1, -(-len(text) // 3))
    assert "write" not in shelf.calls


def test_files_come_back_in_their_order(shelf, tmp_path):
    for name in ("z", "a"):
        write_text(submissions_root() / "made" / name, name * 5)
    apart.bring(shelf, ["made/z", "made/a", "made/none"])
    assert [path.read_text() for path in map((tmp_path / "home" / "made").__truediv__, "za")] == ["zzzzz", "aaaaa"]
    assert shelf.calls == ["stamps", "write", "write"]


def test_files_elsewhere_have_no_name_on_other_machines(roots):
    with pytest.raises(ValueError, match="is not in the subpath"):
        apart.names([roots / "input" / "x"])
