"""A trained network that predicts pictures: the mean of its predictions over some views of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from src.base import machine
from src.base.machine import AdaptiveBatch
from src.data.decoded import Pictures
from src.data.geometry import Geometry, normalised
from src.networks import classifiers
from src.networks.inference import apply_view
from src.networks.loading import Loader, Times
from src.schema.models import FineTune

# Convolutions on a GPU want it. On a CPU too where they are trained: test_resnet at 128 pixels takes 250 images/s in it
# and 170 without, resnet18 at 96 pixels 57 and 50, test_convnext at 32 as many as without (2 cores, AVX2).
LAYOUT = torch.channels_last


def to_device(model: nn.Module) -> nn.Module:
    """The model on this machine's device."""
    return model.to(machine.device(), memory_format=LAYOUT)


@dataclass(frozen=True)
class Predictor:
    title: str  # for what is printed
    model: nn.Module  # on this machine's device
    link: Callable[[Tensor], Tensor]  # of the model's outputs (n, k) float32 to predictions (n, k)
    geometry: Geometry
    mean: tuple[float, ...]
    std: tuple[float, ...]
    precision: str
    views: tuple[str, ...]
    batch_size: int
    side: int | None = None  # pixels of the shorter side to which larger pictures are reduced first

    @torch.inference_mode()
    def probabilities(self, squares: Tensor) -> Tensor:
        """(n, size, size, 3) uint8 on the device -> (n, k) float32 there: the mean of the views' predictions."""
        total = 0.0
        for view in self.views:
            pixels = normalised(apply_view({"identity": squares}, view), self.mean, self.std, LAYOUT)
            with machine.autocast(self.precision):
                logits = self.model(pixels)
            total = total + self.link(logits.float())
        return total / len(self.views)

    @torch.inference_mode()
    def batches(self, pictures: Pictures, rows: Sequence[int]) -> Iterator[Tensor]:
        """The predictions of the pictures at `rows`, batch by batch in their order, on the device.

        Raises:
            UserError: The GPU has too little memory for one image.
        """
        self.model.eval()
        portion = AdaptiveBatch(self.title, self.batch_size)
        for batch in Loader(pictures, rows, self.geometry, ["identity"], Times()).batches(self.batch_size):
            parts = batch["identity"].split
            yield portion.run(
                lambda size, parts=parts: torch.cat(
                    [self.probabilities(part.to(machine.device(), non_blocking=True)) for part in parts(size)]
                )
            )


def predictor(
    spec: FineTune, model: nn.Module, link: Callable[[Tensor], Tensor], title: str, side: int | None = None
) -> Predictor:
    """The network of a fine-tuned model with the views of its test-time augmentation."""
    data, geometry, precision = classifiers.data_config(spec), classifiers.geometry(spec), machine.precision
    return Predictor(
        title, model, link, geometry, data.mean, data.std, precision(spec.precision), spec.views, spec.batch_size, side
    )
