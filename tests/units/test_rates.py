"""Measured rates: the median of the newest, of one device, kept whole by several processes."""

import multiprocessing

import pytest

from src.base.errors import UserError
from src.units.rates import KEPT, Rates, sizes
from src.units.unit import Unit

FOLD = Unit("finetune", ("convnext", 0, 42), gpus=1, work=100.0, rate="finetune convnext")


def other(work: float, rate: str = FOLD.rate, stage: str = "finetune", name: str = "other") -> Unit:
    return Unit(stage, (name,), work=work, rate=rate)


class TestRates:
    def test_seconds_are_in_proportion_to_the_work_of_a_unit_of_that_rate(self, tmp_path):
        rates = Rates(tmp_path / "rates.csv")
        rates.add(FOLD, "T4", 50.0)
        assert rates.seconds(other(300.0), "T4") == pytest.approx(150.0)
        assert Rates(tmp_path / "rates.csv").seconds(FOLD, "T4") == pytest.approx(50.0)  # of another process
        assert rates.of([FOLD, other(1.0, rate="else")], "T4") == {FOLD.key: pytest.approx(50.0)}

    @pytest.mark.parametrize(
        ("unit", "device"), [(FOLD, "A100"), (other(1.0, rate="finetune resnet"), "T4"), (other(1.0, rate=""), "T4")]
    )
    def test_what_was_not_measured_on_the_device_has_no_number(self, tmp_path, unit, device):
        rates = Rates(tmp_path / "rates.csv")
        rates.add(FOLD, "T4", 50.0)
        rates.add(other(1.0, rate=""), "T4", 50.0)
        assert rates.seconds(unit, device) is None

    def test_the_median_of_the_newest_counts_and_others_are_dropped(self, tmp_path):
        rates = Rates(tmp_path / "rates.csv")
        rates.add(FOLD, "A100", 1.0)
        for seconds in (900.0, 900.0, 900.0, 10.0, 11.0, 12.0, 500.0, 13.0):
            rates.add(FOLD, "T4", seconds)
        assert rates.seconds(FOLD, "T4") == pytest.approx(12.0)
        assert [one.seconds for one in rates.known] == [1.0, 10.0, 11.0, 12.0, 500.0, 13.0]

    def test_as_many_are_kept_where_they_are_equal(self, tmp_path):
        rates = Rates(tmp_path / "rates.csv")
        for _ in range(8):
            rates.add(FOLD, "T4", 50.0)
        assert len(rates.known) == KEPT

    def test_two_processes_lose_no_measurement(self, tmp_path):
        path = tmp_path / "rates.csv"
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.starmap(add, [(path, f"T{i}") for i in range(20)])
        assert {one.device for one in Rates(path).known} == {f"T{i}" for i in range(20)}

    def test_what_took_no_time_to_speak_of_is_no_measurement(self, tmp_path):
        rates = Rates(tmp_path / "rates.csv")
        rates.add(FOLD, "T4", 0.0004)
        assert Rates(tmp_path / "rates.csv").seconds(FOLD, "T4") is None

    @pytest.mark.parametrize(
        "text",
        [
            "a,b\n1,2\n",
            "rate,device,work,seconds\nx,T4,much,1\n",
            "rate,device,work,seconds\nx,T4,0,1\n",
            "rate,device,work,seconds\nx,T4,1,nan\n",
        ],
    )
    def test_another_table_is_refused(self, tmp_path, text):
        (tmp_path / "rates.csv").write_text(text)
        with pytest.raises(UserError, match=r"rates\.csv is no table of measured rates .*: move it away"):
            Rates(tmp_path / "rates.csv")


def add(path, device: str) -> None:
    Rates(path).add(FOLD, device, 1.0)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, [100.0, 50.0, 7.0]),  # the work as it stands
        ({FOLD.key: 20.0}, [20.0, 10.0, 1.4]),  # at the rate of the stage, or of all
        ({FOLD.key: 20.0, ("probe", "p"): 14.0}, [20.0, 10.0, 14.0]),  # the stage's before the others'
    ],
)
def test_units_without_a_measurement_are_sized_by_their_work(known, expected):
    units = [FOLD, other(50.0), other(7.0, stage="probe", name="p")]
    assert list(sizes(units, known).values()) == pytest.approx(expected)
