"""Units by Ray, on one machine of which two GPUs are pretended: what runs where, and what is lost or fails."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from src.base.errors import UserError
from src.base.paths import submissions_root
from src.base.threads import cores
from src.units import lines, placement, processes
from src.units.cluster import connected
from src.units.inline import Inline
from src.units.rays import Rays
from src.units.unit import NotDone, Unit
from tests.conftest import ROOT, miss_soon, read_json
from tests.units.works import Files, Made, parent, wait_for

pytest.importorskip("ray")
FIRST = [Unit("a", (i,)) for i in range(3)]
BOTH = Unit("b", ("x",), after=(("a", 0), ("a", 2)))
LAST = Unit("c", ("x",), after=(("b", "x"), ("a", 1)), here=True)


@pytest.fixture(scope="module", autouse=True)
def ray(ray_home):
    """Ray on this machine. Its processes begin with what is in the environment now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", ray_home)
        patch.setenv("SUBMISSIONS_DIR", "/nowhere")
        patch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        patch.setenv("RAY_num_workers_soft_limit", "9")  # kept for the next test, whatever their variables
        with connected(gpus=2) as ray:
            patch.setenv("CUDA_VISIBLE_DEVICES", "")
            ray.home = os.environ["HOME"]
            yield ray


@pytest.fixture
def work(ray, roots, monkeypatch):
    monkeypatch.setenv("HOME", ray.home)  # where Ray has the token by which its processes know each other
    return Files()


def contents(work: Files, units) -> list[bytes]:
    return [work.path(unit).read_bytes() for unit in units]


def test_units_leave_what_they_leave_one_after_the_other(work, monkeypatch, tmp_path):
    units = [*FIRST, BOTH, LAST]
    assert not Inline().run(units, work).failed
    expected = contents(work, units)
    monkeypatch.setenv("SUBMISSIONS_DIR", str(tmp_path / "other"))
    random.Random(3).shuffle(units)
    work.settled.clear()
    assert Rays(at_once=2).run(units, work).failed == {}
    assert contents(work, [*FIRST, BOTH, LAST]) == expected
    assert sorted(work.settled) == sorted(unit.title for unit in units)
    for unit in (BOTH, LAST):  # "a 1" may come before or after the one of "a 0" and "a 2"
        before = work.settled[: work.settled.index(unit.title)]
        assert {work.unit(key).title for key in unit.after} <= set(before)


def test_nothing_is_started_for_no_units(work, monkeypatch):
    monkeypatch.setattr("src.units.rays.connected", None)
    assert not Rays().run([], work).failed


def test_the_first_begins_first(work):
    units = [Unit("where", (i,), work=i) for i in range(4)]
    Rays(at_once=1).run(units, work)
    assert work.settled == [unit.title for unit in units]


def test_a_unit_on_a_gpu_has_one_and_a_process_of_its_own(work):
    first, on_cpu = Unit("where", (0,), gpus=1), Unit("where", ("cpu",))
    behind = Unit("where", (1,), gpus=1, after=(first.key,))
    Rays().run([first, behind, on_cpu], work)
    made = [read_json(work.path(unit)) for unit in (first, behind)]
    assert made[0]["pid"] != made[1]["pid"]
    assert {one["CUDA_VISIBLE_DEVICES"] for one in made} <= {"0", "1"}
    assert read_json(work.path(on_cpu))["CUDA_VISIBLE_DEVICES"] == ""


def test_units_side_by_side_share_the_cores(work, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    Rays(at_once=1).run([unit := Unit("where", ("all",))], work)
    made = read_json(work.path(unit))
    assert (made["OMP_NUM_THREADS"], made["OMP_WAIT_POLICY"]) == (str(max(cores(), 2)), "PASSIVE")  # a GPU has one


def test_no_token_is_shown_to_the_cluster(monkeypatch):
    from src.units import process

    for name in ("KAGGLE_KEY", "KAGGLE_API_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("HF_HOME", "/hub")
    made = process.environment(2, 0)
    assert "secret" not in made.values()
    assert made["HF_HOME"] == "/hub"


def test_more_gpus_than_a_machine_has_are_refused_before_anything_begins(work):
    with pytest.raises(UserError, match="where big needs 3 GPUs on one machine, and none has more than 2"):
        Rays().run([Unit("where", ("small",)), Unit("where", ("big",), gpus=3)], work)
    assert not submissions_root().exists()


@pytest.mark.parametrize("keeps", ["", "net"])
def test_all_lines_of_units_have_come_when_the_run_ends(work, keeps, monkeypatch, capsys):
    monkeypatch.setattr(lines, "LATE_S", 60)
    units = [Unit("says", (i,), keeps=keeps) for i in range(2)]
    Rays(at_once=2).run(units, work)
    title = "says net" if keeps else "says {0}"
    said = [f"{title} | {which} of says {{0}}".format(i) for i in range(2) for which in ("first", "last")]
    assert sorted(line for line in capsys.readouterr().out.splitlines() if " | " in line) == sorted(said)


class TestKeepers:
    def test_units_that_keep_the_same_are_run_by_a_process_a_device(self, work):
        units = {
            name: [Unit("keeps", (name, i), gpus=1, keeps=name) for i in range(n)] for name, n in (("net", 5), ("b", 2))
        }
        behind = Unit("where", ("behind",), gpus=1, after=(("keeps",),))
        assert not Rays().run([*units["net"], *units["b"], behind], work).failed
        made = {name: [read_json(work.path(unit)) for unit in units[name]] for name in units}
        of = {name: {one["pid"]: one["CUDA_VISIBLE_DEVICES"] for one in made[name]} for name in made}
        for name, devices in of.items():
            assert len(devices) <= 2
            assert len(set(devices.values())) == len(devices)
            assert sum(one["count"] == 1 for one in made[name]) == len(devices)  # the others found what was kept
        assert of["net"].keys().isdisjoint(of["b"])
        assert read_json(work.path(behind))["pid"] not in of["net"] | of["b"]  # and had a device that was given back

    def test_one_that_is_lost_is_replaced(self, work, capfd):
        units = [Unit("dies", (i, i == 1), keeps="net") for i in range(3)]
        assert not Rays(at_once=1).run(units, work).failed
        assert [len(work.begun(unit)) for unit in units] == [1, 2, 1]


class TestFailures:
    def test_a_unit_whose_process_was_lost_is_begun_again(self, work, capfd):
        assert not Rays().run([unit := Unit("dies", ("net", 1))], work).failed
        assert len(work.begun(unit)) == 2
        assert capfd.readouterr().err.count("dies net 1: its process on ") == 1

    def test_one_that_dies_again_and_again_is_a_failure(self, work, monkeypatch):
        monkeypatch.setattr(placement, "RETRIES", 1)
        outcome = Rays().run([unit := Unit("dies", ("net", 9))], work)
        assert len(work.begun(unit)) == 2
        with pytest.raises(UserError, match=r"its process was lost 2 times, at last on .+: The worker died"):
            outcome.raise_first()

    def test_a_users_error_is_not_retried_and_the_others_finish(self, work, capfd):
        refuses, behind = Unit("refuses", ("net",)), Unit("a", ("behind",), after=(("refuses",),))
        outcome = Rays(at_once=1).run([refuses, *FIRST, behind], work)
        assert all(map(work.is_done, FIRST))
        assert outcome.skipped == {behind: refuses}
        with pytest.raises(Made, match=r"^refuses net is refused$") as raised:
            outcome.raise_first()
        assert raised.value.code == 7
        assert raised.value.__cause__ is None
        err = capfd.readouterr().err
        assert err.count("refuses net is refused") == 1
        assert "skipped, since they wait for it: a behind" in err

    def test_without_time_for_a_part_those_of_the_same_whole_that_are_begun_save_what_they_have(
        self, work, capfd, monkeypatch
    ):
        monkeypatch.setattr(processes, "AGAIN_S", 5)
        sleeps = [Unit("sleeps", (name, 60), whole="net") for name in ("runs", "is queued")]
        late = Unit("late", ("net", *sleeps[0].key), whole="net")
        outcome = Rays(at_once=2).run([late, *sleeps, *FIRST], work)
        assert [*outcome.failed] == [late]
        assert outcome.skipped == dict.fromkeys(sleeps, late)
        assert work.path(sleeps[0]).with_suffix(".checkpoint").exists()
        assert not any(map(work.is_done, sleeps))
        assert all(map(work.is_done, FIRST))
        assert "begun again" not in capfd.readouterr().err

    def test_a_unit_that_did_not_hear_that_it_is_to_end_is_told_again(self, work, monkeypatch):
        monkeypatch.setattr(processes, "AGAIN_S", 1)
        deaf = Unit("deaf", ("net",), whole="net")
        late = Unit("late", ("net", *deaf.key), whole="net")
        outcome = Rays(at_once=2).run([late, deaf], work)
        assert ([*outcome.failed], [*outcome.skipped]) == ([late], [deaf])
        assert work.path(deaf).with_suffix(".checkpoint").exists()

    def test_a_bug_keeps_its_traceback_and_the_others_finish(self, work):
        outcome = Rays().run([Unit("breaks", ("net",)), *FIRST], work)
        assert all(map(work.is_done, FIRST))
        with pytest.raises(ZeroDivisionError, match=r"works\.py[\s\S]*in breaks"):
            outcome.raise_first()

    def test_a_unit_is_done_when_its_files_say_so(self, work):
        outcome = Rays().run([Unit("lies", ("net",)), Unit("a", (0,), after=(("lies",),))], work)
        with pytest.raises(NotDone, match=r"lies net has ended on .+: it was made by other code"):
            outcome.raise_first()

    def test_the_last_processes_are_ended_after_a_bug_of_the_placing_process(self, work):
        slow = Unit("sleeps", ("net", 60))

        def settle(unit, seconds):
            wait_for(lambda: work.begun(slow))
            raise ZeroDivisionError

        work.settle = settle
        with pytest.raises(ZeroDivisionError):
            Rays(at_once=2).run([Unit("a", (0,)), slow], work)
        assert work.path(slow).with_suffix(".checkpoint").exists()


def driver(address: str | None, units: list[Unit], **options: object) -> subprocess.Popen:
    """A process, in a group of its own, that places units."""
    code = (
        "from src.units.rays import Rays; from src.units.unit import Unit; from tests.units.works import Files\n"
        f"Rays(at_once=2, address={address!r}).run({units!r}, Files())"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True, **options)


def test_a_signal_has_the_units_save_what_they_have_before_the_run_ends(work):
    units = [Unit("sleeps", (i, 60)) for i in range(2)]
    placing = driver(None, units)
    wait_for(lambda: all(map(work.begun, units)))
    os.killpg(placing.pid, signal.SIGINT)
    placing.wait(60)
    assert placing.returncode not in (0, -signal.SIGKILL)
    assert all(work.path(unit).with_suffix(".checkpoint").exists() for unit in units)
    assert not Rays().run(units, work).failed
    assert all(read_json(work.path(unit))["resumed"] for unit in units)


def test_a_first_signal_waits_for_all_units_and_a_second_does_not(work, ray):
    units = [Unit("sleeps", (0, 60)), Unit("stubborn", (1, 60))]
    placing = driver(ray.get_runtime_context().gcs_address, units)
    wait_for(lambda: all(map(work.begun, units)))
    os.killpg(placing.pid, signal.SIGTERM)
    wait_for(work.path(units[0]).with_suffix(".checkpoint").exists)
    with pytest.raises(subprocess.TimeoutExpired):
        placing.wait(1)
    os.killpg(placing.pid, signal.SIGTERM)
    assert placing.wait(50) != 0


def test_a_killed_run_can_be_followed_by_the_next_at_once(work, ray):
    lost, unit = Unit("sleeps", (0, 60)), Unit("sleeps", (0, 0.5))
    placing = driver(ray.get_runtime_context().gcs_address, [lost])
    wait_for(lambda: work.begun(lost))
    placing.kill()
    placing.wait()
    assert not Rays().run([unit], work).failed
    assert not list(submissions_root().glob("made/*.part"))


def test_a_run_whose_ray_is_killed_ends_with_a_sentence(work, monkeypatch):
    miss_soon(monkeypatch)
    placing = driver(None, [unit := Unit("sleeps", (0, 60), keeps="net")], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: work.begun(unit))
    os.kill(child_of(placing.pid, "/raylet/raylet"), signal.SIGKILL)
    assert "Ray has ended on " in placing.communicate(timeout=90)[1]
    assert placing.returncode


def child_of(pid: int, name: str) -> int:
    """The process below another whose program ends with a name."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            above, program = parent(path.parent.name), path.read_bytes().split(b"\0")[0]
        except OSError:  # it has ended
            continue
        if above == pid and program.endswith(name.encode()):
            return int(path.parent.name)
    raise AssertionError(name)
