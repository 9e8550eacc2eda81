"""What computes an image tower on a CPU: OpenVINO where it is installed and faster, else torch.

Which of them is a function of the processor's instructions, the network, the packages and the number of pictures, and
never of a trial: with a trial, numbers would depend on what else the machine does meanwhile. Pictures a second by torch
contiguous, torch channels_last and OpenVINO, all in float32, random weights at 224 pixels. glibc gave memory back after
each batch there, which run.sh keeps it from: torch then takes half of the time (./run.sh help bench).

  tf_efficientnet_lite0   one thread of an AMD EPYC with AVX2 and without AVX-512    19.7   24.5   64.0
  resnet50                                                                            6.0    6.1    9.0
  convnext_tiny                                                                       5.2    5.4    6.2
  vit_base_patch32_224                                                                8.2    8.2    8.5
  tf_efficientnet_lite0   two cores of an AMD EPYC with AVX-512                              91     336
  resnet50                                                                                   28      52
  convnext_tiny                                                                              15.5    36
  ViT-B-32                                                                           17.7            45.7

A key does not name the engine, as it names no number of threads and no processor. All three agree to 2e-5 of a largest
entry of 6, cosines to 1e-11; of the float16 values that are stored 0 to 1.2 % are a neighbour of torch's, as many as
where torch itself takes another size of batch. A probe's probabilities (96 digits through lite0, C=1000) move by 2.9e-5
with OpenVINO, by 3.4e-5 with channels_last, and by 3.1e-5 with batches of 8 instead of 32.
"""

import gc
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from src.base import machine, packages
from src.base.threads import cores

LEAST = 1 << 25  # pixels of all pictures, 670 of 224 a side: converting takes as long as torch needs for some hundred
CHECKED = 2  # pictures that a converted network must see as torch does
TOLERANCE = 1e-3  # of the length of their features; measured: 1e-6


@dataclass(frozen=True)
class Engine:
    forward: Callable[[Tensor], Tensor]
    name: str = ""  # for what is printed; empty: torch as it comes
    layout: torch.memory_format = torch.contiguous_format  # of the pixels
    static: bool = False  # takes whole batches alone


def choose(forward: Callable[[Tensor], Tensor], title: str, batch: int, side: int, pictures: int) -> Engine:
    """The engine of a tower on this CPU, in float32.

    Args:
        forward: A network, or a method of one.
        title: For what is printed.
        batch: Pictures a batch.
        side: Pixels a side.
        pictures: How many there are in all, those that were encoded before among them: a killed run that resumes
            takes the same engine.
    """
    network = owner(forward)
    if network is None:
        return Engine(forward)
    convolutional = is_convolutional(network)
    if pictures * side**2 >= LEAST and pays(convolutional) and not packages.unmet([packages.OPENVINO]):
        try:
            return Engine(convert(forward, batch, side), "OpenVINO", static=True)
        except Exception as error:  # noqa: BLE001 of whatever kind, it is no reason not to encode
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            print(f"{title}: OpenVINO cannot compute it ({reason[:200]}): torch does")
    if not convolutional:
        return Engine(forward)
    return channels_last(forward)


def channels_last(forward: Callable[[Tensor], Tensor]) -> Engine:
    """The network by torch, its weights and pixels in the layout that convolutions are quick in."""
    owner(forward).to(memory_format=torch.channels_last)
    return Engine(forward, "channels_last", torch.channels_last)


def owner(forward: Callable[[Tensor], Tensor]) -> nn.Module | None:
    """The network that `forward` is, or is a method of."""
    network = getattr(forward, "__self__", forward)
    return network if isinstance(network, nn.Module) else None


def is_convolutional(network: nn.Module) -> bool:
    """Whether it has convolutions whose windows overlap: a ViT's cut the picture into patches."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    return any(size > step for one in convolutions for size, step in zip(one.kernel_size, one.stride, strict=True))


def pays(convolutional: bool) -> bool:
    """Whether OpenVINO is faster here: with AVX-512, which torch's MKL leaves alone on AMD; else for convolutions."""
    flags = machine.cpu_flags()
    return "avx512f" in flags or ("avx2" in flags and convolutional)


class Forward(nn.Module):
    """A method as a network, for the tracer."""

    def __init__(self, forward: Callable[[Tensor], Tensor]):
        super().__init__()
        self.owner, self.function = owner(forward), forward

    def forward(self, pixels: Tensor) -> Tensor:
        return self.function(pixels)


@torch.inference_mode()
def convert(forward: Callable[[Tensor], Tensor], batch: int, side: int) -> Callable[[Tensor], Tensor]:
    """The tower by OpenVINO, for batches of one size; nothing is written to the disk.

    Raises:
        ArithmeticError: It computes something else than torch.
        Exception: Whatever OpenVINO, or the tracer, says of a network that it does not know.
    """
    # it would send each import and conversion to its maker unasked, and write into the home folder
    sys.modules.setdefault("openvino_telemetry", None)
    import openvino

    generator = torch.Generator().manual_seed(0)
    seen, pixels = (torch.randn(n, 3, side, side, generator=generator) for n in (CHECKED, batch))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, of sizes that become constants: they are
        model = openvino.convert_model(Forward(forward), example_input=seen, input=[list(pixels.shape)])
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 on a CPU that has it
        "INFERENCE_NUM_THREADS": min(cores(), torch.get_num_threads()),
        "ENABLE_CPU_PINNING": False,  # two processes would be bound to the same cores
    }
    compiled = openvino.Core().compile_model(model, "CPU", options)
    del model
    gc.collect()  # the tracer's cycles hold the network, and its weights would stay in memory beside these

    def converted(pixels: Tensor) -> Tensor:
        return torch.from_numpy(compiled(pixels.numpy(), share_inputs=True)[0])

    expected, ours = forward(pixels[:CHECKED]), converted(pixels)[:CHECKED]
    if not ((ours - expected).norm(dim=1) <= TOLERANCE * expected.norm(dim=1)).all():
        raise ArithmeticError("its features are not those of torch")
    return converted
