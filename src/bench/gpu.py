"""Every speed on a GPU that this repository owes, in one table and at most eight minutes.

    ./run.sh bench gpu
    ./run.sh bench gpu --folder figures   # where the figures are kept; default: submissions/bench/gpu/
    ./run.sh bench gpu --quick            # a rehearsal with tiny networks, on a CPU too

Each part runs in a process of its own, and is ended after its seconds. Its figures are written as soon as it ends, and
a second call goes on with the parts that have none. A part that fails, or whose packages are missing, is named with the
reason and does not stop the others. Weights are random, and pictures made up: JPEG of 500 x 375.
"""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from src.base import files, gpu, machine, packages, threads
from src.base.errors import UserError
from src.base.locks import exclusive
from src.base.paths import ROOT, submissions_root
from src.base.text import align


@dataclass(frozen=True)
class Part:
    measure: str  # a function of bench/gpu_parts.py
    seconds: int  # after which it is ended
    needs: tuple[str, ...] = ()  # packages beside those that all parts need
    options: dict[str, Any] = field(default_factory=dict)


TRAINING = (packages.ALBUMENTATIONS,)
PARTS = {
    "matrix": Part("matrix", 30),
    "decode": Part("decode", 60),
    "vit-b-32": Part("encode", 70, (packages.CLIP,), {"clip": "ViT-B-32", "n": 8192}),
    "vit-h-14": Part("encode", 100, (packages.CLIP,), {"clip": "ViT-H-14", "n": 3072}),
    "convnext-64": Part("train", 60, TRAINING, {"batch": 64}),
    "convnext-256": Part("train", 60, TRAINING, {"batch": 256}),
    "overheads": Part("overheads", 50, TRAINING),
    "probe": Part("probe", 50),
}
EVERY = tuple(name for name in (*packages.CORE, *packages.NETWORKS) if name not in TRAINING)
SCRATCH = "bench-gpu-scratch"  # a folder beside the figures: pictures that all parts share, and what a part writes
LONGER = ("./run.sh cifar10 finetune", "./run.sh compare cifar10")  # with the competition's data


def where(quick: bool) -> dict[str, Any]:
    """What figures depend on: those of another device or version are measured again."""
    import torch

    versions = {name: packages.version(name) or "none" for name in ("timm", packages.CLIP)}
    cuda = {"driver": gpu.driver_version(), "CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    here = {"device": machine.device_name(), "cores": threads.cores(), "torch": torch.__version__}
    return {"rehearsal": quick, **here, **cuda, **versions}


def run(quick: bool = False, folder: Path | None = None) -> int:
    """Measure what has no figures yet, print the table, and return the exit code: 1 if a part failed.

    Raises:
        UserError: There is no GPU, and no rehearsal was asked for; or another process measures in the folder.
    """
    if machine.device().type == "cpu" and not quick:
        raise UserError("there is no GPU here: ./run.sh bench gpu --quick rehearses its benchmarks on the CPU")
    folder, here = folder or submissions_root() / "bench" / "gpu", where(quick)
    with exclusive(folder):
        for name, part in PARTS.items():
            if "figures" in of_here(folder, name, here):
                print(f"{name}: measured before, in {folder}")
                continue
            missing = lacking(part)
            if reason := missing or failure(name, part, folder, quick):
                files.write_json(folder / f"{name}.json", {"where": here, "reason": reason, "failed": not missing})
        found = {name: of_here(folder, name, here) for name in PARTS}
        print(table(found, here))
        if all("figures" in about for about in found.values()):
            shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    return int(any(about.get("failed") for about in found.values()))


def of_here(folder: Path, name: str, here: dict[str, Any]) -> dict[str, Any]:
    """What is written of a part, if it is of this device and these versions."""
    about = files.read_json(folder / f"{name}.json") or {}
    return about if about.get("where") == here else {}


def lacking(part: Part) -> str:
    missing = [name for name, version in packages.unmet((*EVERY, *part.needs)).items() if version is None]
    return f"left out: this environment lacks {', '.join(missing)}" if missing else ""


def failure(name: str, part: Part, folder: Path, quick: bool) -> str:
    """Measure a part in a process of its own, which writes its figures; return why that failed, or nothing."""
    print(f"{name}: at most {part.seconds}s", flush=True)
    words = [sys.executable, "-m", "src.bench.gpu_parts", name, str(folder.absolute()), *["quick"] * quick]
    path = folder / f"{name}.log"
    with path.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(part.seconds)
        except subprocess.TimeoutExpired:
            return f"failed: not finished after {part.seconds}s: see {path}"
        finally:
            end(process)
            for temporary in (folder / SCRATCH).glob("tmp*"):  # of one that was killed
                shutil.rmtree(temporary, ignore_errors=True)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    reason = next(filter(str.strip, reversed(lines)), f"exit code {code}")
    return f"failed: {reason} (all of it: {path})" if code else ""


def end(process: subprocess.Popen) -> None:
    """Kill a process and all that it has started, if it is still there."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def table(found: dict[str, dict[str, Any]], here: dict[str, Any]) -> str:
    """The table of all parts with what they were measured on."""
    rows = [("part", "figure", "value")]
    for name, about in found.items():
        rows += [(name, about["reason"], "")] if "reason" in about else []
        rows += [(name, figure, f"{value:.4g}") for figure, value in about.get("figures", {}).items()]
    title = "a rehearsal, whose numbers mean nothing" if here["rehearsal"] else "random weights, made-up JPEGs"
    on = ", ".join(f"{name} {value or 'none'}" for name, value in here.items() if name != "rehearsal")
    rest = f"not here, since they need data and more than minutes: {', '.join(LONGER)}"
    return "\n".join([f"{title}; {on}", *align(rows), rest])
