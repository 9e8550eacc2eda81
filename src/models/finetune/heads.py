"""Where the linear head of a CLIP that is fine-tuned starts: its zero-shot classifier, or a probe of its features."""

import numpy as np

from src.data.rows import Dataset
from src.models.links import link
from src.models.probe import nested
from src.models.probe.data import ProbeData
from src.networks import encoding, features, texts
from src.networks.classifiers import Head
from src.networks.features import Features
from src.schema.competition import Competition
from src.schema.models import FineTune, Probe


def starts(competition: Competition, spec: FineTune, data: Dataset) -> list[Head | None]:
    """The head of each fold; None where it is random."""
    if spec.start == "probe":
        return probes(competition, spec, data)
    return [zero_shot(competition, spec) if spec.start == "zeroshot" else None] * data.n_folds


def zero_shot(competition: Competition, spec: FineTune) -> Head:
    """The zero-shot classifier times CLIP's scale (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models")."""
    known = texts.read(competition, spec.encoder)
    coef = known.scale * known.classifier(competition.prompts, competition.classes).T
    return Head(coef.astype(np.float32), np.zeros(len(coef), np.float32))


def probes(competition: Competition, spec: FineTune, data: Dataset) -> list[Head]:
    """For each fold the probe of its training rows, C chosen inside them (Kumar et al. 2022, "LP-FT").

    The features of all rows are encoded where they are missing.
    """
    encoder = spec.encoder
    encoding.encode_rows(competition, features.feature_caches(competition, encoder), data)
    feats = Features(competition, [encoder], data.train)
    probe = Probe(**{name: getattr(encoder, name) for name in encoder.model_fields_set}, normalise=(True,))
    own = link(competition)  # of the network, whose head it becomes
    rows = ProbeData(lambda unit: feats, own.wanted(data.targets), data.fold, len(competition.outputs), link=own)
    fits = nested.fit_folds(probe, rows)
    return [Head(fit.coef.astype(np.float32), fit.intercept.astype(np.float32)) for fit in fits]
