"""A fine-tuned model of its folds: their tables put together, weights' alpha and the temperature chosen."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from src.base import files
from src.models.finetune import averaging
from src.models.finetune.fitted import FittedFineTune
from src.models.finetune.fold import Shared
from src.models.finetune.run import runs_of
from src.results.model import save_model
from src.scoring import calibration
from src.scoring.tables import Gathered, mean


def assemble(shared: Shared) -> None:
    """Put the folds' tables together: each train row from the fold that held it out, test rows as the folds' mean."""
    competition, name, key, data, spec = shared.competition, shared.name, shared.key, shared.data, shared.spec
    metric, facts = competition.scorer, {}
    alphas = spec.wise_ft or (None,)
    n, k = len(data.train), len(competition.outputs)
    is_sparse = competition.target.is_sparse(n, k)
    abouts, gathered = [], [Gathered(n, k, is_sparse) for _ in alphas]
    for number in range(data.n_folds):
        ones = runs_of(competition, name, number)
        abouts += [one.done(key) for one in ones]
        for oof, alpha in zip(gathered, alphas, strict=True):
            oof[data.fold == number] = mean([one.read(data, "oof", alpha) for one in ones])
    oofs = [oof.table() for oof in gathered]
    best = averaging.best_variants(oofs, data.targets, data.fold, metric)  # (folds,)
    if spec.wise_ft:
        facts["wise_ft"] = curve(name, alphas, best, [metric.score(data.targets, oof) for oof in oofs])
    chosen = Gathered(n, k, is_sparse)
    for number, variant in enumerate(best):
        chosen[data.fold == number] = oofs[variant][data.fold == number]
    oof = chosen.table()
    if spec.temperature:
        facts["temperature"] = calibration.rounded(calibration.temperature(oof, data.targets))
        print(f"{name}  temperature {span(facts['temperature'])}, cross-fitted")
        oof = calibration.cross_fitted(oof, data.targets, data.fold)
    if shared.doubtful is not None:
        facts["dropped"] = [int(mask.sum()) for mask in shared.doubtful]
    fitted = FittedFineTune(competition, name, [alphas[i] for i in best], facts.get("temperature"))
    test = fitted.combined(lambda one, alpha: one.read(data, "test", alpha))
    history = pd.DataFrame(itertools.chain(*(about["history"] for about in abouts)))
    files.write_text(competition.model_folder(name) / "history.csv", history.to_csv(index=False, lineterminator="\n"))
    save_model(competition, name, key, data, oof, test, sum(about["seconds"] for about in abouts), **facts)


def span(numbers: float | list[float]) -> str:
    """`1.234`, or `0.981 to 1.234` of several."""
    return " to ".join(f"{one:.3f}" for one in dict.fromkeys([np.min(numbers), np.max(numbers)]))


def curve(name: str, alphas: tuple[float, ...], best: np.ndarray, scores: list[tuple[float, float]]) -> dict[str, Any]:
    """WiSE-FT's curve, which is printed: each alpha's score on all rows, and each fold's choice on the others."""
    chosen = [alphas[i] for i in best]
    curve = "  ".join(f"{alpha:g}: {score:.4f}" for alpha, (score, _) in zip(alphas, scores, strict=True))
    print(f"{name}  weights from the start (alpha 0) to fine-tuned (1)  {curve}")
    print(f"{name}  alpha chosen for each fold on the others: {', '.join(f'{alpha:g}' for alpha in chosen)}")
    rows = [{"alpha": alpha, "score": score, "se": se} for alpha, (score, se) in zip(alphas, scores, strict=True)]
    return {"curve": rows, "chosen": chosen}
