"""The lr range test on a GPU, where a training looks at its losses every 50 steps."""

import numpy as np
import pytest

from src.base import machine
from src.models.finetune import augment
from src.models.finetune.training import NotFinite, Training
from src.networks import classifiers
from src.stages import find_lr
from tests.models.test_training import fold_of, spec_of
from tests.pretended_gpu import pretended


def curve_of(finite: int):
    """The curve of a training whose loss is finite for so many steps."""
    with pretended(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(find_lr, "STEPS", 6)
        patch.setattr(machine, "workers", lambda: 0)
        patch.setattr(Training, "gradients", lambda self, pixels, _: pixels.new_ones(()) / (self.step < finite))
        fold = fold_of(spec_of(backbone="test_resnet", batch_size=5))
        return find_lr.lr_curve(fold, classifiers.create(fold.spec, 3, 0, False), augment.compose(()))


def test_ends_where_the_loss_is_not_finite():
    curve = curve_of(2)
    assert len(curve) == 2
    assert np.isfinite(curve["loss"]).all()


def test_says_so_where_no_loss_is_finite():
    with pytest.raises(NotFinite, match="not finite in epoch 1, step 1"):
        curve_of(0)
