"""A probe's judgement of each fold's training rows and their labels, by fits that have seen neither them nor the fold.

The probe stage writes it for models that are fine-tuned with label_noise="drop", which read it.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.base import files
from src.base.errors import UserError
from src.data.rows import Dataset
from src.models.probe.fitting import probe_key
from src.results import predictions
from src.results.model import same_model_key, without_test_rows
from src.schema.competition import Competition
from src.schema.models import FineTune
from src.scoring import label_noise

JUDGE = "judge"  # behind a probe's name: the unit that writes its judgement


def judging_probes(competition: Competition) -> set[str]:
    """The probes that models of the config want to judge labels."""
    return {judge_of(competition, spec) for spec in competition.trained.values() if spec.needs_judge}


def judge_of(competition: Competition, spec: FineTune) -> str:
    """The probe that finds the doubtful labels of a model's training rows: the config's first where none is named."""
    return spec.judge or next(name for name, model in competition.models.items() if model.judges_labels)


def key(competition: Competition, name: str, data: Dataset) -> dict[str, Any]:
    """All that changes a probe's judgement: not test rows, nor its own treatment of doubtful labels."""
    key = without_test_rows(probe_key(competition, competition.models[name], data))
    return key | {"model": {field: value for field, value in key["model"].items() if field != "label_noise"}}


def judgement_paths(competition: Competition, name: str, data: Dataset) -> tuple[Path, list[Path]]:
    """The description, which is written last, and the table of each fold."""
    folder = competition.model_folder(name)
    return folder / "judged.json", [folder / f"fold{number}-judged.parquet" for number in range(data.n_folds)]


def why_not_judged(competition: Competition, name: str, data: Dataset) -> str:
    """The reason why a judgement is not the one of the key; empty where it is."""
    about, tables = judgement_paths(competition, name, data)
    have, want = (files.read_json(about) or {}).get("key"), key(competition, name, data)
    if have is None or not all(path.is_file() for path in tables):
        return "is missing"
    return "" if same_model_key(have, want) else f"is of another state ({files.describe_changes(have, want)})"


def write_judgements(competition: Competition, name: str, data: Dataset, judged: Sequence[np.ndarray]) -> None:
    """Write for each fold the probabilities (m, k) of the rows outside of it."""
    about, tables = judgement_paths(competition, name, data)
    about.unlink(missing_ok=True)
    for number, (path, probs) in enumerate(zip(tables, judged, strict=True)):
        ids = data.train.take(data.fold != number).ids
        predictions.write(path, competition, ids, probs)
    files.write_json(about, {"key": key(competition, name, data)})


def doubtful(competition: Competition, spec: FineTune, data: Dataset) -> list[np.ndarray]:
    """For each fold (m,) bool: the rows outside of it, in their order, with doubtful labels.

    Raises:
        UserError: There is no judgement of them yet, or one of other rows.
    """
    name = judge_of(competition, spec)
    if why := why_not_judged(competition, name, data):
        raise UserError(
            f"what the probe {name!r} says of the training rows' labels {why}: run "
            f"{competition.command('probe', 'finetune')}"
        )
    masks = []
    for number, path in enumerate(judgement_paths(competition, name, data)[1]):
        training = data.fold != number
        probs = predictions.read(path, competition, data.train.take(training).ids)
        masks.append(label_noise.issues(data.targets[training], probs).mask)
    return masks


def judgements_digest(masks: Sequence[np.ndarray], data: Dataset, k: int) -> str:
    """A digest of the rows that each fold leaves out, by the masks of `doubtful` and k classes.

    Beside the ids stand (rows, k) float32 zeros, as in the keys of finished models.
    """
    parts = []
    for number, mask in enumerate(masks):
        ids = data.train.take(data.fold != number).take(mask).ids
        parts.append([[*ids], hashlib.sha256(np.zeros((len(ids), k), np.float32).tobytes()).hexdigest()])
    return files.digest(parts)
