"""The notebook that predicts a hidden test set on Kaggle, and the metadata of it and of its dataset."""

import re
import string
from pathlib import Path
from typing import Any

import jupytext
import nbformat

TEMPLATE = Path(__file__).with_name("template.py")
# Of memory: https://www.kaggle.com/docs/notebooks, technical specifications.
GB = {"CPU": 30.0, "GPU": 29.0}
# What Kaggle gives without it, a P100, computes nothing with the torch of Kaggle's image (Kaggle/kaggle-cli#1151).
ACCELERATOR = "NvidiaTeslaT4"
USER = "INSERT_USERNAME_HERE"  # the owner, whom only the push knows


def kaggle_name(name: str) -> str:
    """A name as Kaggle has it in addresses: small letters, digits and hyphens; cut, since 50 characters are allowed."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:39].rstrip("-")


def dataset_slug(name: str) -> str:
    return f"{kaggle_name(name)}-pack"


def kernel_slug(name: str) -> str:
    return f"{kaggle_name(name)}-inference"


def dataset_metadata(name: str, user: str = USER) -> dict[str, Any]:
    """dataset-metadata.json. Title and slug are of 6 to 50 characters, as Kaggle wants them."""
    slug = dataset_slug(name)
    return {"title": slug.replace("-", " "), "id": f"{user}/{slug}", "licenses": [{"name": "other"}]}


def kernel_metadata(name: str, competition: str | None, gpu: bool, user: str = USER) -> dict[str, Any]:
    """kernel-metadata.json; `competition` is its slug on Kaggle, if it has one."""
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


def ipynb(title: str, command: str, name: str, pack: str) -> str:
    """The notebook's text: the cells of template.py, with a value for each `$name` in them.

    Args:
        title: The competition's title, and `name` its name in the config.
        command: The command that makes the notebook.
        pack: The sha256 of the dataset's pack.json.
    """
    values = {"title": title, "command": command, "dataset": dataset_slug(name), "sha256": pack}
    notebook = jupytext.reads(TEMPLATE.read_text(encoding="utf-8"), fmt="py:percent")
    for cell in notebook.cells:
        cell.id = cell.metadata.pop("title")  # jupytext's own is random
        cell.source = string.Template(cell.source).substitute(values)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return nbformat.writes(notebook) + "\n"
