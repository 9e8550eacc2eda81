"""Encoding on a GPU: in which precision features are, and what is encoded of them."""

import numpy as np
import pytest
import torch
from torch import nn

from src.base import files
from src.commands.predict import session
from src.data.decoded import Decoded
from src.data.geometry import Geometry
from src.data.rows import Rows
from src.networks import classifiers, clip, encoders, encoding, inference
from src.networks import features as of_features
from src.networks.features import Cache, Columns
from src.networks.inference import Tower
from src.results import shards
from src.schema.models import FineTune
from src.schema.networks import Encoder
from tests.conftest import TINY_CLIP, picture, read_json, snapshot
from tests.pretended_gpu import pretended

RESNET = {"image_size": 32, "layers": (1, 1, 1, 1), "width": 8, "head_width": 8}
SPEC = Encoder(clip=TINY_CLIP, batch_size=12, stored="float32")


@pytest.fixture
def rows(tmp_path, monkeypatch) -> Rows:
    monkeypatch.setattr(shards, "ROWS", 12)
    paths = [tmp_path / f"{i:02d}.png" for i in range(30)]
    for i, path in enumerate(paths):
        picture("green", i, (16, 16)).save(path)
    shas = [files.sha256(path) for path in paths]
    return Rows([path.stem for path in paths], paths, shas, np.full((30, 2), 16))


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache", SPEC, "identity")


def make(cache: Cache, rows: Rows, load=None) -> int:
    made = encoding.make_features([cache], rows, load or (lambda: encoders.tower(SPEC)), lambda one: Decoded(one.paths))
    return made[cache.view]


def of_precision(cache: Cache, precision: str) -> Cache:
    """A cache in the same place, as the config's choice of a precision makes it."""
    return Cache(cache.folder, cache.spec.model_copy(update={"precision": precision}), cache.view)


def features(cache: Cache, rows: Rows) -> np.ndarray:
    return Columns(cache, rows)[np.arange(len(rows))]


class Large(nn.Module):
    """Features beyond 65,504, of pictures whose first pixel is brighter than `most`."""

    def __init__(self, most: float = -np.inf):
        super().__init__()
        self.linear, self.most = nn.Linear(16, 4, bias=False), most
        with torch.no_grad():
            self.linear.weight.copy_(torch.arange(4 * 16).view(4, 16) + 1e4)

    def forward(self, pixels):
        pixels = pixels[:, 0, 0] + 1
        return self.linear(torch.where(pixels[:, :1] > self.most, pixels, pixels / 100))


def large(**options) -> Tower:
    return Tower(Large(**options).cuda(), Geometry(16, 16), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class TestPrecision:
    def test_of_features_is_float16_which_is_finer_than_bfloat16(self, rows, cache, tmp_path):
        make(exact := Cache(tmp_path / "exact", SPEC, "identity"), rows)
        with pretended() as gpu:
            assert make(cache, rows) == 30
        assert gpu.faults == []
        assert cache.have()["precision"] == "float16"
        error = np.linalg.norm(features(cache, rows) - features(exact, rows), axis=1)
        assert (error < 2e-3 * np.linalg.norm(features(exact, rows), axis=1)).all()

    @pytest.mark.parametrize("precision", ["bfloat16", "float32"])
    def test_of_the_configs_choice_stays(self, rows, cache, precision):
        with pretended():
            make(of_precision(cache, precision), rows)
        assert cache.have()["precision"] == precision

    def test_is_bfloat16_where_features_overflow_and_that_is_said_once(self, rows, cache, capsys):
        with pretended() as gpu:
            assert make(cache, rows, large) == 30
        assert gpu.faults == []
        assert cache.have()["precision"] == "bfloat16"
        assert np.isfinite(features(cache, rows)).all()
        said = [line for line in capsys.readouterr().out.splitlines() if "again" in line]
        assert said == [
            "cache encoding again: precision changed (float16 to bfloat16), since features overflow in float16"
        ]
        with pretended():
            assert make(cache, rows, large) == 0

    def test_is_one_for_all_images_also_where_a_late_one_overflows(self, rows, cache, monkeypatch):
        first = [np.asarray(Decoded(rows.paths)[i])[0, 0, 0] for i in range(30)]
        order = np.argsort(first, kind="stable")
        rows, most = rows.take(order), first[order[-2]] / 255 + 1 + 1e-3
        written, write = [], shards.write
        monkeypatch.setattr(shards, "write", lambda at, ids, *rest: written.append(len(ids)) or write(at, ids, *rest))
        with pretended():
            assert make(cache, rows, lambda: large(most=most)) == 30
        assert written == [12, 12, 12, 12, 6]
        assert cache.have()["precision"] == "bfloat16"
        assert len(cache.index().shas) == 30

    def test_of_the_configs_choice_in_which_features_overflow_is_an_error(self, rows, cache):
        with pretended(), pytest.raises(files.UserError, match="not finite for 12 images"):
            make(of_precision(cache, "float16"), rows, large)


class TestOtherDevice:
    """Features that were made on another machine are gone on with, and not made again."""

    @pytest.mark.parametrize("made_in", ["float16", "bfloat16"])
    @pytest.mark.parametrize("half", [True, False])
    def test_a_gpu_takes_the_precision_of_another(self, rows, cache, made_in, half):
        with pretended():
            make(of_precision(cache, made_in), rows.take(np.arange(18)))
        before = snapshot(cache.folder)
        with pretended(half=half):
            assert make(cache, rows) == 12
        assert read_json(cache.folder / "key.json")["precision"] == made_in
        assert before.items() <= snapshot(cache.folder).items()

    @pytest.mark.parametrize(("there", "encoded", "precision"), [(27, 3, "float32"), (18, 30, "float16")])
    def test_a_gpu_takes_the_float32_of_a_cpu_for_a_few_images(self, rows, cache, there, encoded, precision):
        make(cache, rows.take(np.arange(there)))
        with pretended():
            assert make(cache, rows) == encoded
        assert cache.have()["precision"] == precision

    @pytest.mark.parametrize(("there", "encoded", "precision"), [(27, 3, "float16"), (18, 30, "float32")])
    def test_a_cpu_takes_the_half_precision_of_a_gpu_for_a_few_images(self, rows, cache, there, encoded, precision):
        with pretended():
            make(cache, rows.take(np.arange(there)))
        assert make(cache, rows) == encoded
        assert cache.have()["precision"] == precision

    def test_a_model_of_features_names_the_precision_that_they_have(self, toy):
        spec = toy.models["probe"]
        with pretended():
            assert of_features.precision(toy, spec) == "float16"
            of_features.feature_caches(toy, spec)[0].begin("bfloat16")
        assert of_features.precision(toy, spec) == "bfloat16"
        assert of_features.precision(toy, spec.model_copy(update={"precision": "float16"})) == "float16"


def test_pictures_that_are_predicted_have_finite_features_too(rows, monkeypatch):
    monkeypatch.setattr(session, "one_picture_ms", lambda *_: 1.0)
    with pretended():
        feats, _ = session.InferenceSession(rows.paths[:3]).encode("it", large())
    assert np.isfinite(feats["identity"]).all()


def squares(n: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        SPEC.model_copy(update={"clip": TINY_CLIP.model_copy(update={"vision_cfg": RESNET})}),
        Encoder(backbone="test_resnet", pretrained=False, img_size=32),
        Encoder(backbone="test_vit", pretrained=False),
    ],
    ids=["ViT of CLIP", "ResNet of CLIP", "ResNet", "ViT"],
)
def test_weights_are_cast_once_and_the_numbers_are_the_same(spec):
    with pretended() as gpu:
        tower, launches, feats = encoders.tower(spec), [], []
        for cast in (lambda tower, _: tower, inference.cast_weights):
            encoder = inference.EncoderRunner(cast(tower, "float16"), "it", "float16", 2, False, 2)
            pixels, before = squares(2, tower.geometry.size).cuda(), gpu.launches
            feats.append(encoder(pixels).cpu())
            launches.append(gpu.launches - before)
    assert torch.equal(*feats)
    assert launches[1] < 0.9 * launches[0]


@pytest.mark.parametrize("spec", [SPEC, Encoder(backbone="test_resnet", pretrained=False, img_size=32)])
def test_in_float32_nothing_is_multiplied_in_tf32(spec, monkeypatch):
    seen, multiplying = set(), (torch.ops.aten.convolution.default, torch.ops.aten.mm.default)
    with pretended() as gpu:
        gpu.refuse = lambda func, args: func in multiplying and seen.add(torch.backends.cudnn.conv.fp32_precision)
        inference.EncoderRunner(encoders.tower(spec), "it", "float32", 2, False, 2)(squares(2, 16).cuda())
        if spec.clip is not None:
            clip.encode_texts(clip.load(spec), ["a text"])
    assert seen
    assert "tf32" not in seen


def test_the_image_tower_alone_goes_to_the_gpu_and_what_is_trained_not_before_it_is_made():
    with pretended() as gpu:
        classifiers.create(FineTune(clip=TINY_CLIP, epochs=2, lr=1e-3), 3, 0, True)
        assert gpu.peak == 0
        tower = clip.tower(SPEC)
        assert gpu.peak == sum(weight.nbytes for weight in tower.forward.__self__.visual.state_dict().values())


def test_random_weights_ask_no_gpu_for_its_state(monkeypatch):
    with pretended(count=2):
        monkeypatch.setattr(torch.cuda, "get_rng_state", None)
        for spec in (SPEC, Encoder(backbone="test_resnet", pretrained=False)):
            encoders.tower(spec)
        classifiers.check(FineTune(backbone="test_resnet", pretrained=False, epochs=2, lr=1e-3))


class TestBatch:
    """The size of a GPU's batch is found on the first pictures, whose features are kept."""

    @pytest.fixture
    def sizes(self, monkeypatch):
        """Grows by the size of each batch that the tower computes."""
        monkeypatch.setattr(inference, "BATCHES", (2, 4, 8))
        sizes, encode = [], inference.EncoderRunner.encode
        monkeypatch.setattr(
            inference.EncoderRunner, "encode", lambda self, x, size: sizes.append(len(x)) or encode(self, x, size)
        )
        return sizes

    @pytest.fixture
    def cache(self, tmp_path):
        return Cache(tmp_path / "cache", SPEC.model_copy(update={"batch_size": None}), "identity")

    def test_is_found_while_every_picture_is_encoded_once(self, rows, cache, sizes, tmp_path, capsys):
        with pretended() as gpu:
            assert make(cache, rows) == 30
            make(known := of_precision(Cache(tmp_path / "known", SPEC, "identity"), "float16"), rows)
        assert sizes == [2, 2, 4, 4, 8, 8, 2, 12, 12, 6]
        assert gpu.faults == []
        assert "8 images a batch (2: 2000/s, 4: 4000/s, 8: 8000/s)" in capsys.readouterr().out
        assert np.abs(features(cache, rows) - features(known, rows)).max() < 1e-3

    def test_is_smaller_where_memory_ends_and_no_picture_is_lost(self, rows, cache, sizes, capsys):
        with pretended() as gpu:
            gpu.refuse = lambda func, args: func is torch.ops.aten.convolution.default and len(args[0]) > 4
            assert make(cache, rows) == 30
        assert "4 images a batch (2: 2000/s, 4: 4000/s, 8: no memory)" in capsys.readouterr().out
        assert max(sizes[8:]) == 4
        assert len(cache.index().shas) == 30


def test_a_batch_is_waited_for_only_to_fetch_its_features(rows, tmp_path):
    with pretended() as gpu:
        make(Cache(tmp_path / "one", SPEC.model_copy(update={"batch_size": 6}), "identity"), rows)
    assert gpu.faults == []
    loading = ("base/machine.py", "networks/clip.py")  # of the weights
    waits = {(what, where.partition(":")[0]): n for (what, where), n in gpu.waits.items()}
    waits = {what: n for what, n in waits.items() if what[1] not in loading}
    assert waits.pop(("copy to the GPU", "data/geometry.py"), 0) <= 2  # mean and std, once a device
    assert waits == {("event.synchronize", "networks/inference.py"): 5}
