"""An NVIDIA GPU that torch cannot use: found and said, since torch goes on without it, or ends within the first layer.

torch is imported inside the functions, and only where Linux knows of such a GPU.
"""

import os
import re
from pathlib import Path

from src.base.errors import UserError

DRIVER = Path("/proc/driver/nvidia/version")  # of the machine, also where a container sees no GPU of it
WINDOWS = Path("/dev/dxg")  # the GPU of a Linux under Windows, which has none of the other files
DEVICES, NUMBERED = Path("/dev"), "nvidia[0-9]*"
ON_CPU = ("", "-1", "NoDevFiles")  # what CUDA_VISIBLE_DEVICES is set to so that there is no GPU; the last by Slurm
# NVIDIA's table of CUDA releases (docs.nvidia.com/deploy/cuda-compatibility): the oldest driver of all 13.x, 12.x
OLDEST_DRIVER = {13: 580, 12: 525}
# The last wheels of CUDA 12 and those for what came before Turing (pytorch/pytorch, issue 190385)
OLD_WHEEL = "torch 2.14 for CUDA 12.6 (https://pytorch.org/get-started/previous-versions)"
OTHERWISE = 'or compute on the CPU: CUDA_VISIBLE_DEVICES="" ./run.sh ...'


def require_usable() -> None:
    """Refuse to compute on the CPU, or until the first layer, where there is a GPU that torch cannot use.

    Raises:
        UserError: There is one; the sentence says why it cannot be used, and what to do.
    """
    if fault := find_fault():
        raise UserError(fault)


def is_there() -> bool:
    """Whether Linux knows of a GPU of NVIDIA's, and none has said that it is not wanted."""
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() not in ON_CPU
    return wanted and (DRIVER.exists() or WINDOWS.exists() or any(DEVICES.glob(NUMBERED)))


def find_fault() -> str:
    """Why torch cannot use this machine's GPU, and what to do; empty where it can, and where there is none."""
    if not is_there():
        return ""
    import torch

    if torch.cuda.is_available():
        return no_kernels(torch.cuda.get_device_capability(), torch.cuda.get_arch_list())
    if not any(DEVICES.glob(NUMBERED)):  # looked for after torch, since a driver makes them when it is first asked
        return ""
    return not_found(driver_version(), torch.version.cuda)


def no_kernels(capability: tuple[int, int], kinds: list[str]) -> str:
    """What is wrong with a GPU for which torch brings no kernels: it has those of `kinds` (`sm_75`, `compute_120`).

    Kernels run on later GPUs of the same generation, and what is compiled on the way (`compute_`) on all later ones.
    """
    import torch

    has = 10 * capability[0] + capability[1]
    made = [(name.partition("_")[0], int(re.search(r"\d+", name)[0])) for name in kinds]
    if not made or any(number <= has and (how == "compute" or number // 10 == capability[0]) for how, number in made):
        return ""
    name = f"the GPU ({torch.cuda.get_device_name()}, compute capability {capability[0]}.{capability[1]})"
    oldest = min(number for _, number in made)
    remedy = f"install {OLD_WHEEL}" if 50 <= has < oldest else "install a newer torch"
    return f"{name} is none that torch {torch.__version__} has kernels for ({', '.join(kinds)}): {remedy}, {OTHERWISE}"


def not_found(driver: str, cuda: str | None) -> str:
    """What is wrong where torch, built with `cuda`, finds no GPU though there is one with this driver."""
    import torch

    machine = f"this machine has an NVIDIA GPU (driver {driver or 'unknown'})"
    if cuda is None:
        return f"{machine}, and torch {torch.__version__} is built without CUDA: install one with it, {OTHERWISE}"
    built = f"{machine} that torch {torch.__version__} (CUDA {cuda}) does not find"
    oldest = OLDEST_DRIVER.get(int(cuda.partition(".")[0]))
    if not driver or oldest is None or int(driver.partition(".")[0]) >= oldest:
        return f"{built}: see what nvidia-smi says, and CUDA_VISIBLE_DEVICES, {OTHERWISE}"
    older = f" or {OLD_WHEEL}" if int(driver.partition(".")[0]) >= OLDEST_DRIVER[12] else ""
    return f"{built}: install a driver of {oldest} or later{older}, {OTHERWISE}"


def driver_version() -> str:
    """`535.161.08`, or empty where the driver does not say."""
    try:
        found = re.search(r"\s(\d{3,}\.[\d.]+)\s", DRIVER.read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found[1] if found else ""
