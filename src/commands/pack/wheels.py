"""The packages of an offline notebook, as wheels: what its stages need and Kaggle's image lacks, or has too old.

What the image has is written in image.txt, and is not asked of this machine: its versions change from month to month.
The notebook asks again, and installs what came along only where it is missing.
"""

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from src.base import files, packages
from src.base.errors import UserError

IMAGE = Path(__file__).with_name("image.txt")
PYTHONS = ("3.12", "3.13")  # of Kaggle's image (Kaggle/docker-python#1546), and of Colab's
# what pip would install there: it is an Ubuntu 22.04, with glibc 2.35
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(35, 16, -1)), "manylinux2014_x86_64", "linux_x86_64")
LINUX = {
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}


def here() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def image() -> dict[str, str]:
    """{name: version} of the image's packages, under their canonical names."""
    return {canonicalize_name(name): version for name, version in packages.versions_in(IMAGE, "==").items()}


def in_image(name: str) -> str | None:
    """The version of a distribution that the image has; None if it has none."""
    return image().get(canonicalize_name(name))


def other_versions(names: Iterable[str]) -> list[str]:
    """`timm 1.0.31 (1.0.26)` of each package that is here in another version than the image's, which is in brackets."""
    pairs = {name: (packages.version(name), in_image(name)) for name in names}
    return [f"{name} {ours} ({theirs})" for name, (ours, theirs) in pairs.items() if theirs not in (None, ours)]


def pins(needed: Iterable[str]) -> list[str]:
    """`name==version`, sorted, of all that the image lacks to have `needed`: the versions are those installed here.

    Raises:
        UserError: A package that these need there is not installed here.
    """

    def has(one: Requirement) -> bool:
        version = in_image(one.name)
        return version is not None and one.specifier.contains(version, prereleases=True)

    try:
        found = closure(packages.unmet(needed, in_image), PYTHONS, has)
    except importlib.metadata.PackageNotFoundError as error:
        remedy = f"pip install {error.name}, and pack again"
        raise UserError(f"the package {error.name} is not installed, which a notebook needs: {remedy}") from error
    return sorted(f"{name}=={version}" for name, version in found.items())


def closure(roots: Iterable[str], pythons: Collection[str], is_there: Callable[[Requirement], bool]) -> dict[str, str]:
    """{name: version} of installed packages: the roots, and all that they need on these Pythons, but for some.

    Raises:
        PackageNotFoundError: One is not installed.
    """
    todo, seen = [(name, "") for name in roots], set()
    names = {canonicalize_name(name): name for name, _ in todo}  # of the many spellings, the roots' own
    while todo:
        name, extra = todo.pop()
        if (key := (canonicalize_name(name), extra)) in seen:
            continue
        seen.add(key)
        names.setdefault(key[0], name)
        for one in requirements(name, extra, pythons):
            if not is_there(one):
                todo += [(one.name, more) for more in ("", *one.extras)]
    return {name: importlib.metadata.version(name) for name in names.values()}


def requirements(name: str, extra: str, pythons: Collection[str]) -> Iterator[Requirement]:
    """What an installed package says that it needs, with one of its extras, on any of these Pythons under Linux."""
    for one in map(Requirement, importlib.metadata.requires(name) or ()):
        places = [{**LINUX, "python_version": v, "python_full_version": f"{v}.0", "extra": extra} for v in pythons]
        if one.marker is None or any(map(one.marker.evaluate, places)):
            yield one


def collect(pins: Sequence[str], folder: Path, before: Path) -> None:
    """Put the wheels of all pins, for all of PYTHONS, into `folder`.

    `before` is a dataset that was packed before: its wheels are taken where they are of the same pins, and whole.

    Raises:
        UserError: pip cannot get them.
    """
    folder.mkdir(parents=True)
    known = files.read_json(before / "pack.json") or {}
    if known.get("packages") == pins and known.get("python") == list(PYTHONS):
        shas = {name: about["sha256"] for name, about in known["files"].items() if name.startswith("wheels/")}
        if shas and all((before / name).is_file() and files.sha256(before / name) == sha for name, sha in shas.items()):
            for name in shas:
                shutil.copyfile(before / name, folder / Path(name).name)
            return
    for python in PYTHONS:
        download(pins, folder, python)


def download(pins: Sequence[str], folder: Path, python: str) -> None:
    """Let pip download the wheels that the folder lacks for a Python on Kaggle.

    Raises:
        UserError: pip is not there, or cannot get them.
    """
    print(f"wheels for Python {python}: {', '.join(pins)}", flush=True)
    target = ["--python-version", python, "--implementation", "cp"]
    target += [word for abi in (f"cp{python.replace('.', '')}", "abi3", "none") for word in ("--abi", abi)]
    target += [word for name in PLATFORMS for word in ("--platform", name)]
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command = [*pip, "--disable-pip-version-check", *target, "--find-links", folder, "--dest", folder, *pins]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module named" in line]
        reason, remedy = (lines or ["it gave no reason"])[-1][:300], "check the network and pip's index, and pack again"
        raise UserError(f"pip cannot get the wheels for Python {python} ({reason}): {remedy}")
