"""One fine-tuning run, a (model, fold, seed): its training data, and the files that it leaves."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.base import files, machine
from src.base.errors import UserError
from src.data.decoded import Squares
from src.data.rows import Dataset
from src.models.finetune import resident
from src.models.finetune.batches import Fold, draw
from src.models.finetune.keys import held_out_key, tables_key, weights_key
from src.networks import classifiers, encoders
from src.results import checkpoints, predictions
from src.results.model import same_model_key
from src.schema.competition import Competition
from src.schema.models import FineTune
from src.scoring.tables import Table


@dataclass(frozen=True)
class Run:
    competition: Competition
    name: str  # of the model
    number: int  # of the fold that it holds out
    seed: int

    @property
    def spec(self) -> FineTune:
        return self.competition.models[self.name]

    @property
    def label(self) -> str:
        """The name of its files: the first seed has none in it, as in a model with one seed."""
        return f"fold{self.number}" + (f"-seed{self.seed}" if self.seed != self.spec.seed else "")

    @property
    def title(self) -> str:
        return f"{self.name} fold {self.number}" + (f" seed {self.seed}" if self.spec.seeds > 1 else "")

    @property
    def finished(self) -> Path:
        """The weights that predict, with facts about them."""
        return self.competition.model_folder(self.name) / f"{self.label}.safetensors"

    @property
    def predicted(self) -> Path:
        """The description of its tables: written after them, and gone before they are replaced."""
        return self.finished.with_suffix(".json")

    def untrained(self, key: dict[str, Any]) -> str:
        """The reason why its weights do not fit a model of this key; empty where they do."""
        about = checkpoints.about(self.finished) or {}
        if "key" not in about:  # those of a probe have none
            return f"{self.finished.name} is missing or no checkpoint of ours"
        # of both, since weights of an earlier version name the test rows
        have, wanted = weights_key(about["key"]), weights_key(key)
        return "" if same_model_key(have, wanted) else files.describe_changes(have, wanted)

    def done(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The facts of weights and tables, if both are there and fit a model of this key."""
        predicted = files.read_json(self.predicted)
        if self.untrained(key) or predicted is None or not same_model_key(predicted["key"], tables_key(key)):
            return None
        if not (self.has_tables("oof") and self.has_tables("test")):
            return None
        trained = checkpoints.about(self.finished)
        return {"history": trained["history"], "seconds": trained["seconds"] + predicted["seconds"]}

    def has_held_out(self, key: dict[str, Any]) -> bool:
        """Whether the held-out rows' tables are there, and fit a model of this key."""
        predicted = files.read_json(self.predicted)
        same = predicted is not None and same_model_key(held_out_key(predicted["key"]), held_out_key(key))
        return same and self.has_tables("oof")

    @property
    def init_seed(self) -> int:
        """The seed of what is random at the start: one for all seeds of a model, as soups and WiSE-FT want it."""
        return draw(self.spec.seed, self.number)

    def table(self, part: str, alpha: float | None) -> Path:
        """The predictions of a part, oof or test; where weights are interpolated, one for each alpha."""
        at = "" if alpha is None else f"-alpha{alpha:g}"
        return self.finished.with_name(f"{self.label}{at}-{part}.parquet")

    def has_tables(self, part: str) -> bool:
        """Whether the tables of all alphas are there."""
        return all(self.table(part, alpha).is_file() for alpha in self.spec.wise_ft or (None,))

    @property
    def files(self) -> list[Path]:
        """The files of a run that is done, the description last."""
        tables = [self.table(part, alpha) for part in ("oof", "test") for alpha in self.spec.wise_ft or (None,)]
        return [self.finished, *tables, self.predicted]

    def write(self, part: str, alpha: float | None, ids: list[str], probs: Table) -> None:
        predictions.write(self.table(part, alpha), self.competition, ids, probs)

    def read(self, data: Dataset, part: str, alpha: float | None) -> Table:
        """The predictions of the held-out rows, `oof`, or of the test rows, `test`."""
        rows = data.test if part == "test" else data.train.take(data.fold == self.number)
        return predictions.read(self.table(part, alpha), self.competition, rows.ids)

    def fold(self, data: Dataset, squares: Squares, doubtful: np.ndarray | None = None) -> Fold:
        """Its training data; `doubtful` (n,) are the rows outside of the fold that are left out, None: none."""
        train, valid = np.flatnonzero(data.fold != self.number), np.flatnonzero(data.fold == self.number)
        doubtful = np.zeros(len(train), bool) if doubtful is None else doubtful
        own = {"title": self.title, "number": self.number, "seed": self.seed, "dropped": int(doubtful.sum())}
        held_out = {"valid": valid, "valid_targets": data.targets[valid]}
        spec = self.spec.scheduled(data.n_learnt)
        return fold_of(self.competition, spec, data, squares, train=train[~doubtful], **own, **held_out)


def fold_of(
    competition: Competition, spec: FineTune, data: Dataset, squares: Squares, *, train: np.ndarray, **rest: Any
) -> Fold:
    """The training data of some train rows.

    Args:
        squares: Of data.rows; `train` are positions in it.
        rest: The fields of `Fold` that do not follow from competition, spec and data.
    """
    return Fold(
        competition=competition,
        spec=spec,
        squares=squares,
        ids=data.rows.ids,
        train=train,
        targets=data.targets[train],
        data_config=classifiers.data_config(spec),
        precision=machine.precision(spec.precision),
        **rest,
    )


def check_networks(competition: Competition) -> None:
    """Refuse a network or an augmentation that is not known. Raises UserError: Names the model."""
    for name, spec in competition.trained.items():
        try:
            classifiers.check(spec)
            resident.check(spec)
        except UserError as error:
            raise UserError(f"model {name!r}: {error}") from error


def runs_of(competition: Competition, name: str, number: int) -> list[Run]:
    """The runs of a model and a fold, one a seed."""
    spec = competition.models[name]
    return [Run(competition, name, number, spec.seed + i) for i in range(spec.seeds)]


def squares_of(competition: Competition, spec: FineTune, data: Dataset) -> Squares:
    """The pictures of data.rows, squeezed."""
    square = classifiers.geometry(spec)
    return Squares(encoders.trained_store(competition, data, square.size).pictures(data.rows), square)
