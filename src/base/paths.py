"""The two roots, and the paths that a user or a config names."""

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent  # the repository's folder

CONFIGS = ROOT / "src" / "configs"


def resolve(file: str) -> Path:
    """Return the path of a file as a config names it: relative to the repository's folder, or absolute."""
    return ROOT / Path(file).expanduser()


def input_root() -> Path:
    """The folder of the competitions' files; a Kaggle notebook needs it elsewhere."""
    return Path(os.environ.get("INPUT_DIR") or ROOT / "input")


def submissions_root() -> Path:
    """The folder of everything that is computed."""
    return Path(os.environ.get("SUBMISSIONS_DIR") or ROOT / "submissions")


def compare_csv() -> Path:
    """The comparisons on all data sets."""
    return submissions_root() / "compare.csv"


def predict_folder() -> Path:
    """The folder of CLIP's features of many class names, kept for other pictures."""
    return submissions_root() / "predict"


def from_caller(file: str) -> Path:
    """Return the path that a user typed: relative to the user's folder, from which run.sh goes to its own."""
    return Path(os.environ.get("CALLED_FROM", "."), Path(file).expanduser())


def from_here(path: Path) -> Path:
    """Return the path as the user would type it: relative to where run.sh was called, if it is below."""
    here = Path(os.environ.get("CALLED_FROM", ".")).resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path
