"""The common parts of the benchmarks: pictures, arms that take turns, and the printed comparisons."""

import contextlib
import io
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from src.base import machine, threads
from src.base.errors import UserError
from src.data import images
from src.data.record import check_images
from src.data.rows import Rows

T = TypeVar("T")
SEED = (130, 140)  # width and height of made-up pictures


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
        """The comparison as JSON, with torch's present number of threads."""
        device = torch.cuda.get_device_name() if machine.device().type == "cuda" else "cpu"
        low, middle, high = (round(statistic(self.ratios), 4) for statistic in (min, median, max))
        rates = {"ours": round(median(self.ours), 2), "peer": round(median(self.peer), 2)}
        where = {"device": device, "torch": torch.__version__, "threads": torch.get_num_threads()}
        ratios = {"ratio": middle, "ratio_min": low, "ratio_max": high}
        return json.dumps({"bench": self.bench, "case": self.case, **rates, **ratios, **where, **self.more})


def show(comparisons: Sequence[Comparison]) -> None:
    """Print the table, and a line of JSON for each of its rows."""
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


def race_rates(
    arms: dict[str, Callable[[T], float]], parts: Sequence[T], rounds: int, n: int, warm: Sequence[T]
) -> dict[str, list[float]]:
    """{arm: its images/s in each round}, of a race over n images after a round on the parts `warm`."""
    race(arms, warm, 1)
    return {name: [n / spent for spent in seconds] for name, seconds in race(arms, parts, rounds).items()}


def timed(function: Callable[[T], Any], clock: Callable[[], float] = time.perf_counter) -> Callable[[T], float]:
    """The function, returning the seconds that it took, on a GPU too."""

    def run(part: T) -> float:
        start = clock()
        function(part)
        synchronise()
        return clock() - start

    return run


def synchronise() -> None:
    if machine.device().type == "cuda":
        torch.cuda.synchronize()


def silence() -> contextlib.AbstractContextManager:
    return contextlib.redirect_stdout(io.StringIO())


def find_pictures(folder: Path, most: int) -> list[Path]:
    """Up to `most` pictures of a folder and the folders in it, by name."""
    paths = (path for path in sorted(folder.rglob("*")) if images.is_picture(path.name))
    if not (some := list(islice(paths, most))):
        raise UserError(f"--images: {folder} has no picture that ends in {', '.join(images.ENDINGS)}")
    return some


def rows_of(paths: list[Path], folder: Path) -> Rows:
    """Rows of the pictures that differ, since equal ones are encoded once."""
    names = [path.as_posix() for path in paths]
    record = check_images(names, paths, folder / "images.parquet")
    rows = Rows(names, paths, record["sha256"], record[["width", "height"]].to_numpy())
    distinct = rows.distinct()
    if len(distinct) < 2:
        raise UserError("--images: at least 2 pictures that differ are needed")
    return distinct


def make_pictures(folder: Path, n: int, size: tuple[int, int], ending: str) -> list[Path]:
    """n pictures that a codec takes for photographs, in a new `folder`; size is (width, height)."""
    folder.mkdir()
    paths = [folder / f"{i:05d}{ending}" for i in range(n)]
    options = {"quality": 90, "subsampling": "4:2:0"} if ending == ".jpg" else {}
    with ThreadPoolExecutor(threads.cores()) as pool:
        list(pool.map(lambda i: photograph(i, size).save(paths[i], **options), range(n)))
    return paths


def photograph(seed: int, size: tuple[int, int]) -> Image.Image:
    """Light and a little colour, falling with frequency f as 1/f^1.2 as in nature, patches of texture, and noise."""
    width, height = size
    rng = np.random.default_rng(seed)
    grey = noise(rng, size, 1.2)
    texture = noise(rng, size, 0.4) * np.clip(noise(rng, size, 2.0), 0, 2)
    colour = np.stack([noise(rng, size, 1.6) for _ in range(3)], axis=-1)
    light = 120 + 45 * grey[..., None] + 7 * texture[..., None] + 14 * colour
    return Image.fromarray(np.clip(light + rng.normal(0, 2, (height, width, 3)), 0, 255).astype(np.uint8))


def noise(rng: np.random.Generator, size: tuple[int, int], slope: float) -> np.ndarray:
    """(height, width) of variance 1 whose amplitude falls with frequency f as f^-slope."""
    width, height = size
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    f[0, 0] = np.inf
    pixels = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) * f**-slope, (height, width))
    return pixels / pixels.std()
