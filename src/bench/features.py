"""Pictures to stored features, beside the model alone, open_clip's README loop, and clip_benchmark's; and their memory.

For each model, in turns: the image tower on tensors that lie on the device already, which nothing that reads pictures
can beat; ours (networks/encoding.py) with the decoded store and without; the loop of open_clip's README; ours when a
tenth of pictures is added, where the loop starts again. All compute in the same precision, and write to fresh folders.
On a CPU also the model alone by each engine, and ours by the one that it chooses (bench/engines.py).
"""

import copy
import functools
import importlib.util
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from src.base import machine, threads
from src.base.errors import UserError, unknown
from src.base.text import duration
from src.bench import engines
from src.bench import rows as many
from src.bench.compare import SEED, Comparison, find_pictures, make_pictures, race_rates, rows_of, show, silence, timed
from src.bench.limits import flops, matrix_rate
from src.bench.peers import Peers
from src.data.decoded import Store
from src.data.rows import Rows
from src.networks import clip, encoding, features, inference
from src.networks.inference import Tower
from src.schema.networks import ClipArch, Encoder

ROUNDS, QUICK_ROUNDS = 5, 3
TINY_ROUNDS = 15  # of half a second each: what else the machine does would show in fewer

TINY = ClipArch(
    name="tiny-bench",
    embed_dim=128,
    vision_cfg={"image_size": 64, "patch_size": 8, "layers": 2, "width": 128, "head_width": 32, "pool_type": "avg"},
    text_cfg={"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
)
MODELS = {"tiny": TINY, "ViT-B-32": "ViT-B-32"}
GPU_MODELS = {"ViT-L-14": "ViT-L-14", "ViT-H-14": "ViT-H-14"}
PAIRS = (  # ours, its peer, and what they are called
    ("stored", "alone", "decoded before | model alone"),
    ("decoded", "alone", "nothing decoded | model alone"),
    ("searched", "alone", "and batch size searched | model alone"),
    ("stored", "readme", "decoded before | README loop"),
    ("decoded", "readme", "nothing decoded | README loop"),
    ("stored", "workers", "decoded before | README loop, workers"),
    ("decoded", "workers", "nothing decoded | README loop, workers"),
    ("stored", "clip_benchmark", "decoded before | clip_benchmark"),
    ("decoded", "clip_benchmark", "nothing decoded | clip_benchmark"),
    ("added", "readme", "a tenth is new | README loop again"),
)


def count(name: str, quick: bool) -> int:
    """The number of pictures: some minutes' work."""
    if machine.device().type == "cuda":
        return 512 if quick else 17_801
    return {"tiny": (128, 2000)}.get(name, (8, 128))[0 if quick else 1]


class Ours:
    """Each method encodes the pictures of rows with a fresh folder of features, and returns the seconds of that."""

    def __init__(self, tower: Tower, spec: Encoder, rows: Rows, batch: int, folder: Path):
        """`batch`: images; `folder`: for all files."""
        self.tower, self.spec, self.rows, self.batch, self.folder = tower, spec, rows, batch, folder
        folder.mkdir()
        some = rows.take(slice(0, len(rows) * 10 // 11))  # the rest is a tenth of these
        with silence():
            self.store(folder / "all").pictures(rows)
            self.make(some, folder / "some_feats", folder / "some")

    def store(self, folder: Path) -> Store:
        return Store(folder, self.rows, self.tower.geometry.resize, 1 << 50)

    def make(self, rows: Rows, feats: Path, store: Path, searched: bool = False) -> float:
        """`searched`: the size of the batch is found by trying, as without batch_size in a config."""
        spec = self.spec if searched else self.spec.model_copy(update={"batch_size": self.batch})
        cache = features.Cache(feats, spec, "identity")
        with silence():
            start = time.perf_counter()
            encoding.make_features([cache], rows, lambda: self.tower, self.store(store).pictures)
            return time.perf_counter() - start

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Path(folder)

    def stored(self, rows: Rows, searched: bool = False) -> float:
        """With every picture in the decoded store."""
        with self.fresh() as folder:
            return self.make(rows, folder, self.folder / "all", searched)

    def decoded(self, rows: Rows) -> float:
        """With nothing in the store."""
        with self.fresh() as feats, self.fresh() as store:
            return self.make(rows, feats, store)

    def added(self, rows: Rows) -> float:
        """Where a tenth of the pictures is new."""
        with self.fresh() as feats, self.fresh() as store:
            shutil.copytree(self.folder / "some_feats", feats, dirs_exist_ok=True)
            shutil.copytree(self.folder / "some", store, dirs_exist_ok=True)
            return self.make(rows, feats, store)


def find_batch(tower: Tower, spec: Encoder, n: int) -> tuple[int, str]:
    """The images a batch, as networks/inference.py chooses it, and a phrase on it with the time of the search."""
    start = time.perf_counter()
    with silence():
        encoder = inference.EncoderRunner(tower, "bench", machine.precision(spec.precision), spec.batch_size, False, n)
        if encoder.searching:
            encoder.find_batch_size(n)
    return encoder.batch_size, f"batches of {encoder.batch_size} (found in {duration(time.perf_counter() - start)})"


def compare(name: str, rows: Rows, folder: Path, quick: bool) -> list[Comparison]:
    """The comparisons of one model."""
    gpu, n = machine.device().type == "cuda", len(rows)
    spec = Encoder(clip={**MODELS, **GPU_MODELS}[name])
    with silence():
        model, cfg = clip.load(spec).model, clip.preprocessing(spec)
    tower = Tower(model.encode_image, clip.geometry(spec), tuple(cfg.mean), tuple(cfg.std))
    gflop, plain = flops(tower) / 1e9, copy.deepcopy(model)  # first: ours casts its model's weights
    batch, batches = find_batch(tower, spec, n)
    work = f"{machine.precision(spec.precision)}, {gflop:.2f} GFLOP a picture"
    print(f"{name}: {n} pictures, {batches}, {work}")
    ours, peers = Ours(tower, spec, rows, batch, folder / name), Peers(plain, spec, n, batch)
    arms = {"alone": timed(peers.alone), "stored": ours.stored, "decoded": ours.decoded, "readme": peers.readme}
    if gpu:
        arms["searched"] = functools.partial(ours.stored, searched=True)
        arms["workers"] = functools.partial(peers.readme, workers=threads.cores())
        if importlib.util.find_spec("clip_benchmark"):
            arms["clip_benchmark"] = peers.clip_benchmark
        else:
            print("clip_benchmark is not installed: its loop is skipped (pip install --no-deps clip_benchmark==1.6.2)")
    arms["added"] = ours.added
    rounds = QUICK_ROUNDS if quick else TINY_ROUNDS if name == "tiny" else ROUNDS
    rates = race_rates(arms, [rows], rounds, n, warm=[rows.take(slice(0, 2 * batch))])
    more = {"pictures": n, "batch": batch}
    if gpu:
        share = 1e9 * gflop / matrix_rate()
        more |= {f"bf16_share_{arm}": round(median(rates[arm]) * share, 4) for arm in rates if arm != "added"}
    pairs = [pair for pair in PAIRS if {pair[0], pair[1]} <= arms.keys()]
    return [
        Comparison("features", f"{name}: {what}", rates[arm], rates[peer], more if i == 0 else {})
        for i, (arm, peer, what) in enumerate(pairs)
    ]


def run(quick: bool = False, images: Path | None = None, model: str | None = None, rows: int | None = None) -> None:
    if rows is not None:
        return many.run(rows)
    gpu = machine.device().type == "cuda"
    models = list(dict.fromkeys([*MODELS, *(GPU_MODELS if gpu else engines.MODELS)]))
    if model is not None and model not in models:
        raise UserError(unknown("model", model, models))
    models = [model] if model else models
    comparisons = []
    with tempfile.TemporaryDirectory() as name:
        folder, most = Path(name), max(count(model, quick) for model in models)
        if not gpu:
            print(engines.describe())
        paths = find_pictures(images, most) if images else make_pictures(folder / "pictures", most, SEED, ".png")
        with silence():
            every = rows_of(paths, folder)
        for model in models:
            some = every.take(slice(0, count(model, quick)))
            if model in {**MODELS, **GPU_MODELS}:
                comparisons += compare(model, some, folder, quick)
            if not gpu and model in engines.MODELS:
                comparisons += engines.compare(model, some.paths, quick)
    show(comparisons)
