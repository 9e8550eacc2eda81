"""The notebook that predicts a hidden test set on Kaggle: what a config may ask of it, its cells, and what is told
Kaggle of it and of its dataset.
"""

import re
from typing import Any

GB = {"CPU": 30.0, "GPU": 29.0}
# What Kaggle gives without it, a P100, computes nothing with the torch of Kaggle's image (Kaggle/kaggle-cli#1151).
ACCELERATOR = "NvidiaTeslaT4"
USER = "INSERT_USERNAME_HERE"  # the owner, whom only the push knows


def plain(name: str) -> str:
    """A name as Kaggle has it in addresses: small letters, digits and hyphens; cut, since 50 characters are allowed."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:39].rstrip("-")


def dataset_slug(name: str) -> str:
    return f"{plain(name)}-pack"


def kernel_slug(name: str) -> str:
    return f"{plain(name)}-inference"


def dataset_metadata(name: str, user: str = USER) -> dict[str, Any]:
    """dataset-metadata.json. Title and slug are of 6 to 50 characters, as Kaggle wants them."""
    slug = dataset_slug(name)
    return {"title": slug.replace("-", " "), "id": f"{user}/{slug}", "licenses": [{"name": "other"}]}


def kernel_metadata(name: str, competition: str | None, gpu: bool, user: str = USER) -> dict[str, Any]:
    """kernel-metadata.json.

    Args:
        competition: Its slug on Kaggle; None where it has none.
    """
    slug = kernel_slug(name)
    return {
        "id": f"{user}/{slug}",
        "title": slug.replace("-", " "),  # Kaggle makes the slug of it
        "code_file": f"{slug}.ipynb",
        "language": "python",
        "kernel_type": "notebook",
        "is_private": True,
        "enable_gpu": gpu,
        **({"machine_shape": ACCELERATOR} if gpu else {}),
        "enable_tpu": False,
        "enable_internet": False,
        "dataset_sources": [f"{user}/{dataset_slug(name)}"],
        "competition_sources": [competition] if competition else [],
        "kernel_sources": [],
        "model_sources": [],
    }


def ipynb(title: str, command: str, name: str, pack: str) -> dict[str, Any]:
    """The notebook.

    Args:
        title: The competition's.
        command: What has made it.
        name: The competition's name in the config.
        pack: The sha256 of the dataset's pack.json.
    """
    values = {"TITLE": title, "COMMAND": command, "SLUG": dataset_slug(name), "SHA": pack}
    cells = []
    for id, kind, source in CELLS:
        for word, value in values.items():
            source = source.replace(f"<{word}>", value)
        code = {"execution_count": None, "outputs": []} if kind == "code" else {}
        lines = source.strip().splitlines(keepends=True)
        cells.append({"id": id, "cell_type": kind, "metadata": {}, "source": lines, **code})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def code_of(notebook: dict[str, Any]) -> str:
    """The code of all cells, to be run as one script."""
    cells = ("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    return "\n\n\n".join(cells) + "\n"


CELLS = (
    (
        "about",
        "markdown",
        """
# <TITLE>: inference

Predicts whatever test set it finds by the models of the attached dataset: nothing is trained, nothing is fetched.
It was made, and rehearsed without a network, by `<COMMAND>`: change it there.
""",
    ),
    (
        "inputs",
        "code",
        """
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

INPUT = Path(os.environ.get("NOTEBOOK_INPUT", "/kaggle/input"))
SCRATCH = Path(os.environ.get("NOTEBOOK_SCRATCH", "/kaggle/temp"))  # is gone with the session
OUTPUT = Path(os.environ.get("NOTEBOOK_OUTPUT", "/kaggle/working"))  # what is scored


def attached(slug, file):
    # Kaggle has two ways to lay its inputs out
    folders = [INPUT / slug, INPUT / "competitions" / slug, *sorted(INPUT.glob(f"datasets/*/{slug}"))]
    for folder in folders:
        if (folder / file).exists():
            return folder
    raise FileNotFoundError(f"{slug} is not attached to this notebook, or has no {file}: see its Input, on the right")


PACK = attached("<SLUG>", "pack.json")
if hashlib.sha256((PACK / "pack.json").read_bytes()).hexdigest() != "<SHA>":
    raise OSError(f"{PACK} is of another version than this notebook: attach the newest, or push both again")
about = json.loads((PACK / "pack.json").read_text())
sizes = {file: (PACK / file).stat().st_size if (PACK / file).is_file() else None for file in about["files"]}
damaged = [file for file, told in about["files"].items() if sizes[file] != told["size"]]
if damaged:
    raise OSError(f"{len(damaged)} files of {PACK} are missing or cut off, such as {damaged[0]}: push it again")
DATA = attached(about["competition"], about["test"])
print(f"{PACK}: {len(sizes)} files, {sum(sizes.values()) / 1e9:.2f} GB\\n{DATA}")
""",
    ),
    (
        "packages",
        "code",
        """
PACKAGES = SCRATCH / "packages"  # beside those of Kaggle's image, which stay as they are
if about["packages"]:
    python = ".".join(map(str, sys.version_info[:2]))
    if python not in about["python"]:
        raise RuntimeError(f"the wheels are for Python {', '.join(about['python'])} and this is {python}: pack by that")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    shutil.rmtree(PACKAGES, ignore_errors=True)
    subprocess.run([*pip, "--find-links", PACK / "wheels", "--target", PACKAGES, *about["packages"]], check=True)
    print(f"{len(about['packages'])} packages in {PACKAGES}")
""",
    ),
    (
        "state",
        "code",
        """
SUBMISSIONS = SCRATCH / "submissions"
FOLDER = SUBMISSIONS / about["folder"]
shutil.rmtree(FOLDER, ignore_errors=True)
for file in sorted((PACK / "state").rglob("*")):  # links: what was trained is read where it is
    if file.is_file():
        link = FOLDER / file.relative_to(PACK / "state")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
""",
    ),
    (
        "stages",
        "code",
        """
environment = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")])),
    "INPUT_DIR": str(DATA.parent),
    "SUBMISSIONS_DIR": str(SUBMISSIONS),
    "HF_HUB_CACHE": str(PACK / "hub"),
    "HF_HUB_OFFLINE": "1",
    "PREDICT_ONLY": "1",
}
stages = [sys.executable, "-m", "src", *about["arguments"]]
with subprocess.Popen(
    stages, cwd=PACK / "project", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
) as run:
    for line in run.stdout:
        print(line, end="", flush=True)
if run.returncode:
    raise RuntimeError(f"the stages ended with exit code {run.returncode}: they say above why")
""",
    ),
    (
        "submission",
        "code",
        """
(submission,) = FOLDER.glob("blend-cv*.csv")
OUTPUT.mkdir(parents=True, exist_ok=True)
shutil.copyfile(submission, OUTPUT / "submission.csv")
print(f"{OUTPUT / 'submission.csv'}: {len(submission.read_text().splitlines()) - 1} rows, from {submission.name}")
""",
    ),
)
