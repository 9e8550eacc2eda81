"""CLIP: its weights are those that the config asks for, or there is a sentence; texts are unit vectors."""

import importlib.util
import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from src.base.errors import UserError
from src.networks import clip
from src.schema.models import Probe, ZeroShot
from tests.conftest import TINY_CLIP, Evil

SPEC = ZeroShot(clip=TINY_CLIP)


@pytest.fixture(scope="module")
def model():
    return clip.load(SPEC)


def image_features(model, pixels):
    with torch.inference_mode():
        return model.model.encode_image(pixels)


def test_texts_are_one_unit_vector_each_however_many(model, monkeypatch):
    texts = [f"a photo of {i} things" for i in range(7)]
    feats = clip.encode_texts(model, texts)
    assert feats.shape == (7, 16)
    assert np.abs(np.linalg.norm(feats, axis=1) - 1).max() < 1e-6
    monkeypatch.setattr(clip, "TEXTS", 3)
    assert np.abs(clip.encode_texts(model, texts) - feats).max() < 1e-6


def test_preprocessing_is_the_tags():
    tag = open_clip.get_pretrained_cfg("ViT-B-16-SigLIP", "webli")
    assert tag["mean"] == (0.5, 0.5, 0.5)
    spec = Probe(clip="ViT-B-32-256", weights="datacomp_s34b_b86k")
    assert clip.preprocessing(spec).size == 256


def test_random_weights_are_the_seeds_and_are_said_aloud(model, capsys):
    again, other = clip.load(SPEC), clip.load(ZeroShot(clip=TINY_CLIP, seed=7))
    assert "no weights are given" in capsys.readouterr().out
    pixels = torch.rand(2, 3, 16, 16)
    ours = image_features(model, pixels)
    assert (image_features(again, pixels) == ours).all()
    assert (image_features(other, pixels) - ours).abs().max() > 1e-3


def test_a_model_whose_weights_come_from_a_file_is_not_called_random(tmp_path, caplog, capsys):
    path = tmp_path / "b32.safetensors"
    torch.manual_seed(0)
    theirs = open_clip.create_model("RN50-quickgelu", pretrained=None)
    save_file({name: t.contiguous() for name, t in theirs.state_dict().items()}, path)
    caplog.clear()
    clip.load(ZeroShot(clip="RN50-quickgelu", weights="openai", weights_file=str(path)))
    assert caplog.records == []
    assert "random" not in capsys.readouterr().out


def test_loading_leaves_the_random_state_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    clip.load(SPEC)
    assert torch.rand(1) == expected


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"clip": "ViT-B-23"}, "unknown CLIP architecture 'ViT-B-23': did you mean 'ViT-B-32'"),
        ({"clip": "ViT-B-32", "weights": "laion2b"}, "ViT-B-32: unknown weights 'laion2b': did you mean"),
        ({"clip": "ViT-B-32", "weights": "openai"}, "write clip='ViT-B-32-quickgelu'"),
        ({"clip": "ViT-B-32-quickgelu", "weights": "laion2b_s34b_b79k"}, "unknown weights"),
        ({"clip": "ViT-B-16-SigLIP", "weights": "webli"}, "transformers"),
        ({"clip": TINY_CLIP, "weights": "openai"}, "only a weights_file"),
        (
            {"clip": "ViT-B-32", "weights_file": "/nowhere/b32.safetensors"},
            "weights_file /nowhere/b32.safetensors is missing",
        ),
    ],
)
def test_what_is_not_known_is_refused_before_anything_is_loaded(fields, said, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name))
    with pytest.raises(UserError) as error:
        clip.identity(ZeroShot(**fields))
    assert said in str(error.value)


def test_an_architecture_that_open_clip_cannot_make_is_refused():
    arch = TINY_CLIP.model_copy(update={"vision_cfg": {**TINY_CLIP.vision_cfg, "widht": 3}})
    with pytest.raises(UserError, match="widht"):
        clip.load(ZeroShot(clip=arch))


class TestWeightsFile:
    def test_is_loaded(self, model, tmp_path):
        path = tmp_path / "tiny.safetensors"
        save_file({name: t.contiguous() for name, t in model.model.state_dict().items()}, path)
        loaded = clip.load(ZeroShot(clip=TINY_CLIP, weights_file=str(path), seed=99))
        pixels = torch.rand(2, 3, 16, 16)
        assert (image_features(loaded, pixels) == image_features(model, pixels)).all()

    def test_is_named_in_the_key_by_its_content(self, model, tmp_path):
        one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
        for path in (one, two):
            save_file({name: t.contiguous() for name, t in model.model.state_dict().items()}, path)
        keys = [clip.identity(ZeroShot(clip=TINY_CLIP, weights_file=str(path))) for path in (one, two)]
        assert keys[0] == keys[1]
        save_file({"logit_scale": torch.tensor(0.0)}, two)
        assert clip.identity(ZeroShot(clip=TINY_CLIP, weights_file=str(two))) != keys[0]

    def test_of_another_model_is_refused(self, model, tmp_path):
        path = tmp_path / "other.safetensors"
        save_file({"head.weight": torch.zeros(3)}, path)
        with pytest.raises(UserError, match="does not fit: is it another model's"):
            clip.load(ZeroShot(clip=TINY_CLIP, weights_file=str(path)))

    def test_that_would_run_code_is_refused_and_not_run(self, tmp_path):
        path = tmp_path / "evil.pt"
        torch.save({"logit_scale": Evil(str(tmp_path / "it_ran"))}, path)
        with pytest.raises(UserError, match="would run code"):
            clip.load(ZeroShot(clip=TINY_CLIP, weights_file=str(path)))
        assert not (tmp_path / "it_ran").exists()

    def test_that_is_damaged_is_refused(self, tmp_path):
        path = tmp_path / "half.safetensors"
        path.write_bytes(b"half")
        with pytest.raises(UserError, match="is damaged"):
            clip.load(ZeroShot(clip=TINY_CLIP, weights_file=str(path)))

    def beside(self, tmp_path, **model_cfg):
        """A weights file with the open_clip_config.json that a folder of the hub has."""
        config = open_clip.get_model_config("ViT-B-32") | model_cfg
        preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"}
        (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
        (tmp_path / "b32.safetensors").write_bytes(b"")
        return {"weights_file": str(tmp_path / "b32.safetensors")}

    def test_with_another_activation_by_its_own_config_is_refused(self, tmp_path):
        with pytest.raises(UserError, match=r"another activation than .* write clip='ViT-B-32-quickgelu'"):
            clip.identity(ZeroShot(clip="ViT-B-32", **self.beside(tmp_path, quick_gelu=True)))
        with pytest.raises(UserError, match=r"another activation than .* write clip='ViT-B-32'"):
            clip.identity(ZeroShot(clip="ViT-B-32-quickgelu", **self.beside(tmp_path)))

    def test_of_another_architecture_by_its_own_config_is_refused(self, tmp_path):
        with pytest.raises(UserError, match="holds another architecture than ViT-B-16"):
            clip.identity(ZeroShot(clip="ViT-B-16", **self.beside(tmp_path)))

    def test_wants_its_pictures_as_its_own_config_says(self, tmp_path):
        cfg = clip.preprocessing(ZeroShot(clip="ViT-B-32", **self.beside(tmp_path)))
        assert (list(cfg.mean), cfg.resize_mode, cfg.size) == ([0.5, 0.5, 0.5], "squash", 224)
