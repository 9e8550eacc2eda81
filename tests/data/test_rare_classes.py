"""A class with one train row, or none: every stage runs, and nothing is expected of it but by zero-shot."""

import numpy as np
import pandas as pd
import pytest

from src.base.errors import UserError
from src.data import tables
from src.data.rows import read_dataset
from src.results.model import model_tables
from src.stages import blend, data, features, finetune, folds, probe, submission, zeroshot
from tests.conftest import CLASSES, toy_competition
from tests.running import run_stage

LONE, NEVER = "lone", "never"


@pytest.fixture
def rare(folder):
    """The toy with one row of another class, and a further class of none."""
    path = folder / "train.csv"
    df = pd.read_csv(path, dtype=str)
    df.loc[0, "label"] = LONE
    df.to_csv(path, index=False)
    models = toy_competition().models
    models["convnext"] = models["convnext"].model_copy(update={"epochs": 2, "class_weight": "balanced"})
    return toy_competition(classes=(*CLASSES, LONE, NEVER), rare_classes=True, models=models)


def test_they_are_refused_unless_the_config_allows_them(rare):
    strict = rare.model_copy(update={"rare_classes": False})
    with pytest.raises(
        UserError, match=r"(?s)class 'lone' has 1 train row: .*rare_classes=True.*class 'never' has 0 train rows"
    ):
        tables.read(strict)
    with pytest.raises(UserError, match=r"all rows of class 'a' are in one group.*rare_classes=True"):
        folds.folds.split(list("1234567"), list("aabbbbb"), list("1122345"), 3, 0)


def test_every_stage_runs(rare):
    for stage in (data, folds, features, zeroshot, probe, finetune, blend, submission):
        run_stage(stage, rare)
    rows = read_dataset(rare)
    lone = rows.targets == rare.classes.index(LONE)
    oof, _ = model_tables(rare, "probe", rows)
    assert lone.sum() == 1
    assert oof[lone, 3] < 1e-6  # the fold that holds it out has never seen it
    assert oof[:, 4].max() < 1e-6
    assert np.isfinite(model_tables(rare, "blend", rows)[1]).all()


def test_a_smoke_run_takes_what_there_is(rare):
    limited = rare.model_copy(update={"limit": 20})
    assert set(tables.read(limited).train["label"]) == {*CLASSES, LONE}
