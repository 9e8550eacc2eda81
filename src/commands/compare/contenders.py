"""How the cells of a comparison are made: from what a stage left, by other prompts, or by one run of fine-tuning."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from torch import nn

from src.base import files, machine
from src.commands.compare.cells import Cell
from src.models.finetune import augment, averaging, heads, training
from src.models.finetune.batches import Fold, draw
from src.models.finetune.keys import network_key
from src.models.finetune.resume import Running
from src.models.finetune.run import fold_of, squares_of
from src.models.finetune.training import Training
from src.networks import backbones, classifiers, clip, encoders, features, texts
from src.networks.predictor import placed
from src.results.compare import ALPHA
from src.results.model import model_tables, none_if_nan, read_model
from src.schema.competition import Competition
from src.schema.models import Encoder

CODE = 1  # raised when other numbers are computed from the same key
ONE_VIEW = ("identity",)
UNSEEN = ("weights_file", "views", "seeds", "temperature")  # of a recipe: they change no number of a cell


def make(cell: Cell) -> dict[str, Any]:
    """What cell.json says, of a cell that is made if it is not there.

    Raises:
        UserError: The model is not available, or cannot be trained; zero-shot and probe need their stages to have run.
    """
    if cell.spec.is_trained:
        return fine_tuned(cell)
    return zero_shot(cell) if cell.templates else of_stage(cell)


# Zero-shot and probe


def of_stage(cell: Cell) -> dict[str, Any]:
    """A cell of what the zero-shot or the probe stage has made."""
    competition, name, spec = cell.competition, cell.model, cell.spec
    made = read_model(competition.model_folder(name))
    key = {"code": CODE, "made": made["key"], "metric": competition.metric, **cell.digests}
    if (about := cell.reused(key)) is not None:
        return about
    oof, test = model_tables(competition, name, cell.data)
    probs = np.concatenate([oof, test])[cell.split.valid]
    cell.write("valid", probs)
    trained = spec.n_learnt(features_of(cell).shape[1] if spec.encoders else 0, len(competition.classes))
    size = parameters(spec.encoders)
    point = {"epoch": None if trained else 0, **cell.scored(probs), "seconds": made["seconds"]}
    return cell.save(key, spec.compared_as, [point], parameters=size + trained, trained=trained)


def features_of(cell: Cell) -> features.Features:
    """Those of the rows to validate on."""
    return features.Features(cell.competition, cell.spec.encoders, cell.data.rows.take(cell.split.valid))


def zero_shot(cell: Cell) -> dict[str, Any]:
    """A cell of the plain zero-shot classifier with the cell's own prompts."""
    competition, spec = cell.competition, cell.spec
    key = {
        "code": CODE,
        "model": spec.model_dump(mode="json", exclude={"weights_file"}),
        "clip": features.encoder_identity(spec),
        "precision": machine.precision(spec.precision),
        "metric": competition.metric,
        "prompts": competition.prompt_texts,
        **cell.digests,
    }
    if (about := cell.reused(files.as_json_value(key))) is not None:
        return about
    known = texts.read(competition, spec)
    probs = softmax(known.scale * features_of(cell).dot(known.classifier(competition.prompts, competition.classes)), 1)
    cell.write("valid", probs)
    point = {"epoch": 0, **cell.scored(probs), "seconds": None}
    return cell.save(files.as_json_value(key), spec.compared_as, [point], parameters=parameters([spec]), trained=0)


def parameters(specs: Sequence[Encoder]) -> int:
    """Of the image towers of encoders, each counted once."""
    total = 0
    for spec in {encoders.slug(spec): spec for spec in specs}.values():
        if spec.clip is not None:
            tower = clip.load(spec, pretrained=False).model.visual
        else:
            with torch.random.fork_rng(), torch.device("meta"):
                tower = backbones.create(spec, 0, spec.seed, None)
        total += size_of(tower)
    return total


def size_of(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


# Fine-tuning


def key_of(cell: Cell) -> dict[str, Any]:
    competition, spec, data = cell.competition, cell.spec, cell.data
    return files.as_json_value(
        {
            "code": CODE,
            "model": spec.model_dump(mode="json", exclude=set(UNSEEN)),
            "classes": list(competition.classes),
            "metric": competition.metric,
            "precision": machine.precision(spec.precision),
            **network_key(competition, spec, data),
            **({"folds": data.folds_sha} if spec.start == "probe" else {}),
            **cell.digests,
        }
    )


def fine_tuned(cell: Cell) -> dict[str, Any]:
    """A cell of one run on all rows to train on, looked at before the first epoch and after each."""
    competition, spec, split, key = cell.competition, cell.spec, cell.split, key_of(cell)
    if (about := cell.reused(key)) is not None:
        return about
    (cell.folder / "cell.json").unlink(missing_ok=True)  # first: while its tables are replaced, nothing is finished
    fold = fold_of(
        competition,
        spec,
        cell.data,
        squares_of(competition, spec, cell.data),
        title=cell.title,
        number=0,
        seed=spec.seed,
        train=split.train,
        valid=split.valid,
        valid_targets=split.valid_targets,
    )

    @functools.cache
    def head() -> classifiers.Head | None:
        # where it is a probe: of the rows outside of fold 0, which is honest whichever rows are scored
        return heads.starts(competition, spec, cell.data)[0]

    def create(pretrained: bool) -> nn.Module:
        return classifiers.create(spec, fold.k, draw(spec.seed, 0), pretrained, head() if pretrained else None)

    if on_gpu := machine.device().type == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def looked(training: Training, probs: np.ndarray) -> dict[str, Any]:
        cell.write("valid", probs)
        row = {"valid_se": cell.scored(probs)["se"], "train_seconds": round(training.seconds["train"], 3)}
        return row | ({"memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2)} if on_gpu else {})

    start = before(cell, key, fold, create)
    running = Running(cell.folder / "training.safetensors", key)
    model, history = training.train_fold(fold, create, augment.compose(spec.augment), running, looked)
    curve = between(cell, fold, create, model) if spec.wise_ft else []
    points, seconds = [{"epoch": 0, **start, "seconds": 0.0}], 0.0
    for row in history:
        seconds += row["train_seconds"]
        point = {"score": none_if_nan(row[f"valid_{competition.metric}"]), "se": row["valid_se"]}
        rest = {name: row[name] for name in ("loss", "lr", "images_per_second")}
        log_loss = row["valid_log_loss"]
        points.append({"epoch": row["epoch"], **point, "log_loss": log_loss, "seconds": round(seconds, 2), **rest})
    files.write_text(cell.folder / "history.csv", pd.DataFrame(points).to_csv(index=False, lineterminator="\n"))
    size, memory = size_of(model), max((row.get("memory_gb", 0) for row in history), default=0)
    made = cell.save(
        key,
        spec.compared_as,
        points,
        wise_ft=curve,
        parameters=size,
        trained=size,
        memory_gb=memory if on_gpu else None,
    )
    running.clear()
    (cell.folder / "epoch0.json").unlink(missing_ok=True)
    return made


def at_a_time(fold: Fold) -> int:
    """Images of a batch to predict, as after an epoch."""
    return min(fold.spec.micro_batch or fold.spec.batch_size, len(fold.train))


def before(cell: Cell, key: dict[str, Any], fold: Fold, create: Callable[[bool], nn.Module]) -> dict[str, Any]:
    """The point before any training; kept, so that a resumed run need not look again."""
    path = cell.folder / "epoch0.json"
    kept = files.read_json(path)
    if kept is None or kept["key"] != key or not cell.table("epoch0").is_file():
        model = placed(create(True))
        probs = training.predict(model, fold, fold.valid, ONE_VIEW, at_a_time(fold))
        cell.write("epoch0", probs)
        kept = {"key": key, "point": cell.scored(probs)}
        files.write_json(path, kept)
    print(f"{cell.title}  before training  valid {cell.competition.metric} {cell.said(kept['point'])}")
    return kept["point"]


def between(cell: Cell, fold: Fold, create: Callable[[bool], nn.Module], model: nn.Module) -> list[dict[str, Any]]:
    """WiSE-FT's curve: the scores with weights between those at the start (alpha 0) and those at the end (1)."""
    weights = {name: tensor.cpu().clone() for name, tensor in model.state_dict().items()}
    origin, points = create(True).state_dict(), []
    for alpha in sorted({*fold.spec.wise_ft, ALPHA}):
        model.load_state_dict(averaging.interpolated(origin, weights, alpha))
        probs = training.predict(model, fold, fold.valid, ONE_VIEW, at_a_time(fold))
        if alpha == ALPHA:
            cell.write(f"valid-alpha{ALPHA:g}", probs)
        points.append({"alpha": alpha, **cell.scored(probs)})
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
