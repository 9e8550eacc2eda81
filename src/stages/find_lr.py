"""find_lr: for each model to fine-tune, the loss while the learning rate rises, and a suggested learning rate.

Runs only if it is named. Reads the images and folds.csv, writes models/<model>/lr.csv, and prints the curve and the
suggestion. It trains on the training rows of fold 0 and keeps no weights. The test is that of Smith 2017, "Cyclical
learning rates".
"""

from collections.abc import Iterator
from pathlib import Path

import albumentations as A
import numpy as np
import pandas as pd
from torch import nn

from src.base import files
from src.base.progress import track
from src.models.finetune import augment, heads, resident
from src.models.finetune.batches import Batches, Fold
from src.models.finetune.resident import Resident
from src.models.finetune.run import Run, check_networks, squares_of
from src.models.finetune.training import NotFinite, Training
from src.models.work import StageWork
from src.networks import classifiers
from src.schema.models import FineTune
from src.units.unit import Unit

LOW, HIGH = 1e-6, 1.0  # of AdamW's lr
STEPS = 100
SMOOTH = 0.9  # of the moving average of losses
WORSE = 4.0  # times the least loss: no lr beyond it is tried
LINES, BAR = 16, 50  # of the curve that is printed, and characters of its longest bar

check = check_networks  # before anything is computed


class Work(StageWork):
    stage = "find_lr"

    def units(self) -> Iterator[Unit]:
        for name in self.competition.trained:
            yield Unit(
                self.stage,
                (name,),
                gpus=1,
                after=(("pictures", name), ("finetune", name, "starts")),
                rate=f"{self.stage} {name}",
            )

    def is_reused(self, name: str) -> bool:
        self.path(name).unlink(missing_ok=True)  # it is made each time that it is asked for
        return False

    def path(self, name: str) -> Path:
        return self.competition.model_folder(name) / "lr.csv"

    def run(self, name: str) -> None:
        competition, spec = self.competition, self.competition.models[name]
        one = Run(competition, name, 0, spec.seed)
        head = heads.starts(competition, name, self.data)[0]
        model = classifiers.create(spec, len(competition.outputs), one.init_seed, True, head)
        fold = one.fold(self.data, squares_of(competition, spec, self.data))
        curve = lr_curve(fold, model, augment.compose(spec.augment))
        files.write_text(self.path(name), curve.to_csv(index=False, lineterminator="\n"))
        print(curve_text(name, spec, curve, suggest_lr(curve)))

    def is_done(self, name: str) -> bool:
        return self.path(name).is_file()

    def outputs(self, name: str) -> list[Path]:
        return [self.path(name)]


def lr_curve(fold: Fold, model: nn.Module, transform: A.Compose) -> pd.DataFrame:
    """lr, loss and smoothed loss of each step of a short training, up to where the loss explodes.

    Raises:
        NotFinite: The first loss is not finite.
    """
    training = Training(fold, model)
    training.schedule = lambda step: LOW * (HIGH / LOW) ** (step / (STEPS - 1))
    rows, average = [], 0.0
    try:
        for loss in track(losses(training, resident.batches(fold, transform)), f"{fold.title} lr", STEPS, "steps"):
            average = SMOOTH * average + (1 - SMOOTH) * loss
            smooth = average / (1 - SMOOTH ** (len(rows) + 1))
            rows.append({"lr": training.lr, "loss": loss, "smooth": smooth})
            if smooth > WORSE * min(row["smooth"] for row in rows):
                break
    except NotFinite:  # that is where the curve ends
        if not rows:
            raise
    return pd.DataFrame(rows)


def losses(training: Training, batches: Batches | Resident) -> Iterator[float]:
    """The losses of STEPS steps."""
    done = 0
    while True:
        training.step = 0
        training.set_mode()
        for pixels, targets in batches.of(training.epoch):
            training.train_step(pixels, targets)
            training.check()  # at each step, since the loss is waited for here
            yield float(training.losses[training.step - 1])
            done += 1
            if done == STEPS:
                return
        training.epoch += 1


def suggest_lr(curve: pd.DataFrame) -> float:
    """The lr where the smoothed loss falls most steeply over log lr, before it is least."""
    before = curve.iloc[: int(curve["smooth"].argmin()) + 1]
    if len(before) < 3:
        return float(curve["lr"].iloc[0])
    return float(before["lr"].iloc[int(np.gradient(before["smooth"], np.log(before["lr"])).argmin())])


def curve_text(name: str, spec: FineTune, curve: pd.DataFrame, suggestion: float) -> str:
    """The smoothed loss as bars, and the suggestion."""
    some, most = curve.iloc[:: max(1, len(curve) // LINES)], curve["smooth"].max()
    bars = [
        f"  lr {row.lr:.1e}  loss {row.smooth:.4f}  {'#' * round(BAR * row.smooth / most)}" for row in some.itertuples()
    ]
    last = f"{name}  the loss falls most steeply at lr {suggestion:.1e}: take about that (the config has {spec.lr:.1e})"
    return "\n".join([f"{name}  the loss while the lr rises (all: lr.csv)", *bars, last])
