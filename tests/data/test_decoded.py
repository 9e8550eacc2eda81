"""The decoded store: the decoder's pixels, each picture once, whatever happened to the files."""

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from src.base import files
from src.data import decoded as store
from src.data import images, pixel_file
from src.data.decoded import Decoded, Squares, Store, Stored
from src.data.geometry import Geometry
from src.data.rows import read_dataset
from src.driver import pictures
from src.models.finetune.run import squares_of
from src.networks import encoders
from src.schema.models import FineTune
from src.stages import features as stage
from src.stages import folds
from tests.conftest import broken_off, picture, snapshot, toy_competition
from tests.networks.test_features import rows_of
from tests.running import run_stage

TUNED = {"pretrained": False, "epochs": 2, "lr": 1e-3}


@pytest.fixture
def rows(tmp_path):
    paths = [tmp_path / "in" / f"{i}.png" for i in range(12)]
    paths[0].parent.mkdir()
    for i, path in enumerate(paths):
        picture("green", i, (20 + i, 18)).save(path)
    return rows_of(paths)


@pytest.fixture
def decoded(monkeypatch):
    """A list of the bytes of every file that is decoded."""
    seen, decode = [], images.decode
    monkeypatch.setattr(images, "decode", lambda data, white: seen.append(bytes(data)) or decode(data))
    return seen


def same(one, other):
    assert len(one) == len(other)
    assert all(np.array_equal(one[i], other[i]) for i in range(len(one)))


def test_pictures_are_decoded_once_and_are_the_decoders(rows, tmp_path, decoded):
    stored = Store(tmp_path / "s", rows, 32, 10**9).pictures(rows)
    assert isinstance(stored, Stored)
    assert len(decoded) == 12
    before = snapshot(tmp_path / "s")
    same(Store(tmp_path / "s", rows, 32, 10**9).pictures(rows), stored)
    assert len(decoded) == 12
    assert snapshot(tmp_path / "s") == before
    same(stored, Decoded(rows.paths))


def test_what_is_added_or_changed_is_decoded_and_nothing_else(rows, tmp_path, decoded):
    whole = Store(tmp_path / "s", rows, 32, 10**9)
    whole.pictures(rows.take(np.arange(9)))
    picture("red", 99, (20, 18)).save(rows.paths[0])
    rows = rows_of(rows.paths)
    stored = whole.pictures(rows)
    assert len(decoded) == 9 + 4
    same(stored, Decoded(rows.paths))


def test_two_files_of_the_same_bytes_are_one_picture(rows, tmp_path, decoded):
    shutil.copy(rows.paths[0], rows.paths[1])
    rows = rows_of(rows.paths)
    same(Store(tmp_path / "s", rows, 32, 10**9).pictures(rows), Decoded(rows.paths))
    assert len(decoded) == 11 + 12  # and once by each of the compared


def test_killed_while_it_is_made_it_goes_on(rows, tmp_path, monkeypatch, decoded):
    monkeypatch.setattr(pixel_file, "FLUSH_BYTES", 3000)
    whole = Store(tmp_path / "s", rows, 32, 10**9)
    with broken_off(pixel_file, "flush", 2, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
        whole.pictures(rows)
    done = len(pixel_file.read_index(tmp_path / "s")[0])
    assert 0 < done < 12
    decoded.clear()
    stored = whole.pictures(rows)
    assert len(decoded) == 12 - done
    same(stored, Decoded(rows.paths))
    other = Store(tmp_path / "t", rows, 32, 10**9)
    other.pictures(rows)
    pixels = [(tmp_path / name / "pixels.bin").read_bytes() for name in "st"]
    assert pixels[0] == pixels[1]


@pytest.mark.parametrize("name", ["pixels.bin", "index.parquet"])
@pytest.mark.parametrize("left", [0, 2000, None])
def test_what_is_cut_off_is_decoded_again(rows, tmp_path, name, left, capsys):
    whole = Store(tmp_path / "s", rows, 32, 10**9)
    whole.pictures(rows)
    file = tmp_path / "s" / name
    if left is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:left])
    same(whole.pictures(rows), Decoded(rows.paths))
    assert ("truncated" in capsys.readouterr().out) == (name == "pixels.bin")


def test_a_store_of_another_key_is_made_anew_and_that_is_said(rows, tmp_path, capsys):
    Store(tmp_path / "s", rows, 32, 10**9).pictures(rows)
    key = files.read_json(tmp_path / "s" / "key.json")
    files.write_json(tmp_path / "s" / "key.json", {**key, "side": 8})
    same(Store(tmp_path / "s", rows, 32, 10**9).pictures(rows), Decoded(rows.paths))
    assert "decoding the pictures again: side changed (8 to None)" in capsys.readouterr().out


class TestLimit:
    def test_pictures_have_the_pixels_that_are_needed(self, rows, tmp_path):
        reduced = Store(tmp_path / "s", rows, 8, 10**9)
        assert reduced.side == 8
        same(reduced.pictures(rows), Decoded(rows.paths, 8))
        assert Store(tmp_path / "s", rows, 18, 10**9).side is None  # none is larger

    def test_they_are_whole_where_models_differ_and_there_is_room(self, rows, tmp_path):
        whole = store.pixel_bytes(rows, None)
        assert whole == sum(w * h * 3 for w, h in rows.sizes)
        assert Store(tmp_path / "s", rows, 8, whole, whole=True).side is None
        assert Store(tmp_path / "s", rows, 8, whole - 1, whole=True).side == 8

    def test_else_what_is_needed_of_it(self, rows, tmp_path):
        stored = Store(tmp_path / "s", rows, 8, 10_000).pictures(rows)
        assert isinstance(stored, Stored)
        assert {min(stored[i].shape[:2]) for i in range(12)} == {8}
        same(stored, Decoded(rows.paths, 8))

    def test_else_the_first_that_fit_and_the_others_are_decoded_each_time(self, rows, tmp_path, decoded, capsys):
        limit = store.pixel_bytes(rows.take(np.arange(5)), None)
        pictures = Store(tmp_path / "s", rows, 32, limit).pictures(rows)
        assert len(decoded) == 5
        assert pixel_file.read_index(tmp_path / "s")[0]["sha256"].tolist() == rows.shas[:5]
        assert "pictures  7 are decoded each time: store_gb=5.94e-06 allows no more" in capsys.readouterr().out
        same(pictures, Decoded(rows.paths))
        same(pickle.loads(pickle.dumps(pictures)), pictures)  # noqa: S301
        decoded.clear()
        again = Store(tmp_path / "s", rows, 32, limit).pictures(rows)
        assert decoded == []
        assert [again[i].shape for i in (4, 5)] == [(18, 24, 3), (18, 25, 3)]
        assert len(decoded) == 1

    def test_which_are_the_first_does_not_depend_on_who_asks(self, rows, tmp_path, decoded):
        reduced = store.pixel_bytes(rows.take(np.arange(9)), 8)
        shared = Store(tmp_path / "s", rows, 8, reduced, train=rows.take(np.arange(6)))
        assert shared.side == 8  # of the train rows, which fit
        for asked in ([11, 10], [9, 8, 2], [0, 7]):
            same(shared.pictures(rows.take(np.array(asked))), Decoded([rows.paths[i] for i in asked], 8))
        have = pixel_file.read_index(tmp_path / "s" / "8")[0]["sha256"].tolist()
        assert have == [rows.shas[i] for i in (8, 2, 0, 7)]
        assert shared.lacks(rows)
        shared.pictures(rows)
        assert not shared.lacks(rows)

    def test_or_nothing(self, rows, tmp_path, decoded, capsys):
        for limit in (100, 0):
            same(Store(tmp_path / "s", rows, 8, limit).pictures(rows), Decoded(rows.paths))
            assert not (tmp_path / "s").exists()
        assert capsys.readouterr().out.count("decoded each time") == 1  # none was asked for

    @pytest.mark.parametrize("fit", [0, 4])
    def test_the_disk_may_have_less_room(self, rows, tmp_path, monkeypatch, capsys, fit):
        room = store.pixel_bytes(rows.take(np.arange(fit)), 8)
        usage = shutil.disk_usage(tmp_path)._replace(free=store.SPARE_BYTES + room + 1)
        monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage)
        same(Store(tmp_path / "s", rows, 8, 10_000).pictures(rows), Decoded(rows.paths, 8))
        assert f"pictures  {12 - fit} are decoded each time: the disk has 1.1 GB free" in capsys.readouterr().out
        assert len(pixel_file.read_index(tmp_path / "s" / "8")[0]) == fit

    def test_a_full_disk_lacks_nothing_though_pictures_take_less_than_was_thought(self, rows, tmp_path, monkeypatch):
        usage, before = shutil.disk_usage(tmp_path), store.pixel_bytes(rows.take(np.arange(4)), 8)
        shared = Store(tmp_path / "s", rows, 8, 10_000)
        assert shared.lacks(rows)
        left = usage._replace(free=store.SPARE_BYTES + before + 1)
        monkeypatch.setattr(store.shutil, "disk_usage", lambda path: left)
        shared.pictures(rows)
        left = usage._replace(free=store.SPARE_BYTES + store.pixel_bytes(rows.take(np.arange(4, 5)), 8) + 1)
        assert not shared.lacks(rows)


class TestSides:
    """Models of several sizes: each reads the pictures of its own side, as if it were alone."""

    def test_lie_beside_each_other(self, rows, tmp_path, decoded):
        first = Store(tmp_path / "s", rows, 8, 10**9).pictures(rows)
        before = snapshot(tmp_path / "s" / "8")
        others = [Store(tmp_path / "s", rows, need, 10**9).pictures(rows) for need in (12, 32)]
        again = Store(tmp_path / "s", rows, 8, 10**9).pictures(rows)
        assert len(decoded) == 3 * 12
        for stored, side in zip((first, again, *others), (8, 8, 12, None), strict=True):
            assert isinstance(stored, Stored)
            same(stored, Decoded(rows.paths, side))
        assert snapshot(tmp_path / "s" / "8") == before
        folders = [tmp_path / "s", tmp_path / "s" / "12", tmp_path / "s" / "8"]
        assert pixel_file.stores(tmp_path / "s") == folders

    @pytest.mark.parametrize(("room", "left"), [(0, 0), (-1, 1)])
    def test_share_the_limit(self, rows, tmp_path, capsys, room, left):
        limit = store.pixel_bytes(rows, 12) + room
        first = Store(tmp_path / "s", rows, 8, limit).pictures(rows)
        limit += (tmp_path / "s" / "8" / "pixels.bin").stat().st_size
        second = Store(tmp_path / "s", rows, 12, limit).pictures(rows)
        assert isinstance(first, Stored)
        assert (second.offset < 0).sum() == left
        same(second, Decoded(rows.paths, 12))
        assert ("beside 0.0 GB of pictures of other sizes" in capsys.readouterr().out) == (left > 0)

    def test_one_that_an_earlier_version_left_in_the_folder_itself_is_used(self, rows, tmp_path, decoded):
        Store(tmp_path / "s", rows, 8, 10**9).pictures(rows)
        for path in (tmp_path / "s" / "8").iterdir():
            path.rename(tmp_path / "s" / path.name)
        (tmp_path / "s" / "8").rmdir()
        same(Store(tmp_path / "s", rows, 8, 10**9).pictures(rows), Decoded(rows.paths, 8))
        assert not (tmp_path / "s" / "8").exists()


def test_workers_get_the_index_and_the_name_of_the_map_and_not_its_content(rows, tmp_path):
    stored = Store(tmp_path / "s", rows, 32, 10**9).pictures(rows)
    pickled = pickle.dumps(stored)
    assert len(pickled) < 2000 < stored.pixels.nbytes
    same(pickle.loads(pickled), stored)  # noqa: S301


def test_squares_are_resized_from_the_store_as_from_the_files(rows, tmp_path):
    stored = Squares(Store(tmp_path / "s", rows, 32, 10**9).pictures(rows), Geometry(12, 12, "squash"))
    same(stored, Squares(Decoded(rows.paths), Geometry(12, 12, "squash")))
    assert stored[0].shape == (12, 12, 3)


def test_many_at_once_have_the_right_pictures(rows, tmp_path):
    """Of one key, and of another, which recomputes it under the others' eyes."""
    makers = [Store(tmp_path / "s", rows, need, 10**9) for need in (8, 8, 32, 8, 16, 32)]
    with ThreadPoolExecutor(len(makers)) as pool:
        found = list(pool.map(lambda maker: maker.pictures(rows), makers))
    for maker, stored in zip(makers, found, strict=True):
        same(stored, Decoded(rows.paths, maker.side))


@pytest.mark.parametrize(("room", "times"), [(12 * 12 * 12 * 3, 1), (12 * 12 * 12 * 3 - 1, 2)])
def test_squares_are_squeezed_once_where_there_is_room_for_all(rows, monkeypatch, room, times):
    monkeypatch.setattr(store, "CACHE_BYTES", room)
    calls, square = [], Geometry.square
    monkeypatch.setattr(Geometry, "square", lambda self, *rest: calls.append(1) or square(self, *rest))
    squares = Squares(Decoded(rows.paths), Geometry(12, 12, "squash"))
    first = [squares[i].copy() for i in range(12)]
    assert all((squares[i] == first[i]).all() for i in range(12))
    assert len(calls) == 12 * times


class TestUnit:
    """The pictures of a competition, decoded before they are wanted."""

    @pytest.fixture
    def competition(self, folder):
        return toy_competition(
            models={**toy_competition().models, "small": FineTune(backbone="test_resnet", img_size=8, **TUNED)}
        )

    def test_decodes_what_encoders_and_networks_read_and_nothing_is_left_to_do(self, competition, decoded):
        folds.run(competition)
        data = read_dataset(competition)
        work = pictures.Work(competition, data)
        names = [name for unit in work.units() for name in unit.names]
        assert names == [encoders.slug(competition.encoders[0]), "convnext", "small"]
        decoded.clear()
        assert not any(map(work.is_done, names))
        for name in names:
            work.run(name)
        assert len(decoded) == 3 * 48  # for the encoder, and for two networks, of which one reads whole pictures
        assert all(map(work.is_done, names))
        decoded.clear()
        run_stage(stage, competition)
        for name in competition.trained:
            squares_of(competition, competition.models[name], data)
        assert decoded == []

    def test_decodes_nothing_for_what_is_not_asked(self, competition, decoded):
        folds.run(competition)
        decoded.clear()
        work = pictures.Work(competition, read_dataset(competition))
        work.run("another")
        assert decoded == []
        assert work.is_done("another")
