"""Whole runs on a pretended GPU: every stage, `compare` and `predict` give what they give on a CPU."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src import config, stages
from src.base import machine
from src.commands.compare import command as compare
from src.commands.predict.naming import Finished
from src.commands.predict.session import InferenceSession
from src.data.rows import read_dataset
from src.schema.competition import Competition, Folds
from src.schema.models import Augment, FineTune, Probe, Soup, ZeroShot
from src.stages import find_lr
from tests.conftest import TINY_CLIP, roots_at, toy_competition, toy_files
from tests.pretended_gpu import Gpu, pretended

STAGES = (
    *("data", "folds", "features", "zeroshot", "probe", "find_lr", "finetune", "blend", "submission"),
    "audit",
)
MODELS = ("zeroshot", "probe", "resnet", "clip", "soup", "blend")


def competition(precision: str) -> Competition:
    """A model of each kind that computes on a GPU, by recipes that leave nothing out."""
    of = {"precision": precision}
    tuned = {"epochs": 1, "batch_size": 8, "lr": 1e-3, "warmup_epochs": 0.5, **of}
    models = {
        "zeroshot": ZeroShot(clip=TINY_CLIP, ensemble="greedy", prior="train", **of),
        "probe": Probe(clip=TINY_CLIP, views=("identity", "rot90", "crop_center"), cs=(1.0, 100.0), widen=False, **of),
        "resnet": FineTune(
            backbone="test_resnet", pretrained=False, img_size=32, seeds=2, head_lr=1e-2, micro_batch=4, mixup=0.5,
            cutmix=1.0, mix_p=0.5, class_weight="balanced", ema_decay=0.9, label_smoothing=0.1, temperature=True,
            augment=(Augment("HorizontalFlip", p=0.5),), views=("identity", "hflip"), **tuned,
        ),
        "clip": FineTune(clip=TINY_CLIP, head="probe", wise_ft=(0.0, 0.5), grad_checkpointing=True, augment=(), **tuned),
        "soup": Soup(of=("resnet",)),
    }  # fmt: skip
    return toy_competition(folds=Folds(n=3), models=models)


@contextlib.contextmanager
def whole_run(root: Path, precision: str) -> Iterator[Competition]:
    """A run below `root`, in which its paths stay."""
    toy_files(root / "input" / "toy")
    made = competition(precision)
    with roots_at(root) as patch:
        patch.setattr(machine, "workers", lambda: 0)
        patch.setattr(find_lr, "STEPS", 3)
        patch.setattr(config, "load", lambda name, limit=None: made)
        stages.run(made, STAGES)
        assert compare.run(["toy"]) == 0
        yield made


def predicted(made: Competition) -> dict[str, np.ndarray]:
    """What `predict` says of test pictures."""
    session = InferenceSession(read_dataset(made).test.paths)
    return {name: session.prediction(Finished(f"toy:{name}", made, name)).probs for name in MODELS}


def tables(made: Competition) -> dict[str, np.ndarray]:
    """The numbers of every table of probabilities, by its path."""
    paths = sorted(made.folder.rglob("*.parquet"))
    found = {str(path.relative_to(made.folder)): pd.read_parquet(path) for path in paths}
    return {path: df[list(made.classes)].to_numpy() for path, df in found.items() if {*made.classes} <= {*df.columns}}


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory) -> dict[str, np.ndarray]:
    with whole_run(tmp_path_factory.mktemp("cpu"), "float32") as made:
        return tables(made)


def on_gpu(root: Path, precision: str, half: bool = True) -> tuple[dict, dict, Gpu]:
    with pretended(half=half) as gpu, whole_run(root, precision) as made:
        return tables(made), predicted(made), gpu


def test_every_stage_has_the_numbers_of_a_cpu(on_cpu, tmp_path):
    found, predictions, gpu = on_gpu(tmp_path, "float32")
    assert gpu.faults == []
    assert gpu.launches > 1000
    assert len(found) > 20
    assert found.keys() == on_cpu.keys()
    apart = {path: np.abs(found[path] - table).max() for path, table in on_cpu.items()}
    assert max(apart.values()) < 1e-4, apart
    said = {name: found[f"models/{name}/test.parquet"] for name in MODELS}
    assert all(np.abs(predictions[name] - table).max() < 1e-4 for name, table in said.items())


@pytest.mark.parametrize("half", [True, False], ids=["bfloat16", "float16"])
def test_every_stage_runs_in_the_gpus_own_precision(on_cpu, tmp_path, half):
    found, predictions, gpu = on_gpu(tmp_path, "auto", half)
    assert gpu.faults == []
    assert found.keys() == on_cpu.keys()
    assert all(np.isfinite(table).all() for table in [*found.values(), *predictions.values()])
    assert np.abs(found["models/probe/oof.parquet"] - on_cpu["models/probe/oof.parquet"]).max() < 0.05
