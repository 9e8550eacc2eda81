"""What an environment lacks is said once, at the start, with one command that adds it and leaves the rest alone."""

import ast
import importlib.metadata
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from src.base import packages
from src.base.errors import UserError
from src.bench import __main__ as bench
from src.commands import COMMANDS
from src.stages import STAGES
from src.stages import packages as packages_of_stages
from tests.conftest import ROOT, toy_competition


@pytest.fixture
def here(monkeypatch):
    """here({"timm": "1.0.3", "cleanlab": None}): the versions that are installed, beside those that are."""

    def pretend(versions):
        real = importlib.metadata.version

        def version(name):
            if versions.get(name, "") is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return versions.get(name) or real(name)

        monkeypatch.setattr(importlib.metadata, "version", version)

    return pretend


def test_what_is_missing_or_too_old_is_one_sentence_with_one_command(here, capsys):
    here({"open_clip_torch": None, "timm": "1.0.3", "torch": "2.10.0+cu128", "cleanlab": None})
    with pytest.raises(UserError) as error:
        packages.require(["torch", "timm", "open_clip_torch"], ["cleanlab"])
    assert str(error.value) == (
        "this environment lacks open_clip_torch and has too old a timm 1.0.3: "
        "pip install 'cleanlab>=2.9.0' 'open_clip_torch>=3.3.0' 'timm>=1.0.26', "
        "or let run.sh make its .venv (without USE_CURRENT_ENV=1)"
    )
    assert capsys.readouterr().out == ""


def test_what_is_optional_is_left_out_and_said(here, capsys):
    here({"vl-convert-python": None})
    packages.require(["torch"], ["vl-convert-python"])
    said = "no charts in the report, for want of vl-convert-python: pip install 'vl-convert-python>=1.9.0'\n"
    assert capsys.readouterr().out == said


def test_a_benchmark_runs_without_clip_or_says_at_once_that_it_is_missing(here, monkeypatch):
    here({"open_clip_torch": None})
    ran = []
    monkeypatch.setattr(
        bench.importlib, "import_module", lambda name: SimpleNamespace(run=lambda quick: ran.append(name))
    )
    bench.run(["probe"])
    with pytest.raises(UserError, match="lacks open_clip_torch: pip install"):
        bench.run(["probe", "finetune"])
    assert ran == ["src.bench.probe"]


def test_another_distribution_of_the_same_package_will_do(here):
    here({"opencv-python-headless": None, "opencv-python": "4.13.0.92"})
    packages.require(["opencv-python-headless"])
    here({"opencv-python-headless": None, "opencv-python": "4.1.0.1", "opencv-contrib-python": None})
    with pytest.raises(UserError, match=r"too old a opencv-python-headless 4\.1\.0\.1"):
        packages.require(["opencv-python-headless"])


@pytest.mark.parametrize(
    ("older", "newer"),
    [("unknown", "0.1"), ("1.0.9", "1.0.26"), ("2.9.1", "2.10.0+cu128"), ("3.0", "3.0.1"), ("26", "26.1rc1")],
)
def test_versions_are_ordered_as_numbers(older, newer):
    assert packages.released(older) < packages.released(newer)


def test_the_lower_bounds_are_of_all_that_is_pinned_and_no_higher():
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    pins = {canonicalize_name(one.name): one.specifier for one in map(Requirement, filter(None, lines))}
    bounds = {canonicalize_name(name): bound for name, bound in packages.bounds().items()}
    assert bounds.keys() == pins.keys()
    too_high = {name for name, pin in pins.items() if packages.released(str(pin)[2:]) < packages.released(bounds[name])}
    assert not too_high
    assert {canonicalize_name(name) for name in packages.TESTS} == pins.keys()


def imports(path: Path) -> set[str]:
    """The packages that a file names in its import statements, wherever they stand."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found - {"src", *sys.stdlib_module_names}


def test_all_that_is_imported_has_a_lower_bound():
    files = [path for path in (ROOT / "src").rglob("*.py") if "bench" not in path.parts]
    named = {packages.IMPORTED_AS.get(name, name) for path in files for name in imports(path)}
    brought = {"kagglesdk", "markupsafe", "urllib3"}  # by kaggle, Jinja2 and requests
    known = {canonicalize_name(name) for name in packages.bounds()}
    assert {canonicalize_name(name) for name in named - brought} - known == set()


def test_a_config_asks_for_what_its_models_need():
    plain = toy_competition(models={"convnext": toy_competition().models["convnext"]}, prompts=None)
    assert plain.packages == set()
    assert toy_competition().packages == {"open_clip_torch"}
    probe = toy_competition().models["probe"].model_copy(update={"label_noise": "drop"})
    assert toy_competition(models={"probe": probe}, prompts=None).packages == {"open_clip_torch", "cleanlab"}
    folds = plain.folds.model_copy(update={"groups": "near-duplicates"})
    assert plain.model_copy(update={"folds": folds}).packages == {"imagehash"}


def test_only_what_is_asked_for_is_needed():
    assert "torch" not in packages_of_stages(("data", "folds"), toy_competition())
    assert {"torch", "open_clip_torch"} <= packages_of_stages(("data", "folds", "features"), toy_competition())
    assert "imagehash" in packages_of_stages(tuple(STAGES), None)
    folds = toy_competition().folds.model_copy(update={"groups": "near-duplicates"})
    near = toy_competition().model_copy(update={"folds": folds})
    assert {"torch", "imagehash"} <= packages_of_stages(("data", "folds"), near)
    assert "torch" not in packages_of_stages(("data",), near)
    bounds = packages.bounds()
    for command in COMMANDS.values():
        assert {*command.packages, *command.optional} <= bounds.keys()
