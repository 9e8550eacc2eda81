"""Fitted neighbours: how those of each fold vote, and the features of the rows that they vote with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.data.rows import Dataset, read_dataset
from src.models.fitted import FinishedModel
from src.models.neighbours.searching import Index
from src.models.neighbours.voting import Said, Vote, choose
from src.models.pictures import Pictures, train_pictures
from src.networks import features
from src.schema.competition import Competition
from src.schema.models import Neighbours
from src.scoring.tables import Gathered, Table, mean

CHOICE_ROWS = 20_000  # of a fold's training rows, by whose loss it chooses how they vote


@dataclass(frozen=True)
class FittedNeighbours:
    competition: Competition
    name: str
    spec: Neighbours
    data: Dataset
    votes: Sequence[Vote]  # of each fold

    def predict(self, pictures: Pictures) -> Table:
        """(n, k) predictions, the mean over folds, each by the rows outside of it."""
        train, said = read_train(self.competition, self.spec, self.data), Said(self.data.targets, self.k)
        withouts = [(fold,) for fold in range(self.data.n_folds)]
        feats = pictures.features([self.spec])[:]
        index = Index(train, self.data.fold, max(vote.k for vote in self.votes))
        found = index.search(feats, withouts, self.name)
        parts = zip(self.votes, found, self.data.held_out, strict=True)
        return mean([vote.predict(near, said, said.mean(~out)) for vote, near, out in parts])

    @property
    def k(self) -> int:
        return len(self.competition.outputs)


def fit(
    competition: Competition, name: str, spec: Neighbours, data: Dataset
) -> tuple[FittedNeighbours, Table, list[float]]:
    """The fitted model, its out-of-fold predictions (n, k), and the loss inside each fold's training rows.

    A fold's vote is chosen on its training rows, each of which sees neither its own fold nor the one held out.
    """
    feats, k, folds = read_train(competition, spec, data), len(competition.outputs), range(data.n_folds)
    index, said, target = Index(feats, data.fold, max(spec.ks)), Said(data.targets, k), competition.target
    own, inner = {}, {fold: [] for fold in folds}
    for fold, rows in enumerate(map(np.flatnonzero, data.held_out)):
        own[fold], *_ = index.search(feats[rows], [(fold,)], f"{name} fold {fold}")
        some = rows[:: max(1, len(data.train) // CHOICE_ROWS)]
        others = [other for other in folds if other != fold]
        found = index.search(feats[some], [(fold, other) for other in others], f"{name} fold {fold}, to choose")
        for other, near in zip(others, found, strict=True):
            inner[other].append((some, near))
    votes, losses, oof = [], [], Gathered(len(data.train), k, target.is_sparse(len(data.train), k))
    for fold, rows in enumerate(data.held_out):
        places, near = joined(inner[fold])
        at_large = said.mean(~rows)
        vote, loss = choose(spec, near, data.targets[places], said, at_large, target)
        oof[rows] = vote.predict(own[fold], said, at_large)
        votes.append(vote)
        losses.append(loss)
    return FittedNeighbours(competition, name, spec, data, votes), oof.table(), losses


def joined(parts):
    """The rows and the neighbours of all parts, one behind the other."""
    rows, found = zip(*parts, strict=True)
    near = type(found[0])(*(np.concatenate([getattr(one, name) for one in found]) for name in ("rows", "similarity")))
    return np.concatenate(rows), near


def read_train(competition: Competition, spec: Neighbours, data: Dataset) -> np.ndarray:
    """(n, d) float32: the features of the train rows, of length 1.

    Raises:
        UserError: The features stage has not made them all.
    """
    return train_pictures(competition, data).features([spec])[:]


def load(one: FinishedModel) -> FittedNeighbours:
    """Raises UserError: The encoder is another one now, or the train rows are; or their features are not there."""
    one.refuse_other(one.key["encoders"], [features.encoder_identity(one.spec)])
    one.refuse_other_rows(data := read_dataset(one.competition))
    votes = [Vote(**chosen) for chosen in one.facts["chosen"]]
    return FittedNeighbours(one.competition, one.name, one.spec, data, votes)
