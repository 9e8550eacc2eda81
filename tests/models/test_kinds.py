"""A model kind is a class of the schema, a module of models/, a stage, and a line for it: nobody else knows of it."""

import inspect
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from src.results import predictions
from tests.conftest import CLASSES, ROOT, TINY_CLIP, read_json, toy_competition

SCHEMA = '''\
class Prior(Kind):
    """The share of each class among a fold's training rows, whatever the picture."""

    stage: ClassVar[str] = "prior"
    module: ClassVar[str] = "prior"


'''
MODULE = """\
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FittedPrior:
    shares: np.ndarray  # (folds, k)

    def predict(self, pictures):
        return np.tile(self.shares.mean(axis=0), (len(pictures), 1))


def load(one):
    return FittedPrior(np.array(one.facts["shares"]))
"""
STAGE = '''\
"""prior: takes the shares of the classes."""

import time

import numpy as np

from src.data.rows import read_dataset
from src.models.pictures import test_pictures
from src.models.prior import FittedPrior
from src.results.model import is_reused, model_key, save_model


def run(competition):
    data, computed, start = read_dataset(competition), [], time.perf_counter()
    for name, spec in competition.of_stage("prior").items():
        key = model_key(competition, spec, data, 1)
        if is_reused(competition.model_folder(name), key):
            continue
        counts = [np.bincount(data.targets[~rows], minlength=len(competition.classes)) for rows in data.held_out]
        shares = np.array([one / one.sum() for one in counts])
        probs = FittedPrior(shares).predict(test_pictures(competition, data))
        seconds = time.perf_counter() - start
        save_model(competition, name, key, data, shares[data.fold], probs, seconds, shares=shares.tolist())
        computed.append(name)
    return computed
'''
CONFIG = f"""\
from src.config import *
from src.schema.models import Prior

CLASSES = {CLASSES!r}
TINY_CLIP = ClipArch(**{TINY_CLIP.model_dump()!r})
{inspect.getsource(toy_competition)}

competition = toy_competition(
    models={{"prior": Prior(), "pixels": Pixels(trees=4), "zeroshot": ZeroShot(clip=TINY_CLIP)}},
    blend=Blend(method="mean"),
)
"""
NAMES = ("prior", "pixels", "zeroshot", "blend")


def replace(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.fixture
def python(folder, tmp_path, monkeypatch):
    """Runs Python in a copy of the project that has a further kind; there are fewer blue train rows than others."""
    df = pd.read_csv(folder / "train.csv", dtype=str)
    df.drop(index=[0, 3, 6]).to_csv(folder / "train.csv", index=False)
    project = tmp_path / "project"
    shutil.copytree(ROOT / "src", project / "src")  # with what Python has compiled: most of it is as it was
    shutil.copy(ROOT / "requirements.txt", project)
    src = project / "src"
    (src / "models" / "prior.py").write_text(MODULE)
    (src / "stages" / "prior.py").write_text(STAGE)
    replace(src / "schema" / "models.py", "AnyModel = Pixels", SCHEMA + "AnyModel = Prior | Pixels")
    replace(src / "stages" / "__init__.py", '    "finetune": (', '    "prior": ("folds",),\n    "finetune": (')
    (src / "configs" / "toy.py").write_text(CONFIG)

    def run(*arguments):
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=project, env=env, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_further_kind_runs_from_its_stage_to_the_pack(python, folder, tmp_path):
    csv, photo = str(tmp_path / "predicted.csv"), str(folder / "test" / "100.png")
    output = python(
        "-c",
        f"""
import os
import shutil
from pathlib import Path
from src import config
from src.__main__ import main
from src.commands.pack import packing

assert main(["toy"]) == main(["toy", "prior"]) == 0
assert main(["predict", {photo!r}, "--models", "toy:prior", "toy:pixels", "toy:blend", "--csv", {csv!r}]) == 0
packing.require_finished(config.load("toy"))
packing.pack(config.load("toy"), Path("pack"), with_wheels=False)
shutil.copytree("pack/state", "answers/toy")
os.environ.update(SUBMISSIONS_DIR=os.path.abspath("answers"), PREDICT_ONLY="1")  # as the notebook does
assert main(["toy", "submission"]) == 0
""",
    )
    assert output.count("== toy: prior") == 3  # the run, the run again, by what was packed
    assert "prior  reused" in output
    project = tmp_path / "project"
    assert (project / "pack" / "project" / "src" / "stages" / "prior.py").read_text() == STAGE
    ours, theirs = (
        next(folder.glob("toy/blend-cv*.csv")) for folder in (tmp_path / "submissions", project / "answers")
    )
    assert ours.read_bytes() == theirs.read_bytes()

    models, ids = tmp_path / "submissions" / "toy" / "models", [f"{100 + i}" for i in range(12)]
    shares = np.array(read_json(models / "prior" / "model.json")["shares"])
    tables = [predictions.read(models / one / "test.parquet", toy_competition(), ids) for one in NAMES]
    probs, pixels, _, blend = tables
    assert np.abs(probs - shares.mean(axis=0)).max() < 1e-6
    assert np.abs(blend - pixels).max() < 1e-6  # the prior, and a CLIP of random weights, have learnt nothing
    assert "prior" in (tmp_path / "submissions" / "toy" / "report.html").read_text()
    predicted = pd.read_csv(csv).set_index(["model", "label"])["probability"]
    for name, expected in (("toy:prior", probs[0]), ("toy:pixels", pixels[0]), ("toy:blend", blend[0])):
        assert predicted[name][list(CLASSES)].to_numpy() == pytest.approx(expected, abs=1e-5)


def test_nobody_asks_which_kind_a_model_is():
    asks = re.compile(r"isinstance\([^()]*\b(Pixels|ZeroShot|Probe|FineTune|Soup)\b")
    found = [
        path.relative_to(ROOT).as_posix() for path in (ROOT / "src").rglob("*.py") if asks.search(path.read_text())
    ]
    assert found == []
