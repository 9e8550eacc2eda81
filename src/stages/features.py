"""features: encodes every train and test image by every encoder that the config names, once for all that use it.

Reads the images. Writes pictures/ (decoded, as far as they fit) and features/<encoder>-<view>/. Prints images per
second, where the time went, and the bottleneck.

Encoders, views, precision and storage: ./run.sh help networks
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from src.models.work import StageWork
from src.networks import encoders, encoding, encoding_units
from src.networks.blocks import Block
from src.networks.encoding import Overflowed
from src.networks.encoding_units import encoders_of
from src.networks.flops import flops
from src.results import shards
from src.schema.competition import Competition
from src.units.unit import Key, Unit


def check(competition: Competition) -> None:
    """Refuses a model that is not known, or whose weights file is missing, before anything is computed."""
    for spec in encoders_of(competition):
        encoders.identity(spec)


class Work(StageWork):
    """A unit a block of images, through an encoder into all views."""

    stage = "features"

    def units(self) -> Iterator[Unit]:
        n = len(self.data.rows.distinct())
        for slug, caches in encoding.caches_of(self.competition, encoders_of(self.competition)).items():
            for number in range(-(-n // shards.ROWS)):
                size = min(shards.ROWS, n - number * shards.ROWS)
                yield self.unit(Block(slug, tuple(cache.view for cache in caches), number, size))

    def unit(self, block: Block) -> Unit:
        (spec, *_) = (one for one in encoders_of(self.competition) if encoders.slug(one) == block.slug)
        work, rate = block.n * len(block.views) * flops(spec).forward, f"{self.stage} {block.slug}"
        what = {"after": (("pictures", block.slug),), "work": work, "rate": rate, "keeps": block.slug}
        return Unit(self.stage, (block.slug, block.number), gpus=1, **what)

    def pending(self, before: Collection[Key] = ()) -> Iterator[Unit]:
        """As any stage's. Who places the units begins the caches: others may be at work on them."""
        if not self.places:
            yield from super().pending(before)
            return
        blocks = encoding.begin(self.competition, self.data, encoders_of(self.competition))
        yield from map(self.unit, blocks)

    def run(self, slug: str, number: int) -> None:
        encoding_units.encode_block(self.competition, self.data, slug, number)

    def is_done(self, slug: str, number: int) -> bool:
        return encoding_units.is_done(self.competition, self.data, slug, number)

    def outputs(self, slug: str, number: int) -> list[Path]:
        return encoding_units.outputs(self.competition, self.data, slug, number)

    def recover(self, error: Exception, slug: str, number: int) -> bool:
        if not isinstance(error, Overflowed):
            return False
        specs = [spec for spec in encoders_of(self.competition) if encoders.slug(spec) == slug]
        encoding.begin(self.competition, self.data, specs, wider=True)
        return True

    def forget(self) -> None:
        encoding_units.forget()
