"""One whole run, with which others are compared and from which others go on."""

import shutil
from pathlib import Path

import pytest

from src.driver import run as driver
from tests.conftest import roots_at, toy_competition, toy_files

WHOLE = ("data", "folds", "features", "zeroshot", "probe", "finetune", "blend", "submission")
MADE = ("*.csv", "models/*/*.parquet", "features/*/*.arrow")


def files_of(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for pattern in MADE for path in folder.glob(pattern))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """The roots of a run of one unit after the other; to be left as they are."""
    root = tmp_path_factory.mktemp("whole")
    with roots_at(root):
        toy_files(root / "input" / "toy")
        driver.run(toy_competition(), WHOLE)
    return root


@pytest.fixture
def expected(whole) -> dict[str, bytes]:
    """The files of that run."""
    return files_of(whole / "submissions" / "toy")


@pytest.fixture
def finished(whole, roots) -> Path:
    """input/toy/, of which that run has been made here."""
    shutil.copytree(whole, roots, dirs_exist_ok=True)
    return roots / "input" / "toy"
