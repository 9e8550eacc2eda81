"""Where the linear head of a CLIP that is fine-tuned starts: its zero-shot classifier, or a probe of its features."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from src.base import locks
from src.data.rows import Dataset
from src.models.links import link
from src.models.probe import nested
from src.models.probe.data import ProbeData
from src.models.probe.fitting import probe_key
from src.networks import encoding, features, texts
from src.networks.classifiers import Head
from src.networks.features import Features
from src.results import checkpoints
from src.results.model import same_model_key, without_test_rows
from src.schema.competition import Competition
from src.schema.models import FineTune, Probe

CODE = 1  # raised when other probes are fitted for the same key


def starts(competition: Competition, name: str, data: Dataset) -> list[Head | None]:
    """The head of each fold of a model; None where it is random.

    Probes are fitted once, whoever wants them first: then they lie in starts.safetensors.
    """
    spec = competition.models[name]
    if spec.start != "probe":
        return fitted(competition, spec, data)
    path = probes_file(competition, name)
    with locks.locked(path.with_name(f".{path.stem}.lock")):
        if not has_probes(competition, name, data):
            save(path, fitted(competition, spec, data), probes_key(competition, spec, data))
        tensors = checkpoints.load(path)
    return [Head(tensors[f"coef{i}"].numpy(), tensors[f"intercept{i}"].numpy()) for i in range(data.n_folds)]


def save(path: Path, heads: list[Head], key: dict[str, Any]) -> None:
    of_folds = {f"{part}{i}": array for i, head in enumerate(heads) for part, array in vars(head).items()}
    checkpoints.save(path, {name: torch.from_numpy(array) for name, array in of_folds.items()}, {"key": key})


def probes_file(competition: Competition, name: str) -> Path:
    return competition.model_folder(name) / "starts.safetensors"


def has_probes(competition: Competition, name: str, data: Dataset) -> bool:
    """Whether the probes that a model starts from are there, and of these rows."""
    about = checkpoints.about(probes_file(competition, name)) or {}
    return same_model_key(about.get("key", {}), probes_key(competition, competition.models[name], data))


def probes_key(competition: Competition, spec: FineTune, data: Dataset) -> dict[str, Any]:
    """All that changes the numbers of the probes."""
    return {"head": CODE, **without_test_rows(probe_key(competition, probe_of(spec), data))}


def fitted(competition: Competition, spec: FineTune, data: Dataset) -> list[Head | None]:
    """As `starts`, of a recipe that is no model of the config, say: nothing is kept."""
    if spec.start == "probe":
        return probes(competition, spec, data)
    return [zero_shot(competition, spec) if spec.start == "zeroshot" else None] * data.n_folds


def zero_shot(competition: Competition, spec: FineTune) -> Head:
    """The zero-shot classifier times CLIP's scale (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models")."""
    known = texts.read(competition, spec.encoder)
    coef = known.scale * known.classifier(competition.prompts, competition.classes).T
    return Head(coef.astype(np.float32), np.zeros(len(coef), np.float32))


def probes(competition: Competition, spec: FineTune, data: Dataset) -> list[Head]:
    """For each fold the probe of its training rows, C chosen inside them (Kumar et al. 2022, "LP-FT").

    The features of all rows are encoded where they are missing.
    """
    encoder = spec.encoder
    encoding.encode_rows(competition, features.feature_caches(competition, encoder), data)
    feats = Features(competition, [encoder], data.train)
    own = link(competition)  # of the network, whose head it becomes
    rows = ProbeData(lambda unit: feats, own.wanted(data.targets), data.fold, len(competition.outputs), link=own)
    fits = nested.fit_folds(probe_of(spec), rows)
    return [Head(fit.coef.astype(np.float32), fit.intercept.astype(np.float32)) for fit in fits]


def probe_of(spec: FineTune) -> Probe:
    encoder = spec.encoder
    return Probe(**{name: getattr(encoder, name) for name in encoder.model_fields_set}, normalise=(True,))
