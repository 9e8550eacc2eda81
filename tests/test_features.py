"""The feature cache: a hit only for the same key and bytes, whole shards only, ids and order kept."""

import numpy as np
import pytest

from src import clip, features, files
from src.config import Probe
from src.dataset import Rows
from src.errors import UserError
from tests.conftest import TINY_CLIP, picture, read_json, snapshot, toy_competition

SPEC = Probe(clip=TINY_CLIP)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SHARD", 8)
    monkeypatch.setattr(features, "BATCH", 4)
    paths = [tmp_path / f"{i}.png" for i in range(20)]
    for i, path in enumerate(paths):
        picture("green", i).save(path)
    return Rows([str(i) for i in range(20)], paths, [files.sha256(path) for path in paths])


class Cache(features.Cache):
    """Loads its model by itself."""

    def make(self, rows, load=None):
        return super().make(rows, load or (lambda: clip.load(self.spec)))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", SPEC, "identity")


@pytest.fixture
def encoded(monkeypatch):
    """A list that grows by the number of images of every batch that is encoded."""
    counts, encode = [], clip.encode
    monkeypatch.setattr(clip, "encode", lambda model, pixels, p: counts.append(len(pixels)) or encode(model, pixels, p))
    return counts


def test_rows_come_back_as_unit_vectors_in_their_order(rows, cache, tmp_path):
    cache.make(rows)
    feats = cache.read(rows)
    assert np.abs(np.linalg.norm(feats, axis=1) - 1).max() < 1e-6
    order = np.random.default_rng(0).permutation(20)
    assert (cache.read(rows.take(order)) == feats[order]).all()
    model = clip.load(SPEC)
    one = clip.encode(model, next(features.batches(model, rows.paths[7:8])), "float32")
    assert np.abs(features.unit(one)[0] - feats[7]).max() < 1e-5


def test_a_second_time_nothing_is_encoded_and_no_file_changes(rows, cache, tmp_path, encoded):
    assert cache.make(rows) == 20
    before = snapshot(cache.folder)
    assert cache.make(rows) == 0
    assert sum(encoded) == 20
    assert snapshot(cache.folder) == before


def test_added_and_changed_images_are_encoded_and_no_others(rows, cache, tmp_path, encoded):
    cache.make(rows.take(np.arange(15)))
    picture("red", 50).save(rows.paths[0])
    changed = Rows(rows.ids, rows.paths, [files.sha256(path) for path in rows.paths])
    assert cache.make(changed) == 6
    assert sum(encoded) == 21


def test_an_image_that_is_there_twice_is_encoded_once(rows, cache, tmp_path):
    twice = Rows([*rows.ids, "again"], [*rows.paths, rows.paths[0]], [*rows.shas, rows.shas[0]])
    assert cache.make(twice) == 20
    feats = cache.read(twice)
    assert (feats[0] == feats[-1]).all()


@pytest.mark.parametrize("change", [{"seed": 7}, {"clip": TINY_CLIP.model_copy(update={"embed_dim": 8})}])
def test_another_model_in_the_same_place_is_never_taken(rows, cache, tmp_path, change, capsys):
    cache.make(rows)
    other = SPEC.model_copy(update=change)
    assert Cache(cache.folder, other, "identity").make(rows) == 20
    assert "is encoded anew" in capsys.readouterr().out
    Cache(tmp_path / "fresh", other, "identity").make(rows)
    assert (
        Cache(cache.folder, other, "identity").read(rows) == Cache(tmp_path / "fresh", other, "identity").read(rows)
    ).all()


def test_another_view_has_other_features_and_views_are_averaged(rows, tmp_path, roots):
    for view in ("identity", "vflip"):
        Cache(tmp_path / view, SPEC, view).make(rows)
    one, other = (Cache(tmp_path / view, SPEC, view).read(rows) for view in ("identity", "vflip"))
    assert np.abs(one - other).max() > 1e-3
    competition = toy_competition()
    spec = SPEC.model_copy(update={"views": ("identity", "vflip")})
    for cache in features.caches(competition, spec):
        cache.make(rows, lambda: clip.load(spec))
    assert np.abs(features.read(competition, spec, rows) - features.unit(one + other)).max() < 1e-6


def test_precision_left_to_the_machine_takes_a_finished_cache_of_either(rows, cache, tmp_path):
    Cache(cache.folder, SPEC.model_copy(update={"precision": "bfloat16"}), "identity").make(rows)
    assert read_json(tmp_path / "cache/key.json")["precision"] == "bfloat16"
    assert cache.make(rows) == 0
    assert Cache(cache.folder, SPEC.model_copy(update={"precision": "float32"}), "identity").make(rows) == 20


def test_but_goes_on_with_its_own(rows, cache, tmp_path):
    half = rows.take(np.arange(8))
    Cache(cache.folder, SPEC.model_copy(update={"precision": "bfloat16"}), "identity").make(half)
    assert cache.make(rows) == 20


def test_killed_between_shards_it_goes_on_and_ends_the_same(rows, cache, tmp_path, monkeypatch, encoded):
    Cache(tmp_path / "whole", SPEC, "identity").make(rows)
    encoded.clear()
    save, count = np.savez, []

    def killed(file, **arrays):
        if len(count) == 1:
            raise KeyboardInterrupt
        count.append(1)
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", killed)
    with pytest.raises(KeyboardInterrupt):
        cache.make(rows)
    monkeypatch.setattr(np, "savez", save)
    encoded.clear()
    cache.make(rows)
    assert sum(encoded) == 12
    whole, cache = snapshot(tmp_path / "whole"), snapshot(cache.folder)
    assert {name: data for name, (_, data) in cache.items()} == {name: data for name, (_, data) in whole.items()}


@pytest.mark.parametrize("data", [b"", b"half", None])
def test_a_damaged_shard_is_encoded_again_with_a_word(rows, cache, tmp_path, data, capsys):
    cache.make(rows)
    expected = cache.read(rows)
    shard = cache.folder / "00001.npz"
    shard.write_bytes(shard.read_bytes()[:-100] if data is None else data)
    assert cache.make(rows) == 8
    assert "is damaged" in capsys.readouterr().out
    assert np.abs(cache.read(rows) - expected).max() < 1e-6


def test_features_that_are_not_finite_name_the_image(rows, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "encode", lambda model, pixels, p: np.full((len(pixels), 4), np.nan, np.float32))
    with pytest.raises(UserError, match="not finite for 8 images, the first of id 0"):
        cache.make(rows)


def test_a_missing_row_is_said(rows, cache, tmp_path):
    cache.make(rows.take(np.arange(8)))
    with pytest.raises(UserError, match="lacks 12 images, such as 8"):
        cache.read(rows)


def test_a_model_that_cannot_be_had_changes_nothing(rows, cache, tmp_path, monkeypatch):
    cache.make(rows)
    before = snapshot(cache.folder)

    def no_hub():
        raise UserError("no hub")

    other = Cache(cache.folder, SPEC.model_copy(update={"seed": 7}), "identity")
    with pytest.raises(UserError, match="no hub"):
        other.make(rows, no_hub)
    assert snapshot(cache.folder) == before


@pytest.mark.parametrize(
    "change", [{"seed": 7}, {"precision": "float32"}, {"clip": TINY_CLIP.model_copy(update={"embed_dim": 8})}]
)
def test_other_models_have_other_folders(change):
    assert clip.slug(SPEC.model_copy(update=change)) != clip.slug(SPEC)


def test_files_of_one_name_have_other_folders(tmp_path):
    slugs = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").write_text(folder)
        slugs.add(clip.slug(SPEC.model_copy(update={"weights_file": str(tmp_path / folder / "model.safetensors")})))
    assert len(slugs) == 2


def test_a_cache_of_another_key_is_not_read(rows, cache):
    cache.make(rows)
    with pytest.raises(UserError, match="lacks 20 images"):
        Cache(cache.folder, SPEC.model_copy(update={"seed": 7}), "identity").read(rows)
