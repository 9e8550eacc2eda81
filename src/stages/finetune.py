"""finetune: trains each network on each fold's training rows and predicts its held-out rows and the test rows.

Reads the images and folds.csv, and a probe's judgement of the labels if doubtful ones are dropped. Writes
models/<model>/ with history.csv; for each fold, and each further seed, first fold<k>.safetensors, then its tables, and
fold<k>.json, which records how they were made. Soups are made last, from the weights of finished models. Prints a line
per epoch and the score of each fold.
"""

import time

from src.data.rows import Dataset, read_dataset
from src.models.finetune.assembling import assemble
from src.models.finetune.fold import Shared, run_fold
from src.models.finetune.keys import CODE
from src.models.finetune.run import check_networks, runs_of
from src.models.finetune.soups import cook
from src.models.pictures import test_pictures
from src.results.model import is_reused, model_key, read_model, save_model
from src.schema.competition import Competition
from src.schema.models import Soup

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


def mix_soup(competition: Competition, name: str, spec: Soup, data: Dataset) -> bool:
    """Choose the soup's ingredients and predict; returns False if it is reused."""
    start = time.perf_counter()
    ingredients = {other: read_model(competition.model_folder(other))["key"] for other in spec.of}
    key = model_key(competition, spec, data, CODE, ingredients=ingredients, metric=competition.metric)
    if is_reused(competition.model_folder(name), key):
        return False
    fitted, oof = cook(competition, name, data)
    chosen = [[f"{model} {seed}" for model, seed in soup] for soup in fitted.chosen]
    for number, some in enumerate(chosen):
        print(f"{name} fold {number}  {len(some)} ingredients: {', '.join(some)}")
    test = fitted.predict(test_pictures(competition, data))
    save_model(competition, name, key, data, oof, test, time.perf_counter() - start, ingredients=chosen)
    return True
