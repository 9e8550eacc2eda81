"""A soup: the mean of the weights of fine-tuned models, chosen greedily among them (Wortsman et al. 2022).

For each fold the ingredients are the models that held it out, and which of them are taken is decided by what the same
choice does on the other folds: by their own models, on the rows that these held out. Norms' running averages are
averaged as weights are.
"""

import functools
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from src.base.errors import UserError
from src.data.rows import Dataset
from src.models import fitted
from src.models.finetune import averaging
from src.models.finetune.averaging import merit
from src.models.finetune.fitted import blank
from src.models.finetune.run import Run
from src.models.fitted import FinishedModel
from src.models.links import link
from src.models.pictures import Pictures, StoredPictures, test_pictures
from src.networks.predictor import Predictor, predictor
from src.results import checkpoints
from src.results.model import save_model
from src.schema.competition import Competition
from src.schema.models import FineTune, Soup
from src.scoring.tables import Gathered, Table, concatenate, mean

Ingredient = tuple[str, int]  # model, seed


@dataclass(frozen=True)
class FittedSoup:
    competition: Competition
    name: str
    chosen: Sequence[Sequence[Ingredient]]  # of each fold
    side: int | None = None  # to which pictures were reduced

    @property
    def spec(self) -> Soup:
        return self.competition.models[self.name]

    @property
    def first(self) -> FineTune:
        """The model whose network and views all have."""
        return self.competition.models[self.spec.of[0]]

    def predict(self, pictures: Pictures) -> Table:
        """(n, k) predictions, the mean over folds."""
        model = blank(self.first, len(self.competition.outputs))
        if self.competition.target.is_sparse(len(pictures), len(self.competition.outputs)):
            return mean([pictures.probabilities(self.network(model, soup, i)) for i, soup in enumerate(self.chosen)])
        total = np.zeros((len(pictures), len(self.competition.outputs)))
        for number, soup in enumerate(self.chosen):
            total += pictures.probabilities(self.network(model, soup, number)) / len(self.chosen)
        return total

    def network(self, model: nn.Module, soup: Collection[Ingredient], number: int) -> Predictor:
        """`model` with the mean of the weights that a fold's ingredients have."""
        runs = [Run(self.competition, name, number, seed) for name, seed in sorted(soup)]
        model.load_state_dict(averaging.mean([checkpoints.load(one.finished) for one in runs]))
        of_outputs, title = link(self.competition).predict_tensor, f"{self.name} fold {number}"
        return predictor(self.first, model, of_outputs, title, self.side)


def cook(competition: Competition, name: str, data: Dataset) -> tuple[FittedSoup, Table]:
    """Choose the ingredients of each fold; also the predictions (n, k) of data.train, each row's by its fold's."""
    metric, k = competition.scorer, len(competition.outputs)
    plain = FittedSoup(competition, name, ())
    model, models = blank(plain.first, k), competition.models
    pictures = [StoredPictures(competition, data, np.flatnonzero(held_out)) for held_out in data.held_out]

    @functools.cache
    def held_out(soup: frozenset[Ingredient], number: int) -> Table:
        """By the fold's soup, of the rows that it held out."""
        return pictures[number].probabilities(plain.network(model, soup, number))

    def merit_on(folds: Collection[int], soup: Collection[Ingredient]) -> tuple[float, float]:
        targets = np.concatenate([data.targets[data.fold == number] for number in folds])
        return merit(metric, targets, concatenate([held_out(frozenset(soup), number) for number in folds]))

    every = [(other, models[other].seed + i) for other in plain.spec.of for i in range(models[other].seeds)]
    oof, chosen = Gathered(len(data.train), k, competition.target.is_sparse(len(data.train), k)), []
    for number in range(data.n_folds):
        others = [other for other in range(data.n_folds) if other != number]
        on_others = functools.partial(merit_on, others)
        soup = averaging.greedy(sorted(every, key=lambda one: on_others([one]), reverse=True), on_others)
        oof[data.fold == number] = held_out(frozenset(soup), number)
        chosen.append(soup)
    return FittedSoup(competition, name, chosen), oof.table()


def mix(competition: Competition, name: str, data: Dataset, key: dict[str, Any]) -> None:
    """Choose a soup's ingredients, predict, and save it with its key."""
    start = time.perf_counter()
    fitted, oof = cook(competition, name, data)
    chosen = [[f"{model} {seed}" for model, seed in soup] for soup in fitted.chosen]
    for number, some in enumerate(chosen):
        print(f"{name} fold {number}  {len(some)} ingredients: {', '.join(some)}")
    test = fitted.predict(test_pictures(competition, data))
    save_model(competition, name, key, data, oof, test, time.perf_counter() - start, ingredients=chosen)


def load(one: FinishedModel) -> FittedSoup:
    """Raises UserError: An ingredient is not there, or another one than it was."""
    known = one.key["ingredients"]
    for other in one.spec.of:
        fitted.load(one.competition, other)
        if fitted.read_finished(one.competition, other).key != known[other]:
            raise UserError(f"{one.title} is of another {other} than there is now: {one.command} recomputes it")
    chosen = [[(name, int(seed)) for name, seed in map(str.split, soup)] for soup in one.facts["ingredients"]]
    return FittedSoup(one.competition, one.name, chosen, known[one.spec.of[0]].get("pictures"))
