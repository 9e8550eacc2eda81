"""This repository's commit, for results and submissions to say what code made them."""

import contextlib
import subprocess
from pathlib import Path


def commit(repository: Path) -> str:
    """`04968a8`, or `04968a8-dirty` where files are changed; `unknown` without git."""
    command = ["git", "-C", str(repository), "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return "unknown"
