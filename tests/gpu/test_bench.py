"""The parts of bench gpu on a GPU that is pretended: they run, and their figures are whole."""

import math

import pytest

from src.base import files
from src.bench import features, gpu_parts
from tests.conftest import TINY_CLIP
from tests.pretended_gpu import pretended


@pytest.mark.parametrize(
    ("part", "figure"),
    [
        ("matrix", "bfloat16 matrix products, TFLOP/s"),
        ("vit-b-32", "from files / open_clip's transform and DataLoader"),
    ],
)
def test_a_part_has_its_figures(tmp_path, monkeypatch, part, figure):
    monkeypatch.setattr(features, "TINY", TINY_CLIP)
    with pretended() as gpu:
        gpu_parts.main(part, tmp_path, quick=True)
    assert gpu.faults == []
    about = files.read_json(tmp_path / f"{part}.json")
    assert about["where"]["device"] == "NVIDIA Pretended"
    assert about["where"]["rehearsal"]
    assert about["figures"][figure] > 0
    assert about["figures"]["most GPU memory, GB"] > 0
    assert all(math.isfinite(value) for value in about["figures"].values())
