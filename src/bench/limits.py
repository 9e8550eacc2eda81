"""What no program can beat: the device's rate of matrix products, and the work that a network is."""

from statistics import median

import torch

from src.base import machine
from src.bench.compare import synchronise, timed
from src.networks.flops import counted
from src.networks.inference import Tower


def matrix_rate(side: int = 8192) -> float:
    """The FLOP/s of products of two square matrices in bfloat16 on this machine's device."""
    a = torch.randn(side, side, device=machine.device(), dtype=torch.bfloat16)
    synchronise()
    product = timed(lambda _: torch.mm(a, a))
    seconds = [product(None) for _ in range(23)]
    return 2 * side**3 / median(seconds[3:])


def flops(tower: Tower) -> int:
    """The FLOP of a forward pass of one picture."""
    return counted(tower.forward, tower.geometry.size, machine.device()).get_total_flops()
