"""finetune: trains each network on each fold's training rows and predicts its held-out rows and the test rows.

Reads the images and folds.csv, and where doubtful labels are dropped what a probe says of them (see
models/probe/judging.py); writes models/<model>/, for each fold (and further seed) first fold<k>.safetensors, then its
tables, and fold<k>.json, which says how these were made: other views or alphas train nothing again. Soups are made
last, of the weights of what is finished.
"""

import functools
import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from src.base import files
from src.base.errors import UserError
from src.base.text import duration
from src.data.decoded import Squares
from src.data.rows import Dataset, read_dataset
from src.models.finetune import augment, averaging, heads, soups, training
from src.models.finetune.batches import Fold
from src.models.finetune.keys import CODE, finetune_key, tables_key, weights_key
from src.models.finetune.resume import Running
from src.models.finetune.run import Run, check_networks, runs_of, squares_of, test_rows
from src.models.probe.judging import doubtful
from src.networks import classifiers
from src.networks.classifiers import Head
from src.results import checkpoints
from src.results.model import is_reused, model_key, read_model, save_model
from src.schema.competition import Competition
from src.schema.models import FineTune, Soup
from src.scoring import calibration
from src.scoring.metrics import METRICS


def check(competition: Competition) -> None:
    """Refuses a network or an augmentation that is not known, before anything is computed."""
    check_networks(competition)


def run(competition: Competition) -> list[str]:
    """Returns the names of the models that were made and not reused."""
    data = read_dataset(competition)
    tuned = [Shared(competition, name, data) for name in competition.trained]
    for shared in tuned:
        shared.doubtful  # noqa: B018 what the judge has not said is missed before the first night of training
    made = [shared.name for shared in tuned if fine_tune(shared)]
    mixed = {name: spec for name, spec in competition.of_stage("finetune").items() if spec.ingredients}
    return [*made, *(name for name, spec in mixed.items() if soup(competition, name, spec, data))]


@dataclass(frozen=True)
class Shared:
    """What all runs of a model have in common, made when it is first wanted."""

    competition: Competition
    name: str
    data: Dataset

    @property
    def spec(self) -> FineTune:
        return self.competition.models[self.name]

    @functools.cached_property
    def key(self) -> dict[str, Any]:
        return finetune_key(self.competition, self.spec, self.data, self.doubtful)

    @functools.cached_property
    def doubtful(self) -> list[np.ndarray] | None:
        """For each fold which of its training rows are left out; None: none of them."""
        if self.spec.label_noise == "keep":
            return None
        return doubtful(self.competition, self.spec, self.data)

    @functools.cached_property
    def squares(self) -> Squares:
        return squares_of(self.competition, self.spec, self.data)

    @functools.cached_property
    def starts(self) -> list[Head | None]:
        """Where each fold's head starts."""
        return heads.starts(self.competition, self.spec, self.data)


def fine_tune(shared: Shared) -> bool:
    """Whether the model was made and not reused."""
    competition, name, data = shared.competition, shared.name, shared.data
    if is_reused(competition.model_folder(name), shared.key):
        return False
    for number in range(data.n_folds):
        for one in runs_of(competition, name, number):
            if one.done(shared.key) is not None:
                print(f"{one.title}  reused")
            else:
                run_fold(competition, name, number, one.seed, shared)
    assemble(shared)
    return True


def run_fold(
    competition: Competition, name: str, number: int, seed: int | None = None, shared: Shared | None = None
) -> None:
    """Trains one (model, fold, seed) and writes its weights and tables: a unit of work, started with nothing but names.

    Weights that are there are taken.

    Args:
        seed: The model's first, where there is none.
        shared: Where the caller has more runs of the model to make.

    Raises:
        UserError: It would have to be trained, and PREDICT_ONLY is set.
    """
    shared = Shared(competition, name, read_dataset(competition)) if shared is None else shared
    spec, data, key = shared.spec, shared.data, shared.key
    one = Run(competition, name, number, spec.seed if seed is None else seed)
    if os.environ.get("PREDICT_ONLY") == "1" and (why := one.untrained(key)):
        raise UserError(
            f"{one.title} would have to be trained ({why}), and PREDICT_ONLY is set: run "
            f"./run.sh {competition.name} where that may take its time"
        )
    fold = one.fold(data, shared.squares, None if shared.doubtful is None else shared.doubtful[number])

    def create(pretrained: bool) -> nn.Module:
        head = shared.starts[number] if pretrained else None
        return classifiers.create(spec, fold.k, one.init_seed, pretrained, head)

    model = trained(one, key, fold, create)
    predict(one, key, fold, create, model, data)
    score = METRICS[competition.metric].value(fold.valid_targets, one.read(data, max(spec.wise_ft, default=None))[0])
    print(f"{one.title}  {competition.metric} {score:.4f}  {duration(one.done(key)['seconds'])}")


def trained(one: Run, key: dict[str, Any], fold: Fold, create: Callable[[bool], nn.Module]) -> nn.Module:
    """The network that predicts: with its weights as they are on the disk, or else trained, and written there."""
    running = Running(one.finished, weights_key(key))
    if one.trained(key) is None:
        one.predicted.unlink(missing_ok=True)  # of other weights
        model, history = training.train_fold(fold, create, augment.compose(fold.spec.augment), running)
        about = {"key": running.key, "history": history, "seconds": sum(row["seconds"] for row in history)}
        checkpoints.save(one.finished, model.state_dict(), about)
    else:
        print(f"{one.title}  predicts with the weights that it has")
        model = training.placed(create(False))
        model.load_state_dict(checkpoints.load(one.finished))
    running.clear()
    return model


def predict(
    one: Run, key: dict[str, Any], fold: Fold, create: Callable[[bool], nn.Module], model: nn.Module, data: Dataset
) -> None:
    """Writes a run's tables, for each alpha between the weights that training started from and those of `model`.

    Where only the test rows are others, the held-out rows' tables stay.
    """
    start, spec = time.perf_counter(), fold.spec
    parts = {"test": test_rows(data)} if one.held(key) else {"oof": fold.valid, "test": test_rows(data)}
    one.predicted.unlink(missing_ok=True)
    weights = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
    origin = create(True).state_dict() if spec.wise_ft else {}
    for alpha in spec.wise_ft or (None,):
        if alpha is not None:
            model.load_state_dict(averaging.interpolated(origin, weights, alpha))
        for part, rows in parts.items():
            probs = training.predict(model, fold, rows, spec.views, spec.batch_size)
            one.write(part, alpha, data.rows.take(rows).ids, probs)
    files.write_json(one.predicted, {"key": tables_key(key), "seconds": time.perf_counter() - start, **fold.noise})


def assemble(shared: Shared) -> None:
    """Puts the folds' tables together: each train row from the fold that held it out, test rows as the folds' mean."""
    competition, name, key, data, spec = shared.competition, shared.name, shared.key, shared.data, shared.spec
    metric, facts = METRICS[competition.metric], {}
    alphas = spec.wise_ft or (None,)
    abouts, oofs, tests = [], np.zeros((len(alphas), len(data.train), len(competition.classes))), []
    for number in range(data.n_folds):
        ones = runs_of(competition, name, number)
        abouts += [one.done(key) for one in ones]
        tables = [[one.read(data, alpha) for one in ones] for alpha in alphas]
        oofs[:, data.fold == number] = [np.mean([oof for oof, _ in seeds], axis=0) for seeds in tables]
        tests.append([np.mean([test for _, test in seeds], axis=0) for seeds in tables])
    best = averaging.chosen(oofs, data.targets, data.fold, metric)  # (folds,)
    if spec.wise_ft:
        facts["wise_ft"] = curve(name, alphas, best, [metric.score(data.targets, oof) for oof in oofs])
    oof = oofs[best[data.fold], np.arange(len(data.fold))]
    test = np.mean([tests[number][alpha] for number, alpha in enumerate(best)], axis=0)
    if spec.temperature:
        facts["temperature"] = round(calibration.temperature(oof, data.targets), 4)
        print(f"{name}  temperature {facts['temperature']:.3f}, cross-fitted")
        oof = calibration.cross_fitted(oof, data.targets, data.fold)
        test = calibration.scale(test, facts["temperature"])
    if shared.doubtful is not None:
        facts["dropped"] = [int(mask.sum()) for mask in shared.doubtful]
    history = pd.DataFrame(itertools.chain(*(about["history"] for about in abouts)))
    files.write_text(competition.model_folder(name) / "history.csv", history.to_csv(index=False, lineterminator="\n"))
    save_model(competition, name, key, data, oof, test, sum(about["seconds"] for about in abouts), **facts)


def curve(name: str, alphas: tuple[float, ...], best: np.ndarray, scores: list[tuple[float, float]]) -> dict[str, Any]:
    """WiSE-FT's curve, which is printed: each alpha's score on all rows, and what each fold chose on the others."""
    chosen = [alphas[i] for i in best]
    said = "  ".join(f"{alpha:g}: {score:.4f}" for alpha, (score, _) in zip(alphas, scores, strict=True))
    print(f"{name}  weights from the start (alpha 0) to fine-tuned (1)  {said}")
    print(f"{name}  alpha chosen for each fold on the others: {', '.join(f'{alpha:g}' for alpha in chosen)}")
    rows = [{"alpha": alpha, "score": score, "se": se} for alpha, (score, se) in zip(alphas, scores, strict=True)]
    return {"curve": rows, "chosen": chosen}


def soup(competition: Competition, name: str, spec: Soup, data: Dataset) -> bool:
    """Whether the soup was made and not reused."""
    start = time.perf_counter()
    ingredients = {other: read_model(competition.model_folder(other))["key"] for other in spec.of}
    key = model_key(competition, spec, data, CODE, ingredients=ingredients, metric=competition.metric)
    if is_reused(competition.model_folder(name), key):
        return False
    oof, test, taken = soups.cook(competition, spec, data)
    for number, some in enumerate(taken):
        print(f"{name} fold {number}  {len(some)} ingredients: {', '.join(some)}")
    save_model(competition, name, key, data, oof, test, time.perf_counter() - start, ingredients=taken)
    return True
