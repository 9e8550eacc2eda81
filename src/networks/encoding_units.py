"""A block of features as a unit of work, by its names, in any process; the blocks are handed out by `encoding.begin`.

From one block to the next a process keeps the distinct images, what the caches have of them, and one encoder's network.
"""

import functools
from collections.abc import Callable
from pathlib import Path

from src.base.errors import UserError, unknown
from src.data.decoded import Pictures
from src.data.rows import Parts, Rows
from src.networks import encoders, encoding
from src.networks.blocks import Blocks
from src.networks.inference import EncoderRunner
from src.schema.competition import Competition
from src.schema.networks import Encoder


def encode_block(competition: Competition, data: Parts, slug: str, number: int) -> None:
    """Encode what the caches of an encoder lack of a block, and nothing else.

    Raises:
        Overflowed: See `encoding.begin`; of this block nothing more is written.
        UserError: A cache is not begun, or as `encoding.make_features`.
    """
    have = kept(competition, data)
    blocks = have.of(slug)
    blocks.update()
    encoding.encode_blocks(blocks, [number], have.runners(slug), have.pictures(slug))


def is_done(competition: Competition, data: Parts, slug: str, number: int) -> bool:
    """Whether the caches, by their files, lack nothing of a block."""
    blocks = kept(competition, data).of(slug)
    blocks.update()
    try:
        return not blocks.lacking(number)
    except UserError:  # one is not begun
        return False


def outputs(competition: Competition, data: Parts, slug: str, number: int) -> list[Path]:
    """The files that the features of a block lie in, and the keys of the caches last."""
    blocks = kept(competition, data).of(slug)
    blocks.update()
    shas = blocks.shas[blocks.places(number)]
    found = [path for index in blocks.indices.values() for path in index.holding(index.find(shas))]
    return [*found, *(cache.folder / "key.json" for cache in blocks.caches.values())]


def forget() -> None:
    """Let go of what this process keeps, a network in its memory or the GPU's above all."""
    KEPT.clear()


class Kept:
    """What a process keeps from one block to the next."""

    def __init__(self, competition: Competition, data: Parts):
        self.competition, self.data, self.images = competition, data, data.rows.distinct()
        self.blocks: dict[str, Blocks] = {}
        self.network: tuple[str, dict[str, EncoderRunner]] = ("", {})  # of one encoder, by precision
        self.of_store: dict[str, Callable[[Rows], Pictures]] = {}

    def of(self, slug: str) -> Blocks:
        """Raises UserError: The config has no such encoder."""
        if slug not in self.blocks:
            caches = encoding.caches_of(self.competition, encoders_of(self.competition))
            if slug not in caches:
                raise UserError(unknown("encoder", slug, caches))
            self.blocks[slug] = Blocks(caches[slug], self.images)
        return self.blocks[slug]

    def runners(self, slug: str) -> encoding.Runners:
        """The network of an encoder, loaded once; that of another is let go."""
        if self.network[0] != slug:
            self.network = (slug, {})
        by_precision, blocks = self.network[1], self.of(slug)

        def runner(precision: str) -> EncoderRunner:
            if precision not in by_precision:
                most, load = max(n for n, _ in blocks.plans().values()), functools.partial(encoders.tower, blocks.spec)
                by_precision[precision] = encoding.runner(blocks, load, precision, most)
            return by_precision[precision]

        return runner

    def pictures(self, slug: str) -> Callable[[Rows], Pictures]:
        if slug not in self.of_store:
            blocks = self.of(slug)
            store = encoders.store(self.competition, self.data, blocks.spec)
            self.of_store[slug] = functools.partial(encoders.pictures, store, blocks.spec, list(blocks.caches))
        return self.of_store[slug]


def encoders_of(competition: Competition) -> list[Encoder]:
    """The encoders whose features the config's models are made of, or begin with."""
    starts = [spec.encoder for spec in competition.trained.values() if spec.start == "probe"]
    return [*competition.encoders, *starts]


KEPT: list[Kept] = []  # by this process: one or none


def kept(competition: Competition, data: Parts) -> Kept:
    if not (KEPT and KEPT[0].data is data and KEPT[0].competition == competition):
        KEPT[:] = [Kept(competition, data)]
    return KEPT[0]
