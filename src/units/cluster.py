"""A cluster of Ray: started on this machine alone for as long as units run, or one that is there and is joined."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from src.base.errors import UserError
from src.base.interrupts import accept_interrupts
from src.base.threads import cores
from src.units.unit import Unit

# Read when Ray is imported, and by the processes that it starts. It would swallow lines that are alike, send statistics
# home, write every step of its scheduler to the disk, start a process a core that has the variables of no unit, and end
# a unit that the memory does not suffice for endlessly.
SETTINGS = {
    "RAY_DEDUP_LOGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SCHEDULER_EVENTS": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_task_oom_retries": "2",
}
OBJECT_STORE = 128 * 2**20  # bytes of shared memory: units leave files, and hand over nothing but a word
STARTS, ANSWER_S = 2, 10


@contextmanager
def connected(gpus: int = 0, address: str | None = None) -> Iterator[ModuleType | None]:
    """Ray, as it is to be used in the block; None where it does not start on this machine, with a line that says so.

    What was started is ended with the block; a program that has Ray running already goes on with it.

    Args:
        gpus: Of this machine.
        address: `auto` or HOST:PORT of a cluster that is joined instead, from one of its machines.

    Raises:
        UserError: There is no such cluster, or it has another version of Ray or Python.
    """
    more = {} if sys.stdout.isatty() else {"RAY_COLOR_PREFIX": "0"}
    if address and has_token():  # Ray shows it to HOST:PORT only if it is told to; a cluster without one does not mind
        more["RAY_AUTH_MODE"] = "token"
    for name, value in {**SETTINGS, **more}.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:  # it is there and broken
        say_why_not(address, first_line(error))
        yield None
        return
    if ray.is_initialized():
        yield ray
        return
    try:
        yield ray if started(ray, gpus, address) else None
    finally:
        ray.shutdown()


def has_token() -> bool:
    """Whether this user has a token by which Ray's processes know each other."""
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or Path("~/.ray/auth_token").expanduser().is_file()


def started(ray: ModuleType, gpus: int, address: str | None) -> bool:
    """Start Ray, or join the cluster; the handlers of signals are what they were."""
    asked = {"address": address or "local", "logging_level": logging.ERROR}
    if address is None:
        asked |= {"num_cpus": max(cores(), gpus), "num_gpus": gpus}
        asked |= {"object_store_memory": OBJECT_STORE, "include_dashboard": False}
    elif address != "auto":
        knock(address)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    accept_interrupts()  # by which units are told to end: what Ray starts inherits whether it ignores them
    for _ in range(1 if address else STARTS):
        try:
            ray.init(**asked)
            return True
        except SystemExit as error:  # what its own handler of SIGTERM makes of that, until it has started
            raise KeyboardInterrupt(signal.SIGTERM) from error
        except Exception as error:  # noqa: BLE001 of many kinds: ConnectionError, RuntimeError, Exception itself
            ray.shutdown()
            why = first_line(error)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    say_why_not(address, why)
    return False


def say_why_not(address: str | None, why: str) -> None:
    """Say that units run without Ray. Raises UserError: A cluster was asked for."""
    if address:
        raise UserError(f"no cluster of Ray at {address!r} that this machine is part of: {why}")
    print(f"Ray does not start on this machine, so units run one after the other: {why}", file=sys.stderr)


def knock(address: str) -> None:
    """Raises UserError: Nobody answers at HOST:PORT, which Ray would find out after five minutes."""
    try:
        reach(address)
    except (OSError, ValueError) as error:
        raise UserError(f"no cluster of Ray at {address!r} that this machine is part of: {error}") from error


def refuses(address: str) -> bool:
    """Whether nobody is at HOST:PORT; what cannot be told is no refusal."""
    try:
        reach(address)
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        pass
    return False


def reach(address: str) -> None:
    """Raises OSError, or ValueError where there is no port: HOST:PORT takes no connection."""
    name, _, port = address.rpartition(":")
    socket.create_connection((name, int(port)), timeout=ANSWER_S).close()


def first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).strip()


def host() -> str:
    return socket.gethostname()


@dataclass(frozen=True)
class Need:
    """What a unit is given while it runs."""

    gpus: float
    cpus: int  # that no other unit is given; one that computes on a GPU uses its share of the machine's beside it
    cores: int  # on which it may compute
    memory: int  # bytes

    @property
    def demand(self) -> dict[str, float]:
        """As a machine's resources are called."""
        return {"GPU": self.gpus, "CPU": self.cpus, "memory": self.memory}


class Machines:
    """What the machines of a cluster have."""

    def __init__(self, nodes: list[dict]):
        """`nodes`: of ray.nodes()."""
        self.each = [node["Resources"] for node in nodes if node["Alive"]]
        self.total = {name: sum(one.get(name, 0) for one in self.each) for name in ("GPU", "CPU", "memory")}

    def need(self, unit: Unit, at_once: int | None = None) -> Need:
        """What the unit gets; where no machine has GPUs it computes on cores, and more cores or memory are all of them.

        Args:
            at_once: Units side by side on a machine without GPUs, each with its part of the cores.

        Raises:
            UserError: It needs more GPUs than a machine has, or there is no core.
        """
        gpus = unit.gpus if self.total["GPU"] else 0
        fit = [one for one in self.each if one.get("GPU", 0) >= gpus and one.get("CPU", 0) >= 1]
        if not fit and not gpus:
            raise UserError(f"{unit.title}: no machine of the cluster has a core for units")
        if not fit:
            most = max(one.get("GPU", 0) for one in self.each)
            raise UserError(f"{unit.title} needs {unit.gpus:g} GPUs on one machine, and none has more than {most:g}")
        cpus, memory = (max(one.get(name, 0) for one in fit) for name in ("CPU", "memory"))
        taken = max(1, min(unit.cpus, int(cpus)) if at_once is None else int(cpus) // at_once)
        share = min(int(one["CPU"] / one["GPU"] * gpus) for one in fit) if gpus else 0
        return Need(gpus, taken, max(taken, share), min(int(unit.gb * 1e9), int(memory)))
