"""finetune: trains each backbone on each fold's training rows and predicts its held-out rows and the test rows.

Reads the images and folds.csv; writes models/<model>/, for each fold first its tables and then fold<k>.safetensors.
"""

import itertools
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from src import augment, backbones, checkpoints, dataset, encoders, files, machine, predictions, results, training
from src.config import Competition
from src.dataset import Dataset
from src.errors import UserError
from src.geometry import Geometry
from src.metrics import METRICS
from src.progress import duration
from src.specs import FineTune
from src.store import Squares

CODE = 2


def check(competition: Competition) -> None:
    """Refuses a backbone or an augmentation that is not known, before anything is computed."""
    for name, spec in competition.of_stage("finetune").items():
        try:
            backbones.check(spec)
            augment.compose(spec.augment)
        except UserError as error:
            raise UserError(f"model {name!r}: {error}") from error


def run(competition: Competition) -> list[str]:
    """Returns the names of the models that were made and not reused."""
    data, made = dataset.read(competition), []
    for name, spec in competition.of_stage("finetune").items():
        key = key_of(competition, spec, data)
        if results.reused(competition.model_folder(name), key):
            continue
        squares = None
        for fold in range(data.n_folds):
            if done(competition, name, fold, key) is not None:
                running_file(competition, name, fold).unlink(missing_ok=True)  # of a run killed at the fold's very end
                print(f"{name} fold {fold}  reused")
                continue
            if squares is None:
                squares = squares_of(competition, spec, data)
            run_fold(competition, name, fold, data, squares)
        assemble(competition, name, key, data)
        made.append(name)
    return made


def key_of(competition: Competition, spec: FineTune, data: Dataset) -> dict[str, Any]:
    side = encoders.store(competition, data.rows).side
    more = {} if side is None else {"pictures": side}
    return results.key(competition, spec, data, CODE, checkpoint=backbones.identity(spec), **more)


def squares_of(competition: Competition, spec: FineTune, data: Dataset) -> Squares:
    """The pictures of data.rows, squeezed."""
    geometry = Geometry(spec.img_size, spec.img_size, "squash", backbones.data_config(spec).interpolation)
    return Squares(encoders.store(competition, data.rows).pictures(data.rows), geometry)


def running_file(competition: Competition, name: str, fold: int) -> Path:
    return competition.model_folder(name) / f"fold{fold}.running.safetensors"


def done(competition: Competition, name: str, fold: int, key: dict[str, Any]) -> dict[str, Any] | None:
    """What a finished fold of the same key says of itself."""
    about = checkpoints.about(competition.model_folder(name) / f"fold{fold}.safetensors")
    return about if about is not None and results.same(about["key"], key) else None


def run_fold(
    competition: Competition, name: str, number: int, data: Dataset | None = None, squares: Squares | None = None
) -> None:
    """Trains one (model, fold) and writes its tables and weights: a unit of work, started with nothing but names.

    Args:
        data, squares: What is read and decoded, where the caller has it already.
    """
    spec, folder = competition.models[name], competition.model_folder(name)
    data = dataset.read(competition) if data is None else data
    key = key_of(competition, spec, data)
    train, valid = np.flatnonzero(data.fold != number), np.flatnonzero(data.fold == number)
    fold = training.Fold(
        name=name,
        number=number,
        spec=spec,
        squares=squares_of(competition, spec, data) if squares is None else squares,
        train=train,
        targets=data.targets[train],
        valid=valid,
        valid_targets=data.targets[valid],
        data_config=backbones.data_config(spec),
        metric=competition.metric,
        precision=machine.precision(spec.precision),
    )
    running = running_file(competition, name, number)
    seed = training.draw(spec.seed, number)
    model, history = training.train_fold(
        fold,
        lambda pretrained: backbones.create(
            spec, len(competition.classes), seed, backbones.weights(spec) if pretrained else None
        ),
        augment.compose(spec.augment),
        running,
        key,
    )
    start = time.perf_counter()
    finished = folder / f"fold{number}.safetensors"
    finished.unlink(missing_ok=True)  # of another key: it must not vouch for the tables of this one
    write = partial(predictions.write, id=competition.id, classes=competition.classes)
    oof = training.predict(model, fold, valid, spec.views)
    test = training.predict(model, fold, len(data.train) + np.arange(len(data.test)), spec.views)
    write(folder / f"fold{number}-oof.parquet", ids=data.train.take(valid).ids, probs=oof)
    write(folder / f"fold{number}-test.parquet", ids=data.test.ids, probs=test)
    seconds = sum(row["seconds"] for row in history) + time.perf_counter() - start
    about = {"key": key, "history": history, "seconds": seconds}
    checkpoints.save(finished, model.state_dict(), about)  # last: it says that all is there
    running.unlink()
    score, _ = METRICS[competition.metric].score(fold.valid_targets, oof)
    print(f"{name} fold {number}  {competition.metric} {score:.4f}  {duration(seconds)}")


def assemble(competition: Competition, name: str, key: dict[str, Any], data: Dataset) -> None:
    """Puts the folds' tables together: each train row from the fold that held it out, test rows as the folds' mean."""
    folder, k = competition.model_folder(name), len(competition.classes)
    oof, test, seconds, histories = np.zeros((len(data.train), k)), np.zeros((len(data.test), k)), 0.0, []
    for fold in range(data.n_folds):
        about, held_out = done(competition, name, fold, key), data.fold == fold
        read = partial(predictions.read, id=competition.id, classes=competition.classes)
        oof[held_out] = read(folder / f"fold{fold}-oof.parquet", ids=data.train.take(held_out).ids)
        test += read(folder / f"fold{fold}-test.parquet", ids=data.test.ids) / data.n_folds
        seconds += about["seconds"]
        histories.append(about["history"])
    history = pd.DataFrame(itertools.chain(*histories))
    files.write_text(folder / "history.csv", history.to_csv(index=False, lineterminator="\n"))
    results.save(competition, name, key, data, oof, test, seconds)
