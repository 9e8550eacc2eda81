"""Geometry: open_clip's and timm's own transforms, to two of 255; the exact views and the crops."""

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from src.data import geometry
from src.data.geometry import CROPS, VIEWS, Geometry
from src.networks import backbones, clip
from src.schema.networks import Encoder
from tests.conftest import picture

SIZES = [(130, 141), (141, 130), (100, 100), (333, 80), (61, 300), (224, 300), (500, 375), (32, 32), (33, 57)]


def photo(size) -> np.ndarray:
    return np.array(picture("red", 1, (size[0] // 4 + 1, size[1] // 4 + 1)).resize(size, Image.Resampling.BICUBIC))


def close(ours: np.ndarray, theirs: torch.Tensor, mean, std) -> None:
    """Within 2 of 255 of a transform's output."""
    ours = geometry.normalised(torch.from_numpy(np.ascontiguousarray(ours)).permute(2, 0, 1)[None], mean, std)[0]
    assert ours.shape == theirs.shape
    assert float(((ours - theirs).abs() * torch.tensor(std).view(3, 1, 1)).max()) <= 2.01 / 255


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_squares_are_open_clips(size, mode, interpolation):
    cfg = PreprocessCfg(size=64, resize_mode=mode, interpolation=interpolation, fill_color=100)
    theirs = image_transform_v2(cfg, is_train=False)(Image.fromarray(photo(size)))
    ours = Geometry(64, 64, mode, interpolation, 100).square(photo(size))
    close(ours, theirs, cfg.mean, cfg.std)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "name",
    [
        "resnet50.a1_in1k",  # crop_pct 0.95
        "convnext_tiny.fb_in22k_ft_in1k",
        "eva02_tiny_patch14_336.mim_in22k_ft_in1k",
        "vit_base_patch16_siglip_224.webli",
        "tf_efficientnetv2_b0.in1k",
        "eva_large_patch14_196.in22k_ft_in1k",  # squash
        "resnetv2_50x1_bit.goog_in21k",  # bilinear
    ],
)
def test_squares_are_timms(size, name):
    spec = Encoder(backbone=name)
    config = timm.get_pretrained_cfg(name).to_dict()
    theirs = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=config), is_training=False)
    data = backbones.data_config(spec)
    close(backbones.geometry(spec).square(photo(size)), theirs(Image.fromarray(photo(size))), data.mean, data.std)


def test_a_clip_tags_own_way_is_taken():
    spec = Encoder(clip="ViT-B-32", weights="laion2b_s34b_b79k")
    _, _, theirs = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
    cfg = clip.preprocessing(spec)
    close(clip.geometry(spec).square(photo((300, 260))), theirs(Image.fromarray(photo((300, 260)))), cfg.mean, cfg.std)


def test_the_eight_views_are_eight():
    x = torch.arange(9).reshape(1, 1, 3, 3)
    views = {tuple(view(x).flatten().tolist()) for view in VIEWS.values()}
    assert len(views) == 8
    assert all(view(x).shape == x.shape for view in VIEWS.values())


def test_the_five_crops_are_of_the_picture_at_eight_sevenths():
    pixels = photo((300, 200))
    large = np.asarray(Image.fromarray(pixels).resize((96, 64), Image.Resampling.BICUBIC)).astype(int)
    corners = {
        "crop_center": (4, 20),
        "crop_top_left": (0, 0),
        "crop_top_right": (0, 40),
        "crop_bottom_left": (8, 0),
        "crop_bottom_right": (8, 40),
    }
    assert corners.keys() == CROPS.keys()
    for view, (top, left) in corners.items():
        crop = Geometry(56, 56).square(pixels, view)
        assert np.abs(crop - large[top : top + 56, left : left + 56]).max() <= 2


def test_a_reduced_picture_gives_the_same_square_where_that_is_said():
    pixels, shortest, squash = photo((500, 375)), Geometry(64, 64), Geometry(64, 64, "squash")
    reduced = geometry.reduced(pixels, 64)
    assert min(reduced.shape[:2]) == 64
    assert shortest.exact_at(64)
    assert (shortest.square(reduced) == shortest.square(pixels)).all()
    bilinear = Geometry(64, 64, interpolation="bilinear")
    assert not bilinear.exact_at(64)
    assert (bilinear.square(reduced) != bilinear.square(pixels)).any()
    assert not squash.exact_at(64)
    assert (squash.square(reduced) != squash.square(pixels)).any()
    assert geometry.reduced(pixels, None) is pixels
    assert geometry.reduced(reduced, 100) is reduced


@pytest.mark.parametrize("view", ["identity", "crop_center", "crop_top_left", "crop_bottom_right"])
@pytest.mark.parametrize("shape", [(2, 40_000), (40_000, 2), (1, 9_000)])
def test_a_strip_is_resized_in_part_and_gives_the_square_of_the_whole(shape, view, monkeypatch):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    geometry = Geometry(16, 16)
    whole = geometry.square(picture, view)
    monkeypatch.setattr("src.data.geometry.LARGEST_RESIZED", 100_000)
    part = geometry.square(picture, view)
    assert part.shape == (16, 16, 3)
    assert np.abs(part.astype(int) - whole).mean() < 1  # noise, whose sides are resized in another order


def test_a_strip_takes_no_gigabytes(monkeypatch):
    from src.data import geometry

    sizes, resized = [], geometry.resized
    monkeypatch.setattr(geometry, "resized", lambda *args: sizes.append(args[1]) or resized(*args))
    for mode in ("shortest", "longest", "squash"):
        for shape in ((2, 40_000), (40_000, 2)):
            picture = np.full((*shape, 3), 77, np.uint8)
            square = Geometry(224, 224, mode, fill=77).square(picture)
            assert square.shape == (224, 224, 3)
            assert (square == 77).all()
    assert max(height * width for height, width in sizes) <= geometry.LARGEST_RESIZED


def test_pixels_that_are_normalised_in_inference_mode_first_can_be_learnt_from_afterwards():
    geometry.of_channels.cache_clear()
    squares = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    with torch.inference_mode():
        first = geometry.normalised(squares, (0.5,) * 3, (0.25,) * 3)
    pixels = geometry.normalised(squares, (0.5,) * 3, (0.25,) * 3)
    assert torch.equal(first, pixels)
    weight = torch.ones((), requires_grad=True)
    (pixels * weight * geometry.of_channels((0.5,) * 3, pixels.device)).sum().backward()
    assert float(weight.grad) == -12.0
