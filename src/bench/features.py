"""Pictures to stored features, beside the model alone, open_clip's README loop, and clip_benchmark's; and their memory.

For each model, in turns: the image tower on tensors that lie on the device already, which nothing that reads pictures
can beat; ours (src/features.py) with the decoded store and without; the loop of open_clip's README; ours when a tenth
of pictures is added, where the loop starts again. All compute in the same precision, and write to fresh folders.
"""

import contextlib
import importlib.util
import io
import json
import multiprocessing
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np
import torch
from open_clip.transform import image_transform_v2
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from src import clip, encoding, features, machine, shards, threads
from src import images as pictures
from src.bench.compare import SEED, Comparison, found, made_up, race, show
from src.dataset import Rows
from src.encoding import Tower
from src.errors import UserError, unknown
from src.progress import duration
from src.specs import ClipArch, Encoder
from src.store import Store

BATCH = 32  # of the README loop
RESIDENT = 2048  # tensors at most that lie on the device for the model alone; more pictures than that go round
ALONE = 2048  # pictures at most of the loop without workers, whose rate they do not change
ROUNDS, QUICK_ROUNDS = 5, 3
TINY_ROUNDS = 15  # of half a second each: what else the machine does would show in fewer
CHUNK = 8192  # rows read at a time
D = 512  # of the made-up features
LIMIT = 2.0  # GB, the target for a million rows

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
    """How many pictures: some minutes' work."""
    if machine.device().type == "cuda":
        return 512 if quick else 17_801
    return {"tiny": (128, 2000), "ViT-B-32": (8, 128)}[name][0 if quick else 1]


def rows_of(paths: list[Path], folder: Path) -> Rows:
    """Rows of the pictures that differ, since equal ones are encoded once. Raises UserError: Some cannot be read."""
    names = [path.as_posix() for path in paths]
    record = pictures.check(names, paths, folder / "images.parquet")
    rows = Rows(names, paths, record["sha256"].tolist(), record[["width", "height"]].to_numpy())
    distinct = rows.take(np.sort(np.unique(rows.shas, return_index=True)[1]))
    if len(distinct) < 2:
        raise UserError("--images: at least 2 pictures that differ are needed")
    return distinct


class Pixels:
    """A dataset as one writes it for open_clip's `preprocess`: (3, size, size) float32 and a label."""

    def __init__(self, paths: Sequence[Path], preprocess: Callable[[Image.Image], Tensor]):
        self.paths, self.preprocess = paths, preprocess

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.preprocess(Image.open(self.paths[i])), 0


@dataclass
class Case:
    """One model and its pictures; each arm encodes all pictures and gives the seconds that took."""

    spec: Encoder
    rows: Rows
    folder: Path  # for all that is written
    model: torch.nn.Module
    batch: int  # images, of ours and of the model alone
    made: int = field(default=0, init=False)  # folders so far

    def __post_init__(self):
        cfg = clip.preprocessing(self.spec)
        self.tower = Tower(self.model.encode_image, clip.geometry(self.spec), tuple(cfg.mean), tuple(cfg.std))
        self.preprocess = image_transform_v2(cfg, is_train=False)
        self.precision = machine.precision(self.spec.precision)
        self.first = self.rows.take(slice(0, len(self.rows) * 10 // 11))  # the rest is a tenth of these
        side, n = self.tower.geometry.size, min(len(self.rows), RESIDENT)
        self.pixels = torch.randn(n, 3, side, side, device=machine.device())
        self.full, self.some = self.fresh(), self.fresh()  # the decoded store of all rows, and that of the first
        self.some_feats = self.fresh()
        with silence():
            self.store(self.full).pictures(self.rows)
            self.make(self.first, self.some_feats, self.some)

    def fresh(self) -> Path:
        self.made += 1
        return self.folder / str(self.made)

    def store(self, folder: Path) -> Store:
        return Store(folder, self.rows, self.tower.geometry.resize, 1 << 50)

    def make(self, rows: Rows, folder: Path, store: Path, searched: bool = False) -> float:
        """Ours; `searched`: the size of the batch is found by trying, as without batch_size in a config."""
        spec = self.spec if searched else self.spec.model_copy(update={"batch_size": self.batch})
        cache = features.Cache(folder, spec, "identity")
        with silence():
            start = time.perf_counter()
            features.make([cache], rows, lambda: self.tower, self.store(store).pictures)
            return time.perf_counter() - start

    def without(self, folders: Sequence[Path], seconds: float) -> float:
        for folder in folders:
            shutil.rmtree(folder)
        return seconds

    def stored(self, rows: Rows) -> float:
        """Ours, with every picture in the decoded store."""
        folder = self.fresh()
        return self.without([folder], self.make(rows, folder, self.full))

    def searched(self, rows: Rows) -> float:
        """As `stored`, with the search for the size of the batch."""
        folder = self.fresh()
        return self.without([folder], self.make(rows, folder, self.full, searched=True))

    def decoded(self, rows: Rows) -> float:
        """Ours, with nothing in the store."""
        folder, store = self.fresh(), self.fresh()
        return self.without([folder, store], self.make(rows, folder, store))

    def added(self, rows: Rows) -> float:
        """Ours, where a tenth of the pictures is new."""
        folder, store = self.fresh(), self.fresh()
        shutil.copytree(self.some_feats, folder)
        shutil.copytree(self.some, store)
        return self.without([folder, store], self.make(rows, folder, store))

    @torch.inference_mode()
    def alone(self, rows: Rows) -> float:
        """The model on pixels that are there."""
        todo, part = len(rows), len(self.pixels)
        start = time.perf_counter()
        while todo > 0:
            for pixels in self.pixels[: min(todo, part)].split(self.batch):
                with machine.autocast(self.precision):
                    self.model.encode_image(pixels)
            todo -= part
        synchronise()
        return time.perf_counter() - start

    def loader(self, rows: Rows, batch: int, workers: int) -> DataLoader:
        data = Pixels(rows.paths, self.preprocess)
        return DataLoader(data, batch, num_workers=workers, pin_memory=machine.device().type == "cuda")

    @torch.no_grad()
    def readme(self, rows: Rows, workers: int = 0) -> float:
        """The loop of open_clip's README, over a DataLoader."""
        part = rows.take(slice(0, ALONE)) if workers == 0 else rows
        start, feats = time.perf_counter(), []
        for pixels, _ in self.loader(part, BATCH, workers):
            with machine.autocast(self.precision):
                encoded = self.model.encode_image(pixels.to(machine.device()))
                encoded /= encoded.norm(dim=-1, keepdim=True)
            feats.append(encoded.cpu())
        torch.cat(feats)
        return (time.perf_counter() - start) * len(rows) / len(part)

    def benchmark(self, rows: Rows) -> float:
        """clip_benchmark's linear probe with no epoch to train: what is left is its loop over the pictures.

        Its precision is float16 autocast, which is as fast as bfloat16. It wants test pictures, and gets one batch.
        """
        from clip_benchmark.metrics import linear_probe

        folder = self.fresh()
        loaders = [self.loader(part, self.batch, threads.cores()) for part in (rows, rows.take(slice(0, self.batch)))]
        # its count of right answers cannot run with the numpy of requirements.txt
        no_score = mock.patch.object(linear_probe, "accuracy", lambda logits, target, topk: [0.0] * len(topk))
        with silence(), contextlib.redirect_stderr(io.StringIO()), no_score:
            start = time.perf_counter()
            linear_probe.evaluate(
                self.model, *loaders, -1, self.batch, 0, 0.1, 0, "model", 0, str(folder), "cuda", verbose=False
            )
            seconds = time.perf_counter() - start
        return self.without([folder], seconds * len(rows) / sum(len(loader.dataset) for loader in loaders))


def silence() -> contextlib.AbstractContextManager:
    return contextlib.redirect_stdout(io.StringIO())


def synchronise() -> None:
    if machine.device().type == "cuda":
        torch.cuda.synchronize()


def matrix_rate() -> float:
    """FLOP/s of bfloat16 matrix products on this GPU."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    seconds = []
    for _ in range(23):
        synchronise()
        start = time.perf_counter()
        torch.mm(a, a)
        synchronise()
        seconds.append(time.perf_counter() - start)
    return 2 * len(a) ** 3 / median(seconds[3:])


@torch.inference_mode()
def flops(tower: Tower) -> int:
    """Of one picture."""
    fast, side = torch.backends.mha.get_fastpath_enabled(), tower.geometry.size
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not know what that calls
    try:
        with FlopCounterMode(display=False) as counter:
            tower.forward(torch.zeros(1, 3, side, side, device=machine.device()))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops()


def batch_of(tower: Tower, spec: Encoder, n: int) -> tuple[int, str]:
    """Images a batch, as src/encoding.py chooses it, and what that took."""
    start = time.perf_counter()
    with silence():
        encoder = encoding.Encoder(tower, "bench", machine.precision(spec.precision), spec.batch_size, False, n)
    return encoder.batch_size, f"batches of {encoder.batch_size} (found in {duration(time.perf_counter() - start)})"


def compare(name: str, rows: Rows, folder: Path, quick: bool) -> list[Comparison]:
    """One model."""
    gpu, n = machine.device().type == "cuda", len(rows)
    spec = Encoder(clip={**MODELS, **GPU_MODELS}[name])
    with silence():
        model = clip.load(spec).model
        tower = Tower(model.encode_image, clip.geometry(spec), (0.0,) * 3, (1.0,) * 3)
    batch, said = batch_of(tower, spec, n)
    print(
        f"{name}: {n} pictures, {said}, {machine.precision(spec.precision)}, {flops(tower) / 1e9:.2f} GFLOP a picture"
    )
    case = Case(spec, rows, folder / name, model, batch)
    arms = {"alone": case.alone, "stored": case.stored, "decoded": case.decoded, "readme": case.readme}
    if gpu:
        arms |= {"searched": case.searched, "workers": lambda rows: case.readme(rows, threads.cores())}
        if importlib.util.find_spec("clip_benchmark"):
            arms["clip_benchmark"] = case.benchmark
        else:
            print("clip_benchmark is not installed: its loop is skipped (pip install --no-deps clip_benchmark==1.6.2)")
    arms["added"] = case.added
    race(arms, [rows.take(slice(0, 2 * batch))], 1)  # warm
    rounds = QUICK_ROUNDS if quick else TINY_ROUNDS if name == "tiny" else ROUNDS
    seconds = race(arms, [rows], rounds)
    rates = {arm: [n / each for each in spent] for arm, spent in seconds.items()}
    more = {"pictures": n, "batch": batch}
    if gpu:
        share = flops(tower) / matrix_rate()
        more |= {f"bf16_share_{arm}": round(median(rates[arm]) * share, 4) for arm in rates if arm != "added"}
    pairs = [pair for pair in PAIRS if {pair[0], pair[1]} <= arms.keys()]
    return [
        Comparison("features", f"{name}: {what}", rates[ours], rates[peer], more if i == 0 else {})
        for i, (ours, peer, what) in enumerate(pairs)
    ]


def peak() -> float:
    """GB of memory this process has had at most since `forget_peak`; pages of files that it mapped count."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024 / 1e9


def forget_peak() -> None:
    with contextlib.suppress(OSError):  # where that is not allowed, later peaks are of the whole run
        Path("/proc/self/clear_refs").write_text("5")


def many_rows(folder: Path, n: int) -> dict[str, float]:
    """Writes, finds and reads n rows of made-up features: seconds and peaks of memory. Runs in a process of its own."""
    cache = features.Cache(folder, Encoder(clip=TINY), "identity")
    with silence():
        cache.begin()
    numbers, took = {"gb_before": peak()}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal took
        now = time.perf_counter()
        numbers.update({f"gb_{name}": peak(), f"seconds_{name}": now - took})
        print(f"{name:8} {duration(now - took):>6}  peak {peak():.2f} GB")
        forget_peak()
        took = time.perf_counter()

    for start in range(0, n, shards.ROWS):
        rows = min(shards.ROWS, n - start)
        feats = np.random.default_rng(start).standard_normal((rows, D), np.float32)
        cache.add([str(start + i) for i in range(rows)], shas_of(start, rows), feats)
    lap("write")
    some = np.random.default_rng(0).choice(n, max(n // 100, 1), replace=False)
    present = np.concatenate([shas_of(start, min(shards.ROWS, n - start)) for start in range(0, n, shards.ROWS)])
    asked = np.concatenate([present[some], shas_of(n + shards.ROWS, len(some))])
    took = time.perf_counter()
    index = cache.index()
    lap("open")
    missing = cache.missing(asked)
    if not np.array_equal(missing, np.arange(len(some), 2 * len(some))):
        raise AssertionError("the index does not tell what is there from what is not")
    lap("find")
    at = index.find(present)
    for start in range(0, n, CHUNK):
        feats = index.gather(at[start : start + CHUNK])
        if start == 0 and not np.array_equal(feats[0], row_of(0)):
            raise AssertionError("the features of a row are another's")
    lap("read")
    rng = np.random.default_rng(1)
    for _ in range(100):
        index.gather(at[rng.integers(0, n, CHUNK)])
    lap("random")
    return numbers


def shas_of(start: int, n: int) -> np.ndarray:
    """(n,) made-up sha256, as `shards.binary` has them."""
    return np.frombuffer(np.random.default_rng((7, start)).bytes(32 * n), "S32")


def row_of(start: int) -> np.ndarray:
    """The first row of the shard that begins at `start`, as it is read again."""
    return np.random.default_rng(start).standard_normal((1, D), np.float32)[0].astype(np.float16).astype(np.float32)


def memory(n: int) -> None:
    print(f"{n} rows of {D} float16 ({n * D * 2 / 1e9:.2f} GB), in a process of its own; random: 100 x {CHUNK} rows")
    with tempfile.TemporaryDirectory() as folder:
        free = shutil.disk_usage(folder).free
        if n * (D * 2 + 64) > free:
            raise UserError(f"--rows {n} needs {n * (D * 2 + 64) / 1e9:.1f} GB in {folder}, {free / 1e9:.1f} are free")
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            numbers = pool.submit(many_rows, Path(folder) / "features", n).result()
    most = max(value for name, value in numbers.items() if name.startswith("gb_"))
    rounded = {name: round(value, 3) for name, value in numbers.items()}
    print(json.dumps({"bench": "features", "case": f"{n} rows", "gb_peak": round(most, 3), **rounded}))
    if n >= 1_000_000:
        print(f"the target (less than {LIMIT} GB) is {'met' if most < LIMIT else 'not met'}: {most:.2f} GB")


def run(quick: bool = False, images: Path | None = None, model: str | None = None, rows: int | None = None) -> None:
    if rows is not None:
        return memory(rows)
    models = [*MODELS, *(GPU_MODELS if machine.device().type == "cuda" else ())]
    if model is not None and model not in models:
        raise UserError(unknown("model", model, models))
    models = [model] if model else models
    comparisons = []
    with tempfile.TemporaryDirectory() as name:
        folder, most = Path(name), max(count(model, quick) for model in models)
        (folder / "pictures").mkdir()
        paths = found(images, most) if images else made_up(folder / "pictures", most, SEED, ".png")
        with silence():
            every = rows_of(paths, folder)
        for model in models:
            comparisons += compare(model, every.take(slice(0, count(model, quick))), folder, quick)
    show(comparisons)
