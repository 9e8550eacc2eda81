"""A fitted fine-tuned model: a network a fold and seed, the weights of each in a file of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from src.base.errors import UserError
from src.data.rows import read_dataset
from src.models.finetune import averaging, heads
from src.models.finetune.averaging import State
from src.models.finetune.run import Run, runs_of
from src.models.fitted import FinishedModel
from src.models.links import link
from src.models.pictures import Pictures
from src.networks import classifiers
from src.networks.predictor import predictor, to_device
from src.results import checkpoints
from src.schema.competition import Competition
from src.schema.models import FineTune
from src.scoring import calibration
from src.scoring.tables import Table, mean


@dataclass(frozen=True)
class FittedFineTune:
    competition: Competition
    name: str
    alphas: Sequence[float | None]  # of each fold, between the weights at the start and those that were trained
    temperature: float | Sequence[float] | None = None  # of several labels one each
    side: int | None = None  # to which pictures were reduced

    @property
    def spec(self) -> FineTune:
        return self.competition.models[self.name]

    def predict(self, pictures: Pictures) -> Table:
        """(n, k) predictions, the mean over folds of the means over seeds."""
        model, of_outputs = blank(self.spec, len(self.competition.outputs)), link(self.competition).predict_tensor

        def probabilities(one: Run, alpha: float | None) -> Table:
            model.load_state_dict(self.weights(one, alpha))
            return pictures.probabilities(predictor(self.spec, model, of_outputs, one.title, self.side))

        return self.combined(probabilities)

    def combined(self, probabilities: Callable[[Run, float | None], Table]) -> Table:
        """(n, k), the model's predictions of those of each run with the weights of an alpha."""
        folds = [
            mean([probabilities(one, alpha) for one in runs_of(self.competition, self.name, number)])
            for number, alpha in enumerate(self.alphas)
        ]
        probs = mean(folds)
        return probs if self.temperature is None else calibration.scale(probs, self.temperature)

    def weights(self, one: Run, alpha: float | None) -> State:
        """The weights that a run predicts with."""
        trained = checkpoints.load(one.finished)
        if alpha in (None, 1.0):
            return trained
        return averaging.interpolate(self.starts[one.number], trained, alpha)

    @cached_property
    def starts(self) -> list[State]:
        """The weights that each fold's training started from, where their head is not random."""
        spec, competition = self.spec, self.competition
        if spec.start == "probe":
            data = read_dataset(competition)
            if not heads.has_probes(competition, self.name, data):
                print(
                    f"{competition.name}:{self.name} lies between the weights that were trained and those where it "
                    "started, with a probe of each fold's training rows as its head: that is made again"
                )
            initial = heads.starts(competition, self.name, data)
        else:
            initial = [heads.zero_shot(competition, spec)] * len(self.alphas)
        origin = classifiers.create(spec, len(competition.outputs), spec.seed, True).state_dict()
        tensors = [(torch.from_numpy(head.coef), torch.from_numpy(head.intercept)) for head in initial]
        return [{**origin, "head.weight": coef, "head.bias": intercept} for coef, intercept in tensors]


def blank(spec: FineTune, k: int) -> nn.Module:
    """The network, to load weights over its own."""
    with torch.random.fork_rng(devices=[]):
        model = classifiers.create(spec, k, 0, pretrained=False)
    return to_device(model.eval().requires_grad_(False))


def load(one: FinishedModel) -> FittedFineTune:
    """Raises UserError: The weights of a run are missing, or of another key; or those of their start, of other rows."""
    competition, facts = one.competition, one.facts
    for run in (run for fold in one.folds for run in runs_of(competition, one.name, fold)):
        if why := run.untrained(one.key):
            raise UserError(f"{one.title}: the weights of {run.title} are gone ({why}): {one.command}")
    alphas = facts["wise_ft"]["chosen"] if one.spec.wise_ft else [None for _ in one.folds]
    if one.spec.start == "probe" and not {None, 1.0}.issuperset(alphas):
        one.refuse_other_rows(read_dataset(competition))
    temperature = facts["temperature"] if one.spec.temperature else None
    return FittedFineTune(competition, one.name, alphas, temperature, one.key.get("pictures"))
