"""A soup: the mean of the weights of fine-tuned models, chosen greedily among them (Wortsman et al. 2022).

For each fold the ingredients are the models that held it out, and which of them are taken is decided by what the same
choice does on the other folds: by their own models, on the rows that these held out. Norms' running averages are
averaged as weights are.
"""

import functools
from collections.abc import Collection

import numpy as np

from src.data.rows import Dataset
from src.models.finetune import averaging, training
from src.models.finetune.averaging import merit
from src.models.finetune.run import Run, runs_of, squares_of, test_rows
from src.networks import classifiers
from src.results import checkpoints
from src.schema.competition import Competition
from src.schema.models import Soup
from src.scoring.metrics import METRICS

Ingredient = tuple[str, int]  # model, number of its seed


def cook(competition: Competition, spec: Soup, data: Dataset) -> tuple[np.ndarray, np.ndarray, list[list[str]]]:
    """The probabilities (n, k) of data.train and of data.test (the mean over folds), and each fold's ingredients."""
    metric, first, k = METRICS[competition.metric], competition.models[spec.of[0]], len(competition.classes)
    squares = squares_of(competition, first, data)
    model = classifiers.create(first, k, 0, pretrained=False)

    def run_of(ingredient: Ingredient, number: int) -> Run:
        return runs_of(competition, ingredient[0], number)[ingredient[1]]

    def predicted(soup: Collection[Ingredient], number: int, rows: np.ndarray) -> np.ndarray:
        model.load_state_dict(averaging.mean([checkpoints.load(run_of(one, number).finished) for one in sorted(soup)]))
        fold = run_of((spec.of[0], 0), number).fold(data, squares)
        return training.predict(training.placed(model), fold, rows, first.views, first.batch_size)

    @functools.cache
    def held_out(soup: frozenset[Ingredient], number: int) -> np.ndarray:
        """By the fold's soup, of the rows that it held out."""
        return predicted(soup, number, np.flatnonzero(data.fold == number))

    def merit_on(folds: Collection[int], soup: Collection[Ingredient]) -> tuple[float, float]:
        targets = np.concatenate([data.targets[data.fold == number] for number in folds])
        return merit(metric, targets, np.concatenate([held_out(frozenset(soup), number) for number in folds]))

    every = [(name, i) for name in spec.of for i in range(competition.models[name].seeds)]
    oof, test, taken = np.zeros((len(data.train), k)), np.zeros((len(data.test), k)), []
    for number in range(data.n_folds):
        others = [other for other in range(data.n_folds) if other != number]
        on_others = functools.partial(merit_on, others)
        soup = averaging.greedy(sorted(every, key=lambda one: on_others([one]), reverse=True), on_others)
        oof[data.fold == number] = held_out(frozenset(soup), number)
        test += predicted(soup, number, test_rows(data)) / data.n_folds
        taken.append([f"{name} {run_of((name, i), number).seed}" for name, i in soup])
    return oof, test, taken
