"""pack: makes the offline notebook that a notebook-only competition wants, rehearses it, and with --push sends it.

    ./run.sh corn pack --push

Reads a finished run. Writes pack/ as it is uploaded: dataset/ (code, folds, weights, features of the train rows,
checkpoints, wheels) and notebook/, which runs the project's own stages on whatever test set it finds, and trains
nothing (it sets PREDICT_ONLY=1). What is pushed is private.

The notebook is rehearsed first, in a process without network, on a test set of the hidden size: time and memory are
printed beside the limits, and its CSV is compared with the run's. The limits are in the config,
notebook=Notebook(hidden_rows=20_000, hours=9). What is in pack/ was rehearsed; what was not is in pack-unrehearsed/.
"""

import os
import shutil
from pathlib import Path

from src.base import files, locks, machine, threads
from src.base.errors import counted
from src.commands.pack import packing, publishing, rehearsal, wheels
from src.kaggle import api as kaggle_api
from src.leaderboard import preflight
from src.schema.competition import Competition


def before(competition: Competition, push: bool = False) -> None:
    """Raise a UserError for what could not be packed, or not pushed, after hours of training."""
    if push:
        require_can_be_pushed(competition)
        with kaggle_api.session(competition.source.slug, "a notebook later"):
            pass
    packing.check(competition)


def run(competition: Competition, push: bool = False, with_wheels: bool = True) -> None:
    """Pack and rehearse; then push. Without wheels, the notebook's environment must have all packages.

    Raises:
        UserError: The run is not finished, the rehearsal failed, or Kaggle refuses.
    """
    if push:
        require_can_be_pushed(competition)
    packing.check(competition)
    packing.require_finished(competition)
    limits, new = competition.notebook, competition.pack.with_name("pack-unrehearsed")
    gpu = machine.device().type == "cuda" if limits.gpu is None else limits.gpu
    with locks.locked(competition.folder / ".pack.lock"):
        shutil.rmtree(new, ignore_errors=True)
        with files.replacing_folder(new) as part:
            packing.pack(competition, part / "dataset", with_wheels)
            packing.write_notebook(competition, part / "notebook", part / "dataset", gpu)
        print(f"packed {size(new / 'dataset')}; rehearsed {rehearsal.isolation()[1]}:")
        done = rehearsal.rehearse(competition, new, limits, competition.folder / ".rehearsal", with_wheels)
        print(f"rehearsed: {done.summary(limits, gpu, threads.cores())}")
        print(f"rehearsed: {done.equals}")
        if others := wheels.other_versions(packing.packages_of(competition)):
            print(f"rehearsed in other versions than those of Kaggle's image (in brackets): {', '.join(others)}")
        done.check(limits, gpu)
        shutil.rmtree(competition.pack, ignore_errors=True)
        os.replace(new, competition.pack)
        print(f"ready: {competition.pack}")
        if push:
            print(f"pushed: {publishing.push(competition, competition.pack, gpu)}")
            print("next: Kaggle runs it now; when it has ended, Submit on that page sends what it wrote")
        elif competition.source.page is not None and competition.limit is None:
            print(f"next: ./run.sh {competition.name} pack --push")


def size(folder: Path) -> str:
    """`211 files, 0.35 GB`."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return f"{counted(len(sizes), 'file')}, {sum(sizes) / 1e9:.2f} GB"


def require_can_be_pushed(competition: Competition) -> None:
    """Raise a UserError if Kaggle does not hold the competition, or for a smoke run."""
    preflight.require_kaggle_competition(competition, "there is nobody to push a notebook to")
    preflight.require_whole_run(competition, "pushed", "pack --push")
