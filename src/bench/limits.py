"""What no program can beat: the device's rate of matrix products, and the work that a network is."""

from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from src.base import machine
from src.bench.compare import synchronise, timed
from src.networks.inference import Tower


def matrix_rate(side: int = 8192) -> float:
    """The FLOP/s of products of two square matrices in bfloat16 on this machine's device."""
    a = torch.randn(side, side, device=machine.device(), dtype=torch.bfloat16)
    synchronise()
    product = timed(lambda _: torch.mm(a, a))
    seconds = [product(None) for _ in range(23)]
    return 2 * side**3 / median(seconds[3:])


@torch.inference_mode()
def flops(tower: Tower) -> int:
    """The FLOP of a forward pass of one picture."""
    fast, side = torch.backends.mha.get_fastpath_enabled(), tower.geometry.size
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not know what that calls
    try:
        with FlopCounterMode(display=False) as counter:
            tower.forward(torch.zeros(1, 3, side, side, device=machine.device()))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops()
