"""Without an answer of the hub, the models that need none of its weights are made, and the others are named."""

import pytest

from src import config
from src.base import files
from src.config import FineTune, Probe, Reported, Soup, ZeroShot
from src.driver import run as driver
from src.models import at_hand
from src.networks import hub
from tests.conftest import TINY_CLIP, toy_competition

HERE = {"zeroshot": ZeroShot(clip=TINY_CLIP), "probe": Probe(clip=TINY_CLIP)}
FAR = {
    "far_clip": Probe(clip="ViT-B-32-quickgelu", weights="openai"),
    "far_beside": Probe(clip=TINY_CLIP, beside=(Probe(backbone="resnet50.a1_in1k"),)),
    "far_net": FineTune(backbone="test_convnext.r160_in1k", epochs=2, lr=1e-3, seeds=2),
    "far_soup": Soup(of=("far_net",)),
}


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "unreachable", lambda endpoint: "no answer in 8 seconds")


def test_those_that_need_it_are_left_out_and_named_with_what_is_made_of_them(folder, offline, capsys):
    reported = (Reported("theirs", public=0.5, model="far_clip"), Reported("ours", public=0.6, model="probe"))
    left = at_hand.without_hub(toy_competition(models=HERE | FAR, reported=reported))
    assert list(left.models) == list(HERE)
    assert [row.model for row in left.reported] == [None, "probe"]
    said = "no answer in 8 seconds: left out, for want of weights from the hub: far_clip, far_beside, far_net, far_soup"
    assert f"{said}; made: zeroshot, probe" in capsys.readouterr().out


def test_a_finished_model_and_one_whose_features_are_made_stay(folder, offline):
    competition = toy_competition(models=HERE | FAR)
    for name in ("model.json", "oof.parquet", "test.parquet"):
        files.write_json(competition.model_folder("far_net") / name, {})
    assert {"far_net", "far_soup"} <= at_hand.without_hub(competition).models.keys()
    for cache in at_hand.features.feature_caches(competition, FAR["far_clip"]):
        files.write_json(cache.folder / "key.json", {"code": 1})
    assert "far_clip" in at_hand.without_hub(competition).models


def test_nothing_is_asked_where_nothing_is_needed_of_it(folder, monkeypatch):
    monkeypatch.setattr(hub, "why_offline", lambda: pytest.fail("the hub was asked"))
    competition = toy_competition(models=HERE)
    assert at_hand.without_hub(competition) is competition


def test_where_none_is_left_the_first_says_what_to_do(folder, offline):
    competition = toy_competition(models=FAR)
    assert at_hand.without_hub(competition) is competition


def test_every_config_can_be_left_with_what_needs_no_hub(roots, offline):
    for name in config.names():
        competition = config.load(name)
        assert at_hand.without_hub(competition).models.keys() <= competition.models.keys()


def test_the_run_goes_on_to_a_submission_of_the_others(folder, offline, capsys):
    competition = toy_competition(models=HERE | {"far_clip": FAR["far_clip"]})
    driver.run(competition, ("data", "folds", "features", "zeroshot", "probe", "blend", "submission"))
    out = capsys.readouterr().out
    assert "left out, for want of weights from the hub: far_clip" in out
    assert "far_clip" in out.rsplit("cv accuracy", 1)[1]
    assert "not made" in out
    assert len(list(competition.folder.glob("blend-cv*.csv"))) == 1
