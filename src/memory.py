"""A GPU out of memory: the work goes on, with half as many images at a time."""

from collections.abc import Callable
from typing import TypeVar

import torch

from src.errors import UserError

T = TypeVar("T")


class Portion:
    """How many images at a time a piece of work takes, which is less after each time that memory was too small."""

    def __init__(self, title: str, size: int):
        self.title, self.size = title, size

    def run(self, work: Callable[[int], T], where: str = "") -> T:
        """What work(images at a time) returns, once there is memory for it.

        Args:
            work: Can be called again after it raised torch.OutOfMemoryError.
            where: Said beside the title.

        Raises:
            UserError: There is no memory for a single image.
        """
        while True:
            try:
                return work(self.size)
            except torch.OutOfMemoryError as error:
                if self.size == 1:
                    raise UserError(f"{self.title}: the GPU has no memory for a single image") from error
            # Out of the handler: the error held what the memory is full of.
            torch.cuda.empty_cache()
            self.size = (self.size + 1) // 2
            print(f"{self.title}: out of GPU memory{where}, going on with {self.size} images at a time")
