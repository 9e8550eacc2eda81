"""Lines of units, as Ray prints them and as they are shown."""

import io
import threading

import pytest

from src.units import lines
from src.units.lines import END, Heard, Lines


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("(finetune net 0 42 pid=7) epoch 3", "finetune net 0 42 | epoch 3"),
        ("\x1b[36m(finetune net 0 42 pid=7)\x1b[0m epoch 3", "finetune net 0 42 | epoch 3"),
        ("(probe a pid=7, ip=10.0.0.2) fitted (pid=1)", "probe a on 10.0.0.2 | fitted (pid=1)"),
        ("(probe a pid=7) ", "probe a | "),
        ("(raylet) A worker died", "(raylet) A worker died"),
        ("(pid=7) Aborted (a pid=8)", "(pid=7) Aborted (a pid=8)"),
        ("units  3/9 done (of a pid=8)", "units  3/9 done (of a pid=8)"),
    ],
)
def test_lines_of_units_begin_with_their_title(line, shown):
    output = io.StringIO()
    print(line, file=Lines(output, set()))
    assert output.getvalue() == f"{shown}\n"


def test_the_end_of_a_unit_is_noted_and_not_shown():
    output, heard = io.StringIO(), Heard()
    to = Lines(output, heard.titles)
    print(f"(a pid=7) {END}a 0", file=to)
    print(f"(a pid=7) without an end{END}a 1", file=to)
    assert heard.titles == {"a 0", "a 1"}
    assert output.getvalue() == "a | without an end\n"


def test_lines_of_threads_are_not_mixed():
    output, both = io.StringIO(), threading.Barrier(2, timeout=10)
    to = Lines(output, set())

    def say(name: str) -> None:
        for part in (name, " and ", f"{name}\n"):
            both.wait()
            to.write(part)

    threads = [threading.Thread(target=say, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(output.getvalue().splitlines()) == ["a and a", "b and b"]


def test_what_is_no_whole_line_is_shown_when_it_is_flushed():
    output = io.StringIO()
    print("\rhalf a bar", end="", file=Lines(output, set()), flush=True)
    assert output.getvalue() == "\rhalf a bar"


def test_lines_that_never_come_are_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(lines, "LATE_S", 0.1)
    Heard().wait_for({"a"})
