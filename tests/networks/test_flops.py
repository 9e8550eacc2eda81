"""The work of a network: as published, less where layers are frozen, and never an error."""

import pytest
import torch
from torch import nn

from src.networks import flops as flops_module
from src.networks.flops import Flops, flops, shares
from src.schema.models import FineTune
from src.schema.networks import Encoder


def spec_of(**changes) -> FineTune:
    network = {} if "clip" in changes else {"backbone": "test_convnext", "pretrained": False, "img_size": 32}
    return FineTune(**{**network, "epochs": 2, "lr": 1e-3, **changes})


@pytest.mark.parametrize(
    ("spec", "gmac"),
    [
        (
            Encoder(backbone="resnet50.a1_in1k"),
            4.1,
        ),  # He et al. 2016, table 1: 3.8, without the shortcuts' convolutions
        (Encoder(clip="ViT-B-32"), 4.4),  # Dosovitskiy et al. 2021
        (spec_of(backbone="convnext_tiny", img_size=224), 4.5),  # Liu et al. 2022, table 1
        (spec_of(backbone="convnext_tiny", img_size=448), 4 * 4.5),
        (spec_of(clip="ViT-B-32"), 4.4),
    ],
)
def test_a_forward_pass_is_as_published(spec, gmac):
    assert flops(spec).forward == pytest.approx(2e9 * gmac, rel=0.02)


def test_gradients_cost_twice_the_layers_that_are_trained():
    whole, part = flops(spec_of()), flops(spec_of(frozen_groups=2))
    assert whole.trained == pytest.approx(3 * whole.forward)
    assert 0 < part.frozen < part.forward == whole.forward
    assert part.trained == pytest.approx(3 * part.forward - 2 * part.frozen)
    most = flops(spec_of(frozen_groups=4))  # blocks of ConvNeXt have weights themselves, and layers within them
    assert part.frozen < most.frozen < most.forward
    assert Flops(10, frozen=4, checkpointed=True).trained == 10 + 10 + 12


def test_the_part_in_some_modules_is_that_of_their_operations():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 8, 1, bias=False))
    first, second = 2 * 3 * 4 * 9 * 6 * 6, 2 * 4 * 8 * 6 * 6
    assert shares(model.to("meta"), 8, [model[0]]) == (first + second, first)


def test_a_network_that_asks_for_values_has_two_flop_a_parameter():
    class Asks(nn.Linear):
        def forward(self, pixels):
            return pixels if pixels.sum() > 0 else -pixels

    assert shares(Asks(3, 4, device="meta"), 8, ()) == (2 * (3 * 4 + 4), 0)


def test_a_network_is_counted_once_and_no_random_number_drawn(monkeypatch):
    state = torch.get_rng_state()
    first = flops(spec_of(img_size=64))
    monkeypatch.setattr(flops_module, "network", None)
    assert flops(spec_of(img_size=64, epochs=9)) == first
    assert torch.equal(torch.get_rng_state(), state)
