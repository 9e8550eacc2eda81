"""What tests of several commands share."""

import sys

import pytest

from src.base import paths
from src.commands.new import command as new
from src.commands.new.flips import Flips


@pytest.fixture
def configs(roots, monkeypatch):
    """A folder of its own for the configs that are written."""
    import src.configs

    for name in [name for name in sys.modules if name.startswith("src.configs.")]:
        monkeypatch.delitem(sys.modules, name)  # corn's own, if another test has read it
    # of two configs of one size that are written within a second, the first one's bytecode would be taken
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = roots / "tree" / "src" / "configs"
    folder.mkdir(parents=True)
    monkeypatch.setattr(paths, "CONFIGS", folder)
    monkeypatch.setattr(src.configs, "__path__", [str(folder), *src.configs.__path__])
    # as it is slow: test_new_flips.py has it
    monkeypatch.setattr(new.flips, "measured", lambda guess, source: Flips("flips are not measured"))
    yield folder
    for path in folder.glob("*.py"):
        sys.modules.pop(f"src.configs.{path.stem}", None)
