"""The packages of an offline notebook, as wheels: those of requirements.txt that the stages import, and all they need.

All of them are taken, whatever Kaggle's image has: its versions change from month to month. Left out are torch and
torchvision with what only they need, gigabytes that Kaggle builds for its own GPUs.
"""

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from src.base import files
from src.base.errors import UserError

IMAGE = ("torch", "torchvision")  # Kaggle's own
# by the stages, where there is no network and nobody looks at a report
UNUSED = (
    *("kaggle", "six", "requests", "jupytext", "nbformat", "altair", "vl-convert-python", "aiohttp", "playwright"),
    *("pytest", "pytest-xdist", "ruff"),
)
PYTHON = "3.12"  # of Kaggle's image, see Kaggle/docker-python#1546
# what pip would install there: it is an Ubuntu 22.04, with glibc 2.35
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(35, 16, -1)), "manylinux2014_x86_64", "linux_x86_64")
ABIS = (f"cp{PYTHON.replace('.', '')}", "abi3", "none")
KAGGLE = (
    *("--python-version", PYTHON, "--implementation", "cp"),
    *(word for abi in ABIS for word in ("--abi", abi)),
    *(word for name in PLATFORMS for word in ("--platform", name)),
)


def pythons() -> list[str]:
    """The versions of Python of the wheels: Kaggle's, and this one's, which rehearses."""
    return sorted({PYTHON, here()})


def here() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def pins(requirements: Path) -> list[str]:
    """`name==version` of all that is packed, sorted; it must be installed, in versions of requirements.txt.

    Raises:
        UserError: Something of it is not installed here, or in another version than requirements.txt has.
    """
    lines = [line.partition("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    wanted = {canonicalize_name(one.name): one for one in map(Requirement, filter(None, lines))}
    roots = [name for name in wanted if name not in (*IMAGE, *UNUSED)]
    versions = needed(roots, but=IMAGE)
    for name in roots:
        if not wanted[name].specifier.contains(versions[name], prereleases=True):
            raise UserError(
                f"{name} {versions[name]} is installed and requirements.txt has {wanted[name]}: pip install -r "
                "requirements.txt, run again, and then pack"
            )
    return sorted(f"{name}=={version}" for name, version in versions.items())


def needed(roots: Iterable[str], but: Collection[str] = ()) -> dict[str, str]:
    """{name: version} of installed packages: the roots, and all that they need here, but for some.

    Raises:
        UserError: One is not installed.
    """
    versions: dict[str, str] = {}
    todo, seen = [(canonicalize_name(name), "") for name in roots], set()
    while todo:
        name, extra = todo.pop()
        if name in but or (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            package = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise UserError(f"the package {name} is not installed: pip install -r requirements.txt") from error
        versions[name] = package.version
        for requirement in map(Requirement, package.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(requirement.name), more) for more in ("", *requirement.extras)]
    return versions


def collect(pins: Sequence[str], folder: Path, before: Path) -> None:
    """Put the wheels of all pins, for all `pythons`, into `folder`.

    `before` is a dataset that was packed before: its wheels are taken where they are of the same pins, and whole.

    Raises:
        UserError: pip cannot get them.
    """
    folder.mkdir(parents=True)
    known = files.read_json(before / "pack.json") or {}
    if known.get("packages") == pins and known.get("python") == pythons():
        shas = {name: about["sha256"] for name, about in known["files"].items() if name.startswith("wheels/")}
        if shas and all((before / name).is_file() and files.sha256(before / name) == sha for name, sha in shas.items()):
            for name in shas:
                shutil.copyfile(before / name, folder / Path(name).name)
            return
    download(pins, folder, PYTHON, KAGGLE)
    if here() != PYTHON or (sys.platform, platform.machine()) != ("linux", "x86_64"):
        download(pins, folder, here())


def download(pins: Sequence[str], folder: Path, python: str, target: Sequence[str] = ()) -> None:
    """Let pip download the wheels that the folder lacks; `target` has its options for another machine than this one.

    Raises:
        UserError: pip is not there, or cannot get them.
    """
    print(f"wheels for Python {python}: {len(pins)} packages", flush=True)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command = [*pip, "--disable-pip-version-check", *target, "--find-links", folder, "--dest", folder, *pins]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module named" in line]
        reason, remedy = (lines or ["it gave no reason"])[-1][:300], "check the network and pip's index, and pack again"
        raise UserError(f"pip cannot get the wheels for Python {python} ({reason}): {remedy}")
