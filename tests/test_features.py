"""The feature cache: a hit only for the same key and bytes, whole shards only, ids and order kept."""

import numpy as np
import pytest

from src import clip, features, files
from src.config import Probe
from src.dataset import Rows
from src.errors import UserError
from tests.conftest import TINY_CLIP, picture, read_json, snapshot

SPEC = Probe(clip=TINY_CLIP)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 8)
    monkeypatch.setattr(features, "BATCH", 4)
    paths = [tmp_path / f"{i}.png" for i in range(20)]
    for i, path in enumerate(paths):
        picture("green", i).save(path)
    return Rows([str(i) for i in range(20)], paths, [files.sha256(path) for path in paths])


@pytest.fixture
def encoded(monkeypatch):
    """A list that grows by the number of images of every batch that is encoded."""
    counts, encode = [], clip.encode
    monkeypatch.setattr(clip, "encode", lambda model, pixels, p: counts.append(len(pixels)) or encode(model, pixels, p))
    return counts


def test_rows_come_back_as_unit_vectors_in_their_order(rows, tmp_path):
    features.make(tmp_path / "cache", SPEC, "identity", rows)
    feats = features.read([tmp_path / "cache"], rows)
    assert np.abs(np.linalg.norm(feats, axis=1) - 1).max() < 1e-6
    order = np.random.default_rng(0).permutation(20)
    assert (features.read([tmp_path / "cache"], rows.take(order)) == feats[order]).all()
    model = clip.load(SPEC)
    one = clip.encode(model, next(features.batches(model, rows.paths[7:8])), "float32")
    assert np.abs(features.unit(one)[0] - feats[7]).max() < 1e-5


def test_a_second_time_nothing_is_encoded_and_no_file_changes(rows, tmp_path, encoded):
    assert features.make(tmp_path / "cache", SPEC, "identity", rows) == 20
    before = snapshot(tmp_path / "cache")
    assert features.make(tmp_path / "cache", SPEC, "identity", rows) == 0
    assert sum(encoded) == 20
    assert snapshot(tmp_path / "cache") == before


def test_added_and_changed_images_are_encoded_and_no_others(rows, tmp_path, encoded):
    features.make(tmp_path / "cache", SPEC, "identity", rows.take(np.arange(15)))
    picture("red", 50).save(rows.paths[0])
    changed = Rows(rows.ids, rows.paths, [files.sha256(path) for path in rows.paths])
    assert features.make(tmp_path / "cache", SPEC, "identity", changed) == 6
    assert sum(encoded) == 21


def test_an_image_that_is_there_twice_is_encoded_once(rows, tmp_path):
    twice = Rows([*rows.ids, "again"], [*rows.paths, rows.paths[0]], [*rows.shas, rows.shas[0]])
    assert features.make(tmp_path / "cache", SPEC, "identity", twice) == 20
    feats = features.read([tmp_path / "cache"], twice)
    assert (feats[0] == feats[-1]).all()


@pytest.mark.parametrize("change", [{"seed": 7}, {"clip": TINY_CLIP.model_copy(update={"embed_dim": 8})}])
def test_another_model_in_the_same_place_is_never_taken(rows, tmp_path, change, capsys):
    features.make(tmp_path / "cache", SPEC, "identity", rows)
    other = SPEC.model_copy(update=change)
    assert features.make(tmp_path / "cache", other, "identity", rows) == 20
    assert "is encoded anew" in capsys.readouterr().out
    features.make(tmp_path / "fresh", other, "identity", rows)
    assert (features.read([tmp_path / "cache"], rows) == features.read([tmp_path / "fresh"], rows)).all()


def test_another_view_has_other_features_and_views_are_averaged(rows, tmp_path):
    for view in ("identity", "vflip"):
        features.make(tmp_path / view, SPEC, view, rows)
    one, other = (features.read([tmp_path / view], rows) for view in ("identity", "vflip"))
    assert np.abs(one - other).max() > 1e-3
    both = features.read([tmp_path / "identity", tmp_path / "vflip"], rows)
    assert np.abs(both - features.unit(one + other)).max() < 1e-6


def test_precision_left_to_the_machine_takes_a_finished_cache_of_either(rows, tmp_path):
    features.make(tmp_path / "cache", SPEC.model_copy(update={"precision": "bfloat16"}), "identity", rows)
    assert read_json(tmp_path / "cache/key.json")["precision"] == "bfloat16"
    assert features.make(tmp_path / "cache", SPEC, "identity", rows) == 0
    assert features.make(tmp_path / "cache", SPEC.model_copy(update={"precision": "float32"}), "identity", rows) == 20


def test_but_goes_on_with_its_own(rows, tmp_path):
    half = rows.take(np.arange(8))
    features.make(tmp_path / "cache", SPEC.model_copy(update={"precision": "bfloat16"}), "identity", half)
    assert features.make(tmp_path / "cache", SPEC, "identity", rows) == 20


def test_killed_between_shards_it_goes_on_and_ends_the_same(rows, tmp_path, monkeypatch, encoded):
    features.make(tmp_path / "whole", SPEC, "identity", rows)
    encoded.clear()
    save, count = np.savez, []

    def killed(file, **arrays):
        if len(count) == 1:
            raise KeyboardInterrupt
        count.append(1)
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        features.make(tmp_path / "cache", SPEC, "identity", rows)
    monkeypatch.setattr(np, "savez", save)
    encoded.clear()
    features.make(tmp_path / "cache", SPEC, "identity", rows)
    assert sum(encoded) == 12
    whole, cache = snapshot(tmp_path / "whole"), snapshot(tmp_path / "cache")
    assert {name: data for name, (_, data) in cache.items()} == {name: data for name, (_, data) in whole.items()}


@pytest.mark.parametrize("data", [b"", b"half", None])
def test_a_damaged_shard_is_encoded_again_with_a_word(rows, tmp_path, data, capsys):
    features.make(tmp_path / "cache", SPEC, "identity", rows)
    expected = features.read([tmp_path / "cache"], rows)
    shard = tmp_path / "cache" / "00001.npz"
    shard.write_bytes(shard.read_bytes()[:-100] if data is None else data)
    assert features.make(tmp_path / "cache", SPEC, "identity", rows) == 8
    assert "is damaged" in capsys.readouterr().out
    assert np.abs(features.read([tmp_path / "cache"], rows) - expected).max() < 1e-6


def test_features_that_are_not_finite_name_the_image(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "encode", lambda model, pixels, p: np.full((len(pixels), 4), np.nan, np.float32))
    with pytest.raises(UserError, match="not finite for 8 images, the first of id 0"):
        features.make(tmp_path / "cache", SPEC, "identity", rows)


def test_a_missing_row_is_said(rows, tmp_path):
    features.make(tmp_path / "cache", SPEC, "identity", rows.take(np.arange(8)))
    with pytest.raises(UserError, match="lacks 12 images, such as 8"):
        features.read([tmp_path / "cache"], rows)


def test_a_model_that_cannot_be_had_changes_nothing(rows, tmp_path, monkeypatch):
    features.make(tmp_path / "cache", SPEC, "identity", rows)
    before = snapshot(tmp_path / "cache")

    def no_hub(spec):
        raise UserError("no hub")

    monkeypatch.setattr(clip, "load", no_hub)
    with pytest.raises(UserError, match="no hub"):
        features.make(tmp_path / "cache", SPEC.model_copy(update={"seed": 7}), "identity", rows)
    assert snapshot(tmp_path / "cache") == before
