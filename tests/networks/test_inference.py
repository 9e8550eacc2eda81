"""Encoding: every picture once and in its order, whatever the batches are and whatever memory there is."""

import threading
import time

import numpy as np
import pytest
import torch

from src.base import machine
from src.base.errors import UserError
from src.base.threads import cores
from src.data.geometry import CROPS, VIEWS, Geometry, normalised
from src.networks import backbones, encoders, inference, loading
from src.networks.inference import EncoderRunner, Loader, Times, Tower
from src.schema.models import FineTune, Probe, ZeroShot
from src.schema.networks import Encoder as Spec
from tests.conftest import TINY_CLIP, picture, toy_competition

GEOMETRY = Geometry(16, 16)


class Pictures(list):
    """Arrays in memory."""

    def read(self, i):
        return self[i]

    def picture(self, raw):
        return raw


@pytest.fixture
def pictures():
    return Pictures(np.array(picture("red", i, (20 + i % 3, 18))) for i in range(30))


def tower(forward=lambda pixels: pixels.flatten(1)) -> Tower:
    return Tower(forward, GEOMETRY, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def encoded(encoder, pictures, views=("identity",), rows=None):
    rows = range(len(pictures)) if rows is None else rows
    batches = list(inference.encode(encoder, pictures, rows, views, Times()))
    return {view: np.concatenate([batch[view] for batch in batches]) for view in views}


def expected(pictures, view="identity"):
    base = view if view in CROPS else "identity"
    squares = np.stack([GEOMETRY.square(picture, base) for picture in pictures])
    turned = VIEWS.get(view, VIEWS["identity"])(torch.from_numpy(squares).permute(0, 3, 1, 2))
    return normalised(turned, tower().mean, tower().std).flatten(1).numpy()


@pytest.mark.parametrize("batch", [1, 7, 30, 64])
def test_pictures_come_in_their_order_whatever_the_batch(pictures, batch):
    feats = encoded(EncoderRunner(tower(), "it", "float32", batch, False, 30), pictures)["identity"]
    assert np.abs(feats - expected(pictures)).max() < 1e-6


def test_rows_are_those_that_are_asked_for(pictures):
    feats = encoded(EncoderRunner(tower(), "it", "float32", 4, False, 30), pictures, rows=[9, 3, 21])["identity"]
    assert np.abs(feats - expected([pictures[i] for i in (9, 3, 21)])).max() < 1e-6


def test_every_view_is_the_view(pictures):
    views = (*VIEWS, *CROPS)
    feats = encoded(EncoderRunner(tower(), "it", "float32", 8, False, 30), pictures, views)
    assert all(np.abs(feats[view] - expected(pictures, view)).max() < 1e-6 for view in views)


@pytest.mark.parametrize(
    ("n", "batch", "forwards"), [(4, 32, [32]), (4, 12, [12, 12, 8]), (4, 4, [4] * 8), (1, 1, [1] * 8)]
)
def test_views_of_a_few_pictures_are_one_batch_and_none_is_larger(pictures, n, batch, forwards):
    sizes = []
    encoder = EncoderRunner(
        tower(lambda pixels: sizes.append(len(pixels)) or pixels.flatten(1)), "it", "float32", batch, False, n
    )
    feats = encoded(encoder, pictures, tuple(VIEWS), range(n))
    assert sizes == forwards
    assert all(np.abs(feats[view] - expected(pictures[:n], view)).max() < 1e-6 for view in VIEWS)


def test_an_error_in_a_thread_is_not_lost(pictures):
    pictures[13] = "no picture"
    with pytest.raises(AttributeError):
        encoded(EncoderRunner(tower(), "it", "float32", 4, False, 30), pictures)


class Small:
    """A tower whose memory is full with more than `most` images."""

    def __init__(self, most):
        self.most, self.sizes = most, []

    def __call__(self, pixels):
        if len(pixels) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.sizes.append(len(pixels))
        return pixels.flatten(1)


def test_out_of_memory_halves_the_batch_and_says_so(pictures, capsys):
    small = Small(5)
    feats = encoded(EncoderRunner(tower(small), "it", "float32", 16, False, 30), pictures)["identity"]
    assert np.abs(feats - expected(pictures)).max() < 1e-6
    assert set(small.sizes) == {4, 2}
    said = capsys.readouterr().out.splitlines()
    assert said == [f"it: out of GPU memory, continuing with {n} images at a time" for n in (8, 4)]


def test_no_memory_for_one_image_is_a_sentence(pictures):
    with pytest.raises(UserError, match="it: the GPU has no memory for a single image"):
        encoded(EncoderRunner(tower(Small(0)), "it", "float32", 16, False, 30), pictures)


class TestFastest:
    """The search for the batch size, on a clock of its own: a batch takes `cost(n)` seconds."""

    def found(self, monkeypatch, cost, most=10**6, memory=10**6):
        now = [0.0]

        def forward(pixels):
            if len(pixels) > memory:
                raise torch.OutOfMemoryError("CUDA out of memory")
            now[0] += cost(len(pixels))
            return pixels.flatten(1)[:, :1]

        monkeypatch.setattr(inference.time, "perf_counter", lambda: now[0])
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
        return EncoderRunner(tower(forward), "it", "float32", 8, False, 30).find_batch_size(most)

    def test_doubles_while_it_gains(self, monkeypatch, capsys):
        assert self.found(monkeypatch, lambda n: 0.1 + n / 1000) == 512
        assert "it: 512 images a batch (32: 242/s, 64: 390/s" in capsys.readouterr().out

    def test_stops_where_it_gains_no_more(self, monkeypatch):
        assert self.found(monkeypatch, lambda n: max(n, 100) / 1000) == 128

    def test_stops_where_memory_ends(self, monkeypatch, capsys):
        assert self.found(monkeypatch, lambda n: 0.1 + n / 1000, memory=100) == 64
        assert "128: no memory" in capsys.readouterr().out

    def test_tries_no_more_than_there_is(self, monkeypatch):
        assert self.found(monkeypatch, lambda n: 0.1 + n / 1000, most=100) == 64


def test_compiled_sees_one_shape_and_gives_the_same(pictures, monkeypatch, capsys):
    shapes = []

    def compiled(forward, dynamic):
        return lambda pixels: shapes.append(len(pixels)) or forward(pixels)

    monkeypatch.setattr(torch, "compile", compiled)
    feats = encoded(EncoderRunner(tower(), "it", "float32", 8, True, 30), pictures)["identity"]
    assert np.abs(feats - expected(pictures)).max() < 1e-6
    assert set(shapes) == {8}
    assert "it: compiled in" in capsys.readouterr().out


def test_out_of_memory_of_a_compiled_tower_makes_what_it_pads_to_smaller_too(pictures, monkeypatch, capsys):
    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: forward)
    small = Small(10)
    feats = encoded(EncoderRunner(tower(small), "it", "float32", 16, True, 30), pictures)["identity"]
    assert np.abs(feats - expected(pictures)).max() < 1e-6
    assert set(small.sizes) == {8}
    assert "continuing with 8 images at a time" in capsys.readouterr().out


def test_a_machine_that_cannot_compile_says_so(monkeypatch):
    def broken(pixels):
        raise RuntimeError("Failed to find C compiler\nplease install one")

    monkeypatch.setattr(torch, "compile", lambda forward, dynamic: broken)
    with pytest.raises(
        UserError, match=r"it: torch cannot compile here \(Failed to find C compiler\): set compile=False"
    ):
        EncoderRunner(tower(), "it", "float32", 8, True, 30)


def test_a_step_that_takes_long_is_named():
    machine_is = machine.device().type.upper()
    times = Times(threads=2, read=0.1, decode=9.0, wait=5.0, model=5.0)
    times.start -= 10
    assert times.summary(100).endswith(
        f"(read 0.1s and decode 9.0s in 2 threads, wait 5.0s, {machine_is} 5.0s): decoding is the limit"
    )
    times = Times(threads=2, read=9.0, decode=1.0, wait=5.0, model=5.0)
    times.start -= 10
    assert times.summary(100).endswith("reading is the limit")
    times = Times(threads=2, read=0.1, decode=1.0, wait=0.5, model=9.0)
    times.start -= 10
    assert times.summary(100).startswith("100 images  10s  10.0 images/s")
    assert times.summary(100).endswith(f"the {machine_is} is the limit")


def test_seconds_of_loading_are_counted(pictures):
    times = Times()
    list(Loader(pictures, range(30), GEOMETRY, ["identity"], times).batches(8))
    assert times.decode > 0
    assert times.wait > 0
    assert times.threads == cores()


@pytest.mark.skipif(cores() < 2, reason="one core has one thread")
@pytest.mark.parametrize(("seconds", "woken"), [(0.0, False), (0.004, True)])
def test_other_threads_are_woken_for_work_that_is_worth_it(pictures, monkeypatch, seconds, woken):
    threads = set()

    def read(self, i):
        threads.add(threading.get_ident())
        time.sleep(seconds)
        return self[i]

    monkeypatch.setattr(Pictures, "read", read)
    monkeypatch.setattr(loading, "SHARE", 0.002 if woken else 1.0)
    feats = encoded(EncoderRunner(tower(), "it", "float32", 8, False, 30), pictures)["identity"]
    assert np.abs(feats - expected(pictures)).max() < 1e-6
    threads.clear()
    loader = Loader(pictures, range(30), GEOMETRY, ["identity"], Times())
    batches = loader.batches(8)
    next(batches)
    assert threads - {threading.get_ident()}  # of the first batch nothing is known yet
    threads.clear()
    list(batches)
    assert threads - {threading.get_ident()} if woken else threads == {threading.get_ident()}


class TestBackbone:
    """A timm model gives features as a CLIP does."""

    SPEC = Spec(backbone="test_convnext", pretrained=False, img_size=32)

    def test_gives_what_it_has_before_its_head(self, pictures):
        ours = encoders.tower(self.SPEC)
        theirs = backbones.create(self.SPEC, 5, 42, None).eval()
        pixels = torch.rand(2, 3, 32, 32)
        with torch.inference_mode():
            expected = theirs.forward_head(theirs.forward_features(pixels), pre_logits=True)
            assert ours.forward(pixels).shape == expected.shape
            assert ours.geometry.size == 32
        again = encoders.tower(self.SPEC)
        assert (again.forward(pixels) == ours.forward(pixels)).all()

    def test_loads_a_local_file(self, tmp_path):
        from safetensors.torch import save_file

        spec = FineTune(backbone="test_convnext", pretrained=False, epochs=2, lr=1e-3)
        theirs = backbones.create(spec, 1000, 7, None)
        save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
        ours = encoders.tower(Spec(backbone="test_convnext", weights_file=str(tmp_path / "weights.safetensors")))
        pixels = torch.rand(2, 3, 160, 160)
        with torch.inference_mode():
            expected = theirs.eval().forward_head(theirs.forward_features(pixels), pre_logits=True)
            assert (ours.forward(pixels) - expected).abs().max() < 1e-5

    def test_that_is_not_known_is_refused_with_the_nearest(self):
        with pytest.raises(UserError, match="unknown timm backbone 'resnet5O': did you mean 'resnet50"):
            encoders.identity(Spec(backbone="resnet5O.a1_in1k"))

    @pytest.mark.parametrize(
        "change", [{"seed": 7}, {"img_size": 64}, {"backbone_args": {"drop_rate": 0.1}}, {"precision": "bfloat16"}]
    )
    def test_of_other_fields_has_another_folder(self, change):
        assert encoders.slug(self.SPEC.model_copy(update=change)) != encoders.slug(self.SPEC)


def test_all_encoders_of_a_config_are_found():
    beside = Spec(backbone="test_convnext", pretrained=False)
    competition = toy_competition(
        models={
            "zeroshot": ZeroShot(clip=TINY_CLIP),
            "probe": Probe(clip=TINY_CLIP, beside=(beside,)),
            "convnext": FineTune(backbone="test_convnext", pretrained=False, epochs=2, lr=1e-3),
        }
    )
    assert [spec.clip or spec.backbone for spec in competition.encoders] == [TINY_CLIP, TINY_CLIP, "test_convnext"]
