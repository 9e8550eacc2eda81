"""The peers of features: the model alone, open_clip's README loop, and clip_benchmark's."""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import torch
from open_clip.transform import image_transform_v2
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from src.base import machine, threads
from src.data.rows import Rows
from src.networks import clip
from src.schema.networks import Encoder

BATCH = 32  # of the README loop
RESIDENT = 2048  # tensors at most that lie on the device for the model alone; more pictures than that go round
ALONE = 2048  # pictures at most of the loop without workers, whose rate they do not change


class Pixels:
    """A dataset as one writes it for open_clip's `preprocess`: (3, size, size) float32 and a label."""

    def __init__(self, paths: Sequence[Path], preprocess: Callable[[Image.Image], Tensor]):
        self.paths, self.preprocess = paths, preprocess

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.preprocess(Image.open(self.paths[i])), 0


class Peers:
    """Each method encodes the pictures of rows; it returns the seconds of that, but for `alone`."""

    def __init__(self, model: torch.nn.Module, spec: Encoder, n: int, batch: int):
        """`n`: pictures in all; `batch`: images, of the model alone and of clip_benchmark."""
        cfg = clip.preprocessing(spec)
        self.model, self.batch, self.precision = model, batch, machine.precision(spec.precision)
        self.preprocess, side = image_transform_v2(cfg, is_train=False), clip.geometry(spec).size
        self.pixels = torch.randn(min(n, RESIDENT), 3, side, side, device=machine.device())

    @torch.inference_mode()
    def alone(self, rows: Rows) -> None:
        """The model on pixels in memory: as many as the rows have."""
        todo, part = len(rows), len(self.pixels)
        while todo > 0:
            for pixels in self.pixels[: min(todo, part)].split(self.batch):
                with machine.autocast(self.precision):
                    self.model.encode_image(pixels)
            todo -= part

    def loader(self, rows: Rows, batch: int, workers: int) -> DataLoader:
        data = Pixels(rows.paths, self.preprocess)
        return DataLoader(data, batch, num_workers=workers, pin_memory=machine.device().type == "cuda")

    @torch.no_grad()
    def readme(self, rows: Rows, workers: int = 0) -> float:
        """The loop of open_clip's README, over a DataLoader."""
        part = rows.take(slice(0, ALONE)) if workers == 0 else rows
        start, feats = time.perf_counter(), []
        for pixels, _ in self.loader(part, BATCH, workers):
            with machine.autocast(self.precision):
                encoded = self.model.encode_image(pixels.to(machine.device()))
                encoded /= encoded.norm(dim=-1, keepdim=True)
            feats.append(encoded.cpu())
        torch.cat(feats)
        return (time.perf_counter() - start) * len(rows) / len(part)

    def clip_benchmark(self, rows: Rows) -> float:
        """clip_benchmark's linear probe with no epoch to train: what is left is its loop over the pictures.

        Its precision is float16 autocast, which is as fast as bfloat16. It wants test pictures, and gets one batch.
        """
        from clip_benchmark.metrics import linear_probe

        loaders = [self.loader(part, self.batch, threads.cores()) for part in (rows, rows.take(slice(0, self.batch)))]
        # its count of right answers cannot run with the numpy of requirements.txt
        no_score = mock.patch.object(linear_probe, "accuracy", lambda logits, target, topk: [0.0] * len(topk))
        quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
        with quiet[0], quiet[1], no_score, tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            linear_probe.evaluate(
                self.model, *loaders, -1, self.batch, 0, 0.1, 0, "model", 0, folder, "cuda", verbose=False
            )
            seconds = time.perf_counter() - start
        return seconds * len(rows) / sum(len(loader.dataset) for loader in loaders)
