"""What is trained: timm's backbones at the size of the config's choice, and CLIP's image towers with a linear head."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.optim import create_optimizer_v2

from src.base.errors import UserError
from src.networks import backbones, classifiers, clip
from src.networks.classifiers import Head
from src.schema.models import FineTune
from src.schema.networks import ClipArch
from tests.conftest import TINY_CLIP


def spec_of(**changes) -> FineTune:
    return FineTune(**{"epochs": 2, "lr": 1e-3, **changes})


class TestBackbones:
    @pytest.mark.parametrize(
        ("name", "native", "size", "args"),  # what is resized: position embeddings, relative biases, tables of them
        [
            ("convnext_atto.d2_in1k", 224, 96, {"depths": (1, 1, 1, 1)}),
            ("convnextv2_atto.fcmae_ft_in1k", 224, 96, {"depths": (1, 1, 1, 1)}),
            ("resnet50.a1_in1k", 224, 96, {"layers": (1, 1, 1, 1)}),
            ("resnext50_32x4d.a1_in1k", 224, 96, {"layers": (1, 1, 1, 1)}),
            ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", 224, 96, {"depth": 1}),
            ("beit_base_patch16_224.in22k_ft_in22k_in1k", 224, 96, {"depth": 1, "embed_dim": 48, "num_heads": 3}),
            ("swin_tiny_patch4_window7_224.ms_in1k", 224, 112, {"depths": (1, 1, 1, 1), "embed_dim": 24}),
            ("eva02_tiny_patch14_336.mim_in22k_ft_in1k", 336, 98, {"depth": 1}),
            ("vit_base_patch14_dinov2.lvd142m", 518, 98, {"depth": 1, "embed_dim": 48, "num_heads": 3}),
        ],
    )
    def test_of_every_kind_take_the_size_of_the_configs_choice(self, tmp_path, name, native, size, args):
        torch.manual_seed(0)
        theirs = timm.create_model(name, **args)
        path = tmp_path / "native.safetensors"
        save_file({key: tensor.contiguous() for key, tensor in theirs.state_dict().items()}, path)
        spec = spec_of(backbone=name, img_size=size, weights_file=str(path), backbone_args=args)
        classifiers.check(spec)
        ours = classifiers.create(spec, 4, 0, True)
        logits = ours.train()(torch.rand(2, 3, size, size))
        assert logits.shape == (2, 4)
        logits.square().sum().backward()
        assert all(parameter.grad is not None for key, parameter in ours.named_parameters() if "mask" not in key)
        same = classifiers.create(spec.model_copy(update={"img_size": native}), 4, 0, True).eval()
        pixels = torch.rand(1, 3, native, native)
        with torch.inference_mode():
            assert torch.allclose(same.forward_features(pixels), theirs.eval().forward_features(pixels), atol=1e-4)
        shared = dict(theirs.named_parameters())
        resized = [
            key for key, tensor in ours.named_parameters() if key in shared and tensor.shape != shared[key].shape
        ]
        assert all("pos" in key or "rel" in key or "head" in key or "fc" in key for key in resized)

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"backbone": "test_vit", "img_size": 100}, "test_vit cannot take img_size=100: Input height"),
            ({"backbone": "test_convnext", "backbone_args": {"widht": 3}}, "timm does not make it with {'widht': 3}"),
            ({"backbone": "test_vit3", "drop_path": 0.1, "backbone_args": {"depth": "x"}}, "timm does not make it"),
            ({"clip": "ViT-B-32", "img_size": 100}, "cannot take img_size=100: it takes multiples of 32"),
            ({"clip": TINY_CLIP, "img_size": 20}, "tiny-test (random weights) cannot take img_size=20"),
            ({"clip": "ViT-B-23"}, "unknown CLIP architecture 'ViT-B-23'"),
        ],
    )
    def test_what_cannot_be_is_refused_before_anything_is_computed(self, fields, said):
        pretrained = {} if "clip" in fields else {"pretrained": False}
        with pytest.raises(UserError) as error:
            classifiers.check(spec_of(**fields, **pretrained))
        assert said in str(error.value)

    @pytest.mark.parametrize("classes", [7, 0])
    def test_a_head_of_other_classes_is_replaced_and_that_is_said(self, tmp_path, classes, capsys):
        path = tmp_path / "other.safetensors"
        torch.manual_seed(0)
        theirs = timm.create_model("test_convnext", num_classes=classes)
        save_file(theirs.state_dict(), path)
        spec = spec_of(backbone="test_convnext.r160_in1k", weights_file=str(path))
        model = backbones.create(spec, 3, 0, path)
        assert torch.equal(model.stem[0].weight, theirs.stem[0].weight)
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
        assert (
            f"other.safetensors has a head of {classes} classes, a new one takes its place" in capsys.readouterr().out
        )


class TestClip:
    SPEC = spec_of(clip=TINY_CLIP)

    def head(self, k=3, seed=0) -> Head:
        rng = np.random.default_rng(seed)
        return Head(rng.normal(size=(k, 16)).astype(np.float32), rng.normal(size=k).astype(np.float32))

    def test_with_a_head_is_the_linear_classifier_on_unit_features(self):
        head = self.head()
        model = classifiers.create(self.SPEC, 3, 0, True, head).eval()
        pixels = torch.rand(5, 3, 16, 16)
        with torch.inference_mode():
            feats = clip.load(self.SPEC.encoder).model.encode_image(pixels, normalize=True)
            expected = feats.numpy() @ head.coef.T + head.intercept
            assert np.abs(model(pixels).numpy() - expected).max() < 1e-5

    @pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
    def test_has_logits_of_float32_whatever_the_precision_of_its_tower(self, half):
        head = self.head()
        model = classifiers.create(self.SPEC, 3, 0, True, Head(100 * head.coef, head.intercept)).eval()
        pixels = torch.rand(64, 3, 16, 16)
        with torch.inference_mode(), torch.autocast("cpu", half):
            feats, logits = model.visual(pixels).float(), model(pixels)
        assert logits.dtype == torch.float32
        with torch.inference_mode():
            assert torch.equal(logits, model.head(torch.nn.functional.normalize(feats, dim=-1)))

    def test_of_a_half_precision_of_the_configs_choice_says_so_in_its_key(self):
        of = {one: classifiers.identity(spec_of(clip=TINY_CLIP, precision=one)) for one in ("auto", "bfloat16")}
        assert of["bfloat16"] == {**of["auto"], "head": "float32"}
        assert of["auto"] == clip.identity(self.SPEC.encoder)

    def test_can_be_trained_and_its_random_head_is_the_seeds(self):
        heads = [classifiers.create(self.SPEC, 3, seed, True).head.weight for seed in (1, 1, 2)]
        assert torch.equal(heads[0], heads[1])
        assert not torch.equal(heads[0], heads[2])
        model = classifiers.create(self.SPEC, 3, 0, True)
        model(torch.rand(2, 3, 16, 16)).square().sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())

    def test_at_another_size_has_resized_position_embeddings(self, tmp_path):
        theirs = clip.load(self.SPEC.encoder).model
        path = tmp_path / "tiny.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}, path)
        spec = spec_of(clip=TINY_CLIP, weights_file=str(path), img_size=32, seed=3)
        model = classifiers.create(spec, 3, 0, True)
        assert classifiers.size(spec) == 32
        assert torch.equal(model.visual.conv1.weight, theirs.visual.conv1.weight)
        assert model.visual.positional_embedding.shape == (17, 32)
        assert model(torch.rand(2, 3, 32, 32)).shape == (2, 3)

    @pytest.mark.parametrize(
        ("vision", "first", "later"),
        [
            (
                {"patch_size": 8, "layers": 6, "width": 32, "head_width": 16},
                "conv1.weight",
                "transformer.resblocks.5.mlp.c_fc.weight",
            ),
            ({"layers": (2, 2, 2, 2), "width": 8, "head_width": 8}, "conv1.weight", "layer4.1.conv1.weight"),
            ({"timm_model_name": "convnext_atto"}, "trunk.stem.0.weight", "trunk.stages.3.blocks.1.mlp.fc1.weight"),
        ],
    )
    def test_early_layers_of_every_kind_learn_slower(self, vision, first, later):
        arch = ClipArch(name="it", embed_dim=16, vision_cfg={"image_size": 64, **vision}, text_cfg=TINY_CLIP.text_cfg)
        model = classifiers.create(spec_of(clip=arch), 3, 0, True)
        optimizer = create_optimizer_v2(model, "adamw", lr=1.0, layer_decay=0.5, weight_decay=0.1)
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        named = dict(model.named_parameters())
        scales = [groups[id(named[key])]["lr_scale"] for key in (f"visual.{first}", f"visual.{later}", "head.weight")]
        assert scales[0] < scales[1] / 8
        assert scales[1] < scales[2] == 1
        for key, parameter in named.items():
            exempt = parameter.ndim <= 1 or "positional_embedding" in key
            assert groups[id(parameter)]["weight_decay"] == (0 if exempt else 0.1), key
