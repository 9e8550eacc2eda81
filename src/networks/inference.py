"""Pictures through an image tower, as fast as the machine: loaded by threads, copied and computed without waiting.

On a GPU some batches are loaded ahead into pinned memory, their copies and the model run asynchronously, and results
are fetched two batches later: the device is never waited for while it has nothing else to do. On a CPU the model needs
every core, so loading and computing take turns on all of them: side by side they would hinder each other.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from src.base import machine
from src.base.machine import AdaptiveBatch
from src.base.text import duration
from src.data.decoded import Pictures
from src.data.geometry import VIEWS, Geometry, normalised
from src.networks import engines
from src.networks.engines import Engine
from src.networks.loading import Loader, Times, base_view

CPU_BATCH = 32  # measured for ViT-B-32 on two cores: 8 images a batch reach 0.96 and 64 reach 0.87 of its rate
BATCHES = (32, 64, 128, 256, 512)  # what is tried on a GPU; all divide a block of features
CAST = (nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear, nn.Conv2d, nn.MultiheadAttention)


@dataclass(frozen=True)
class Tower:
    """The image side of a model."""

    forward: Callable[[Tensor], Tensor]  # normalised pixels (n, 3, size, size) -> features (n, d)
    geometry: Geometry
    mean: tuple[float, ...]
    std: tuple[float, ...]


def cast_weights(tower: Tower, precision: str) -> Tower:
    """The tower, whose weights are cast to half precision once, where autocast would cast them at every batch.

    Its numbers are the same: norms, and whatever else is not surely cast as it comes, keep float32. On a CPU nothing
    is cast: torch would take other kernels for it.
    """
    network = engines.owner(tower.forward)
    if precision == "float32" or network is None or machine.device().type == "cpu":
        return tower
    for module in network.modules():
        if type(module) in CAST:  # heirs may compute with their weights, as those that are standardised
            module.to(getattr(torch, precision))
    return tower


class EncoderRunner:
    """A tower that runs: its engine, precision, batch size and compilation, with smaller batches where memory ends."""

    def __init__(
        self,
        tower: Tower,
        title: str,
        precision: str,
        batch_size: int | None,
        compiled: bool,
        most: int,
        total: int | None = None,
    ):
        """`most`: images there are to encode, so that no larger batch is tried; `total`: with those encoded before."""
        self.tower, self.title, self.precision = tower, title, precision
        self.engine = Engine(tower.forward, layout=machine.layout())
        self.batch_size = batch_size or CPU_BATCH
        self.portion = AdaptiveBatch(title, self.batch_size)
        self.searching = batch_size is None and machine.device().type == "cuda"
        if compiled:
            if self.searching:
                self.find_batch_size(most)
            self.compile()
        elif machine.device().type == "cpu" and precision == "float32":
            side, total = tower.geometry.size, most if total is None else total
            self.engine = engines.choose(tower.forward, title, self.batch_size, side, total)
            self.tower = replace(tower, forward=self.engine.forward)  # else the weights would stay in memory twice

    @torch.inference_mode()
    def __call__(self, squares: Tensor) -> Tensor:
        """(n, 3, size, size) uint8 on the device -> (n, d) float32 there, in parts where memory is too small."""
        return self.portion.run(lambda size: torch.cat([self.encode(part, size) for part in squares.split(size)]))

    def encode_views(self, batch: dict[str, Tensor], views: Sequence[str]) -> dict[str, Tensor]:
        """{view: (n, d) float32} of a batch of squares; of a few pictures several views are one batch of the tower."""
        n = len(next(iter(batch.values())))
        feats, together = {}, max(self.batch_size // n, 1)
        for some in (views[i : i + together] for i in range(0, len(views), together)):
            squares = [apply_view(batch, view) for view in some]
            encoded = self(torch.cat(squares) if len(squares) > 1 else squares[0])
            feats |= dict(zip(some, encoded.split(n), strict=True))
        return feats

    def encode(self, squares: Tensor, size: int) -> Tensor:
        n = len(squares)
        if self.engine.static and n < size:
            squares = torch.cat([squares, squares.new_zeros((size - n, *squares.shape[1:]))])
        pixels = normalised(squares, self.tower.mean, self.tower.std, self.engine.layout)
        with machine.autocast(self.precision):
            return self.engine.forward(pixels)[:n].float()

    def blank(self, n: int) -> Tensor:
        side = self.tower.geometry.size
        return torch.zeros((n, side, side, 3), dtype=torch.uint8, device=machine.device())

    def find_batch_size(self, most: int) -> int:
        """The size of the batch as of `search`, on blank pictures, no more than `most` a batch."""
        for _ in self.search(
            lambda n: [{"identity": self.blank(n)}] * 2 if n <= max(most, BATCHES[0]) else [], ["identity"], Times()
        ):
            pass
        self.searching = False
        return self.batch_size

    @torch.inference_mode()
    def search(
        self, batches: Callable[[int], Iterable[dict[str, Tensor]]], views: Sequence[str], times: Times
    ) -> Iterator[dict[str, np.ndarray]]:
        """Features of pictures, while the size of the batch is found by doubling.

        It ends where memory does, where twice the size gains less than 3 %, or where there are no more pictures: then
        the next ones are searched again.

        Args:
            batches: Of a size gives two batches, of which the first makes the device warm and the second is timed; or
                none.
        """
        best, rate, tried = BATCHES[0], 0.0, []
        for n in BATCHES:
            self.batch_size, self.portion, seconds = n, AdaptiveBatch(self.title, n), None
            for batch in batches(n):
                before = times.model
                yield to_numpy(*run(self, batch, views, None), times)
                seconds = times.model - before
            if seconds is None:
                break
            if self.portion.size < n:
                tried.append(f"{n}: no memory")
                break
            now = n * len(views) / seconds
            tried.append(f"{n}: {now:.0f}/s")
            if now < 1.03 * rate:
                break
            best, rate = n, now
        self.batch_size, self.portion, self.searching = best, AdaptiveBatch(self.title, best), seconds is None
        if tried:
            print(f"{self.title}: {best} images a batch ({', '.join(tried)})")

    def compile(self) -> None:
        """Compile the tower for whole batches. Raises UserError: torch cannot compile here."""
        start = time.perf_counter()
        forward = torch.compile(self.engine.forward, dynamic=False)
        self.engine = replace(self.engine, forward=forward, static=True)  # it would be compiled again for each shape
        try:
            with torch.inference_mode():
                self.portion.run(lambda size: self.encode(self.blank(size).permute(0, 3, 1, 2), size))
        except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
            raise machine.cannot_compile(self.title, error) from error
        print(f"{self.title}: compiled in {duration(time.perf_counter() - start)}")


@torch.inference_mode()
def encode(
    encoder: EncoderRunner,
    pictures: Pictures,
    rows: Sequence[int],
    views: Sequence[str],
    times: Times,
    ends: Sequence[int] = (),
) -> Iterator[dict[str, np.ndarray]]:
    """{view: (n, d) float32} of the pictures at `rows`, batch by batch in their order, as the tower gives them.

    Args:
        ends: Places in `rows` at which a batch ends, unless the size of the batch is being found.
    """
    device, times.engine = machine.device(), encoder.engine.name
    loader = Loader(pictures, rows, encoder.tower.geometry, sorted({base_view(view) for view in views}), times)
    done = 0

    def first(n: int) -> Iterator[dict[str, Tensor]]:
        nonlocal done
        start, done = done, done + 2 * n if done + 2 * n <= len(rows) else done
        return loader.batches(n, start, done)

    if encoder.searching:
        yield from encoder.search(first, views, times)
    behind, copies = deque(), torch.cuda.Stream() if device.type == "cuda" else None
    for batch in loader.batches(encoder.batch_size, done, ends=ends):
        behind.append(run(encoder, batch, views, copies))
        if len(behind) > (2 if device.type == "cuda" else 0):
            yield to_numpy(*behind.popleft(), times)
    while behind:
        yield to_numpy(*behind.popleft(), times)


def run(
    encoder: EncoderRunner, batch: dict[str, Tensor], views: Sequence[str], copies: torch.cuda.Stream | None
) -> "tuple[DeviceEvent, DeviceEvent, dict[str, Tensor]]":
    """Queue a batch: when the model begins and ends, and its features, which a GPU has copied then."""
    device = machine.device()
    on_device = copy_to_device(batch, copies)
    begun = DeviceEvent(device)
    feats = encoder.encode_views(on_device, views)
    feats = {view: tensor.to("cpu", non_blocking=True) for view, tensor in feats.items()}
    return begun, DeviceEvent(device), feats


def apply_view(batch: dict[str, Tensor], view: str) -> Tensor:
    """(n, 3, size, size) uint8: a batch through a view."""
    return VIEWS.get(view, VIEWS["identity"])(batch[base_view(view)].permute(0, 3, 1, 2))


def copy_to_device(batch: dict[str, Tensor], copies: torch.cuda.Stream | None) -> dict[str, Tensor]:
    """The batch on the device; to a GPU it is copied while the batch before it is computed."""
    if copies is None:
        return {base: squares.to(machine.device(), non_blocking=True) for base, squares in batch.items()}
    with torch.cuda.stream(copies):
        moved = {base: squares.to("cuda", non_blocking=True) for base, squares in batch.items()}
    computing = torch.cuda.current_stream()
    computing.wait_stream(copies)
    for squares in moved.values():
        squares.record_stream(computing)  # or its memory would be given away while the model still reads it
    return moved


class DeviceEvent:
    """A moment of the device's work; on a GPU it is yet to come when the event is recorded."""

    def __init__(self, device: torch.device):
        self.event = torch.cuda.Event(enable_timing=True) if device.type == "cuda" else None
        self.time = time.perf_counter()
        if self.event:
            self.event.record()

    def seconds_until(self, other: "DeviceEvent") -> float:
        """Wait for `other`."""
        if self.event is None:
            return other.time - self.time
        other.event.synchronize()
        return self.event.elapsed_time(other.event) / 1000


def to_numpy(begun: DeviceEvent, ended: DeviceEvent, feats: dict[str, Tensor], times: Times) -> dict[str, np.ndarray]:
    times.model += begun.seconds_until(ended)
    return {view: tensor.numpy() for view, tensor in feats.items()}
