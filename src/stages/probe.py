"""probe: fits a logistic regression on CLIP features for each fold.

Reads features/<clip>-<view>/ and folds.csv; writes models/<model>/.
"""

import time

import numpy as np
import torch

from src import checkpoints, dataset, features, probe, results
from src.config import Competition

CODE = 1


def run(competition: Competition) -> list[str]:
    """Returns the names of the models that were made and not reused."""
    data, made = dataset.read(competition), []
    for name, spec in competition.of_stage("probe").items():
        start = time.perf_counter()
        key = results.key(competition, spec, data, CODE, clip=features.identity(spec))
        folder = competition.model_folder(name)
        if results.reused(folder, key):
            continue
        feats, test_feats = features.read_split(competition, spec, data)
        fits = probe.fit_folds(feats, data.targets, data.fold, len(competition.classes), spec.cs)
        oof, test = np.zeros((len(data.train), len(competition.classes))), 0
        for k, fit in enumerate(fits):
            oof[data.fold == k] = fit.predict(feats[data.fold == k])
            test = test + fit.predict(test_feats) / len(fits)
            tensors = {"coef": torch.from_numpy(fit.coef), "intercept": torch.from_numpy(fit.intercept)}
            checkpoints.save(folder / f"fold{k}.safetensors", tensors, {"c": fit.c})
        chosen = [fit.c for fit in fits]
        print(f"{name}  C {', '.join(f'{c:g}' for c in chosen)}, chosen inside each fold's training rows")
        if edges := sorted({c for c in chosen if len(spec.cs) > 1 and c in (min(spec.cs), max(spec.cs))}):
            print(
                f"{name}  C {' and '.join(f'{c:g}' for c in edges)}: at the edge of the grid, widen `cs` in the config"
            )
        curves = [fit.curve for fit in fits]
        results.save(competition, name, key, data, oof, test, time.perf_counter() - start, c=chosen, c_curves=curves)
        made.append(name)
    return made
