"""The feature store: a hit only for the same key and bytes, whole shards only, ids and order kept."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from src.base import files
from src.base.errors import UserError
from src.data.decoded import Decoded
from src.data.rows import Rows
from src.networks import encoders, encoding, features, inference
from src.results import shards
from src.schema.models import Probe
from tests.conftest import TINY_CLIP, broken_off, picture, read_json, snapshot, toy_competition

SPEC = Probe(clip=TINY_CLIP, stored="float32", batch_size=4)


def rows_of(paths, ids=None) -> Rows:
    sizes = np.array([Image.open(path).size for path in paths])
    return Rows(ids or [path.stem for path in paths], list(paths), [files.sha256(path) for path in paths], sizes)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROWS", 8)
    paths = [tmp_path / f"{i}.png" for i in range(20)]
    for i, path in enumerate(paths):
        picture("green", i).save(path)
    return rows_of(paths)


class Cache(features.Cache):
    """Loads its model and its pictures by itself."""

    def make(self, rows, load=None):
        return make([self], rows, load)[self.view]

    def read(self, rows):
        return features.Columns(self, rows)[np.arange(len(rows))]


def make(caches, rows, load=None):
    load = load or (lambda: encoders.tower(caches[0].spec))
    return encoding.make_features(caches, rows, load, lambda rows: Decoded(rows.paths))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", SPEC, "identity")


@pytest.fixture
def encoded(monkeypatch):
    """A list that grows by the number of images of every batch that is encoded."""
    counts, encode = [], inference.EncoderRunner.__call__
    monkeypatch.setattr(inference.EncoderRunner, "__call__", lambda self, x: counts.append(len(x)) or encode(self, x))
    return counts


def test_rows_come_back_in_their_order_as_the_model_gives_them(rows, cache):
    cache.make(rows)
    feats = cache.read(rows)
    order = np.random.default_rng(0).permutation(20)
    assert (cache.read(rows.take(order)) == feats[order]).all()
    tower = encoders.tower(SPEC)
    square = tower.geometry.square(Decoded(rows.paths)[7])
    pixels = inference.normalised(torch.from_numpy(square).permute(2, 0, 1)[None], tower.mean, tower.std)
    assert np.abs(tower.forward(pixels).numpy()[0] - feats[7]).max() < 1e-5


def test_a_second_time_nothing_is_encoded_and_no_file_changes(rows, cache, tmp_path, encoded):
    assert cache.make(rows) == 20
    before = snapshot(cache.folder)
    assert cache.make(rows) == 0
    assert sum(encoded) == 20
    assert snapshot(cache.folder) == before


def test_added_and_changed_images_are_encoded_and_no_others(rows, cache, tmp_path, encoded):
    cache.make(rows.take(np.arange(15)))
    picture("red", 50).save(rows.paths[0])
    assert cache.make(rows_of(rows.paths)) == 6
    assert sum(encoded) == 21


def test_an_image_that_is_there_twice_is_encoded_once(rows, cache, tmp_path):
    twice = rows_of([*rows.paths, rows.paths[0]], [*rows.ids, "again"])
    assert cache.make(twice) == 20
    feats = cache.read(twice)
    assert (feats[0] == feats[-1]).all()


@pytest.mark.parametrize("change", [{"seed": 7}, {"clip": TINY_CLIP.model_copy(update={"embed_dim": 8})}])
def test_another_model_in_the_same_place_is_never_taken(rows, cache, tmp_path, change, capsys):
    cache.make(rows)
    other = SPEC.model_copy(update=change)
    assert Cache(cache.folder, other, "identity").make(rows) == 20
    assert "encoding again: " in capsys.readouterr().out
    Cache(tmp_path / "fresh", other, "identity").make(rows)
    assert (
        Cache(cache.folder, other, "identity").read(rows) == Cache(tmp_path / "fresh", other, "identity").read(rows)
    ).all()


def test_views_are_stored_each_from_one_loading_of_the_pictures(rows, tmp_path, monkeypatch):
    read, reads = Decoded.read, []
    monkeypatch.setattr(Decoded, "read", lambda self, i: reads.append(i) or read(self, i))
    views = ("identity", "vflip", "rot90", "crop_top_left")
    caches = [Cache(tmp_path / view, SPEC, view) for view in views]
    assert make(caches, rows) == dict.fromkeys(views, 20)
    assert len(reads) == 20
    feats = [cache.read(rows) for cache in caches]
    assert all(np.abs(a - b).max() > 1e-3 for i, a in enumerate(feats) for b in feats[:i])
    alone = Cache(tmp_path / "alone", SPEC, "rot90")
    alone.make(rows)
    assert (alone.read(rows) == feats[2]).all()


def test_a_view_that_is_added_leaves_the_others_alone(rows, tmp_path, encoded):
    one, other = Cache(tmp_path / "a", SPEC, "identity"), Cache(tmp_path / "b", SPEC, "hflip")
    one.make(rows)
    before = snapshot(one.folder)
    assert make([one, other], rows) == {"identity": 0, "hflip": 20}
    assert sum(encoded) == 40
    assert snapshot(one.folder) == before


class TestFeatures:
    """Several views and encoders as one matrix."""

    @pytest.fixture
    def competition(self, rows, roots):
        competition = toy_competition()
        for spec in (self.SPECS[0], self.SPECS[1]):
            make([Cache(c.folder, c.spec, c.view) for c in features.feature_caches(competition, spec)], rows)
        return competition

    SPECS = (
        SPEC.model_copy(update={"views": ("identity", "vflip")}),
        SPEC.model_copy(update={"views": ("identity", "vflip"), "seed": 7, "scale": 0.5}),
    )

    def views(self, competition, rows, spec):
        return [Cache(c.folder, c.spec, c.view).read(rows) for c in features.feature_caches(competition, spec)]

    def test_views_are_averaged_as_unit_vectors(self, competition, rows):
        one, other = self.views(competition, rows, self.SPECS[0])
        feats = features.Features(competition, self.SPECS[:1], rows)
        assert feats.shape == (20, 16)
        expected = features.l2_normalise(features.l2_normalise(one) + features.l2_normalise(other))
        assert np.abs(feats[:] - expected).max() < 1e-6
        assert (feats[3:5] == feats[:][3:5]).all()
        index = np.array([7, 2, 7])
        assert (feats[index] == feats[:][index]).all()

    def test_or_as_they_are(self, competition, rows):
        one, other = self.views(competition, rows, self.SPECS[0])
        assert np.abs(features.Features(competition, self.SPECS[:1], rows, False)[:] - (one + other) / 2).max() < 1e-6

    def test_or_are_rows(self, competition, rows):
        one, other = self.views(competition, rows, self.SPECS[0])
        feats = features.Features(competition, self.SPECS[:1], rows, False, "rows")
        assert feats.shape == (40, 16)
        assert (feats[:] == np.concatenate([one, other])).all()

    def test_encoders_stand_beside_each_other_in_their_scales(self, competition, rows):
        parts = [features.Features(competition, [spec], rows)[:] for spec in self.SPECS]
        feats = features.Features(competition, self.SPECS, rows)
        assert feats.shape == (20, 32)
        assert np.abs(feats[:,] - np.concatenate(parts, axis=1)).max() < 1e-6
        assert np.abs(np.linalg.norm(parts[1], axis=1) - 0.5).max() < 1e-6


@pytest.mark.parametrize(("stored", "error"), [("float16", 2**-11), ("float32", 0)])
def test_float16_on_disk_rounds_to_11_bits(rows, tmp_path, stored, error):
    exact = Cache(tmp_path / "exact", SPEC, "identity")
    cache = Cache(tmp_path / stored, SPEC.model_copy(update={"stored": stored}), "identity")
    exact.make(rows), cache.make(rows)
    feats, kept = exact.read(rows), cache.read(rows)
    assert kept.dtype == np.float32
    assert (np.abs(kept - feats) <= error * np.abs(feats) + 1e-7 * (error > 0)).all()
    assert encoders.slug(cache.spec) != encoders.slug(exact.spec) or stored == "float32"


def test_precision_left_to_the_machine_takes_a_finished_cache_of_either(rows, cache, tmp_path):
    Cache(cache.folder, SPEC.model_copy(update={"precision": "bfloat16"}), "identity").make(rows)
    assert read_json(tmp_path / "cache/key.json")["precision"] == "bfloat16"
    assert cache.make(rows) == 0
    assert Cache(cache.folder, SPEC.model_copy(update={"precision": "float32"}), "identity").make(rows) == 20


def test_but_goes_on_with_its_own(rows, cache, tmp_path):
    half = rows.take(np.arange(8))
    Cache(cache.folder, SPEC.model_copy(update={"precision": "bfloat16"}), "identity").make(half)
    assert cache.make(rows) == 20


def test_killed_between_shards_it_goes_on_and_ends_the_same(rows, cache, tmp_path, encoded):
    Cache(tmp_path / "whole", SPEC, "identity").make(rows)
    with broken_off(shards, "write", 1, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        cache.make(rows)
    encoded.clear()
    cache.make(rows)
    assert sum(encoded) == 12
    whole, cache = snapshot(tmp_path / "whole"), snapshot(cache.folder)
    assert {name: data for name, (_, data) in cache.items()} == {name: data for name, (_, data) in whole.items()}


def test_a_full_disk_is_said_and_what_was_finished_is_kept(rows, cache, encoded):
    full = broken_off(Path, "write_bytes", 1, OSError(errno.ENOSPC, "No space left on device"))
    with full, pytest.raises(UserError, match=rf"cannot write {cache.folder}/\w+\.arrow: the disk is full"):
        cache.make(rows)
    assert shards.paths(cache.folder) == [shards.path_of(cache.folder, shards.binary(rows.shas[:8]))]
    encoded.clear()
    assert cache.make(rows) == 12
    assert sum(encoded) == 12


@pytest.mark.parametrize("data", [b"", b"half", None])
def test_a_damaged_shard_is_encoded_again_with_a_word(rows, cache, tmp_path, data, capsys):
    cache.make(rows)
    expected = cache.read(rows)
    shard = shards.path_of(cache.folder, shards.binary(rows.shas[8:16]))
    shard.write_bytes(shard.read_bytes()[:-100] if data is None else data)
    assert cache.make(rows) == 8
    assert "is damaged" in capsys.readouterr().out
    assert np.abs(cache.read(rows) - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("value", "stored", "said"),
    [
        (np.nan, "float16", r"not finite for 8 images \(id 0, 1, 2, 3, 4 \.\.\.\): is the checkpoint damaged"),
        (1e6, "float16", r"too large for float16 for 8 images \(id 0, 1, 2, 3, 4 \.\.\.\): set stored='float32'"),
        (1e6, "float32", None),
    ],
)
def test_features_that_are_no_use_name_model_and_image(rows, tmp_path, monkeypatch, value, stored, said):
    monkeypatch.setattr(inference.EncoderRunner, "__call__", lambda self, x: torch.full((len(x), 4), value))
    cache = Cache(tmp_path / "cache", SPEC.model_copy(update={"stored": stored}), "identity")
    if said is None:
        assert cache.make(rows) == 20
        return
    with pytest.raises(UserError, match=said) as error:
        cache.make(rows)
    assert "tiny-test" in str(error.value)
    assert shards.paths(cache.folder) == []


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
    assert encoders.slug(SPEC.model_copy(update=change)) != encoders.slug(SPEC)


def test_files_of_one_name_have_other_folders(tmp_path):
    slugs = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").write_text(folder)
        slugs.add(encoders.slug(SPEC.model_copy(update={"weights_file": str(tmp_path / folder / "model.safetensors")})))
    assert len(slugs) == 2


def test_a_cache_of_another_key_is_not_read(rows, cache):
    cache.make(rows)
    with pytest.raises(UserError, match="lacks 20 images"):
        Cache(cache.folder, SPEC.model_copy(update={"seed": 7}), "identity").read(rows)
