"""The lr range test: the loss while the lr rises (Smith 2017, "Cyclical learning rates")."""

from collections.abc import Iterator

import albumentations as A
import numpy as np
import pandas as pd
from torch import nn

from src.base.errors import UserError
from src.base.progress import track
from src.models.finetune.batches import Batches, Fold
from src.models.finetune.training import Training

LOW, HIGH = 1e-6, 1.0  # of AdamW's lr
STEPS = 100
SMOOTH = 0.9  # of the moving average of losses
WORSE = 4.0  # times the least loss: no lr beyond it is tried


def curve(fold: Fold, model: nn.Module, transform: A.Compose) -> pd.DataFrame:
    """lr, loss and smoothed loss of each step of a short training, up to where the loss explodes."""
    training = Training(fold, model)
    training.schedule = lambda step: LOW * (HIGH / LOW) ** (step / (STEPS - 1))
    rows, average = [], 0.0
    try:
        for loss in track(losses(training, Batches(fold, transform)), f"{fold.title} lr", STEPS, "steps"):
            average = SMOOTH * average + (1 - SMOOTH) * loss
            smooth = average / (1 - SMOOTH ** (len(rows) + 1))
            rows.append({"lr": training.lr, "loss": loss, "smooth": smooth})
            if smooth > WORSE * min(row["smooth"] for row in rows):
                break
    except UserError:  # it is not finite: that is where the curve ends
        pass
    return pd.DataFrame(rows)


def losses(training: Training, batches: Batches) -> Iterator[float]:
    """The losses of STEPS steps."""
    done = 0
    while True:
        training.step = 0
        training.set_mode()
        for pixels, targets in batches.of(training.epoch):
            training.train_step(pixels, targets)
            yield float(training.losses[training.step - 1])
            done += 1
            if done == STEPS:
                return
        training.epoch += 1


def suggested(curve: pd.DataFrame) -> float:
    """The lr where the smoothed loss falls most steeply over log lr, before it is least."""
    before = curve.iloc[: int(curve["smooth"].argmin()) + 1]
    if len(before) < 3:
        return float(curve["lr"].iloc[0])
    return float(before["lr"].iloc[int(np.gradient(before["smooth"], np.log(before["lr"])).argmin())])
