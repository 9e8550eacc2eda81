"""The pictures of a machine, decoded before its GPUs would wait for them: a unit for whatever reads them."""

from collections.abc import Iterator
from pathlib import Path

from src.models.work import StageWork
from src.networks import encoders
from src.networks.decoding import are_decoded, decode_pictures
from src.networks.encoding_units import encoders_of
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

    def read_by(self, name: str) -> tuple[list, list]:
        """The encoders, and the networks that are trained, of a name."""
        trained = [spec for model, spec in self.competition.trained.items() if model == name]
        return [spec for spec in encoders_of(self.competition) if encoders.slug(spec) == name], trained

    def run(self, name: str) -> None:
        decode_pictures(self.competition, self.data, *self.read_by(name))

    def is_done(self, name: str) -> bool:
        return are_decoded(self.competition, self.data, *self.read_by(name))

    def outputs(self, name: str) -> list[Path]:
        return []  # each machine has its own
