"""The dress rehearsal of an inference notebook: its code as it is, in a process of its own without network, on a test
set of the hidden one's size, with nothing to read but the competition's files and the packed dataset.
"""

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
from packaging.utils import canonicalize_name

from src.base import packages
from src.base.errors import UserError, counted, listed
from src.base.text import duration
from src.commands.pack import hidden, notebook, wheels
from src.commands.pack.hidden import Hidden
from src.data.rows import read_dataset
from src.leaderboard import submission
from src.leaderboard.faults import check_text, read, requirements
from src.results.model import BLEND, decided_probs, model_tables, read_model
from src.schema.competition import Competition
from src.schema.settings import Notebook
from src.scoring.blocks import by_rows
from src.scoring.sparse import SparseTable
from src.scoring.tables import Table

# The variables that the process inherits. The number of threads changes the last digits.
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
OTHERS = 0.01  # the share of rows whose answer may differ from the run's: rounding moves few, other weights move many
MOVED = 0.01  # a probability that differs by more is another answer, or a number by this share of its span
# A small process in between: of what it starts itself, Linux would count this process's own memory for the child's.
MEASURED = """\
import resource
import subprocess
import sys
from pathlib import Path

code = subprocess.run(sys.argv[2:]).returncode
Path(sys.argv[1]).write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code if code >= 0 else 128 - code)
"""
BLOCKED = """\
import sys


def refuse(event, arguments):
    connects = event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple)
    if connects or event in ("socket.getaddrinfo", "socket.gethostbyname"):
        raise OSError("there is no network in a rehearsal")


sys.addaudithook(refuse)
"""


@dataclass(frozen=True)
class Rehearsal:
    rows: int  # of the test set
    seconds: float
    peak: int  # bytes of memory of its largest process
    equals: str  # how its submission compares with the run's

    def summary(self, limits: Notebook, gpu: bool, cores: int) -> str:
        """Time and memory beside the limits."""
        seconds, gb = limits.hours * 3600, limits.gb or notebook.GB["GPU" if gpu else "CPU"]
        # in proportion: what does not grow with the rows is counted as if it did
        room = int(self.rows * min(seconds / self.seconds, gb * 1e9 / self.peak))
        here = f"{counted(cores, 'core')} {'and a GPU' if gpu else 'without GPU'}"
        return (
            f"{counted(self.rows, 'test row')} in {duration(self.seconds)} of {limits.hours:g} hours "
            f"({self.seconds / seconds:.1%}) and {self.peak / 1e9:.2f} of {gb:g} GB ({self.peak / gb / 1e9:.0%}), on "
            f"{here}: there is room for at least {room:,} rows"
        )

    def check(self, limits: Notebook, gpu: bool) -> None:
        """Raise a UserError if it took more time or memory than the competition allows."""
        gb = limits.gb or notebook.GB["GPU" if gpu else "CPU"]
        if self.seconds > limits.hours * 3600:
            raise UserError(
                f"the notebook takes {self.seconds / 3600:.1f} hours here and may take {limits.hours:g}: leave models "
                "or views out, or pack on a machine like Kaggle's"
            )
        if self.peak > gb * 1e9:
            raise UserError(
                f"the notebook takes {self.peak / 1e9:.1f} GB of memory here and may take {gb:g}: leave models out, or "
                "lower store_gb"
            )


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rehearse(competition: Competition, pack: Path, limits: Notebook, folder: Path, in_image: bool = True) -> Rehearsal:
    """Run the packed notebook of `pack` and compare its submission with the run's; `folder` is removed in the end.

    It runs with what Kaggle's image has, or else (unless `in_image`) with all that this Python has.

    Raises:
        UserError: It fails, or its submission has faults or other answers.
    """
    about = json.loads((pack / "dataset" / "pack.json").read_text())
    (path,) = (pack / "notebook").glob("*.ipynb")
    with scratch_folder(folder):
        inputs, own = folder / "input", {name: folder / name for name in ("home", "tmp", "output", "scratch")}
        for empty in own.values():
            empty.mkdir()
        mount = inputs / "datasets" / "somebody" / notebook.dataset_slug(competition.name)
        mount.parent.mkdir(parents=True)
        mount.symlink_to((pack / "dataset").resolve())
        made_up = hidden.lay_out(competition, limits.hidden_rows, inputs / "competitions" / competition.source.slug)
        script = folder / "notebook.py"
        cells = nbformat.read(path, as_version=4).cells
        script.write_text("\n\n\n".join(cell.source for cell in cells if cell.cell_type == "code"))
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | {
            "HOME": str(own["home"]),
            "TMPDIR": str(own["tmp"]),
            "PIP_CONFIG_FILE": os.devnull,
            "PYTHONNOUSERSITE": "1",
            "PYTHONDONTWRITEBYTECODE": "1",  # a dataset of Kaggle's cannot be written to
            "NOTEBOOK_INPUT": str(inputs),
            "NOTEBOOK_SCRATCH": str(own["scratch"]),
            "NOTEBOOK_OUTPUT": str(own["output"]),
        }
        if limits.gpu is False:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        alone, _ = isolation()
        if not alone:
            (folder / "blocked").mkdir()
            (folder / "blocked" / "sitecustomize.py").write_text(BLOCKED)
            environment["PYTHONPATH"] = str(folder / "blocked")
        brought = [pin.partition("==")[0] for pin in about["packages"]]
        python = image(folder / "image", brought) if in_image else Path(sys.executable)
        seconds, peak = run([*alone, str(python), str(script)], environment, own["output"])
        equals = compared(competition, own["output"] / "submission.csv", made_up)
        return Rehearsal(made_up.rows, seconds, peak, equals)


def isolation() -> tuple[list[str], str]:
    """The words before a command that keep it from the network, and a phrase for that."""
    unshare = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and not subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        return unshare, "in a network namespace of its own, with no way out"
    return [], "with Python's sockets blocked, since this system allows no network namespace"


def image(folder: Path, brought: Collection[str]) -> Path:
    """A Python with what Kaggle's image has, in this machine's versions, and what that needs but for what is `brought`.

    What nobody brings is missing there, as it is on Kaggle.
    """
    venv.EnvBuilder(symlinks=True).create(folder)
    (site,) = folder.glob("lib/python3.*/site-packages")
    brought = {canonicalize_name(name) for name in brought}

    def is_linked(name: str) -> bool:
        return packages.version(name) is not None and canonicalize_name(name) not in brought

    roots = filter(is_linked, (*wheels.image(), "pip"))
    for name in wheels.closure(roots, [wheels.here()], lambda one: not is_linked(one.name)):
        package = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(package.locate_file(top))
    return folder / "bin" / "python"


def run(command: list[str], environment: Mapping[str, str], folder: Path) -> tuple[float, int]:
    """Run a command in `folder` and print its lines; return its seconds, and the bytes of its largest process.

    Raises:
        UserError: It fails.
    """
    start, last, peak = time.perf_counter(), "", folder / ".peak"
    measured = [sys.executable, "-c", MEASURED, str(peak), *command]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(measured, cwd=folder, env=environment, start_new_session=True, **pipes) as process:
        try:
            for line in process.stdout:
                print(f"| {line}", end="", flush=True)
                last = line.strip() or last
        except BaseException:  # stopped: what it has started ends with it
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise UserError(f"the rehearsal failed: {last}: fix that and pack again; nothing was pushed")
    return time.perf_counter() - start, int(peak.read_text()) * (1 if sys.platform == "darwin" else 1024)


def compared(competition: Competition, path: Path, made_up: Hidden) -> str:
    """Say how the notebook's submission compares with the run's on the real rows.

    Raises:
        UserError: It has faults, or other answers than the run, or two answers to one picture.
    """
    faults, theirs = read(competition, path, [made_up.asked])
    if theirs is None:
        raise UserError(f"the notebook's submission has {counted(len(faults), 'fault')}:\n{listed(faults)}")
    data, (asked,) = read_dataset(competition).scored, requirements(competition)
    blend = read_model(competition.model_folder(BLEND))
    _, probs = model_tables(competition, BLEND, data)
    text = submission.csv_of(competition, asked, data.test.ids, decided_probs(competition, blend, probs))
    if path.read_bytes() == text.encode():
        return "its submission.csv is the run's, byte for byte"
    _, ours = check_text(competition, text.encode(), asked)
    real = [id for id in theirs.index if id not in made_up.copied_from]
    moved = MOVED * (1 if (span := competition.span) is None else span[1] - span[0])
    differ, most = apart(theirs.loc[real].to_numpy(), ours.loc[real].to_numpy(), moved)
    new, copied = list(made_up.copied_from), list(made_up.copied_from.values())
    twice, _ = apart(theirs.loc[new].to_numpy(), theirs.loc[copied].to_numpy(), moved)
    same_picture = "than for the same picture under its own id"
    for n, rows, what in ((differ, real, "than in the run"), (twice, new, same_picture)):
        if n > max(1, OTHERS * len(rows)):
            raise UserError(
                f"{n} of {len(rows)} rows have another answer in the notebook {what}: was the config, the data or the "
                f"code changed since? run {competition.command()}, and pack again"
            )
    if competition.scorer.of_labels:
        return f"{differ or 'none'} of its {len(real)} real rows' labels {'is' if differ == 1 else 'are'} not the run's"
    what = "probabilities" if span is None else "numbers"
    return f"its {len(real)} real rows' {what} are the run's to {most:.1e}"


def apart(ours: Table, theirs: Table, moved: float = MOVED) -> tuple[int, float]:
    """The number of rows (n, k) whose answers differ by more than `moved`, and the largest difference of all."""
    distance = by_rows(farthest, ours, theirs)
    return int((distance > moved).sum()), float(distance.max(initial=0))


def farthest(ours: Table, theirs: Table) -> np.ndarray:
    """(n,) the largest difference of an answer in each row."""
    ours, theirs = (one.toarray() if isinstance(one, SparseTable) else one for one in (ours, theirs))
    return np.abs(ours - theirs).max(axis=1)
