"""Whole runs on a pretended GPU: every stage, `compare` and `predict` give what they give on a CPU."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src import config
from src.base import machine
from src.commands.compare import command as compare
from src.commands.predict import session
from src.commands.predict.naming import Finished
from src.commands.predict.session import InferenceSession
from src.data.rows import read_dataset
from src.driver import run as driver
from src.schema.competition import Competition
from src.schema.models import Augment, FineTune, Probe, Soup, ZeroShot
from src.schema.settings import Folds
from src.stages import find_lr
from tests.conftest import TINY_CLIP, read_json, roots_at, toy_competition, toy_files
from tests.pretended_gpu import pretended

STAGES = ("data", "folds", "features", "zeroshot", "probe", "finetune", "blend", "submission")
MODELS = ("zeroshot", "probe", "resnet", "clip", "soup", "blend")


def competition(precision: str, clips: str, seeds: int = 2) -> Competition:
    """A model of each kind that computes on a GPU, by recipes that leave nothing out.

    Args:
        clips: The precision of the CLIP that is trained, as `precision` is of the others.
    """
    of = {"precision": precision}
    tuned = {"epochs": 1, "batch_size": 24, "lr": 1e-3, "warmup_epochs": 0.5, **of}
    models = {
        "zeroshot": ZeroShot(clip=TINY_CLIP, ensemble="greedy", prior="train", **of),
        "probe": Probe(clip=TINY_CLIP, views=("identity", "rot90", "crop_center"), cs=(1.0, 100.0), widen=False, **of),
        "resnet": FineTune(
            backbone="test_resnet", pretrained=False, img_size=32, seeds=seeds, head_lr=1e-2, micro_batch=12, mixup=0.5,
            cutmix=1.0, mix_p=0.5, class_weight="balanced", ema_decay=0.9, label_smoothing=0.1, temperature=True,
            augment=(Augment("HorizontalFlip", p=0.5),), views=("identity", "hflip"), **tuned,
        ),
        "clip": FineTune(clip=TINY_CLIP, head="probe", wise_ft=(0.0, 0.5), grad_checkpointing=True, augment=(), **{**tuned, "precision": clips}),
    }  # fmt: skip
    if seeds > 1:
        models["soup"] = Soup(of=("resnet",))
    return toy_competition(folds=Folds(n=3), models=models)


@contextlib.contextmanager
def run(root: Path, names: tuple[str, ...], *recipe: str | int) -> Iterator[Competition]:
    """A run of stages below `root`, in which its paths stay."""
    toy_files(root / "input" / "toy")
    made = competition(*recipe)
    with roots_at(root) as patch:
        patch.setattr(machine, "workers", lambda: 0)
        patch.setattr(find_lr, "STEPS", 2)
        patch.setattr(config, "load", lambda name, limit=None: made)
        patch.setattr(session, "median_ms", lambda run: 1.0)  # of all that is predicted again, to be timed
        driver.run(made, names)
        yield made


def predicted(made: Competition) -> dict[str, np.ndarray]:
    """What `predict` says of test pictures."""
    one = InferenceSession(read_dataset(made).test.paths)
    return {name: one.prediction(Finished(f"toy:{name}", made, name)).table for name in MODELS}


def tables(made: Competition) -> dict[str, np.ndarray]:
    """The numbers of every table of probabilities, by its path."""
    paths = sorted(made.folder.rglob("*.parquet"))
    found = {str(path.relative_to(made.folder)): pd.read_parquet(path) for path in paths}
    return {path: df[list(made.classes)].to_numpy() for path, df in found.items() if {*made.classes} <= {*df.columns}}


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory) -> dict[str, np.ndarray]:
    with run(tmp_path_factory.mktemp("cpu"), STAGES, "float32", "float32") as made:
        compare.run(["toy"])
        return tables(made)


def test_every_stage_has_the_numbers_of_a_cpu(on_cpu, tmp_path):
    with pretended() as gpu, run(tmp_path, (*STAGES, "find_lr", "audit"), "float32", "float32") as made:
        assert compare.run(["toy"]) == 0
        found, predictions = tables(made), predicted(made)
    assert gpu.faults == []
    assert gpu.launches > 1000
    assert len(found) > 20
    assert found.keys() == on_cpu.keys()
    apart = {path: np.abs(found[path] - table).max() for path, table in on_cpu.items()}
    assert max(apart.values()) < 1e-4, apart
    said = {name: found[f"models/{name}/test.parquet"] for name in MODELS}
    assert all(np.abs(predictions[name] - table).max() < 1e-4 for name, table in said.items())


def test_every_stage_runs_in_half_precision(on_cpu, tmp_path):
    with pretended() as gpu, run(tmp_path, STAGES, "auto", "float16", 1) as made:
        found = tables(made)
        keys = [read_json(path) for path in made.folder.rglob("features/**/key.json")]
    assert {key["precision"] for key in keys} == {"float16"}
    assert gpu.faults == []
    assert found.keys() <= on_cpu.keys()
    assert all(np.isfinite(table).all() for table in found.values())
    apart = {name: found[f"models/{name}/oof.parquet"] - on_cpu[f"models/{name}/oof.parquet"] for name in made.models}
    assert np.abs(apart["zeroshot"]).max() < 0.01
    assert np.abs(apart["probe"]).max() < 0.01
    assert all(np.abs(difference).mean() < 0.1 for difference in apart.values())
