"""The feature store: image embeddings of one encoder and one view, found again by the sha256 of the image's bytes.

A folder with key.json, which has all that changes the numbers, and shards of features (results/shards.py), which
networks/encoding.py fills.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from src.base import files
from src.base.errors import UserError, counted
from src.data.rows import Rows
from src.networks import encoders
from src.results import shards
from src.results.model import equal_keys
from src.schema.competition import Competition
from src.schema.networks import Encoder

READ_ROWS = 8192  # read at a time, where all are read
# float32 on a GPU takes some times as long as half of it, and half of it on a CPU as float32: an estimate
SLOWER = 8
CODE = 2  # raised when other numbers are computed from the same key


def encoder_identity(spec: Encoder) -> dict[str, Any]:
    """All that changes an encoder's features but view and precision: a part of the keys of models that use them."""
    return {"code": CODE, **encoders.identity(spec)}


@dataclass(frozen=True)
class Cache:
    """The features of one encoder and view."""

    folder: Path
    spec: Encoder
    view: str

    def key(self, precision: str | None = None) -> dict[str, Any]:
        """`precision`: of the features; None: that which this machine begins with."""
        precision = precision or encoders.precision(self.spec.precision)
        return {**encoder_identity(self.spec), "view": self.view, "precision": precision}

    def takes(self, have: dict[str, Any] | None) -> bool:
        """Whether a cache of the key `have` may be read; of any precision, where the config leaves that open."""
        return have is not None and equal_keys(have, self.key(), asked=self.spec.precision)

    def have(self) -> dict[str, Any] | None:
        return files.read_json(self.folder / "key.json")

    def index(self) -> shards.Index:
        return shards.Index(self.folder)

    def precision(self) -> str:
        """That of the features which are there, or else that which this machine begins with."""
        have = self.have()
        return have["precision"] if self.takes(have) else encoders.precision(self.spec.precision)

    def missing(self, shas: np.ndarray) -> np.ndarray:
        """The places in `shas`, which are distinct, of images that are to be encoded."""
        return self.plan(shas)[0]

    def plan(self, shas: np.ndarray, index: shards.Index | None = None) -> tuple[np.ndarray, str]:
        """The places of `missing`, and the precision to encode them in; `index`: that of this cache, if it is known.

        What a machine of another precision began is gone on with in that: a GPU without bfloat16 emulates it. Only
        where all images take less time in this machine's own precision than the missing ones take in the other, which
        is between a CPU and a GPU, all are encoded again.
        """
        everything, own, there = np.arange(len(shas)), encoders.precision(self.spec.precision), self.precision()
        if not self.takes(self.have()):
            return everything, own
        places = np.flatnonzero((index or self.index()).find(shas) < 0)
        of_other_device = there != own and "float32" in (there, own)
        return (everything, own) if of_other_device and SLOWER * len(places) > len(shas) else (places, there)

    def begin(self, precision: str | None = None, why: str = "") -> None:
        """Clear a cache of another key, and write this one, of features in `precision`: see `key`."""
        have, wanted = self.have(), self.key(precision)
        if have == wanted:
            return
        if have is not None:
            print(f"{self.folder.name} encoding again: {files.describe_changes(have, wanted)}{why}")
        (self.folder / "key.json").unlink(missing_ok=True)  # first: without it, shards are nobody's
        for path in shards.paths(self.folder):
            path.unlink(missing_ok=True)
        files.write_json(self.folder / "key.json", wanted)

    def begun(self) -> str:
        """The precision of the features that are there, or are to be encoded.

        Raises:
            UserError: The cache is not begun, or of another key.
        """
        have = self.have()
        if not self.takes(have):
            raise UserError(f"{self.folder} is not begun, or of other features: run the features stage, or units")
        return have["precision"]

    def add(self, ids: Sequence[str], shas: np.ndarray, feats: np.ndarray, precision: str) -> None:
        """Writes a shard of features that were computed in a precision.

        Raises:
            UserError: They are not finite, or too large for float16; or the cache was begun in another one meanwhile.
        """
        if self.begun() != precision:
            raise UserError(f"{self.folder} is now of features in {self.begun()}, not {precision}: run that again")
        with np.errstate(over="ignore"):
            kept = feats.astype(self.spec.stored)
        if (bad := ~np.isfinite(kept).all(axis=1)).any():
            what, remedy = "not finite", "is the checkpoint damaged? (or set precision='float32')"
            if np.isfinite(feats).all():
                what, remedy = "too large for float16", "set stored='float32'"
            bad_ids = [ids[i] for i in np.flatnonzero(bad)]
            some = ", ".join(bad_ids[:5]) + (" ..." if len(bad_ids) > 5 else "")
            raise UserError(
                f"{encoders.title(self.spec)} has features that are {what} for {counted(len(bad_ids), 'image')} "
                f"(id {some}): {remedy}"
            )
        shards.write(self.folder, ids, shas, kept)


def feature_caches(competition: Competition, spec: Encoder) -> list[Cache]:
    """The caches of an encoder's views."""
    slug = encoders.slug(spec)
    return [Cache(competition.features(slug, view), spec, view) for view in spec.views]


def precision(competition: Competition, spec: Encoder) -> str:
    """That of the encoder's features as they are stored, or as this machine would begin them."""
    return feature_caches(competition, spec)[0].precision()


class CombinedFeatures:
    """Features of n pictures, read when they are asked for: feats[index] -> (m, d) float32.

    Several encoders stand beside each other, each in its scale. Views are averaged, or are rows of their own: then the
    first view's rows come first, and `shape` has n x views rows.
    """

    def __init__(self, n: int, parts: "Sequence[tuple[float, Sequence[Column]]]", normalise: bool, views_as: str):
        """`parts`: for each encoder its scale and the features of each view."""
        self.n, self.parts, self.normalise, self.views_as = n, parts, normalise, views_as

    @cached_property
    def shape(self) -> tuple[int, int]:
        times = len(self.parts[0][1]) if self.views_as == "rows" else 1
        return self.n * times, sum(views[0].d for _, views in self.parts)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        return np.concatenate([scale * self.part(views, index) for scale, views in self.parts], axis=1)

    def dot(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) products with weights (d, k), a few rows at a time: memory holds one part of the features."""
        return np.concatenate([self[i : i + READ_ROWS] @ weights for i in range(0, len(self), READ_ROWS)])

    def part(self, views: "Sequence[Column]", index: np.ndarray) -> np.ndarray:
        if self.views_as == "rows":
            view, row = np.divmod(index, self.n)
            feats = np.empty((len(index), views[0].d), np.float32)
            for i, columns in enumerate(views):
                feats[view == i] = columns[row[view == i]]
            return l2_normalise(feats) if self.normalise else feats
        if not self.normalise:
            return sum(columns[index] for columns in views) / len(views)
        return l2_normalise(sum(l2_normalise(columns[index]) for columns in views))


class Features(CombinedFeatures):
    """Features of a competition's rows, from their caches."""

    def __init__(
        self,
        competition: Competition,
        specs: Sequence[Encoder],
        rows: Rows,
        normalise: bool = True,
        views_as: str = "mean",
    ):
        """Raises UserError: As `Columns`."""
        parts = [(spec.scale, [Columns(cache, rows) for cache in feature_caches(competition, spec)]) for spec in specs]
        super().__init__(len(rows), parts, normalise, views_as)


class Column(Protocol):
    """One encoder's and view's features: column[index] -> (m, d) float32."""

    d: int

    def __getitem__(self, index: np.ndarray) -> np.ndarray: ...


class Columns:
    """One cache's features of rows: columns[index] -> (m, d) float32.

    Raises:
        UserError: The cache is of another key, or lacks some of the rows.
    """

    def __init__(self, cache: Cache, rows: Rows):
        self.index = cache.index()
        self.at, self.d = self.index.find(shards.binary(rows.shas)), self.index.d
        missing = (self.at < 0) | (not cache.takes(cache.have()))
        if missing.any():
            raise UserError(
                f"{cache.folder} lacks {int(missing.sum())} images, such as {rows.ids[int(missing.argmax())]}: "
                "run the features stage"
            )

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.index.gather(self.at[index])


def read_parts(index: np.ndarray) -> list[np.ndarray]:
    """Rows in parts to be read one after the other: memory holds one part of the features."""
    return np.split(index, range(READ_ROWS, len(index), READ_ROWS))


def l2_normalise(feats: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays one."""
    return feats / np.maximum(np.linalg.norm(feats, axis=1, keepdims=True), np.finfo(np.float32).tiny)
