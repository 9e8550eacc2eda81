"""A competition's probe: its key, its features, and the predictions of its fits."""

from math import comb
from typing import Any

import numpy as np

from src.base.errors import UserError
from src.base.paths import scratch_of
from src.data.columns import columns_key
from src.data.rows import Dataset
from src.models.gathering import in_parts
from src.models.links import Link, Share, Softmax, link
from src.models.logreg import cost
from src.models.logreg.design import FEW
from src.models.logreg.ridge import Clipped
from src.models.pictures import Pictures, train_pictures
from src.models.probe import nested
from src.models.probe.data import ProbeData
from src.models.probe.nested import Fit
from src.networks import features, texts
from src.networks.features import CombinedFeatures, read_parts
from src.results.model import model_key
from src.schema.competition import Competition
from src.schema.models import Probe
from src.scoring.tables import Gathered, Table

CODE = 4
FEW_CODE = 1  # raised when few rows alone get other numbers


def probe_key(competition: Competition, spec: Probe, data: Dataset) -> dict[str, Any]:
    """All that changes the numbers of a probe."""
    more = {"prompts": competition.prompt_texts} if spec.towards == "zeroshot" else {}
    rows = len(data.train) * (len(spec.views) if spec.views_as == "rows" else 1)
    if spec.solver == "batched" and rows <= FEW:
        more["few_rows"] = FEW_CODE
    identities = [features.encoder_identity(encoder) for encoder in spec.encoders]
    more["precision"] = features.precision(competition, spec)
    more |= columns_key(competition, data.columns)
    return model_key(competition, spec, data, CODE, encoders=identities, **more)


def probe_link(competition: Competition, spec: Probe) -> Link:
    """From what its regression puts out to predictions."""
    of_target = link(competition)
    if isinstance(of_target, Share) and spec.number == "ridge":
        return Clipped(of_target.least, of_target.greatest)
    return of_target


class Beside:
    """Features with columns (n, c) beside them, which all views of a picture share: both are read alike."""

    def __init__(self, feats: CombinedFeatures, columns: np.ndarray):
        self.feats, self.columns = feats, columns
        self.shape = len(feats), feats.shape[1] + columns.shape[1]

    def __len__(self) -> int:
        return len(self.feats)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        places = np.arange(len(self))[index] % len(self.columns)
        return np.concatenate([self.feats[index], self.columns[places]], axis=1)


class ProbeRows:
    """The features of some pictures, and predictions from them."""

    def __init__(self, competition: Competition, spec: Probe, pictures: Pictures):
        self.target = competition.target
        self.n, self.views = len(pictures), len(spec.views) if spec.views_as == "rows" else 1
        both = {unit: pictures.features(spec.encoders, unit, spec.views_as) for unit in spec.normalise}
        if (columns := pictures.columns(competition)) is not None:
            both = {unit: Beside(feats, spec.columns_scale * columns) for unit, feats in both.items()}
        self.feats = both.__getitem__
        self.offset = None
        if spec.towards == "zeroshot":
            known = texts.read(competition, spec)
            unit = pictures.features([spec], True, spec.views_as)
            self.offset = known.scale * unit.dot(known.classifier(competition.prompts, competition.classes))

    def predict(self, fit: Fit, index: np.ndarray) -> Table:
        """(m, k) predictions of rows, the mean of their views' where these are rows."""
        if self.target.is_sparse(len(index), len(fit.intercept)):
            return in_parts(lambda part: self.mean(fit, part), read_parts(index), len(index), self.target)
        return np.concatenate([self.mean(fit, part) for part in read_parts(index)])

    def mean(self, fit: Fit, index: np.ndarray) -> np.ndarray:
        found = []
        for view in range(self.views):
            places = index + view * self.n
            offset = 0.0 if self.offset is None else self.offset[places]
            found.append(fit.predict(self.feats(fit.normalise)[places], offset))
        return np.mean(found, axis=0)


class TrainRows(ProbeRows):
    """The train rows, and the probes that are fitted to them."""

    def __init__(self, competition: Competition, spec: Probe, data: Dataset):
        super().__init__(competition, spec, train_pictures(competition, data))
        self.spec, self.fold, v = spec, data.fold, self.views
        own, scratch = probe_link(competition, spec), scratch_of(competition.folder)
        targets, fold, k = (
            np.concatenate([own.wanted(data.targets)] * v),
            np.tile(data.fold, v),
            len(competition.outputs),
        )
        self.data = ProbeData(self.feats, targets, fold, k, v, self.offset, scratch, own)

    def fits(self, name: str = "probe") -> list[Fit]:
        """The fit of each fold of the probe of this name.

        Raises:
            UserError: They would take more than a day; or labels are to be doubted of so many classes that a row's
                probabilities are not kept.
        """
        n, k, folds = *self.feats(self.spec.normalise[0]).shape[:1], self.data.k, len(self.data.folds)
        if isinstance(self.data.link, Softmax):
            kinds = len(self.spec.normalise) * (len(self.spec.cs) * comb(folds, 2) + folds)
            cost.announce(name, n - n // folds, self.feats(self.spec.normalise[0]).shape[1], k, kinds)
        if self.spec.label_noise != "keep" and self.target.is_sparse(n, k):
            raise UserError(
                f"models.{name}: label_noise={self.spec.label_noise!r} is not offered for {n:,} rows of {k:,} classes: "
                "leave it out"
            )
        return nested.fit_folds(self.spec, self.data)

    def out_of_fold(self, fits: list[Fit]) -> Table:
        """(n, k) of each row by the fit of the fold that holds it out."""
        oof = Gathered(self.n, self.data.k, self.target.is_sparse(self.n, self.data.k))
        for number, fit in enumerate(fits):
            held_out = self.fold == number
            oof[held_out] = self.predict(fit, np.flatnonzero(held_out))
        return oof.table()

    def judge(self, chosen: list[tuple[float, bool]]) -> list[np.ndarray]:
        """For each fold (m, k) of the rows outside of it: see `nested.judge_labels`."""
        judged = nested.judge_labels(self.spec, self.data, chosen)
        return [probs[self.fold != number] for number, probs in enumerate(judged)]
