"""blend: the mean of the models' probabilities, or weights where they are better by more than a standard error.

Reads models/*/ of the config's models; writes models/blend/, whose oof.parquet is cross-fitted.
"""

import time

import numpy as np

from src import blending, dataset, files, results
from src.config import Competition
from src.errors import UserError
from src.metrics import METRICS

CODE = 1


def run(competition: Competition) -> list[str]:
    """Returns ["blend"] if it was made and not reused."""
    start = time.perf_counter()
    data, metric = dataset.read(competition), METRICS[competition.metric]
    names = list(competition.blend.models or competition.models)
    key = {
        "code": CODE,
        "blend": competition.blend.model_dump(mode="json"),
        "metric": competition.metric,
        "classes": list(competition.classes),
        "models": {name: of(competition, name, data.folds_sha) for name in names},
        **data.key,
    }
    if results.reused(competition.model_folder("blend"), key):
        return []
    pairs = [results.tables(competition, name, data) for name in names]
    oofs, tests = (np.stack(tables) for tables in zip(*pairs, strict=True))
    targets, fold, equal = data.targets, data.fold, np.full(len(names), 1 / len(names))
    mean, weighted = blending.blend(oofs, equal), blending.cross_fitted(oofs, targets, fold)
    for what, oof in (("mean", mean), ("weights", weighted)):
        score, se = metric.score(targets, oof)
        log_loss, _ = METRICS["log_loss"].score(targets, oof)
        print(f"{what:8s} {competition.metric} {score:.4f} ± {se:.4f}  log loss {log_loss:.4f}")
    gain, se = metric.gain(targets, weighted, than=mean)
    method = competition.blend.method
    if method == "auto":
        method = "weights" if gain > se else "mean"
        print(f"weights, cross-fitted, gain {gain:+.4f} ± {se:.4f} over the mean (paired): {method} it is")
    weights = blending.simplex_weights(oofs, targets) if method == "weights" else equal
    facts = {"method": method, "weights": {name: round(float(w), 4) for name, w in zip(names, weights, strict=True)}}
    oof = weighted if method == "weights" else mean
    test, seconds = blending.blend(tests, weights), time.perf_counter() - start
    results.save(competition, "blend", key, data, oof, test, seconds, **facts)
    return ["blend"]


def of(competition: Competition, name: str, folds_sha: str) -> str:
    """What names a model's tables in the blend's key.

    Raises:
        UserError: The model is not finished, or of other folds.
    """
    folder = competition.model_folder(name)
    if (made := results.read(folder)) is None:
        raise UserError(f"model {name!r} is not finished: run the stage {competition.models[name].stage}")
    if made["key"]["folds"] != folds_sha:
        raise UserError(f"model {name!r} was made with other folds: run the stage {competition.models[name].stage}")
    return files.digest([files.sha256(folder / "oof.parquet"), files.sha256(folder / "test.parquet")])
