"""One run of a fine-tuned model, from names to files: trained where its weights are not there, then predicted."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import nn

from src.base import files
from src.base.errors import UserError, counted
from src.base.text import duration
from src.data.decoded import Squares
from src.data.rows import Dataset, read_dataset
from src.models.finetune import augment, averaging, heads, training
from src.models.finetune.batches import Fold
from src.models.finetune.cost import run_cost
from src.models.finetune.keys import finetune_key, tables_key, weights_key
from src.models.finetune.resume import Running
from src.models.finetune.run import Run, squares_of
from src.models.probe.judging import doubtful
from src.networks import backbones, classifiers
from src.networks.classifiers import Head
from src.networks.predictor import to_device
from src.results import checkpoints
from src.schema.competition import Competition
from src.schema.models import FineTune


@dataclass(frozen=True)
class Shared:
    """The parts that all runs of a fine-tuned model have in common, each made when it is first wanted."""

    competition: Competition
    name: str
    data: Dataset

    @property
    def spec(self) -> FineTune:
        return self.competition.models[self.name]

    @cached_property
    def key(self) -> dict[str, Any]:
        return finetune_key(self.competition, self.spec, self.data, self.doubtful)

    @cached_property
    def doubtful(self) -> list[np.ndarray] | None:
        """For each fold which of its training rows are left out; None: none of them."""
        return doubtful(self.competition, self.spec, self.data) if self.spec.needs_judge else None

    @cached_property
    def squares(self) -> Squares:
        return squares_of(self.competition, self.spec, self.data)

    @cached_property
    def starts(self) -> list[Head | None]:
        """The start of each fold's head."""
        return heads.starts(self.competition, self.name, self.data)


def run_fold(
    competition: Competition, name: str, number: int, seed: int | None = None, shared: Shared | None = None
) -> None:
    """Train one (model, fold, seed), where its weights are missing, and write its weights and tables.

    It is a unit of work that starts with nothing but names: by default with the model's first seed.

    Args:
        shared: Where the caller has more runs of the model to make.

    Raises:
        UserError: It would have to be trained, and PREDICT_ONLY is set.
    """
    shared = shared or Shared(competition, name, read_dataset(competition))
    spec, data, key = shared.spec, shared.data, shared.key
    one = Run(competition, name, number, spec.seed if seed is None else seed)
    if os.environ.get("PREDICT_ONLY") == "1" and (why := one.untrained(key)):
        raise UserError(
            f"{one.title} would have to be trained ({why}), and PREDICT_ONLY is set: run "
            f"{competition.command()} where that may take its time"
        )
    fold = one.fold(data, shared.squares, None if shared.doubtful is None else shared.doubtful[number])

    if spec.max_steps is not None:
        planned = counted(fold.spec.epochs, "epoch")
        print(f"{one.title}  {planned} of at most {spec.epochs}, by max_steps={spec.max_steps:,}")
    backbones.announce(f"{competition.name}:{name}", fold.squares.geometry.size, fold.data_config)

    def create(pretrained: bool) -> nn.Module:
        head = shared.starts[number] if pretrained else None
        return classifiers.create(spec, fold.k, one.init_seed, pretrained, head)

    cost = run_cost(spec, data.n_learnt, len(fold.valid), len(data.test))
    model = train_or_load(one, key, fold, create, cost.behind)
    predict(one, key, fold, create, model, data)
    probs = one.read(data, "oof", max(spec.wise_ft, default=None))
    score = competition.scorer.value(fold.valid_targets, probs)
    print(f"{one.title}  {competition.metric} {score:.4f}  {duration(one.done(key)['seconds'])}")


def train_or_load(
    one: Run, key: dict[str, Any], fold: Fold, create: Callable[[bool], nn.Module], behind: float
) -> nn.Module:
    """The network that predicts: its weights are on the disk, or else trained and written there. See `train_fold`."""
    running = Running(one.finished, weights_key(key))
    if one.untrained(key):
        one.predicted.unlink(missing_ok=True)  # of other weights
        model, history = training.train_fold(fold, create, augment.compose(fold.spec.augment), running, behind=behind)
        about = {"key": running.key, "history": history, "seconds": sum(row["seconds"] for row in history)}
        checkpoints.save(one.finished, model.state_dict(), about)
    else:
        print(f"{one.title}  predicts with the weights that it has")
        model = to_device(create(False))
        model.load_state_dict(checkpoints.load(one.finished))
    running.clear()
    return model


def predict(
    one: Run, key: dict[str, Any], fold: Fold, create: Callable[[bool], nn.Module], model: nn.Module, data: Dataset
) -> None:
    """Write a run's tables, for each alpha between the weights that training started from and those of `model`.

    Where only the test rows have changed, the held-out rows' tables stay.
    """
    start, spec = time.perf_counter(), fold.spec
    parts = ({} if one.has_held_out(key) else {"oof": fold.valid}) | {"test": data.test_index}
    one.predicted.unlink(missing_ok=True)
    weights = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
    origin = create(True).state_dict() if spec.wise_ft else {}
    for alpha in spec.wise_ft or (None,):
        if alpha is not None:
            model.load_state_dict(averaging.interpolate(origin, weights, alpha))
        for part, rows in parts.items():
            probs = training.predict(model, fold, rows, spec.views, spec.batch_size)
            one.write(part, alpha, data.rows.take(rows).ids, probs)
    files.write_json(one.predicted, {"key": tables_key(key), "seconds": time.perf_counter() - start, **fold.noise})
