"""The README and what `./run.sh help` prints: short, complete, and true of the code."""

import re
import shlex
import textwrap

import pytest

from src import cli, config
from src.base.text import docstring
from src.commands import COMMANDS, help
from src.kaggle import refusals
from src.schema.competition import Competition
from tests.conftest import ROOT

SRC = ROOT / "src"
README = (ROOT / "README.md").read_text()
MOST = 9216  # bytes of a first page: 9 KB
WIDTH = 120
COMMAND = r"(?:^|`)\./run\.sh (\S+?)(?:`|$| (.*?)(?:`| +#.*$|$))"
TOPIC = r"\./run\.sh help ([\w-]+)"


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", README, flags=re.DOTALL | re.MULTILINE)
    return found


def example(code: str) -> Competition:
    names = {}
    exec(code, names)  # noqa: S102
    return names["competition"]


ROOMS = {path.parent.name: path for path in SRC.glob("*/__init__.py")}
WRITTEN = "\n".join([README, *map(docstring, sorted(SRC.rglob("*.py")))])


def test_it_is_one_page():
    assert len(README.encode()) <= MOST


def test_the_example_is_a_config_of_a_dozen_lines():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert isinstance(example(code), Competition)
    assert len([line for line in code.splitlines() if line]) <= 12


def test_the_long_example_is_a_config():
    (code,) = re.findall(r"^ {4}from src\.config .*?^ {4}\)$", config.__doc__, flags=re.DOTALL | re.MULTILINE)
    assert isinstance(example(textwrap.dedent(code)), Competition)


def test_the_table_of_stages_has_them_all_in_order():
    assert re.findall(r"^\| `(\w+)` \|", section("Stages"), flags=re.MULTILINE) == list(cli.STAGES)


def test_the_table_of_commands_has_them_all():
    assert set(re.findall(r"^\| `(\w+)[^`]*` \|", section("Commands"), flags=re.MULTILINE)) == set(COMMANDS)


def test_the_table_of_rooms_has_their_first_lines():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section("Rooms of `src/`"), flags=re.MULTILINE))
    assert rows == {name: docstring(path).splitlines()[0] for name, path in ROOMS.items()}


@pytest.mark.parametrize("room", sorted(str(path.parent.relative_to(SRC)) for path in SRC.glob("*/**/__init__.py")))
def test_a_room_begins_with_one_line(room):
    first, *rest = docstring(SRC / room / "__init__.py").splitlines()
    assert first.endswith(".")
    assert len(first) <= WIDTH
    assert not rest or rest[0] == ""


def test_every_exit_code_is_listed():
    listed = {int(code) for code in re.findall(r"^(\d+) +\S", refusals.__doc__, flags=re.MULTILINE)}
    assert listed == {0, 1, 2, *refusals.CODES.values(), 130, 143}


@pytest.mark.parametrize("command", sorted(set(re.findall(COMMAND, README, flags=re.MULTILINE))))
def test_every_command_is_one(command):
    name, rest = command
    if name in ("test", "bench"):
        return
    asked = cli.parse([name, *shlex.split(rest)])
    assert asked.competition in (None, *cli.titles())
    assert asked.stages or asked.command


@pytest.mark.parametrize("topic", sorted(set(re.findall(TOPIC, WRITTEN))))
def test_every_topic_of_help_is_written(topic):
    files = [path for rows in help.sections().values() for name, path in rows if name.strip() == topic]
    assert any("\n" in docstring(path) for path in files)
