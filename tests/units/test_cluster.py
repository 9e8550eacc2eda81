"""Starting Ray, which is pretended, and what units get of the machines that it names."""

import os
import signal
import socket
import sys
from types import SimpleNamespace

import pytest

from src.base.errors import UserError
from src.base.interrupts import StopRequest
from src.base.threads import cores
from src.units import cluster, process
from src.units.cluster import Machines, Need, connected
from src.units.process import Home
from src.units.processes import Begun, Processes
from src.units.rays import Rays
from src.units.unit import Unit
from tests.units.works import Files


class Pretended(SimpleNamespace):
    """Ray that fails so many times before it starts; as Ray does, it takes the signals for itself."""

    def __init__(self, fails: int):
        super().__init__(fails=fails, asked=[], shut=0)

    def is_initialized(self) -> bool:
        return False

    def init(self, **asked) -> None:
        self.asked.append(asked)
        self.interrupted = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if len(self.asked) <= self.fails:
            raise ConnectionError("The node timed out.\nSee the logs.")

    def shutdown(self) -> None:
        self.shut += 1


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """A home without a token; the variables that are set are to be as before."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (*cluster.SETTINGS, "RAY_COLOR_PREFIX", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def pretend(monkeypatch):
    def pretend(fails: int) -> Pretended:
        monkeypatch.setitem(sys.modules, "ray", made := Pretended(fails))
        return made

    return pretend


class TestConnected:
    @pytest.mark.parametrize(("address", "expected"), [("auto", "token"), (None, None)])
    def test_a_cluster_is_shown_the_token_that_there_is(self, pretend, tmp_path, address, expected):
        pretend(0)
        with connected(0, address):
            assert os.environ.get("RAY_AUTH_MODE") is None
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray/auth_token").write_text("0" * 64)
        with connected(0, address):
            assert os.environ.get("RAY_AUTH_MODE") == expected

    @pytest.mark.parametrize("address", [None, "auto"])
    def test_ray_that_cannot_be_imported_is_as_one_that_does_not_start(self, monkeypatch, capsys, address):
        monkeypatch.setitem(sys.modules, "ray", None)  # as Python has it of what is not to be imported
        if address:
            with (
                pytest.raises(UserError, match=r"no cluster of Ray at 'auto' .*: import of ray halted"),
                connected(0, address),
            ):
                pass
        else:
            with connected() as ray:
                assert ray is None
            assert (
                "Ray does not start on this machine, so units run one after the other: import"
                in capsys.readouterr().err
            )

    @pytest.mark.parametrize("fails", [0, 1])
    def test_ray_starts_on_this_machine_alone_if_need_be_at_the_second_try(self, pretend, fails):
        ray, before = pretend(fails), signal.getsignal(signal.SIGTERM)
        with connected(gpus=3) as started:
            assert started is ray
            assert signal.getsignal(signal.SIGTERM) is before
            assert os.environ["RAY_DEDUP_LOGS"] == "0"
        assert len(ray.asked) == fails + 1
        asked = ray.asked[-1]
        assert (asked["address"], asked["num_gpus"], asked["num_cpus"]) == ("local", 3, max(3, cores()))
        assert ray.shut == fails + 1

    def test_its_processes_hear_that_they_are_to_end_where_this_one_ignores_ctrl_c(self, pretend):
        """As what a shell starts in the background does, and all that it starts."""
        ray = pretend(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with connected():
            assert ray.interrupted == signal.default_int_handler
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN

    def test_a_sigterm_that_ray_has_made_an_exit_of_its_own_is_one_of_this_process(self, pretend):
        """While it starts, its handler is there: it raises SystemExit, of the signal's number as an exit code."""
        ray = pretend(0)

        def init(**asked) -> None:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
            signal.raise_signal(signal.SIGTERM)

        ray.init, before = init, signal.getsignal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt) as error, connected():
            pass
        assert error.value.args == (signal.SIGTERM,)
        assert signal.getsignal(signal.SIGTERM) is before
        assert ray.shut == 1

    def test_where_it_does_not_start_units_run_one_after_the_other(self, pretend, roots, capsys):
        pretend(2)
        work, units = Files(), [Unit("a", (i,)) for i in range(2)]
        assert not Rays(at_once=2).run(units, work).failed
        assert work.settled == [unit.title for unit in units]
        assert capsys.readouterr().err == (
            "Ray does not start on this machine, so units run one after the other: The node timed out.\n"
        )

    def test_a_cluster_that_cannot_be_joined_is_the_users_matter(self, pretend):
        ray = pretend(1)
        with (
            pytest.raises(UserError, match="no cluster of Ray at 'auto' that this machine is part of: The node timed"),
            connected(address="auto"),
        ):
            pass
        assert len(ray.asked) == 1
        assert "num_gpus" not in ray.asked[0]  # a cluster has what it has

    def test_a_cluster_that_is_not_there_is_named_before_ray_looks_for_it(self, pretend):
        ray = pretend(0)
        with (
            pytest.raises(UserError, match="no cluster of Ray at 'nowhere:1' that this machine is part of"),
            connected(address="nowhere:1"),
        ):
            pass
        assert ray.asked == []


def test_ray_that_a_signal_to_all_processes_has_ended_is_not_asked_whether_it_is_there():
    """As `timeout` and schedulers send it, while processes start: asked for its nodes, Ray looks for itself a minute."""
    asked, alive = [], [{"NodeID": "a", "Alive": True}]
    with socket.create_server(("127.0.0.1", 0)) as server:
        context = SimpleNamespace(gcs_address=f"127.0.0.1:{server.getsockname()[1]}", get_node_id=lambda: "a")
        ray = SimpleNamespace(
            wait=lambda references, num_returns, timeout: ([], references),
            nodes=lambda: asked.append("nodes") or alive,
            cancel=asked.append,
            get_runtime_context=lambda: context,
        )
        processes = Processes(ray, {}, Files(), Home({}))
        processes.begun["reference"] = Begun(Unit("a", (0,)), Need(0, 1, 1, 0))
        assert processes.is_there()
        assert asked.pop() == "nodes"
    alive.clear()
    processes.stop(StopRequest())
    assert asked == ["reference"]


def test_a_unit_hears_that_it_is_to_end_where_its_process_was_told_to_ignore_that(roots, monkeypatch):
    monkeypatch.setattr(process.threads, "use", lambda cores: None)  # of this process, which goes on
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.run_unit(Files(), Unit("a", (0,)), process.Home(process.roots()))
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def node(cpus: float, gpus: float = 0, memory: float = 8e9, alive: bool = True) -> dict:
    given = {"CPU": cpus, "GPU": gpus, "memory": memory}
    return {"Alive": alive, "Resources": {name: n for name, n in given.items() if n}}


@pytest.mark.parametrize(
    ("nodes", "unit", "at_once", "need"),
    [
        ([node(8, 2)], {"gpus": 1}, None, Need(1, 1, 4, 2_000_000_000)),  # its share of the cores, beside others
        ([node(8, 2)], {"gpus": 2}, None, Need(2, 1, 8, 2_000_000_000)),
        ([node(8, 2), node(4, 4)], {"gpus": 1}, None, Need(1, 1, 1, 2_000_000_000)),  # wherever it is begun
        ([node(8, 2), node(64)], {}, None, Need(0, 1, 1, 2_000_000_000)),
        ([node(8)], {"gpus": 1}, None, Need(0, 1, 1, 2_000_000_000)),  # no machine has one: on cores
        ([node(8)], {"gpus": 1, "cpus": 4}, 3, Need(0, 2, 2, 2_000_000_000)),  # each of three as much as the others
        ([node(8), node(4)], {"cpus": 99, "gb": 99}, None, Need(0, 8, 8, 8_000_000_000)),  # all of the largest
        ([node(2), node(64, 8, alive=False)], {"cpus": 99}, None, Need(0, 2, 2, 2_000_000_000)),
    ],
)
def test_a_unit_gets_what_it_needs_of_what_there_is(nodes, unit, at_once, need):
    assert Machines(nodes).need(Unit("a", (0,), **unit), at_once) == need


def test_gpus_of_two_machines_are_none_of_one():
    with pytest.raises(UserError, match="a 0 needs 3 GPUs on one machine, and none has more than 2"):
        Machines([node(8, 2), node(8, 2)]).need(Unit("a", (0,), gpus=3))


def test_a_cluster_without_a_core_cannot_run_anything():
    with pytest.raises(UserError, match="a 0: no machine of the cluster has a core for units"):
        Machines([node(0)]).need(Unit("a", (0,), gpus=1))
