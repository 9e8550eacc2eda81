"""The making of a comparison's cells: from a stage's model, by other prompts, or by one run of fine-tuning."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import nn

from src.base import files, machine
from src.base.errors import UserError
from src.commands.compare.cells import Cell
from src.models.finetune import augment, averaging, heads, training
from src.models.finetune.batches import Fold, draw
from src.models.finetune.keys import network_key
from src.models.finetune.resume import Running
from src.models.finetune.run import fold_of, squares_of
from src.models.finetune.training import Training
from src.networks import backbones, classifiers, clip, encoders, features, texts
from src.networks.predictor import to_device
from src.results.compare import ALPHA
from src.results.model import model_tables, none_if_nan, read_model
from src.schema.competition import Competition
from src.schema.networks import Encoder

CODE = 1  # raised when other numbers are computed from the same key
ONE_VIEW = ("identity",)
UNSEEN = ("weights_file", "views", "seeds", "temperature")  # of a recipe: they change no number of a cell


def make(cell: Cell) -> dict[str, Any]:
    """The content of cell.json, of a cell that is made if it is not there; zero-shot and probe need their stages.

    Raises:
        UserError: The model is not available, or cannot be trained; zero-shot and probe need their stages to have run.
    """
    key = key_of(cell)
    if (about := cell.reused(key)) is not None:
        return about
    if cell.spec.is_trained:
        return fine_tuned(cell, key)
    return zero_shot(cell, key) if cell.templates else from_stage(cell, key)


def key_of(cell: Cell) -> dict[str, Any]:
    """All that changes the cell's numbers; raises a UserError as `make` does."""
    if cell.spec.is_trained:
        return fine_tuning_key(cell)
    return zero_shot_key(cell) if cell.templates else stage_key(cell)


# Zero-shot and probe


def stage_key(cell: Cell) -> dict[str, Any]:
    """The key of a cell of a stage's model.

    Raises:
        UserError: The stage has none.
    """
    if (model := read_model(cell.competition.model_folder(cell.model))) is None:
        raise UserError("its stage has left it out, for want of weights: run compare again where the hub answers")
    return {"code": CODE, "made": model["key"], **cell.competition.scorer_key, **cell.split.digests}


def from_stage(cell: Cell, key: dict[str, Any]) -> dict[str, Any]:
    """A cell of the zero-shot or the probe stage's model."""
    competition, name, spec = cell.competition, cell.model, cell.spec
    model = read_model(competition.model_folder(name))
    oof, test = model_tables(competition, name, cell.data)
    probs = np.concatenate([oof, test])[cell.split.valid]
    cell.write("valid", probs)
    trained = spec.n_learnt(valid_features(cell).shape[1] if spec.encoders else 0, len(competition.outputs))
    size = count_parameters(spec.encoders)
    point = {"epoch": None if trained else 0, **cell.score(probs), "seconds": model["seconds"]}
    return cell.save(key, spec.compared_as, [point], parameters=size + trained, trained=trained)


def valid_features(cell: Cell) -> features.Features:
    """The features of the rows to validate on."""
    return features.Features(cell.competition, cell.spec.encoders, cell.data.rows.take(cell.split.valid))


def zero_shot_key(cell: Cell) -> dict[str, Any]:
    """The key of a cell with prompts of its own.

    Raises:
        UserError: It has several labels, of which the scale is fitted on folds.
    """
    competition, spec = cell.competition, cell.spec
    if not competition.target.is_choice:
        raise UserError(
            f"templates are compared where a picture is of one class, not by task={competition.task!r}: leave "
            "phrasings out of the config"
        )
    return files.as_json_value(
        {
            "code": CODE,
            "model": spec.model_dump(mode="json", exclude={"weights_file"}),
            "clip": features.encoder_identity(spec),
            "precision": features.precision(competition, spec),
            **competition.scorer_key,
            "prompts": competition.prompt_texts,
            **cell.split.digests,
        }
    )


def zero_shot(cell: Cell, key: dict[str, Any]) -> dict[str, Any]:
    """A cell of the plain zero-shot classifier with the cell's own prompts."""
    competition, spec = cell.competition, cell.spec
    known = texts.read(competition, spec)
    classifier = known.classifier(competition.prompts, competition.classes)
    probs = softmax(known.scale * valid_features(cell).dot(classifier), 1)
    cell.write("valid", probs)
    point = {"epoch": 0, **cell.score(probs), "seconds": None}
    return cell.save(key, spec.compared_as, [point], parameters=count_parameters([spec]), trained=0)


def count_parameters(specs: Sequence[Encoder]) -> int:
    """The parameters of the image towers of encoders, each counted once."""
    total = 0
    for spec in {encoders.slug(spec): spec for spec in specs}.values():
        if spec.clip is not None:
            tower = clip.create(spec, pretrained=False).visual
        else:
            with torch.random.fork_rng(devices=[]), torch.device("meta"):
                tower = backbones.create(spec, 0, spec.seed, None)
        total += model_size(tower)
    return total


def model_size(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


# Fine-tuning


def fine_tuning_key(cell: Cell) -> dict[str, Any]:
    competition, data = cell.competition, cell.data
    spec = cell.spec.scheduled(len(cell.split.train))
    return files.as_json_value(
        {
            "code": CODE,
            "model": spec.model_dump(mode="json", exclude=set(UNSEEN)),
            **competition.target_key,
            **competition.scorer_key,
            "precision": machine.precision(spec.precision),
            **network_key(competition, spec, data),
            **({"folds": data.folds_sha} if spec.start == "probe" else {}),
            **cell.split.digests,
        }
    )


def fine_tuned(cell: Cell, key: dict[str, Any]) -> dict[str, Any]:
    """A cell of one run on all rows to train on, scored before the first epoch and after each."""
    competition, split = cell.competition, cell.split
    spec = cell.spec.scheduled(len(split.train))
    (cell.folder / "cell.json").unlink(missing_ok=True)  # first: while its tables are replaced, nothing is finished
    squares = squares_of(competition, spec, cell.data)
    rows = {"train": split.train, "valid": split.valid, "valid_targets": split.valid_targets}
    fold = fold_of(competition, spec, cell.data, squares, title=cell.title, number=0, seed=spec.seed, **rows)

    @functools.cache
    def head() -> classifiers.Head | None:
        # where it is a probe: of the rows outside of fold 0, which is honest whichever rows are scored
        return heads.fitted(competition, spec, cell.data)[0]

    def create(pretrained: bool) -> nn.Module:
        return classifiers.create(spec, fold.k, draw(spec.seed, 0), pretrained, head() if pretrained else None)

    if on_gpu := machine.device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def after_epoch(training: Training, probs: np.ndarray) -> dict[str, Any]:
        cell.write("valid", probs)
        row = {"valid_se": cell.score(probs)["se"], "train_seconds": round(training.seconds["train"], 3)}
        return row | ({"memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2)} if on_gpu else {})

    start = first_point(cell, key, fold, create)
    running = Running(cell.folder / "training.safetensors", key)
    model, history = training.train_fold(fold, create, augment.compose(spec.augment), running, after_epoch)
    curve = wise_ft_curve(cell, fold, create, model) if spec.wise_ft else []
    points, seconds = [{"epoch": 0, **start, "seconds": 0.0}], 0.0
    for row in history:
        seconds += row["train_seconds"]
        point = {"score": none_if_nan(row[f"valid_{competition.metric}"]), "se": row["valid_se"]}
        rest = {name: row[name] for name in ("loss", "lr", "images_per_second")}
        log_loss = row["valid_log_loss"]
        points.append({"epoch": row["epoch"], **point, "log_loss": log_loss, "seconds": round(seconds, 2), **rest})
    files.write_text(cell.folder / "history.csv", pd.DataFrame(points).to_csv(index=False, lineterminator="\n"))
    size, memory = model_size(model), max((row.get("memory_gb", 0) for row in history), default=0)
    facts = {"wise_ft": curve, "parameters": size, "trained": size, "memory_gb": memory if on_gpu else None}
    about = cell.save(key, spec.compared_as, points, **facts)
    running.clear()
    (cell.folder / "epoch0.json").unlink(missing_ok=True)
    return about


def predict(model: nn.Module, fold: Fold) -> np.ndarray:
    """The probabilities of the rows to validate on, in batches as after an epoch."""
    batch = min(fold.spec.micro_batch or fold.spec.batch_size, len(fold.train))
    return training.predict(model, fold, fold.valid, ONE_VIEW, batch)


def first_point(cell: Cell, key: dict[str, Any], fold: Fold, create: Callable[[bool], nn.Module]) -> dict[str, Any]:
    """The point before any training; kept, so that a resumed run need not predict it again."""
    path = cell.folder / "epoch0.json"
    kept = files.read_json(path)
    if kept is None or kept["key"] != key or not cell.table("epoch0").is_file():
        probs = predict(to_device(create(True)), fold)
        cell.write("epoch0", probs)
        kept = {"key": key, "point": cell.score(probs)}
        files.write_json(path, kept)
    print(f"{cell.title}  before training  valid {cell.competition.metric} {cell.score_text(kept['point'])}")
    return kept["point"]


def wise_ft_curve(
    cell: Cell, fold: Fold, create: Callable[[bool], nn.Module], model: nn.Module
) -> list[dict[str, Any]]:
    """The scores with weights between those at the start (alpha 0) and those at the end (1)."""
    weights = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
    origin, points = create(True).state_dict(), []
    for alpha in sorted({*fold.spec.wise_ft, ALPHA}):
        model.load_state_dict(averaging.interpolate(origin, weights, alpha))
        probs = predict(model, fold)
        if alpha == ALPHA:
            cell.write(f"valid-alpha{ALPHA:g}", probs)
        points.append({"alpha": alpha, **cell.score(probs)})
    return points


# Templates


def with_templates(competition: Competition, templates: Sequence[str]) -> Competition:
    """The competition with these templates for all classes, and no WiSE-FT; the classes' phrases stay."""
    prompts = competition.prompts.model_copy(update={"templates": tuple(templates), "class_templates": {}})
    models = {
        name: spec.model_copy(update={"wise_ft": ()}) if spec.is_trained else spec
        for name, spec in competition.models.items()
    }
    return competition.model_copy(update={"prompts": prompts, "models": models})
