"""find_lr: for each model to fine-tune, the loss while the learning rate rises, and a suggested learning rate.

Runs only if it is named. Reads the images and folds.csv, writes models/<model>/lr.csv, and prints the curve and the
suggestion. It trains on the training rows of fold 0 and keeps no weights. The test is that of Smith 2017, "Cyclical
learning rates".
"""

import pandas as pd

from src.base import files
from src.data.rows import read_dataset
from src.models.finetune import augment, heads, lr_range
from src.models.finetune.run import Run, check_networks, squares_of
from src.networks import classifiers
from src.schema.competition import Competition
from src.schema.models import FineTune

LINES, BAR = 16, 50  # of the curve that is printed, and characters of its longest bar


check = check_networks  # before anything is computed


def run(competition: Competition) -> None:
    data = read_dataset(competition)
    for name, spec in competition.trained.items():
        one = Run(competition, name, 0, spec.seed)
        head = heads.starts(competition, spec, data)[0]
        model = classifiers.create(spec, len(competition.classes), one.init_seed, True, head)
        fold = one.fold(data, squares_of(competition, spec, data))
        curve = lr_range.curve(fold, model, augment.compose(spec.augment))
        path = competition.model_folder(name) / "lr.csv"
        files.write_text(path, curve.to_csv(index=False, lineterminator="\n"))
        print(curve_text(name, spec, curve, lr_range.suggested(curve)))


def curve_text(name: str, spec: FineTune, curve: pd.DataFrame, suggestion: float) -> str:
    """The smoothed loss as bars, and the suggestion."""
    some, most = curve.iloc[:: max(1, len(curve) // LINES)], curve["smooth"].max()
    bars = [
        f"  lr {row.lr:.1e}  loss {row.smooth:.4f}  {'#' * round(BAR * row.smooth / most)}" for row in some.itertuples()
    ]
    last = f"{name}  the loss falls most steeply at lr {suggestion:.1e}: take about that (the config has {spec.lr:.1e})"
    return "\n".join([f"{name}  the loss while the lr rises (all: lr.csv)", *bars, last])
