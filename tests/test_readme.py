"""The README tells the truth: its example is a config, its stages are the stages, its links to files lead somewhere."""

import re
import shlex

import pytest

from src import cli
from src.kaggle import refusals
from src.schema.competition import Competition
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_the_example_is_a_config():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names = {}
    exec(code, names)  # noqa: S102
    assert isinstance(names["competition"], Competition)


def test_the_table_of_stages_has_them_all_in_order():
    names = re.findall(r"^\| `(\w+)` \|", README, flags=re.MULTILINE)
    assert names[: len(cli.STAGES)] == list(cli.STAGES)


def test_every_exit_code_is_told():
    (codes,) = re.findall(r"Exit codes: (.*?)\.\n", README, flags=re.DOTALL)
    assert {int(code) for code in re.findall(r"\b\d+\b", codes)} >= {0, 2, *refusals.CODES.values()}


def test_the_layout_names_every_module():
    (layout,) = re.findall(r"^src/\*\.py (.*?)^tests/", README, flags=re.DOTALL | re.MULTILINE)
    modules = {path.stem for path in (ROOT / "src").glob("[a-z]*.py")}
    assert modules - set(re.findall(r"\w+", layout)) == set()


@pytest.mark.parametrize("command", re.findall(r"^\./run\.sh (\S+)(.*?)(?: +#.*)?$", README, flags=re.MULTILINE))
def test_every_command_is_one(command):
    name, rest = command
    if name in ("test", "bench", "--help"):
        return
    asked = cli.parse([name, *shlex.split(rest)])
    assert asked.competition in (None, *cli.titles())
    assert asked.stages or asked.command
