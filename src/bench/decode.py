"""From a picture's file to a model's input on one core, beside open_clip's own transform; and what benchmarks share.

Ours is src/encoding.py with a model that does nothing: batches of 32 are decoded, resized and cut as uint8, and then
normalised together, on the device. The peer is open_clip's `preprocess` of each picture and a stack. Both are timed by
the processor's clock. The features of both by one model with random weights are compared.
"""

import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from src import clip, encoding, machine, threads
from src import images as pictures
from src.encoding import Tower
from src.errors import UserError
from src.geometry import Geometry
from src.specs import Encoder
from src.store import Decoded

T = TypeVar("T")
ENDINGS = (".png", ".jpg", ".jpeg")
BATCH, TURN = 32, 128  # pictures a batch, and of one way before the next has its turn
SEED, JPEG, JPEGS = (130, 140), (500, 400), 200  # width and height of made-up pictures; how many photographs
PNGS = 500  # at most, of --images
FASTER, ALIKE = 2.0, 0.9999  # the target: times the peer's images/s, and the smallest cosine of features


@dataclass(frozen=True)
class Comparison:
    """Two ways to do the same, run in turns: images/s of each round."""

    bench: str
    case: str
    ours: list[float]
    peer: list[float]
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.peer, strict=True)]

    def row(self) -> str:
        low, high = min(self.ratios), max(self.ratios)
        rates = f"{median(self.ours):10.1f} {median(self.peer):10.1f}"
        return f"{self.case:66} {rates} {median(self.ratios):7.2f} ({low:.2f} to {high:.2f})"

    def line(self) -> str:
        """As JSON; the threads are torch's of now."""
        device = torch.cuda.get_device_name() if machine.device().type == "cuda" else "cpu"
        low, middle, high = (round(of(self.ratios), 4) for of in (min, median, max))
        rates = {"ours": round(median(self.ours), 2), "peer": round(median(self.peer), 2)}
        where = {"device": device, "torch": torch.__version__, "threads": torch.get_num_threads()}
        ratios = {"ratio": middle, "ratio_min": low, "ratio_max": high}
        return json.dumps({"bench": self.bench, "case": self.case, **rates, **ratios, **where, **self.more})


def show(comparisons: Sequence[Comparison]) -> None:
    """The table, and a line of JSON for each of its rows."""
    print(f"{'images/s':66} {'ours':>10} {'peer':>10} {'ratio':>7} (of the rounds)")
    for comparison in comparisons:
        print(comparison.row())
    for comparison in comparisons:
        print(comparison.line())


def race(arms: dict[str, Callable[[T], float]], parts: Sequence[T], rounds: int) -> dict[str, list[float]]:
    """{arm: its seconds for all parts in each round}.

    On each part all arms take turns, in every second round backwards: what else the machine does slows all alike.
    """
    seconds = {name: [] for name in arms}
    for number in range(rounds):
        total = dict.fromkeys(arms, 0.0)
        for part in parts:
            for name in list(arms)[:: -1 if number % 2 else 1]:
                total[name] += arms[name](part)
        for name, spent in total.items():
            seconds[name].append(spent)
    return seconds


def timed(function: Callable[[T], Any], clock: Callable[[], float] = time.perf_counter) -> Callable[[T], float]:
    """The function, giving the seconds it took."""

    def run(part: T) -> float:
        start = clock()
        function(part)
        return clock() - start

    return run


def found(folder: Path, most: int) -> list[Path]:
    """Up to `most` pictures of a folder and the folders in it, by name."""
    paths = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in ENDINGS)
    if not (some := list(islice(paths, most))):
        raise UserError(f"--images: {folder} has no picture that ends in {', '.join(ENDINGS)}")
    return some


def made_up(folder: Path, n: int, size: tuple[int, int], ending: str) -> list[Path]:
    """n pictures that a codec takes for photographs, written to `folder`; size is (width, height)."""
    paths = [folder / f"{i:05d}{ending}" for i in range(n)]
    options = {"quality": 90, "subsampling": "4:2:0"} if ending == ".jpg" else {}
    with ThreadPoolExecutor(threads.cores()) as pool:
        list(pool.map(lambda i: photograph(i, size).save(paths[i], **options), range(n)))
    return paths


def photograph(seed: int, size: tuple[int, int]) -> Image.Image:
    """Light and a little colour, falling with frequency f as 1/f^1.2 as in nature, patches of texture, and noise."""
    width, height = size
    rng = np.random.default_rng(seed)
    grey = field_of(rng, size, 1.2)
    texture = field_of(rng, size, 0.4) * np.clip(field_of(rng, size, 2.0), 0, 2)
    colour = np.stack([field_of(rng, size, 1.6) for _ in range(3)], axis=-1)
    light = 120 + 45 * grey[..., None] + 7 * texture[..., None] + 14 * colour
    return Image.fromarray(np.clip(light + rng.normal(0, 2, (height, width, 3)), 0, 255).astype(np.uint8))


def field_of(rng: np.random.Generator, size: tuple[int, int], slope: float) -> np.ndarray:
    """(height, width) of variance 1 whose amplitude falls with frequency f as f^-slope."""
    width, height = size
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    f[0, 0] = np.inf
    pixels = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) * f**-slope, (height, width))
    return pixels / pixels.std()


@contextmanager
def one_core() -> Iterator[None]:
    """Also `threads.cores()` is 1 then, and so is the number of threads that load pictures."""
    before = torch.get_num_threads(), cv2.getNumThreads(), os.sched_getaffinity(0)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    os.sched_setaffinity(0, {min(before[2])})
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
        os.sched_setaffinity(0, before[2])


class Ours:
    """Pictures to what a model makes of them; a model that does nothing leaves the time of loading."""

    def __init__(self, cfg: PreprocessCfg, forward: Callable[[Tensor], Tensor] = lambda pixels: pixels[:, :, 0, 0]):
        self.geometry = Geometry(cfg.size, cfg.size)
        tower = Tower(forward, self.geometry, cfg.mean, cfg.std)
        self.encoder = encoding.Encoder(tower, "decode", "float32", BATCH, False, BATCH)

    def squares(self, paths: Sequence[Path]) -> np.ndarray:
        """(n, size, size, 3) uint8."""
        pictures = Decoded(paths)
        return np.stack([self.geometry.square(pictures[i]) for i in range(len(paths))])

    def __call__(self, paths: Sequence[Path]) -> np.ndarray:
        """(n, d) float32."""
        batches = encoding.encode(self.encoder, Decoded(paths), range(len(paths)), ["identity"], encoding.Times())
        return np.concatenate([batch["identity"] for batch in batches])


class Peer:
    """Pictures to a model's input by open_clip's transform, which is torchvision's on Pillow's pictures."""

    def __init__(self, cfg: PreprocessCfg):
        self.transform = image_transform_v2(cfg, is_train=False)

    def squares(self, paths: Sequence[Path]) -> np.ndarray:
        """(n, size, size, 3) uint8: what it has before it makes tensors."""
        squares = []
        for path in paths:
            picture = Image.open(path)
            for step in self.transform.transforms[:3]:  # resize, crop, RGB
                picture = step(picture)
            squares.append(np.asarray(picture))
        return np.stack(squares)

    def __call__(self, paths: Sequence[Path]) -> Tensor:
        """(n, 3, size, size) float32."""
        return torch.stack([self.transform(Image.open(path)) for path in paths])


def native(paths: Sequence[Path]) -> None:
    """The limit: nothing but decoding."""
    pictures = Decoded(paths)
    for i in range(len(paths)):
        pictures[i]


@torch.inference_mode()
def alike(cfg: PreprocessCfg, paths: Sequence[Path]) -> dict[str, float]:
    """How far our squares and the peer's are apart: in pixels, and in features of a ViT-B-32 with random weights."""
    with redirect_stdout(io.StringIO()):  # that its weights are random
        model = clip.load(Encoder(clip="ViT-B-32")).model
    ours, peer, theirs, apart = Ours(cfg, model.encode_image), Peer(cfg), [], 0
    for start in range(0, len(paths), BATCH):
        part = paths[start : start + BATCH]
        apart = max(apart, int(np.abs(ours.squares(part).astype(int) - peer.squares(part)).max()))
        theirs.append(model.encode_image(peer(part).to(machine.device())).cpu())
    a, b = (F.normalize(feats.double(), dim=-1) for feats in (torch.from_numpy(ours(paths)), torch.cat(theirs)))
    cosines, others = (a * b).sum(dim=1), (b @ b.T)[~torch.eye(len(b), dtype=torch.bool)]
    return {
        "pictures_compared": len(paths),
        "cosine_share": float((cosines >= ALIKE).double().mean()),
        "cosine_min": float(cosines.min()),
        "cosine_of_different_pictures": float(others.median()) if len(others) else 1.0,
        "pixels_apart": apart,
    }


def compare(case: str, paths: list[Path], quick: bool) -> list[Comparison]:
    """One kind of pictures."""
    cfg = PreprocessCfg(size=224)
    with one_core():
        ways = {"ours": Ours(cfg), "peer": Peer(cfg), "limit": native}
        # the processor's seconds, of all threads: what others do on the machine does not count
        arms = {name: timed(way, time.process_time) for name, way in ways.items()}
        parts = [paths[i : i + TURN] for i in range(0, len(paths), TURN)]
        race(arms, parts[:1], 1)  # warm
        seconds = race(arms, parts, 3 if quick else 5)
        rates = {name: [len(paths) / spent for spent in each] for name, each in seconds.items()}
    more = {"threads": 1, "pictures": len(paths)}
    same = alike(cfg, paths[: 16 if quick else 64])
    return [
        Comparison("decode", case, rates["ours"], rates["peer"], {**more, **same}),
        Comparison("decode", f"{case}: decoding alone", rates["limit"], rates["peer"], more),
    ]


def verdict(comparison: Comparison) -> str:
    """Whether the target is met, in a sentence."""
    same, ratio = comparison.more, median(comparison.ratios)
    met = "met" if ratio >= FASTER and same["cosine_min"] >= ALIKE else "not met"
    return (
        f"{comparison.case}: the target (at least {FASTER} times as fast, cosine at least {ALIKE}) is {met}: "
        f"{ratio:.2f} times; cosine at least {ALIKE} for {same['cosine_share']:.1%} of {same['pictures_compared']} "
        f"pictures, the smallest {same['cosine_min']:.6f} (of different pictures: "
        f"{same['cosine_of_different_pictures']:.4f}); pixels at most {same['pixels_apart']} of 255 apart"
    )


def run(quick: bool = False, images: Path | None = None) -> None:
    n = BATCH if quick else JPEGS
    with tempfile.TemporaryDirectory() as folder:
        cases = {}
        for name, size, ending in (("png", SEED, ".png"), ("jpeg", JPEG, ".jpg")):
            if ending == ".png" and images is not None:
                paths = cases[f"pictures of {images.name}"] = found(images, n if quick else PNGS)
                with redirect_stdout(io.StringIO()):
                    pictures.check(map(str, paths), paths, Path(folder) / "images.parquet")
                continue
            (Path(folder) / name).mkdir()
            cases[f"made-up {name}, {size[0]} x {size[1]}"] = made_up(Path(folder) / name, n, size, ending)
        comparisons = []
        for case, paths in cases.items():
            kb = sum(path.stat().st_size for path in paths) / len(paths) / 1000
            print(f"{case}: {len(paths)} files of {kb:.0f} kB")
            comparisons += compare(case, paths, quick)
    show(comparisons)
    for comparison in comparisons[::2]:
        print(verdict(comparison))
