"""The units of a stage with models: what is pending, what each does, and whether its files say that it is done."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from src.base import files
from src.data.rows import Dataset
from src.networks import encoders
from src.results.model import has_result, is_reused
from src.schema.competition import Competition
from src.schema.models import AnyModel
from src.units.unit import Key, Unit

FITTED = 1e8  # FLOP of a picture's features in a fit: a guess, by which units that were never measured are put in order


class StageWork(ABC):
    """The units of one stage, by the names behind the stage's. It may keep what several of them need."""

    stage: str

    def __init__(self, competition: Competition, data: Dataset, places: bool = True):
        """`places`: whether the units are asked for to be placed, and what they write to may be made ready for them."""
        self.competition, self.data, self.places = competition, data, places

    @abstractmethod
    def units(self) -> Iterator[Unit]:
        """Yield all units, done or not, in order."""

    def pending(self, before: Collection[Key] = ()) -> Iterator[Unit]:
        """Yield the units that are not done, in order, and say what is reused.

        Args:
            before: The keys of the pending units of earlier stages. What waits for one is pending too: of what is yet
                to be made no key is known.
        """
        before = {*before}
        for unit in self.units():
            if any(map(unit.waits_for, before)) or not self.is_reused(*unit.names):
                before.add(unit.key)
                yield unit

    def is_reused(self, *names: str | int) -> bool:
        """`is_done`, with a line that says so."""
        return self.is_done(*names)

    @abstractmethod
    def run(self, *names: str | int) -> None:
        """Compute a unit's files; nothing where it is done."""

    @abstractmethod
    def is_done(self, *names: str | int) -> bool:
        """Whether a unit's files are there, and are those of the config and the rows as they are now."""

    @abstractmethod
    def outputs(self, *names: str | int) -> Collection[Path]:
        """The files of a unit that is done; what describes the others is the last."""

    def recover(self, error: Exception, *names: str | int) -> bool:
        """Change what made a unit fail, if that can be; then all that is pending is asked for again."""
        return False

    def forget(self) -> None:
        """Let go of what the process keeps beside this object."""
        return

    def seconds(self, *names: str | int) -> float | None:
        """How long a unit that is done took, also in earlier runs, by its files; None: these do not say."""
        return None

    def makes(self, *names: str | int) -> str | None:
        """The model that is finished with a unit; None: none."""
        return None


class ModelWork(StageWork):
    """Of a stage whose units are whole models."""

    @property
    def models(self) -> dict[str, AnyModel]:
        return self.competition.of_stage(self.stage)

    @abstractmethod
    def key(self, name: str) -> dict[str, Any]:
        """All that changes the model's numbers."""

    @abstractmethod
    def compute(self, name: str, key: dict[str, Any]) -> None:
        """Fit the model, and save it with its key."""

    def unit(self, name: str) -> Unit:
        """The unit of a model: by default of one that is fitted to features, once these are there."""
        spec = self.models[name]
        after = tuple(("features", encoders.slug(encoder)) for encoder in spec.encoders)
        views = len(self.data.train) * len(spec.views) * len(spec.encoders)
        rate = f"{self.stage} {files.digest(spec.model_dump(mode='json'))[:7]}"
        return Unit(self.stage, (name,), gpus=1, after=after, work=FITTED * views, rate=rate, whole=name)

    def units(self) -> Iterator[Unit]:
        yield from map(self.unit, self.models)

    def is_reused(self, name: str) -> bool:
        return is_reused(self.competition.model_folder(name), self.key(name))

    def run(self, name: str) -> None:
        if not self.is_done(name):
            self.compute(name, self.key(name))

    def is_done(self, name: str) -> bool:
        return has_result(self.competition.model_folder(name), self.key(name))

    def outputs(self, name: str) -> list[Path]:
        return model_files(self.competition.model_folder(name))

    def makes(self, name: str) -> str:
        return name


def model_files(folder: Path) -> list[Path]:
    """The files of a finished model, model.json last: without checkpoints of what is not finished, and hidden files."""
    found = [path for path in folder.rglob("*") if path.is_file() and is_result(path.name)]
    return sorted(found, key=lambda path: (path.name == "model.json", path))


def is_result(name: str) -> bool:
    return not name.startswith(".") and ".running-" not in name
