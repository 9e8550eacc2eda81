"""What networks make of some pictures, in batches, and how long each of them takes for one picture at a time.

Two times are told, each the median of many passes of a warm network: that of preparing, from a picture's file to the
square of pixels that the network wants, and that of the network, from the square in memory to its output in memory.
"""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from src.base import machine
from src.base.progress import track
from src.data.decoded import Decoded, Pictures
from src.data.geometry import Geometry
from src.networks import encoders, inference
from src.networks.features import Features
from src.networks.inference import Times, Tower, base_of, seen
from src.schema.models import Encoder

BATCH = 32
KEPT = 1 << 30  # bytes of squeezed pictures in memory, where several networks look at the same
# Of what is timed: seconds and passes that are thrown away, seconds and passes that count, and passes at most
WARM, WARM_PASSES, SECONDS, PASSES, MOST = 0.3, 2, 1.5, 5, 300


@dataclass(frozen=True)
class Opinion:
    """What a model says of the pictures."""

    name: str
    labels: tuple[str, ...]  # of its classes
    probs: np.ndarray  # (n, k)
    model_ms: Mapping[str, float]  # of each of its networks, and of each way to prepare a picture: what two models
    prepare_ms: Mapping[str, float]  # share has one name, and is counted once in a blend of them

    def best(self, i: int, top: int) -> list[tuple[int, str, float]]:
        """(rank from 1, label, probability) of the likeliest classes of a picture; of equal ones the first."""
        places = np.argsort(-self.probs[i], kind="stable")[:top]
        return [(rank, self.labels[k], float(self.probs[i, k])) for rank, k in enumerate(places, 1)]

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


class Kept:
    """Pictures that are squeezed once for all networks of a size: a square's own square is itself."""

    def __init__(self, pictures: Decoded, geometry: Geometry):
        self.pictures, self.geometry, self.squares = pictures, geometry, {}
        self.keep = geometry.mode == "squash" and len(pictures) * geometry.size**2 * 3 <= KEPT

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


class Sight:
    """Some pictures, what networks have made of them, and the times that were taken."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = list(paths)
        self.feats: dict[tuple[str, str], np.ndarray] = {}  # of an encoder and a view
        self.model_ms: dict[str, float] = {}
        self.kept: dict[tuple[Geometry, int | None], Kept] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def look(
        self,
        title: str,
        tower: Tower,
        views: Sequence[str] = ("identity",),
        *,
        precision: str = "auto",
        side: int | None = None,
        timed_as: str | None = None,
    ) -> tuple[dict[str, np.ndarray], float, dict[str, float]]:
        """{view: (n, d) float32} of a network, its milliseconds for a picture and all views, and those of preparing.

        Args:
            side: Pixels of the shorter side to which larger pictures are reduced first.
            timed_as: What was timed under this name is not timed again: the folds of a model take as long as the first.
        """
        encoder = inference.EncoderRunner(
            tower, title, machine.precision(precision), min(BATCH, len(self)), False, len(self)
        )
        pictures = self.pictures(tower.geometry, side)
        batches = inference.encode(encoder, pictures, range(len(self)), views, Times())
        batches = list(track(batches, title, len(self), "images", of=lambda feats: len(feats[views[0]])))
        feats = {view: np.concatenate([batch[view] for batch in batches]) for view in views}
        bases = sorted({base_of(view) for view in views})
        prepare = self.prepared(tower.geometry, side, bases)
        if timed_as is None or timed_as not in self.model_ms:
            ms = self.timed(encoder, views, bases, pictures)
            if timed_as is None:
                return feats, ms, prepare
            self.model_ms[timed_as] = ms
        return feats, self.model_ms[timed_as], prepare

    def pictures(self, geometry: Geometry, side: int | None) -> Pictures:
        return self.kept.setdefault((geometry, side), Kept(Decoded(self.paths, side), geometry))

    def prepared(self, geometry: Geometry, side: int | None, bases: Sequence[str]) -> dict[str, float]:
        """Milliseconds from a picture's file to its square, under the name of this way to prepare it."""
        name = f"{geometry} {side} {bases}"
        if name not in self.model_ms:
            files = Decoded(self.paths, side)

            def prepare(i: int) -> None:
                picture = files[i % len(files)]
                for base in bases:
                    geometry.square(picture, base)

            self.model_ms[name] = median_ms(prepare)
        return {name: self.model_ms[name]}

    @torch.inference_mode()
    def timed(
        self, encoder: inference.EncoderRunner, views: Sequence[str], bases: Sequence[str], pictures: Pictures
    ) -> float:
        """Milliseconds of a network, for one picture in memory and all views."""
        geometry, picture = encoder.tower.geometry, pictures.picture(pictures.read(0))
        squares = {base: torch.from_numpy(geometry.square(picture, base).copy())[None] for base in bases}

        def once(i: int) -> None:
            moved = {base: square.to(machine.device()) for base, square in squares.items()}
            for view in views:
                encoder(seen(moved, view)).cpu()

        return median_ms(once)

    def features(self, spec: Encoder) -> tuple[dict[str, float], dict[str, float]]:
        """Sees to it that `feats` has an encoder's features, rounded as the feature store rounds them.

        Returns:
            The milliseconds of its network and of preparing, by the names that an `Opinion` has for them.
        """
        slug = encoders.slug(spec)
        if new := [view for view in spec.views if (slug, view) not in self.feats]:
            title = encoders.title(spec)
            feats, ms, _ = self.look(title, encoders.tower(spec), new, precision=spec.precision)
            for view in new:
                self.feats[slug, view] = feats[view].astype(spec.stored).astype(np.float32)
                self.model_ms[f"{slug} {view}"] = ms / len(new)
        bases = sorted({base_of(view) for view in spec.views})
        model_ms = {name: self.model_ms[name] for name in (f"{slug} {view}" for view in spec.views)}
        return model_ms, self.prepared(encoders.geometry(spec), None, bases)


class Seen(Features):
    """Features of the pictures of a sight, combined as those of the feature store are."""

    def __init__(self, sight: Sight, specs: Sequence[Encoder], normalise: bool = True, views_as: str = "mean"):
        self.rows, self.normalise, self.views_as = range(len(sight)), normalise, views_as
        self.parts = [
            (spec.scale, [Held(sight.feats[encoders.slug(spec), view]) for view in spec.views]) for spec in specs
        ]


@dataclass(frozen=True)
class Held:
    """One encoder's and view's features in memory, as `features.Columns` gives those of the store."""

    feats: np.ndarray  # (n, d) float32

    @property
    def d(self) -> int:
        return self.feats.shape[1]

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.feats[index]


def median_ms(run: Callable[[int], None]) -> float:
    """The median of the milliseconds of run(0), run(1), ..., when the first ones have made everything warm."""
    numbers, start, taken = itertools.count(), time.perf_counter(), []
    while next(numbers) < WARM_PASSES or time.perf_counter() - start < WARM:
        run(0)
    start = time.perf_counter()
    while len(taken) < PASSES or (time.perf_counter() - start < SECONDS and len(taken) < MOST):
        before = time.perf_counter()
        run(len(taken))
        taken.append(time.perf_counter() - before)
    return 1000 * float(np.median(taken))
