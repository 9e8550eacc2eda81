"""Pictures that lie on the device: the loader's batches, but for what moves their pixels, which is drawn and exact."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from src.base import machine
from src.base.errors import UserError
from src.models.finetune import augment, resident
from src.models.finetune.batches import Batches, order
from src.models.finetune.resident import Flip, Resident, Shift
from src.models.finetune.run import check_networks
from src.models.finetune.training import Training
from src.networks import classifiers
from src.schema.models import Augment
from tests.conftest import toy_competition
from tests.models.test_training import fold_of, spec_of
from tests.pretended_gpu import pretended

SHIFT = Augment("Affine", translate_percent={"x": (-0.25, 0.25), "y": (0.0, 0.125)}, border_mode=4, p=1.0)
SOME = (Augment("HorizontalFlip", p=0.5), SHIFT, Augment("VerticalFlip", p=0.3))


def fold(*augments: Augment):
    return fold_of(spec_of(augment=augments, augment_on="device", backbone="test_resnet"))


def drawn(*augments: Augment, epoch: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(Resident(fold(*augments)).of(epoch))


def test_without_augmentation_they_are_the_loaders():
    theirs = list(Batches(fold(), augment.compose(())).of(1))
    for (pixels, targets), (expected, classes) in zip(drawn(epoch=1), theirs, strict=True):
        assert torch.equal(pixels, expected)
        assert torch.equal(targets, classes)


@pytest.mark.parametrize(("name", "axis"), [("HorizontalFlip", 3), ("VerticalFlip", 2)])
def test_a_flip_mirrors_its_axis(name, axis):
    for (flipped, _), (plain, _) in zip(drawn(Augment(name, p=1.0)), drawn(), strict=True):
        assert torch.equal(flipped, plain.flip(axis))


def test_a_shift_is_by_whole_pixels_with_mirrored_borders():
    seen = set()
    for (shifted, _), (plain, _) in zip(drawn(SHIFT), drawn(), strict=True):
        for got, picture in zip(shifted, plain, strict=True):
            wide = cv2.copyMakeBorder(picture.permute(1, 2, 0).numpy(), 8, 8, 8, 8, cv2.BORDER_REFLECT_101)
            got = got.permute(1, 2, 0).numpy()
            found = {
                (down, right)
                for down in range(-8, 9)
                for right in range(-8, 9)
                if np.array_equal(got, wide[8 - down : 40 - down, 8 - right : 40 - right])
            }
            assert len(found) == 1
            seen |= found
    assert {down for down, _ in seen} <= set(range(5))
    assert min(right for _, right in seen) < 0 < max(right for _, right in seen)


def test_moves_follow_each_other_in_the_configs_order():
    shift = Augment("Affine", translate_percent={"x": (0.25, 0.25), "y": (0.0, 0.0)}, border_mode=4, p=1.0)
    flip = Augment("HorizontalFlip", p=1.0)
    (one, _), (other, _), (plain, _) = (drawn(*some)[0] for some in ((shift, flip), (flip, shift), ()))
    assert torch.equal(one[..., :24], plain[..., :24].flip(3))
    assert torch.equal(other[..., 8:], plain.flip(3)[..., :24])


def test_each_picture_is_moved_as_often_as_is_asked():
    rng = np.random.default_rng(0)
    assert Flip(0, 0.3).draw(rng, 10_000, 32).mean() == pytest.approx(0.3, abs=0.02)
    moved = Shift((-1.0, 1.0), (-0.5, 0.5), 0.8).draw(rng, 10_000, 32)
    assert (moved != 0).any(axis=0).mean() == pytest.approx(0.8, abs=0.02)
    assert np.abs(moved).max(axis=1).tolist() == [16, 31]


def test_an_epoch_goes_on_from_any_step():
    made = Resident(fold(*SOME))
    whole, rest = list(made.of(3)), list(made.of(3, 1))
    assert len(rest) == len(whole) - 1 == len(order(made.fold, 3)) - 1
    assert all(
        torch.equal(one, other) for a, b in zip(whole[1:], rest, strict=True) for one, other in zip(a, b, strict=True)
    )
    assert not torch.equal(whole[0][0], next(made.of(4))[0])


def test_a_gpu_has_the_same_batches_and_no_step_waits_for_it():
    expected = drawn(*SOME)
    with pretended() as gpu:
        made = Resident(fold(*SOME))
        training = Training(
            dataclasses.replace(made.fold, precision="bfloat16"), classifiers.create(made.fold.spec, 3, 0, False)
        )
        training.set_mode()
        training.train_step(*made.batch(0, 0, order(made.fold, 0)[0]))
        gpu.waits.clear()
        found = [(pixels.cpu(), targets.cpu()) for pixels, targets in made.of(0)]
        assert all("resident" not in where for _, where in gpu.waits)
        assert gpu.faults == []
    assert all(
        torch.equal(one, other) for a, b in zip(found, expected, strict=True) for one, other in zip(a, b, strict=True)
    )


def test_what_the_gpu_has_no_room_for_is_said():
    with pretended(total=30 * 32 * 32 * 3 - 1), pytest.raises(UserError, match="no memory for 0 MB of pictures"):
        Resident(fold())
    with pretended() as gpu:
        made = Resident(fold(*SOME))
        gpu.refuse = lambda func, args: func is torch.ops.aten.index.Tensor
        with pytest.raises(UserError, match=r"^it fold 0: the GPU has no memory for 0 MB .* augment_on='loader'$"):
            next(made.of(0))


@pytest.mark.parametrize(
    "other",
    [
        Augment("D4"),
        Augment("ColorJitter"),
        Augment("Affine", rotate=(-5, 5), translate_percent=(-0.1, 0.1), border_mode=4),
        Augment("Affine", translate_percent=(-0.1, 0.1)),
        Augment("Affine", translate_percent=(-0.1, 0.1), border_mode=4, fit_output=True),
    ],
)
def test_what_does_more_is_refused_before_anything_is_computed(other):
    spec = spec_of(augment=(other,), augment_on="device")
    with pytest.raises(UserError, match=rf"^model 'it': augment_on='device' takes .* and not {other.name}\("):
        check_networks(toy_competition(models={"it": spec}))


def test_the_recipe_says_where_and_no_key_names_the_loader(monkeypatch):
    assert "augment_on" not in spec_of().model_dump()
    assert spec_of(augment_on="device").model_dump()["augment_on"] == "device"
    monkeypatch.setattr(machine, "workers", lambda: 0)
    assert isinstance(resident.batches(fold(), augment.compose(())), Resident)
    assert isinstance(resident.batches(fold_of(spec_of()), augment.compose(())), Batches)
