"""The work of a fine-tuning run: of its training, and of the predictions behind it."""

from dataclasses import dataclass

from src.networks import classifiers, encoders
from src.networks.flops import Flops
from src.schema.models import FineTune

PASSES = Flops(1.0)


@dataclass(frozen=True)
class Cost:
    """FLOP; or forward passes of a picture, where the network's own FLOP are not asked for."""

    training: float
    predicting: float

    @property
    def total(self) -> float:
        return self.training + self.predicting

    @property
    def behind(self) -> float:
        """The work behind the training, as a share of it."""
        return self.predicting / self.training


def run_cost(spec: FineTune, learnt: int, held_out: int, tested: int, each: Flops = PASSES) -> Cost:
    """The work of one run, by how many rows a fold learns from and holds out, and how many are tested.

    An epoch trains the first and predicts the second. Behind the last one, these and the test rows are predicted
    through each view, for each alpha of WiSE-FT.
    """
    plan = spec.scheduled(learnt)
    # in the first epochs, that train the head alone, no gradients go through the rest
    trained = each.trained * (plan.epochs - plan.head_epochs) + each.forward * plan.head_epochs
    predicted = (held_out + tested) * len(spec.views) * max(1, len(spec.wise_ft))
    return Cost(trained * learnt + each.forward * plan.epochs * held_out, each.forward * predicted)


def rate_of(spec: FineTune) -> str:
    """The rate of a model's runs, as units have it: wherever the network, its size and the batch are the same."""
    return f"finetune {encoders.title(spec)} {classifiers.size(spec)} batch {spec.batch_size}"
