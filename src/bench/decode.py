"""From a picture's file to a model's input on one core, beside open_clip's own transform.

Ours is networks/inference.py with a model that does nothing: batches of 32 are decoded, resized and cut as uint8, and
then normalised together, on the device. The peer is open_clip's `preprocess` of each picture and a stack. Both are
timed by the processor's clock. The features of both by one model with random weights are compared, for every picture.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from src.base import machine
from src.bench.compare import SEED, Comparison, find_pictures, make_pictures, race_rates, show, silence, timed
from src.data.decoded import Decoded
from src.data.geometry import Geometry
from src.data.record import check_images
from src.networks import clip, inference
from src.networks.inference import Tower
from src.schema.networks import Encoder

BATCH, TURN = 32, 128  # pictures a batch, and of one way before the next has its turn
JPEG, JPEGS = (500, 400), 200  # width and height of made-up photographs; how many
PNGS = 500  # at most, of --images
FASTER, ALIKE = 2.0, 0.9999  # the target: times the peer's images/s, and the smallest cosine of features


@contextmanager
def one_core() -> Iterator[None]:
    """Use one core: `threads.cores()` is 1 then too, and so is the number of threads that load pictures."""
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
        self.encoder = inference.EncoderRunner(tower, "decode", "float32", BATCH, False, BATCH)

    def squares(self, paths: Sequence[Path]) -> np.ndarray:
        """(n, size, size, 3) uint8."""
        pictures = Decoded(paths)
        return np.stack([self.geometry.square(pictures[i]) for i in range(len(paths))])

    def __call__(self, paths: Sequence[Path]) -> np.ndarray:
        """(n, d) float32."""
        batches = inference.encode(self.encoder, Decoded(paths), range(len(paths)), ["identity"], inference.Times())
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
    """The differences of our squares and the peer's: in pixels, and in features of a ViT-B-32 with random weights."""
    with silence():  # about its random weights
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
    """The comparisons on one kind of pictures."""
    cfg = PreprocessCfg(size=224)
    with one_core():
        ways = {"ours": Ours(cfg), "peer": Peer(cfg), "limit": native}
        # the processor's seconds, of all threads: what others do on the machine does not count
        arms = {name: timed(way, time.process_time) for name, way in ways.items()}
        parts = [paths[i : i + TURN] for i in range(0, len(paths), TURN)]
        rates = race_rates(arms, parts, 3 if quick else 5, len(paths), warm=parts[:1])
    more = {"threads": 1, "pictures": len(paths)}
    same = alike(cfg, paths[:16] if quick else paths)
    return [
        Comparison("decode", case, rates["ours"], rates["peer"], {**more, **same}),
        Comparison("decode", f"{case}: decoding alone", rates["limit"], rates["peer"], more),
    ]


def verdict(comparison: Comparison) -> str:
    """A sentence on the target."""
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
                paths = cases[f"pictures of {images.name}"] = find_pictures(images, n if quick else PNGS)
                with silence():
                    check_images(map(str, paths), paths, Path(folder) / "images.parquet")
                continue
            cases[f"made-up {name}, {size[0]} x {size[1]}"] = make_pictures(Path(folder) / name, n, size, ending)
        comparisons = []
        for case, paths in cases.items():
            kb = sum(path.stat().st_size for path in paths) / len(paths) / 1000
            print(f"{case}: {len(paths)} files of {kb:.0f} kB")
            comparisons += compare(case, paths, quick)
    show(comparisons)
    for comparison in comparisons[::2]:
        print(verdict(comparison))
