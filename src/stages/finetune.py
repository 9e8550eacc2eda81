"""finetune: trains each network on each fold's training rows and predicts its held-out rows and the test rows.

Reads the images and folds.csv, and a probe's judgement of the labels if doubtful ones are dropped. Writes
models/<model>/ with history.csv; for each fold, and each further seed, first fold<k>.safetensors, then its tables, and
fold<k>.json, which records how they were made. Soups are made last, from the weights of finished models. Prints a line
per epoch and the score of each fold.
"""

import itertools
import time
from typing import Any

import numpy as np
import pandas as pd

from src.base import files
from src.data.rows import Dataset, read_dataset
from src.models.finetune import averaging
from src.models.finetune.fitted import FittedFineTune
from src.models.finetune.fold import Shared, run_fold
from src.models.finetune.keys import CODE
from src.models.finetune.run import check_networks, runs_of
from src.models.finetune.soups import cook
from src.models.pictures import test_pictures
from src.results.model import is_reused, model_key, read_model, save_model
from src.schema.competition import Competition
from src.schema.models import Soup
from src.scoring import calibration
from src.scoring.tables import Gathered, mean

check = check_networks  # before anything is computed


def run(competition: Competition) -> list[str]:
    """Return the names of the models that were computed and not reused."""
    data = read_dataset(competition)
    tuned = [Shared(competition, name, data) for name in competition.trained]
    for shared in tuned:
        shared.doubtful  # noqa: B018 a missing judgement is an error before the first night of training
    computed = [shared.name for shared in tuned if fine_tune(shared)]
    soups = {name: spec for name, spec in competition.of_stage("finetune").items() if spec.ingredients}
    return [*computed, *(name for name, spec in soups.items() if mix_soup(competition, name, spec, data))]


def fine_tune(shared: Shared) -> bool:
    """Train the folds and assemble the model; returns False if it is reused."""
    competition, name, data = shared.competition, shared.name, shared.data
    if is_reused(competition.model_folder(name), shared.key):
        return False
    for number in range(data.n_folds):
        for one in runs_of(competition, name, number):
            if one.done(shared.key) is not None:
                print(f"{one.title}  reused")
            else:
                run_fold(competition, name, number, one.seed, shared)
    assemble(shared)
    return True


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


def mix_soup(competition: Competition, name: str, spec: Soup, data: Dataset) -> bool:
    """Choose the soup's ingredients and predict; returns False if it is reused."""
    start = time.perf_counter()
    ingredients = {other: read_model(competition.model_folder(other))["key"] for other in spec.of}
    key = model_key(competition, spec, data, CODE, ingredients=ingredients, **competition.scorer_key)
    if is_reused(competition.model_folder(name), key):
        return False
    fitted, oof = cook(competition, name, data)
    chosen = [[f"{model} {seed}" for model, seed in soup] for soup in fitted.chosen]
    for number, some in enumerate(chosen):
        print(f"{name} fold {number}  {len(some)} ingredients: {', '.join(some)}")
    test = fitted.predict(test_pictures(competition, data))
    save_model(competition, name, key, data, oof, test, time.perf_counter() - start, ingredients=chosen)
    return True
