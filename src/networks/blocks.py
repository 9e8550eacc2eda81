"""What an encoder's caches lack, by blocks: fixed parts of the distinct images of rows, in their order.

A block is a unit of work: whoever encodes it encodes what the caches lack of it, and nothing else.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from src.data.rows import Rows
from src.networks import encoders
from src.networks.features import Cache
from src.results import shards

Plans = dict[str, tuple[int, str]]  # by view the number of images to encode, and the precision


class Block(NamedTuple):
    """A unit of work."""

    slug: str  # the encoder's
    views: tuple[str, ...]  # that lack images of it
    number: int
    n: int  # images that any of these lacks


class Part(NamedTuple):
    """What some caches lack of a block."""

    places: np.ndarray  # of images in `Blocks.images`
    views: tuple[str, ...]
    precision: str  # of the features that the caches hold


class Blocks:
    """The distinct images of rows, and what the caches of an encoder, one a view, have of them."""

    def __init__(self, caches: Sequence[Cache], images: Rows):
        """`images`: as of `distinct`."""
        self.caches = {cache.view: cache for cache in caches}
        self.spec, self.images, self.shas = caches[0].spec, images, shards.binary(images.shas)
        self.indices = {view: cache.index() for view, cache in self.caches.items()}

    def __len__(self) -> int:
        return -(-len(self.images) // shards.ROWS)

    def places(self, number: int) -> np.ndarray:
        return np.arange(number * shards.ROWS, min((number + 1) * shards.ROWS, len(self.images)))

    def plans(self) -> Plans:
        """Of the views that lack images: see `Cache.plan`."""
        plans = {view: cache.plan(self.shas, self.indices[view]) for view, cache in self.caches.items()}
        return {view: (len(places), precision) for view, (places, precision) in plans.items() if len(places)}

    def begin(self, plans: Plans, why: str = "") -> None:
        """Begin the caches of these views: see `Cache.begin`."""
        for view, (_, precision) in plans.items():
            self.caches[view].begin(precision, why)
        self.update()

    def update(self) -> None:
        """Take note of what other processes have encoded."""
        for index in self.indices.values():
            index.update()

    def pending(self) -> Iterator[Block]:
        """The blocks that lack images, of caches that are begun."""
        lacking = {view: index.find(self.shas) < 0 for view, index in self.indices.items()}
        for number in range(len(self)):
            of_block = {view: mask[self.places(number)] for view, mask in lacking.items()}
            if views := tuple(view for view, mask in of_block.items() if mask.any()):
                n = int(np.logical_or.reduce([of_block[view] for view in views]).sum())
                yield Block(encoders.slug(self.spec), views, number, n)

    def lacking(self, number: int) -> list[Part]:
        """What the caches lack of a block; views that lack the same images, in one precision, are encoded together.

        Raises:
            UserError: A cache is not begun, or of another key.
        """
        together: dict[tuple[bytes, str], tuple[np.ndarray, list[str]]] = {}
        for view, cache in self.caches.items():
            precision, places = cache.begun(), self.places(number)
            places = places[self.indices[view].find(self.shas[places]) < 0]
            if len(places):
                together.setdefault((places.tobytes(), precision), (places, []))[1].append(view)
        return [Part(places, tuple(views), precision) for (_, precision), (places, views) in together.items()]
