"""What logistic regressions of many classes will take, said before they begin.

Each iteration of a fit takes two products of rows, features and classes, and the softmax of all rows and classes. The
speed of products is measured here and now. SOFTMAX and ITERATIONS are of eight runs on 12,000 rows of 64 features and
300 or 1,000 classes, C from 0.01 to 1000, one core that was shared: by the iterations that each took, 4 to 69, the time
that is expected was 0.8 to 1.3 times the real one. Of more features, or on a GPU, it is an extrapolation.
"""

import time

import torch

from src.base import machine
from src.base.errors import UserError
from src.base.text import duration

CLASSES = 1000  # of fewer nothing is said: they take minutes
ITERATIONS = 35  # of a fit, the mean over a usual grid of C
SOFTMAX = 640  # products of one number that a logit's exponential and sums take as long as
SIDE = 1024  # of the matrices whose product is timed
SAID, MOST = 600.0, 24 * 3600.0  # seconds from which on it is said, and refused


def announce(name: str, n: int, d: int, k: int, fits: int) -> None:
    """Say what so many fits on n rows of d features and k classes will take, if it is long.

    Raises:
        UserError: They would take more than a day.
    """
    if k < CLASSES:
        return
    seconds = (4 * d + SOFTMAX) * n * k * fits * ITERATIONS / speed()
    what = f"{name}: {fits} logistic regressions of {k:,} classes on {n:,} rows of {d} features take"
    if seconds > MOST:
        raise UserError(
            f"{what} about {seconds / 3600:,.0f} hours on this machine: take Neighbours(...) of the same encoder, "
            f"which learns no weights, or fewer fits: cs=(1.0,), widen=False, normalise=(True,)"
        )
    if seconds > SAID:
        print(f"{what} about {duration(seconds)}; Neighbours(...) of the same encoder learns no weights")


def speed() -> float:
    """Operations a second of a product of float32 matrices on the device, the better of two."""
    matrix = torch.ones(SIDE, SIDE, device=machine.device())
    with machine.full_float32():
        return 2 * SIDE**3 / min(timed(matrix), timed(matrix))


def timed(matrix: torch.Tensor) -> float:
    start = time.perf_counter()
    (matrix @ matrix).sum().item()  # which waits for a GPU
    return time.perf_counter() - start
