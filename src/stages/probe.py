"""probe: fits a logistic regression on an encoder's features for each fold.

Reads features/<encoder>-<view>/ and folds.csv; writes models/<model>/.
"""

import time

import numpy as np
import torch

from src import checkpoints, dataset, features, probe, results, texts
from src.config import Competition
from src.dataset import Dataset, Rows
from src.features import ROWS, Features
from src.probe import Fit
from src.specs import Probe

CODE = 3


def run(competition: Competition) -> list[str]:
    """Returns the names of the models that were made and not reused."""
    data, made = dataset.read(competition), []
    for name, spec in competition.of_stage("probe").items():
        more = {}
        if spec.towards == "zeroshot":
            more["prompts"] = {label: competition.prompts.texts(label) for label in competition.classes}
        identity = [features.identity(encoder) for encoder in spec.encoders]
        key = results.key(competition, spec, data, CODE, encoders=identity, **more)
        if results.reused(competition.model_folder(name), key):
            continue
        make(competition, name, spec, data, key)
        made.append(name)
    return made


def make(competition: Competition, name: str, spec: Probe, data: Dataset, key: dict) -> None:
    start, folder, k = time.perf_counter(), competition.model_folder(name), len(competition.classes)
    views = len(spec.views) if spec.views_as == "rows" else 1
    train, test = (Split(competition, spec, rows) for rows in (data.train, data.test))
    folder.mkdir(parents=True, exist_ok=True)
    fits = probe.fit_folds(
        spec,
        train.feats,
        np.tile(data.targets, views),
        np.tile(data.fold, views),
        k,
        rows=views,
        offset=train.offset,
        scratch=folder,
    )
    oof, tests = np.zeros((len(data.train), k)), []
    for fold, fit in enumerate(fits):
        oof[data.fold == fold] = train.predict(fit, np.flatnonzero(data.fold == fold))
        tests.append(test.predict(fit, np.arange(len(data.test))))
        tensors = {"coef": torch.from_numpy(fit.coef), "intercept": torch.from_numpy(fit.intercept)}
        checkpoints.save(folder / f"fold{fold}.safetensors", tensors, {"c": fit.c, "normalise": fit.normalise})
    print(curve(name, fits))
    chosen = [{"c": fit.c, "normalise": fit.normalise} for fit in fits]
    curves, seconds = [fit.curves for fit in fits], time.perf_counter() - start
    results.save(competition, name, key, data, oof, np.mean(tests, axis=0), seconds, chosen=chosen, c_curves=curves)


class Split:
    """The features of the train or the test rows, and what is predicted of them."""

    def __init__(self, competition: Competition, spec: Probe, rows: Rows):
        self.n, self.views = len(rows), len(spec.views) if spec.views_as == "rows" else 1
        both = {unit: Features(competition, spec.encoders, rows, unit, spec.views_as) for unit in spec.normalise}
        self.feats = both.__getitem__
        self.offset = None
        if spec.towards == "zeroshot":
            known = texts.read(competition, spec)
            unit = Features(competition, [spec], rows, True, spec.views_as)
            self.offset = known.scale * unit.dot(known.classifier(competition.prompts, competition.classes))

    def predict(self, fit: Fit, index: np.ndarray) -> np.ndarray:
        """(m, k) probabilities of rows, the mean of their views' where these are rows."""
        parts = np.split(index, range(ROWS, len(index), ROWS))  # memory holds one part of the features
        return np.concatenate([self.mean(fit, part) for part in parts])

    def mean(self, fit: Fit, index: np.ndarray) -> np.ndarray:
        probs = []
        for view in range(self.views):
            places = index + view * self.n
            offset = 0.0 if self.offset is None else self.offset[places]
            probs.append(fit.predict(self.feats(fit.normalise)[places], offset))
        return np.mean(probs, axis=0)


def curve(name: str, fits: list[Fit]) -> str:
    """The log loss inside the training rows for each C, the mean over folds, and what each fold chose."""
    lines = [f"{name}  log loss inside the training rows, by C"]
    for kind in fits[0].curves:
        values = {c: [fit.curves[kind][c] for fit in fits] for c in fits[0].curves[kind]}
        best = min(values, key=lambda c: np.mean(values[c]))
        cells = [f"{c}: {np.mean(losses):.4f}{' (least)' if c == best else ''}" for c, losses in values.items()]
        lines.append(f"  {kind:4s}  {'  '.join(cells)}")
    chosen = ", ".join(f"{fit.c:g} {'unit' if fit.normalise else 'raw'}" for fit in fits)
    return "\n".join([*lines, f"  chosen for each fold: {chosen}"])
