"""Schedules: units begin when they may and as soon as there is room, and the bound is never above what can be done."""

import itertools
import random
import time

import pytest

from src.base.errors import UserError
from src.units.schedule import least_makespan, priority, rounds, simulate
from src.units.unit import Unit, in_order


def unit(name: str, gpus: float = 1, cpus: int = 1, after: tuple[str, ...] = (), here: bool = False) -> Unit:
    return Unit("s", (name,), gpus=gpus, cpus=cpus, after=tuple(("s", other) for other in after), here=here)


def table(units: list[Unit], *seconds: float) -> dict:
    return {one.key: s for one, s in zip(units, seconds, strict=True)}


def test_the_blocks_of_20_million_images_are_put_in_order_and_simulated_in_a_moment():
    blocks = [unit(str(i)) for i in range(5000)]
    behind = [Unit("t", (i,), gpus=1, after=(("s",),)) for i in range(10)]
    start = time.process_time()
    assert in_order([*behind, *blocks]) == [*blocks, *behind]
    assert simulate([*blocks, *behind], dict.fromkeys([one.key for one in (*blocks, *behind)], 1.0), 8).makespan == 627
    assert (
        time.process_time() - start < 3
    )  # seconds; a look at all that waits, for each that ends, takes ten times that


def test_priority_is_the_longest_way_to_the_end_of_what_waits():
    units = [unit("a"), unit("b", after=("a",)), unit("c", after=("a",)), unit("d", after=("b", "c"))]
    assert list(priority(units, table(units, 1, 5, 2, 10)).values()) == [16, 15, 12, 10]


class TestSimulate:
    def test_the_longest_begins_first_and_what_waits_for_it_behind_its_end(self):
        units = [unit("short"), unit("long"), unit("behind", gpus=0, after=("long",))]
        made = simulate(units, table(units, 1, 5, 2), gpus=1)
        assert made.begins == table(units, 5, 0, 5)
        assert made.ends == table(units, 6, 5, 7)
        assert made.makespan == 7
        assert made.busy(units, 1) == pytest.approx(6 / 7)

    def test_the_way_behind_a_unit_counts_more_than_its_own_length(self):
        units = [unit("long"), unit("first"), unit("behind", after=("first",))]
        seconds = table(units, 5, 1, 9)
        assert simulate(units, seconds, gpus=2).makespan == 10
        assert simulate(units, seconds, gpus=1, first=seconds).begins[units[0].key] == 0

    @pytest.mark.parametrize(
        ("gpus", "cpus", "makespan"),
        [(1, 8, 40), (2, 8, 20), (4, 8, 10), (4, 2, 20), (0, 4, 10), (0, 1, 40)],
    )
    def test_no_more_gpus_and_cores_are_taken_than_there_are(self, gpus, cpus, makespan):
        units = [unit(str(i)) for i in range(4)]
        assert simulate(units, table(units, 10, 10, 10, 10), gpus, cpus).makespan == makespan

    def test_two_halves_share_a_gpu(self):
        units = [unit(str(i), gpus=0.5) for i in range(4)]
        assert simulate(units, table(units, 10, 10, 10, 10), gpus=1).makespan == 20

    def test_what_needs_no_gpu_passes_what_waits_for_one(self):
        units = [unit("a"), unit("b"), unit("c", gpus=0)]
        assert simulate(units, table(units, 5, 5, 1), gpus=1).begins[("s", "c")] == 0

    def test_what_the_placing_process_runs_takes_neither(self):
        units = [unit("a", gpus=0), unit("b", gpus=0, here=True)]
        assert simulate(units, table(units, 5, 5), gpus=0, cpus=1).makespan == 5

    def test_more_gpus_than_there_are_are_refused_and_more_cores_are_all_of_them(self):
        units = [unit("a", cpus=4), unit("b", gpus=2)]
        with pytest.raises(UserError, match="s b needs 2 GPUs, and there are 1"):
            simulate(units, table(units, 1, 1), gpus=1, cpus=2)
        assert simulate(units, table(units, 1, 1), gpus=4, cpus=2).makespan == 2


@pytest.mark.parametrize(
    ("seconds", "machines", "expected"),
    [([1, 1, 1, 1, 1], 4, 2), ([1] * 5, 1, 5), ([1] * 5, 5, 1), ([9, 1, 1], 2, 9), ([4, 3, 3, 3], 3, 6), ([], 2, 0)],
)
def test_rounds(seconds, machines, expected):
    assert rounds(seconds, machines) == expected


@pytest.mark.parametrize("seed", range(20))
def test_the_bound_is_below_the_best_of_all_orders_and_not_far_below(seed):
    rng = random.Random(seed)
    units = [unit("a", gpus=0)] + [
        unit(str(i), gpus=rng.choice((0, 1, 1)), after=rng.choice(((), ("a",)))) for i in range(5)
    ]
    seconds = table(units, *(rng.randint(1, 9) for _ in units))
    best = min(
        simulate(units, seconds, 2, 4, dict(zip(seconds, order, strict=True))).makespan
        for order in itertools.permutations(range(len(units)))
    )
    bound = least_makespan(units, seconds, 2, 4)
    assert bound <= best
    assert bound >= 0.65 * best
    assert simulate(units, seconds, 2, 4).makespan <= 1.34 * best  # Graham's bound on two machines is 4/3 - 1/6


def test_equal_units_on_too_few_gpus_come_in_rounds_behind_what_they_wait_for():
    first, last = unit("first", gpus=0), unit("last", gpus=0, after=tuple(map(str, range(5))))
    units = [first, *(unit(str(i), after=("first",)) for i in range(5)), last]
    seconds = table(units, 3, *[10] * 5, 4)
    assert least_makespan(units, seconds, gpus=4) == 3 + 2 * 10 + 4 == simulate(units, seconds, gpus=4).makespan
