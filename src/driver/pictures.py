"""The pictures of a machine, decoded before its GPUs would wait for them: a unit for whatever reads them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from src.data.decoded import Store
from src.models.work import StageWork
from src.networks import classifiers, encoders
from src.networks.encoding_units import encoders_of
from src.schema.networks import Encoder
from src.units.unit import Unit

STAGE = "pictures"


class Work(StageWork):
    """A unit for each encoder, by its slug, and for each network that is trained, by its model's name."""

    stage = STAGE

    def units(self) -> Iterator[Unit]:
        names = [*map(encoders.slug, encoders_of(self.competition)), *self.competition.trained]
        for name in dict.fromkeys(names):
            yield Unit(
                self.stage, (name,), work=float(len(self.data.rows)), rate=f"{self.stage} {self.competition.name}"
            )

    def stores(self, name: str) -> Iterable[Store]:
        """The decoded stores, each once, that the encoder or the network of a name reads."""
        of_encoders = [(encoders.store(self.competition, self.data, spec), spec) for spec in self.specs(name)]
        read = [store for store, spec in of_encoders if encoders.is_read(store, spec, spec.views)]
        if name in self.competition.trained:
            size = classifiers.size(self.competition.trained[name])
            read.append(encoders.trained_store(self.competition, self.data, size))
        return {store.folder: store for store in read}.values()

    def specs(self, name: str) -> list[Encoder]:
        return [spec for spec in encoders_of(self.competition) if encoders.slug(spec) == name]

    def run(self, name: str) -> None:
        for store in self.stores(name):
            store.pictures(self.data.rows)

    def is_done(self, name: str) -> bool:
        return not any(store.lacks(self.data.rows) for store in self.stores(name))

    def outputs(self, name: str) -> list[Path]:
        return []  # each machine has its own
