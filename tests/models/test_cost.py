"""The work of a run: its epochs, and what is predicted behind them."""

import pytest

from src.models.finetune.cost import run_cost
from src.networks.flops import Flops
from src.schema.models import FineTune

SPEC = {"backbone": "test_convnext", "pretrained": False, "epochs": 4, "lr": 1e-3, "batch_size": 10}


@pytest.mark.parametrize(
    ("changes", "training", "predicting"),  # passes: 80 rows learnt, 20 held out, 30 tested
    [
        ({}, 4 * (3 * 80 + 20), 50),
        ({"views": ("identity", "hflip")}, 4 * (3 * 80 + 20), 100),
        ({"head_epochs": 1}, 3 * 3 * 80 + 80 + 4 * 20, 50),
        ({"max_steps": 16}, 2 * (3 * 80 + 20), 50),
    ],
)
def test_epochs_and_views_are_passes(changes, training, predicting):
    cost = run_cost(FineTune(**SPEC | changes), 80, 20, 30)
    assert (cost.training, cost.predicting) == (training, predicting)
    assert cost.total == training + predicting
    assert cost.behind == pytest.approx(predicting / training)


def test_each_alpha_predicts_and_a_pass_is_that_of_the_network():
    clip = {"clip": "ViT-B-32", "epochs": 4, "lr": 1e-3, "wise_ft": (0.0, 0.5, 1.0)}
    cost = run_cost(FineTune(**clip), 80, 20, 30, Flops(10.0, frozen=4.0))
    assert (cost.training, cost.predicting) == (4 * (22 * 80 + 10 * 20), 10 * 50 * 3)
