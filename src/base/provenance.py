"""Where results come from: this repository's commit, versions of packages, the device."""

import contextlib
import functools
import platform
import subprocess
from pathlib import Path

from src.base import packages
from src.base.machine import device_name

PACKAGES = ("torch", "open_clip_torch", "timm", "albumentations", "scikit-learn", "pillow")


def commit(repository: Path) -> str:
    """`04968a8`, or `04968a8-dirty` where files are changed; `unknown` without git."""
    command = ["git", "-C", str(repository), "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return "unknown"


@functools.cache
def versions() -> dict[str, str]:
    """Those of PACKAGES that are installed: a process keeps to what it has imported."""
    return {name: version for name in PACKAGES if (version := packages.version(name)) is not None}


def current_provenance(repository: Path) -> dict[str, str]:
    """The commit, versions and device of a result; no part of a key."""
    return {"commit": commit(repository), "device": device_name(), "python": platform.python_version(), **versions()}
