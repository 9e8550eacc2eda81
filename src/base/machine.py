"""The machine: which device computes, in which precision, and what happens when its memory ends.

torch is imported inside the functions: who only reads results or prints help does not wait seconds for it.
"""

import contextlib
import functools
import math
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from src.base import threads
from src.base.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")
SHARED_MEMORY, CPU_FACTS = Path("/dev/shm"), Path("/proc/cpuinfo")
CPU_FLAGS = frozenset({"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"})


def device() -> "torch.device":
    """Return the GPU that torch finds, or else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def gpus() -> int:
    """The number of GPUs that torch finds."""
    import torch

    return torch.cuda.device_count()


def device_name() -> str:
    """`NVIDIA H100 80GB HBM3`, or `x86_64, 2 cores`."""
    import torch

    return torch.cuda.get_device_name() if device().type == "cuda" else f"{platform.machine()}, {os.cpu_count()} cores"


@functools.cache
def cpu_flags() -> frozenset[str]:
    """The CPU's instruction sets that matter to networks, as Linux calls them; empty where it does not say."""
    return CPU_FLAGS.intersection(cpu_facts().get("flags", "").split())


def cpu_facts() -> dict[str, str]:
    """What Linux says of the first core, such as its `model name`; empty elsewhere."""
    try:
        core, _, _ = CPU_FACTS.read_text(encoding="utf-8").partition("\n\n")
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in core.splitlines())}


def precision(configured: str) -> str:
    """Return the precision that a config's `auto` means here.

    bfloat16 is several times slower than float32 on most CPUs. GPUs before Ampere (a T4, say) only emulate it.
    """
    if configured != "auto":
        return configured
    if device().type == "cpu":
        return "float32"
    import torch

    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def autocast(precision: str) -> contextlib.AbstractContextManager:
    """Compute in `precision`; weights and sums stay float32, and float32 is that in full."""
    import torch

    if precision == "float32":
        return full_float32()
    return torch.autocast(device().type, torch.float16 if precision == "float16" else torch.bfloat16)


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Multiply float32 in float32, whatever the environment sets.

    On GPUs torch convolves in TF32, of 10 bits, and multiplies matrices in it where NVIDIA's containers have exported
    TORCH_ALLOW_TF32_CUBLAS_OVERRIDE. These older two of torch's switches set the newer `fp32_precision` too; set by
    that, they could not be read inside, which torch's compiler does.
    """
    import torch
    from torch.backends import cudnn

    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = False
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32 = before[1]


def layout() -> "torch.memory_format":
    """The memory layout of images: channels_last is what convolutions on a GPU want, and is no faster on a CPU."""
    import torch

    return torch.channels_last if device().type == "cuda" else torch.contiguous_format


def on_device(model: "nn.Module") -> "nn.Module":
    """Move a model that is not to be trained to this machine's device, on a GPU in its convolutions' layout."""
    return model.eval().requires_grad_(False).to(device(), memory_format=layout())


def seed(number: int) -> None:
    """Seed the CPU and the device. (torch.manual_seed looks for every kind of device, which takes 0.3 ms.)"""
    import torch

    torch.default_generator.manual_seed(number)
    if device().type == "cuda":
        torch.cuda.manual_seed(number)


def workers() -> int:
    """The number of processes that load images beside the model: none where that needs the processor itself."""
    return 0 if device().type == "cpu" else min(8, threads.cores())


def free_shared_memory() -> float:
    """The bytes free in /dev/shm, through which processes pass pictures; infinite where there is no such folder."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else math.inf


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU's memory has ended: torch says it as an error of its own, cuDNN and cuBLAS in words."""
    import torch

    said = ("out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED")  # AcceleratorError, CUBLAS_STATUS_, CUDNN_STATUS_
    return isinstance(error, torch.OutOfMemoryError) or any(one in str(error) for one in said)


def is_of_compiler(error: RuntimeError) -> bool:
    """Whether torch.compile has raised it. (Its module takes seconds to be imported.)"""
    import torch

    return isinstance(error, torch._dynamo.exc.TorchDynamoException)


def cannot_compile(title: str, error: Exception) -> UserError:
    """The sentence on an error of torch.compile, such as on a machine without a compiler of C++."""
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return UserError(f"{title}: torch cannot compile here ({reason}): set compile=False")


class AdaptiveBatch:
    """The number of images that a piece of work takes at a time; smaller each time after memory ran out."""

    def __init__(self, title: str, size: int):
        self.title, self.size = title, size

    def run(self, work: Callable[[int], T], where: str = "") -> T:
        """Return work(images at a time), which is called again with fewer each time when the GPU's memory has ended.

        Raises:
            UserError: There is no memory for a single image.
        """
        import torch

        while True:
            try:
                return work(self.size)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if self.size == 1:
                    raise UserError(f"{self.title}: the GPU has no memory for a single image") from error
            # Out of the handler: the error held what the memory is full of.
            torch.cuda.empty_cache()
            self.size = (self.size + 1) // 2
            print(f"{self.title}: out of GPU memory{where}, continuing with {self.size} images at a time")
