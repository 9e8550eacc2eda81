"""The two roots, and the paths that a user or a config names."""

import getpass
import hashlib
import os
from pathlib import Path

from src.base.errors import UserError

ROOT = Path(__file__).parent.parent.parent  # the repository's folder

CONFIGS = ROOT / "src" / "configs"


def config_files() -> list[Path]:
    """The configs, sorted; but for hidden files, as an editor and a Mac leave beside one that is written."""
    return sorted(path for path in CONFIGS.glob("[!.]*.py") if path.stem != "__init__")


def resolve(file: str) -> Path:
    """Return the path of a file as a config names it: relative to the repository's folder, or absolute."""
    return ROOT / expanded(file)


def expanded(file: str) -> Path:
    """Return the path with a home in the place of ~ or ~user; as it is where there is no such user."""
    return Path(os.path.expanduser(file))


def input_root() -> Path:
    """The folder of the competitions' files; a Kaggle notebook needs it elsewhere."""
    return Path(os.environ.get("INPUT_DIR") or ROOT / "input")


def submissions_root() -> Path:
    """The folder of everything that is computed."""
    return in_utf8(Path(os.environ.get("SUBMISSIONS_DIR") or ROOT / "submissions"))


def in_utf8(path: Path) -> Path:
    """Return the path of a folder for results. Raises UserError: It is not UTF-8, by which libraries open files."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path} is no path in UTF-8: name another by SUBMISSIONS_DIR or SCRATCH_DIR") from error
    return path


def scratch_of(folder: Path) -> Path:
    """Return where that lies of a folder of results which can be made again: in it, or below SCRATCH_DIR.

    That is a disk of the machine's own, perhaps, where results are on a network's. A folder there bears the name of the
    one of results, and the digest of its path: others of that name have other files, or another config.
    """
    if not (root := os.environ.get("SCRATCH_DIR")):
        return folder
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    return in_utf8(Path(root, f"{folder.name}-{digest[:8]}"))


def own_input_root() -> Path:
    """The folder of competitions' files that are written where INPUT_DIR is read-only."""
    return submissions_root() / ".input"


def input_root_to_write(slug: str) -> Path:
    """Return the folder in whose <slug>/ files can be made: INPUT_DIR, or a place of our own."""
    return input_root() if may_write(input_root() / slug) else own_input_root()


def may_write(folder: Path) -> bool:
    """Return whether a file can be made in `folder`, which need not be there yet."""
    return os.access(nearest(folder), os.W_OK)


def nearest(path: Path) -> Path:
    """Return the path, or the first folder above it that is there."""
    return next(path for path in (path, *path.absolute().parents) if path.exists())


def provide_home() -> None:
    """Give a user whom the system does not know (the number of `docker run -u 12345`) a home and a name.

    Libraries ask for both on import and end in an error without them. The home is a folder below SUBMISSIONS_DIR, and
    is made by whoever writes to it.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(submissions_root().absolute() / ".home")
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        os.environ["LOGNAME"] = str(os.getuid())


def compare_csv() -> Path:
    """The comparisons on all data sets."""
    return submissions_root() / "compare.csv"


def predict_folder() -> Path:
    """The folder of CLIP's features of many class names, kept for other pictures."""
    return submissions_root() / "predict"


def from_caller(file: str) -> Path:
    """Return the path that a user typed: relative to the user's folder, from which run.sh goes to its own."""
    return Path(os.environ.get("CALLED_FROM", "."), expanded(file))


def from_here(path: Path) -> Path:
    """Return the path as the user would type it: relative to where run.sh was called, if it is below."""
    here = Path(os.environ.get("CALLED_FROM", ".")).resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path
