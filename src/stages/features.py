"""features: encodes every train and test image by every encoder that the config names, once for all that use it.

Reads the images. Writes pictures/ (decoded, as far as they fit) and features/<encoder>-<view>/. Prints images per
second, where the time went, and the bottleneck.

Encoders, views, precision and storage: ./run.sh help networks
"""

from collections.abc import Iterator
from pathlib import Path

from src.data.rows import read_dataset
from src.models.work import StageWork, make_all
from src.networks import encoders, encoding, features
from src.results import shards
from src.schema.competition import Competition
from src.schema.networks import Encoder
from src.units.unit import Unit


def check(competition: Competition) -> None:
    """Refuses a model that is not known, or whose weights file is missing, before anything is computed."""
    for spec in competition.encoders:
        encoders.identity(spec)


class Work(StageWork):
    stage = "features"

    def specs(self, slug: str) -> list[Encoder]:
        return [spec for spec in self.competition.encoders if encoders.slug(spec) == slug]

    def units(self) -> Iterator[Unit]:
        for slug in dict.fromkeys(map(encoders.slug, self.competition.encoders)):
            yield Unit(self.stage, (slug,), gpus=1, after=(("pictures",),), keeps=slug)

    def run(self, slug: str) -> None:
        encoding.encode_missing(self.competition, self.specs(slug), self.data)

    def is_reused(self, slug: str) -> bool:
        if is_there := self.is_done(slug):
            self.run(slug)  # which says so
        return is_there

    def is_done(self, slug: str) -> bool:
        shas = shards.binary(sorted(set(self.data.rows.shas)))
        caches = [cache for spec in self.specs(slug) for cache in features.feature_caches(self.competition, spec)]
        return not any(len(cache.missing(shas)) for cache in caches)

    def outputs(self, slug: str) -> list[Path]:
        return []


def run(competition: Competition) -> None:
    make_all(Work(competition, read_dataset(competition)))
