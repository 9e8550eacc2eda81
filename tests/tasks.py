"""Made-up competitions of each task, of pictures in one colour, with models whose predictions are made up too."""

import functools
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.special import expit, softmax

from src.base import files
from src.data.rows import Dataset, read_dataset
from src.results.model import save_model
from src.schema.competition import Competition
from src.schema.forms import OneProbability, Ranking
from tests.conftest import png, toy_competition

N, M, FOLDS = 120, 60, 3
NAMES = ("blue", "green", "red", "rare")
COLUMNS = {"labels": "labels", "number": "score"}
SAMPLE = {"labels": "blue", "number": 38.0, "class": "blue", "binary": 0.5, "ranking": "blue green"}
FIELDS = {
    "labels": {"task": "labels", "classes": NAMES, "metric": "micro_f1"},
    "number": {"task": "number", "classes": (), "span": (0, 100), "metric": "rmse"},
    "class": {"classes": NAMES},
    "binary": {"classes": NAMES[:2], "metric": "auc", "submission": OneProbability("green")},
    "ranking": {"classes": NAMES, "metric": "map3", "submission": Ranking(k=3)},
}


def truth(kind: str) -> np.ndarray:
    """The targets of the N train and M test rows."""
    rng = np.random.default_rng(0)
    if kind == "labels":
        return (rng.random((N + M, len(NAMES))) < (0.5, 0.4, 0.3, 0.1)).astype(np.uint8)
    if kind == "number":
        return rng.gamma(4, 9, N + M).clip(0, 100).round(1)
    k = len(FIELDS[kind]["classes"])
    return np.concatenate([np.arange(2 * k) % k, rng.integers(0, k, N + M - 2 * k)])


def cells(kind: str, targets: np.ndarray) -> list[str]:
    """The targets as a table has them."""
    if kind == "labels":
        return [" ".join(np.array(NAMES)[row > 0]) for row in targets]
    return [str(one) if kind == "number" else NAMES[one] for one in targets]


@functools.cache
def pictures() -> list[bytes]:
    """A file of noise for each row, which all of these competitions have."""
    rng = np.random.default_rng(1)
    return [png(Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8))) for _ in range(N + M)]


def competition_of(roots: Path, kind: str, **changes) -> Competition:
    """Its tables, a picture a row, and folds."""
    folder, label, targets = roots / "input" / "toy", COLUMNS.get(kind, "label"), truth(kind)
    ids = [f"{i:03d}" for i in range(N + M)]
    rows = pd.DataFrame({"id": ids, "image": [f"{id}.png" for id in ids], label: cells(kind, targets)})
    folder.mkdir(parents=True)
    for name, picture in zip(rows["image"], pictures(), strict=True):
        (folder / name).write_bytes(picture)
    rows[:N].to_csv(folder / "train.csv", index=False)
    rows[N:][["id", "image"]].to_csv(folder / "test.csv", index=False)
    rows[N:][["id"]].assign(**{label: SAMPLE[kind]}).to_csv(folder / "sample_submission.csv", index=False)
    models = {name: toy_competition().models["convnext"] for name in ("a", "b")}
    given = {"label": label, "prompts": None, "models": models, **FIELDS[kind], **changes}
    competition = toy_competition(**given)
    fold = rows[:N][["id"]].assign(fold=np.arange(N) % FOLDS)
    files.write_text(competition.folds_csv, fold.to_csv(index=False))
    return competition


def guess(kind: str, targets: np.ndarray, skill: float, seed: int) -> np.ndarray:
    """Predictions (n, k) of about this skill: 0 is none."""
    rng = np.random.default_rng(seed)
    if kind == "labels":
        return expit(skill * (2.0 * targets - 1) + rng.normal(size=targets.shape))
    if kind == "number":
        return (targets + rng.normal(size=len(targets)) * 20 / max(skill, 0.1)).clip(0, 100)[:, None]
    k = len(FIELDS[kind]["classes"])
    return softmax(skill * np.eye(k)[targets] + rng.normal(size=(len(targets), k)), axis=1)


def save(
    competition: Competition, kind: str, name: str, skill: float = 3.0, seed: int = 0
) -> tuple[Dataset, np.ndarray]:
    """A finished model; returns the rows and its out-of-fold predictions as they were written."""
    data, targets = read_dataset(competition), truth(kind)
    oof, test = (
        guess(kind, targets[[int(id) for id in rows.ids]], skill, 2 * seed + i).astype(np.float32)
        for i, rows in enumerate((data.train, data.test))
    )
    spec = competition.models.get(name)
    stored = {} if spec is None else {"model": spec.model_dump(mode="json", exclude={"weights_file"})}
    save_model(competition, name, {**stored, "precision": "float32", **data.key}, data, oof, test, 1.0)
    return data, oof
