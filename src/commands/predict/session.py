"""Models at work on some pictures, in batches, and how long each of them takes for one picture at a time.

There are two times, each the median of many passes of a warm network: that of preparing, from a picture's file to the
square of pixels that the network wants, and that of the network, from the square in memory to its output in memory.
"""

import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from src.base import machine
from src.base.errors import UserError
from src.base.progress import track
from src.commands.predict.answers import CHOICE, Answers, Groups, Line
from src.data import images
from src.data.decoded import Decoded, Pictures
from src.data.geometry import Geometry
from src.models.pictures import Classifier
from src.networks import encoders, inference
from src.networks.features import CombinedFeatures
from src.networks.inference import Times, Tower, base_view
from src.schema.competition import Competition
from src.schema.networks import Encoder

BATCH = 32
CACHED = 1 << 30  # bytes of squeezed pictures in memory, where several networks look at the same
# Of what is timed: seconds that are thrown away, seconds that count, and passes at most
WARM, SECONDS, MAX_PASSES = 0.3, 1.5, 300


@dataclass(frozen=True)
class Prediction:
    """A model's predictions of the pictures, and its times."""

    name: str
    labels: tuple[str, ...]  # of its classes, or the number's name
    table: np.ndarray  # (n, k)
    model_ms: Mapping[str, float]  # of each of its networks, and of each way to prepare a picture: what two models
    prepare_ms: Mapping[str, float]  # share has one name, and is counted once in a blend of them
    answers: Answers = CHOICE

    def lines(self, i: int, top: int) -> list[Line]:
        """What is told of a picture: see `Answers.lines`."""
        return self.answers.lines(self.labels, self.table[i], top)

    @property
    def groups(self) -> Groups:
        return self.answers.groups(self.labels, self.table)

    @property
    def model(self) -> float:
        """Milliseconds of all its networks for a picture, one after the other."""
        return sum(self.model_ms.values())

    @property
    def several(self) -> bool:
        return len(self.model_ms) > 1

    @property
    def prepare(self) -> float:
        """Milliseconds to prepare a picture."""
        return sum(self.prepare_ms.values())


class SquareCache(Pictures):
    """Pictures that are squeezed once for all networks of a size: a square's own square is itself."""

    def __init__(self, pictures: Decoded, geometry: Geometry):
        self.pictures, self.geometry, self.squares = pictures, geometry, {}
        self.keep = geometry.mode == "squash" and len(pictures) * geometry.size**2 * 3 <= CACHED

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, i: int) -> tuple[int, bytearray | None]:
        return i, None if i in self.squares else self.pictures.read(i)

    def picture(self, raw: tuple[int, bytearray | None]) -> np.ndarray:
        i, data = raw
        if data is None:
            return self.squares[i]
        picture = self.pictures.picture(data)
        if self.keep:
            picture = self.squares[i] = self.geometry.square(picture)
        return picture


class Model:
    """A model that predicts pictures; it has a `name`, and the `labels` of its classes."""

    white: int | None = None  # of pictures of more than 8 bits; None: that of the fewest bits which they fit in
    answers: Answers = CHOICE

    def check(self) -> None:
        """Raise a UserError if it cannot be used, without its weights where these lie on the hub."""

    def fetch(self) -> None:
        """Find its weights, or raise a UserError if they are not available."""

    def predict(self, session: "InferenceSession") -> np.ndarray:
        """The predictions (n, k)."""
        raise NotImplementedError


class InferenceSession:
    """Some pictures, for models to predict: their features and the times of networks."""

    def __init__(self, paths: Sequence[Path], white: int = images.WHITE):
        self.paths, self.white = list(paths), white
        self.feats: dict[tuple[str, str], np.ndarray] = {}  # of an encoder and a view
        self.feats_ms: dict[tuple[str, str], float] = {}
        self.squares: dict[tuple[Geometry, int | None], SquareCache] = {}
        self.timed: tuple[Callable[[], Any], float] = (lambda: None, 0.0)  # the last network, and its milliseconds
        self.prepared: dict[str, float] = {}
        self.model_ms: dict[str, float] = {}  # of what the present model has used: see `Prediction`
        self.prepare_ms: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def prediction(self, model: Model) -> Prediction:
        self.model_ms, self.prepare_ms = {}, {}
        table = model.predict(self)
        return Prediction(model.name, model.labels, table, self.model_ms, self.prepare_ms, model.answers)

    # For fitted models

    def features(self, specs: Sequence[Encoder], normalise: bool = True, views_as: str = "mean") -> CombinedFeatures:
        """Features of the encoders, rounded as the feature store rounds them."""
        parts = [(spec.scale, [ArrayColumns(feats) for feats in self.encoded(spec)]) for spec in specs]
        return CombinedFeatures(len(self), parts, normalise, views_as)

    def columns(self, competition: Competition) -> None:
        """Raises UserError: There are some, and pictures have no table."""
        if names := competition.columns:
            raise UserError(
                f"probes and the stack of {competition.name} read {', '.join(names)} of its tables too, which pictures "
                f"alone do not have: predict with another of its models"
            )

    def probabilities(self, network: Classifier) -> np.ndarray:
        """(n, k) float32. A network with other weights takes as long as before, and is not timed again."""
        pictures = self.pictures(network.geometry, network.side)
        parts = list(track(network.batches(pictures, range(len(self))), network.title, len(self), "images", of=len))
        self.prepare(network.geometry, network.side, ["identity"])
        if self.timed[0]() is not network.model:

            def once(batch: dict[str, Tensor]) -> None:
                network.probabilities(batch["identity"]).cpu()

            ms = one_picture_ms(network.geometry, ["identity"], pictures, once)
            self.timed = weakref.ref(network.model), ms
        self.model_ms[network.title] = self.timed[1]
        return torch.cat(parts).cpu().numpy()

    # For all models

    def encoded(self, spec: Encoder) -> list[np.ndarray]:
        """The features (n, d) float32 of each view of an encoder, which sees each picture once."""
        slug = encoders.slug(spec)
        if new := [view for view in spec.views if (slug, view) not in self.feats]:
            feats, ms = self.encode(encoders.title(spec), encoders.tower(spec), new, spec.precision)
            for view in new:
                self.feats[slug, view] = feats[view].astype(spec.stored).astype(np.float32)
                self.feats_ms[slug, view] = ms / len(new)
        self.model_ms |= {f"{slug} {view}": self.feats_ms[slug, view] for view in spec.views}
        self.prepare(encoders.geometry(spec), None, bases_of(spec.views))
        return [self.feats[slug, view] for view in spec.views]

    def encode(
        self, title: str, tower: Tower, views: Sequence[str] = ("identity",), precision: str = "auto"
    ) -> tuple[dict[str, np.ndarray], float]:
        """{view: (n, d) float32} of a tower, and its milliseconds for a picture and all views."""
        begun, n = encoders.precision(precision), len(self)
        # total=0: an engine that takes whole batches alone would tell nothing of the time of one picture
        encoder = inference.EncoderRunner(tower, title, begun, min(BATCH, n * len(views)), False, n, total=0)
        pictures = self.pictures(tower.geometry, None)

        def encoded() -> dict[str, np.ndarray]:
            batches = inference.encode(encoder, pictures, range(n), views, Times())
            batches = list(track(batches, title, n, "images", of=lambda feats: len(feats[views[0]])))
            return {view: np.concatenate([batch[view] for batch in batches]) for view in views}

        feats = encoded()
        if precision == "auto" and begun == "float16" and not all(np.isfinite(of).all() for of in feats.values()):
            encoder.precision = encoders.WIDER
            feats = encoded()

        def once(batch: dict[str, Tensor]) -> None:
            for tensor in encoder.encode_views(batch, views).values():
                tensor.cpu()

        ms = one_picture_ms(tower.geometry, bases_of(views), pictures, once)
        return feats, ms

    def outputs(self, title: str, tower: Tower) -> np.ndarray:
        """The outputs (n, d) float32, for the pictures as they are, of a tower that one model alone has."""
        feats, self.model_ms[title] = self.encode(title, tower)
        self.prepare(tower.geometry, None, ["identity"])
        return feats["identity"]

    def pictures(self, geometry: Geometry, side: int | None) -> Pictures:
        return self.squares.setdefault((geometry, side), SquareCache(Decoded(self.paths, side, self.white), geometry))

    def prepare(self, geometry: Geometry, side: int | None, bases: Sequence[str]) -> None:
        """Times the way from a picture's file to its squares, where that was not done yet."""
        name = f"{geometry} {side} {bases}"
        if name not in self.prepared:
            files = Decoded(self.paths, side, self.white)

            def once(i: int) -> None:
                picture = files[i % len(files)]
                for base in bases:
                    geometry.square(picture, base)

            self.prepared[name] = median_ms(once)
        self.prepare_ms[name] = self.prepared[name]


@dataclass(frozen=True)
class ArrayColumns:
    """One encoder's and view's features in memory, as `features.Columns` gives those of the store."""

    feats: np.ndarray  # (n, d) float32

    @property
    def d(self) -> int:
        return self.feats.shape[1]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.feats[index]


def bases_of(views: Sequence[str]) -> list[str]:
    return sorted({base_view(view) for view in views})


@torch.inference_mode()
def one_picture_ms(
    geometry: Geometry, bases: Sequence[str], pictures: Pictures, run: Callable[[dict[str, Tensor]], Any]
) -> float:
    """Milliseconds of what `run` does with the squares of one picture, from memory to the device and back."""
    picture = pictures.picture(pictures.read(0))
    squares = {base: torch.from_numpy(geometry.square(picture, base).copy())[None] for base in bases}
    return median_ms(lambda i: run({base: square.to(machine.device()) for base, square in squares.items()}))


def median_ms(run: Callable[[int], None]) -> float:
    """The median of the milliseconds of run(0), run(1), ..., when the first ones have made everything warm.

    It takes two seconds, and of a pass that is longer one to get warm and one that counts.
    """
    start, seconds = time.perf_counter(), []
    while not seconds or time.perf_counter() - start < WARM:
        seconds.append(time_of(run, 0))
    start, seconds = time.perf_counter(), []
    while not seconds or (time.perf_counter() - start < SECONDS and len(seconds) < MAX_PASSES):
        seconds.append(time_of(run, len(seconds)))
    return 1000 * float(np.median(seconds))


def time_of(run: Callable[[int], None], i: int) -> float:
    """The seconds of run(i)."""
    start = time.perf_counter()
    run(i)
    return time.perf_counter() - start
