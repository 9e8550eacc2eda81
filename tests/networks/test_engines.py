"""The engine of a tower on a CPU: chosen without a clock, the same features by any, and torch where one fails."""

import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from src.base import machine, packages
from src.base.paths import ROOT
from src.data.geometry import Geometry
from src.networks import engines, inference
from src.networks.inference import EncoderRunner, Times, Tower
from tests.conftest import picture

SIDE = 16
AVX2, AVX512 = frozenset({"avx2"}), frozenset({"avx2", "avx512f"})


def convolutions() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(*layers, nn.Flatten()).eval().requires_grad_(False)


def patches() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(), nn.Linear(128, 8)).eval().requires_grad_(False)


class Clip(nn.Module):
    """A network whose tower is a method."""

    def __init__(self):
        super().__init__()
        self.visual = convolutions()

    def encode_image(self, pixels):
        return self.visual(pixels) * 2


@pytest.fixture
def small(monkeypatch):
    """Few pictures are enough."""
    monkeypatch.setattr(engines, "LEAST", 1)
    monkeypatch.setattr(machine, "cpu_flags", lambda: AVX512)


def runner(forward, batch=8, total=None, precision="float32"):
    tower = Tower(forward, Geometry(SIDE, SIDE), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return EncoderRunner(tower, "it", precision, batch, False, 30, total)


class Pictures(list):
    def read(self, i):
        return self[i]

    def picture(self, raw):
        return raw


def encoded(encoder, n=21, views=("identity", "hflip")):
    pictures = Pictures(np.array(picture("red", i, (SIDE, SIDE))) for i in range(n))
    batches = list(inference.encode(encoder, pictures, range(n), views, Times()))
    return np.stack([np.concatenate([batch[view] for batch in batches]) for view in views])


@pytest.mark.parametrize(("make", "layout"), [(convolutions, "channels_last"), (patches, "")])
def test_torch_takes_the_layout_that_the_network_wants(make, layout):
    """30 pictures of 16 pixels are too few for more."""
    encoder = runner(make())
    assert encoder.engine.name == layout
    assert np.abs(encoded(encoder) - encoded(runner(lambda pixels: make()(pixels)))).max() < 1e-5


@pytest.mark.parametrize(
    ("flags", "make", "pays"),
    [
        (AVX512, patches, True),
        (AVX512, convolutions, True),
        (AVX2, convolutions, True),
        (AVX2, patches, False),
        (frozenset(), convolutions, False),
    ],
)
def test_it_is_the_processor_and_the_network_that_decide(monkeypatch, flags, make, pays):
    monkeypatch.setattr(machine, "cpu_flags", lambda: flags)
    assert engines.pays(engines.is_convolutional(make())) is pays


@pytest.mark.parametrize("make", [convolutions, patches, lambda: Clip().eval().requires_grad_(False).encode_image])
def test_openvino_gives_what_torch_gives_in_whole_batches(small, make):
    encoder = runner(make())
    assert encoder.engine.name == "OpenVINO"
    assert np.abs(encoded(encoder) - encoded(runner(lambda pixels: make()(pixels)))).max() < 1e-5
    assert (encoded(encoder) == encoded(encoder)).all()


def test_torch_s_weights_do_not_stay_beside_openvino_s(small):
    network = convolutions()
    weights = weakref.ref(network)
    encoder = runner(network)
    del network
    assert encoder.engine.name == "OpenVINO"
    assert weights() is None


@pytest.mark.parametrize(("total", "name"), [(None, "channels_last"), (1000, "OpenVINO")])
def test_pictures_that_were_encoded_before_count(monkeypatch, total, name):
    """Else the end of a run that was killed would be another engine's."""
    monkeypatch.setattr(engines, "LEAST", 1000 * SIDE**2)
    monkeypatch.setattr(machine, "cpu_flags", lambda: AVX2)
    assert runner(convolutions(), total=total).engine.name == name


class Wrong(nn.Module):
    """In training mode a tracer sees other numbers each time."""

    def forward(self, pixels):
        return pixels.flatten(1) * torch.rand(1)


class Odd(nn.Module):
    def forward(self, pixels):
        return torch.from_numpy(np.linalg.qr(pixels.flatten(1).numpy())[0].copy()) if len(pixels) else None


@pytest.mark.parametrize("network", [Wrong(), Odd()])
def test_torch_computes_what_openvino_cannot_and_that_is_said(small, capsys, network):
    encoder = runner(network)
    assert encoder.engine.name == ""
    assert encoder.engine.forward is network
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert said[0].startswith("it: OpenVINO cannot compute it (")


def test_without_openvino_nothing_is_said(small, monkeypatch, capsys):
    monkeypatch.setattr(packages, "version", lambda name: None)
    assert runner(convolutions()).engine.name == "channels_last"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_another_precision_is_torch_s(small, precision):
    assert runner(convolutions(), precision=precision).engine.name == ""


def test_the_engine_stands_beside_its_seconds():
    times = Times(threads=2, model=9.0, engine="OpenVINO")
    times.start -= 10
    assert "CPU 9.0s by OpenVINO): the CPU is the limit" in times.summary(100)


def test_openvino_is_imported_where_it_computes_and_reports_to_nobody(tmp_path):
    code = """
import sys
from torch import nn
from src.networks import engines
assert "openvino" not in sys.modules
engines.convert(nn.Conv2d(3, 8, 3).eval().requires_grad_(False), 2, 16)
assert "openvino" in sys.modules and sys.modules["openvino_telemetry"] is None
"""
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=home)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
