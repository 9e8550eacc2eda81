"""Blocks of features: whoever encodes one, in whatever order and how often, leaves the same files."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from src.base.errors import UserError
from src.data.rows import read_parts
from src.networks import encoders, encoding, encoding_units, features, inference
from src.networks.blocks import Blocks
from src.networks.encoding_units import encode_block, is_done
from src.networks.loading import Loader
from src.results import shards
from src.schema.models import FineTune, Probe
from tests.conftest import TINY_CLIP, broken_off, snapshot, toy_competition
from tests.networks import test_features
from tests.networks.test_features import SPEC, Cache, make
from tests.pretended_gpu import pretended

rows = test_features.rows  # the fixture
VIEWS = ("identity", "hflip")
OTHER = Probe(clip=TINY_CLIP, seed=7, batch_size=4)


@pytest.fixture
def competition(folder, monkeypatch):
    """Of 48 images, in three blocks, and three models of two encoders."""
    monkeypatch.setattr(shards, "ROWS", 16)
    models = {"probe": Probe(clip=TINY_CLIP, views=VIEWS, batch_size=4, stored="float32"), "other": OTHER}
    yield toy_competition(models={**models, "again": models["probe"]})
    encoding_units.forget()


@pytest.fixture
def data(competition):
    return read_parts(competition)


@pytest.fixture
def loaded(monkeypatch):
    """A list that grows by the name of each network that is loaded."""
    names, tower = [], encoders.tower
    monkeypatch.setattr(encoders, "tower", lambda spec: names.append(encoders.slug(spec)) or tower(spec))
    return names


def contents(folder) -> dict[str, bytes]:
    return {name: data for name, (_, data) in snapshot(folder).items()}


class TestUnits:
    def test_in_any_order_leave_the_files_of_one_run(self, competition, data, loaded):
        encoding.encode_missing(competition, competition.encoders, data)
        expected = contents(competition.folder / "features")
        for cache in (cache for spec in competition.encoders for cache in features.feature_caches(competition, spec)):
            for path in cache.folder.iterdir():
                path.unlink()
        loaded.clear()
        pending = encoding.begin(competition, data, competition.encoders)
        slug, other = (encoders.slug(spec) for spec in competition.encoders[:2])
        assert [tuple(block) for block in pending] == [
            *((slug, VIEWS, number, 16) for number in range(3)),
            *((other, ("identity",), number, 16) for number in range(3)),
        ]
        for block in reversed(pending):
            assert not is_done(competition, data, block.slug, block.number)
            encode_block(competition, data, block.slug, block.number)
            assert is_done(competition, data, block.slug, block.number)
        assert contents(competition.folder / "features") == expected
        assert loaded == [other, slug]  # each once, and one at a time

    def test_a_second_time_and_in_another_process_change_nothing(self, competition, data):
        (block, *_) = encoding.begin(competition, data, competition.encoders)
        caches = encoding.caches_of(competition, competition.encoders)[block.slug]
        blocks = [Blocks(caches, data.rows.distinct()) for _ in range(2)]
        pictures = encoding_units.kept(competition, data).pictures(block.slug)
        for one in blocks:  # each believes that nothing is there
            runners = encoding_units.kept(competition, data).runners(block.slug)
            assert encoding.encode_blocks(one, [block.number], runners, pictures) == dict.fromkeys(VIEWS, 16)
        before = contents(competition.folder / "features")
        assert len([name for name in before if name.endswith(".arrow")]) == 2  # a view each
        encode_block(competition, data, block.slug, block.number)
        assert contents(competition.folder / "features") == before

    def test_begin_says_what_is_reused_and_gives_the_rest(self, competition, data, capsys):
        encoding.encode_missing(competition, [OTHER], data)
        encoding.begin(competition, data, competition.encoders)
        slug = encoders.slug(competition.encoders[0])
        encode_block(competition, data, slug, 1)
        capsys.readouterr()
        pending = encoding.begin(competition, data, competition.encoders)
        assert [(block.slug, block.number) for block in pending] == [(slug, 0), (slug, 2)]
        assert capsys.readouterr().out == f"{encoders.slug(OTHER)}  identity  reused: 48 images\n"

    def test_where_nothing_is_lacking_begin_writes_nothing(self, competition, data, monkeypatch):
        """A finished run may lie on a disk that is read-only."""
        encoding.encode_missing(competition, competition.encoders, data)
        monkeypatch.setattr(encoding, "alone", None)
        before = snapshot(competition.folder)
        assert encoding.begin(competition, data, competition.encoders) == []
        assert snapshot(competition.folder) == before

    def test_outputs_are_the_files_of_a_block_and_the_keys_last(self, competition, data, tmp_path):
        pending = encoding.begin(competition, data, [competition.encoders[0]])
        for block in pending[:2]:
            encode_block(competition, data, block.slug, block.number)
        found = encoding_units.outputs(competition, data, pending[0].slug, 0)
        shas = shards.binary(data.rows.distinct().shas)[:16]
        folders = [cache.folder for cache in features.feature_caches(competition, competition.encoders[0])]
        assert found == [shards.path_of(folder, shas) for folder in folders] + [at / "key.json" for at in folders]

    def test_their_caches_are_begun_by_one_process_at_a_time(self, competition, data):
        with ThreadPoolExecutor(1) as pool:
            with encoding.alone(competition, encoders.slug(OTHER)):
                begun = pool.submit(encoding.begin, competition, data, [OTHER])
                with pytest.raises(TimeoutError):
                    begun.result(0.3)
            assert len(begun.result()) == 3

    def test_who_encodes_a_block_never_begins_a_cache(self, competition, data):
        slug = encoders.slug(OTHER)
        with pytest.raises(UserError, match="is not begun, or of other features: run the features stage, or units"):
            encode_block(competition, data, slug, 0)
        assert not is_done(competition, data, slug, 0)
        assert not (competition.folder / "features").exists()

    def test_a_name_that_is_none_is_refused(self, competition, data):
        with pytest.raises(UserError, match=r"unknown encoder 'tiny-tset.*did you mean 'tiny-test"):
            encode_block(competition, data, encoders.slug(OTHER).replace("tiny-test", "tiny-tset"), 0)

    def test_the_network_is_loaded_again_when_it_was_forgotten(self, competition, data, loaded):
        for block in encoding.begin(competition, data, [OTHER]):
            encode_block(competition, data, block.slug, block.number)
            encoding_units.forget()
        assert len(loaded) == 3

    def test_are_of_networks_too_that_begin_with_a_probe(self, competition):
        tuned = FineTune(clip=TINY_CLIP, head="probe", epochs=2, lr=1e-3, seed=3)
        competition = competition.model_copy(update={"models": {**competition.models, "tuned": tuned}})
        assert encoders.slug(tuned.encoder) in map(encoders.slug, encoding_units.encoders_of(competition))

    def test_that_overflow_are_encoded_again_in_another_precision(self, competition, data, monkeypatch, capsys):
        from tests.gpu.test_encoding import large

        monkeypatch.setattr(encoders, "tower", lambda spec: large())
        with pretended():
            (block, *rest) = encoding.begin(competition, data, [competition.encoders[0]])
            with pytest.raises(encoding.Overflowed, match="overflow in float16") as error:
                encode_block(competition, data, block.slug, block.number)
            assert type(pickle.loads(pickle.dumps(error.value))) is encoding.Overflowed  # noqa: S301
            assert not [*competition.folder.glob("features/*/*.arrow")]
            assert encoding.begin(competition, data, [competition.encoders[0]], wider=True) == [block, *rest]
            encode_block(competition, data, block.slug, block.number)
            assert is_done(competition, data, block.slug, block.number)
        assert capsys.readouterr().out.count("precision changed (float16 to bfloat16), since features overflow") == 2

    def test_of_a_precision_that_is_no_longer_the_caches_are_refused(self, competition, data, monkeypatch):
        (block, *_) = encoding.begin(competition, data, [OTHER])
        (cache,) = features.feature_caches(competition, OTHER)
        encode = inference.EncoderRunner.__call__

        def begun_meanwhile(self, squares):
            cache.begin("bfloat16")
            return encode(self, squares)

        monkeypatch.setattr(inference.EncoderRunner, "__call__", begun_meanwhile)
        with pytest.raises(UserError, match="is now of features in bfloat16, not float32"):
            encode_block(competition, data, block.slug, block.number)
        assert shards.paths(cache.folder) == []


class TestShards:
    def test_of_a_slow_encoding_are_written_before_a_block_ends(self, rows, tmp_path, monkeypatch):
        whole, slow = (Cache(tmp_path / name, SPEC, "identity") for name in ("whole", "slow"))
        whole.make(rows)
        monkeypatch.setattr(encoding, "EVERY_S", 0)
        with broken_off(shards, "write", 3, KeyboardInterrupt()), pytest.raises(KeyboardInterrupt):
            slow.make(rows)
        assert len(slow.index().shas) == 12  # of batches of 4 in blocks of 8
        monkeypatch.undo()
        assert slow.make(rows) == 8
        assert np.array_equal(slow.read(rows), whole.read(rows))

    def test_that_were_numbered_are_read_on(self, rows, tmp_path):
        cache = Cache(tmp_path / "cache", SPEC, "identity")
        cache.make(rows)
        expected = cache.read(rows)
        for i, path in enumerate(shards.paths(cache.folder)):
            path.rename(cache.folder / f"{i:05d}.arrow")
        assert cache.make(rows) == 0
        assert np.array_equal(cache.read(rows), expected)

    def test_batches_end_where_blocks_do(self, rows, tmp_path, monkeypatch):
        sizes, encode = [], inference.EncoderRunner.__call__
        monkeypatch.setattr(
            inference.EncoderRunner, "__call__", lambda self, x: sizes.append(len(x)) or encode(self, x)
        )
        make([Cache(tmp_path / "cache", SPEC.model_copy(update={"batch_size": 5}), "identity")], rows)
        assert sizes == [5, 3, 5, 3, 4]

    def test_are_noticed_by_an_index_that_is_there(self, rows, tmp_path):
        shas, rng = shards.binary(rows.shas), np.random.default_rng(0)
        index = shards.Index(tmp_path / "cache")
        for part in np.split(rng.permutation(20), (3, 9, 15)):
            feats = np.repeat(part[:, None], 4, axis=1).astype(np.float32)
            shards.write(tmp_path / "cache", [rows.ids[i] for i in part], shas[part], feats)
            index.update()
            assert (index.find(shas[part]) >= 0).all()
        assert np.array_equal(index.gather(index.find(shas))[:, 0], np.arange(20))
        shards.paths(tmp_path / "cache")[0].unlink()
        index.update()
        there = index.find(shas) >= 0
        assert there.sum() == len(shards.Index(tmp_path / "cache").shas) < 20
        assert np.array_equal(index.gather(index.find(shas[there]))[:, 0], np.flatnonzero(there))


@pytest.mark.parametrize("own", [{"mean": (0.1, 0.2, 0.3)}, {"std": (0.1, 0.2, 0.3)}, {"interpolation": "bilinear"}])
def test_one_network_that_sees_pictures_in_two_ways_has_the_features_of_both(competition, data, own):
    plain = Probe(clip=TINY_CLIP, batch_size=4)
    seen = plain.model_copy(update=own)
    for _ in range(2):  # nor does either make the other's again
        encoding.encode_missing(competition, [plain, seen], data)
    one, other = (features.Features(competition, [spec], data.rows)[:] for spec in (plain, seen))
    assert (one != other).any(axis=1).all()
    assert not encoding.begin(competition, data, [plain, seen])


@pytest.mark.parametrize("own", [{}, {"interpolation": "bilinear"}, {"interpolation": "bicubic"}])
def test_features_are_those_of_the_files_whatever_the_store_has(folder, own):
    """Pictures of 20 x 18 pixels, which the store reduces for squares of 16."""
    spec = Probe(clip=TINY_CLIP, stored="float32", **own)
    toy = toy_competition(models={"probe": spec})
    data = read_parts(toy)
    encoding.encode_missing(toy, [spec], data)
    files = encoders.make_store(toy.model_copy(update={"store_gb": 0.0}), data, 1000)
    squares = Loader(files.pictures(data.rows), range(48), encoders.geometry(spec), ["identity"], inference.Times())
    tower = encoders.tower(spec)
    runner = inference.EncoderRunner(tower, "files", "float32", 48, False, 48)
    (batch,) = squares.batches(48)
    expected = runner.encode_views(batch, ["identity"])["identity"].numpy()
    assert np.abs(features.Features(toy, [spec], data.rows, normalise=False)[:] - expected).max() < 1e-5
