"""The machine: what Linux says of its CPU."""

import pytest

from src.base import machine

EPYC = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse4_2 avx2 avx512f\n\nprocessor\t: 1\nflags\t\t: fpu amx_bf16\n"


@pytest.fixture
def facts(tmp_path, monkeypatch):
    """The file of facts, which is not there yet."""
    monkeypatch.setattr(machine, "CPU_FACTS", tmp_path / "cpuinfo")
    machine.cpu_flags.cache_clear()
    yield tmp_path / "cpuinfo"
    machine.cpu_flags.cache_clear()


def test_the_first_core_s_name_and_instructions_are_known(facts):
    facts.write_text(EPYC)
    assert machine.cpu_facts()["model name"] == "AMD EPYC"
    assert machine.cpu_flags() == {"avx2", "avx512f"}


def test_nothing_is_known_where_there_is_no_such_file(facts):
    assert machine.cpu_facts() == {}
    assert machine.cpu_flags() == frozenset()
