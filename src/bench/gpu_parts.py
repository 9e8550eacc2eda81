"""The parts of `bench gpu`, each a function that returns its figures: {what, with its unit: number}."""

import copy
import math
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from src.base import files, machine, threads
from src.bench.compare import photograph, race_rates, rows_of, silence, synchronise, timed
from src.bench.gpu import PARTS, SCRATCH, where
from src.bench.limits import flops, matrix_rate
from src.data.decoded import Decoded
from src.data.geometry import Geometry

JPEG, N, QUICK_JPEG, QUICK_N = (500, 375), 8192, (100, 75), 10  # width and height; how many
SHIFTS = 8  # to make a photograph up takes some 30 times as long as to save it
TRAIN_N, EPOCHS, ROUNDS = 4096, 4, 2
OURS = ("decoded before", "from files")  # two ways of an encoding of ours


def scratch(folder: Path) -> Path:
    """The folder of what is not kept, made."""
    (folder / SCRATCH).mkdir(exist_ok=True)
    return folder / SCRATCH


def pictures(folder: Path, quick: bool) -> list[Path]:
    """The made-up JPEGs, made once for all parts: photographs, each in SHIFTS files with its pixels shifted."""
    size, n = (QUICK_JPEG, QUICK_N) if quick else (JPEG, N)
    place = scratch(folder) / f"pictures-{n}-{size[0]}x{size[1]}"
    if place.is_dir():
        return sorted(place.iterdir())

    def save(number: int) -> None:
        pixels = np.asarray(photograph(number, size))
        for i in range(number * SHIFTS, min(n, (number + 1) * SHIFTS)):
            shifted = Image.fromarray(np.roll(pixels, i % SHIFTS * size[0] // SHIFTS, axis=1))
            shifted.save(made / f"{i:05d}.jpg", quality=90, subsampling="4:2:0")

    with files.replacing_folder(place) as made, ThreadPoolExecutor(threads.cores()) as pool:
        list(pool.map(save, range(math.ceil(n / SHIFTS))))
    return sorted(place.iterdir())


def matrix(folder: Path, quick: bool) -> dict[str, float]:
    """The device's rate, of which networks are a share."""
    return {"bfloat16 matrix products, TFLOP/s": matrix_rate(128 if quick else 8192) / 1e12}


def decode(folder: Path, quick: bool) -> dict[str, float]:
    """From files to squares of 224 pixels."""
    decoded, geometry = Decoded(pictures(folder, quick)), Geometry(224, 224)
    with silence():
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in threads.parallel(lambda i: geometry.square(decoded[i]), range(len(decoded.paths)), "decoding"):
            pass
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    n = len(decoded.paths)
    return {"JPEG to 224 pixels, images/s of all cores": n / wall, "images a second of one core's time": n / cpu}


def encode(folder: Path, quick: bool, clip: str, n: int) -> dict[str, float]:
    """A CLIP's features: of ours, of the image tower alone, and of open_clip's own loop."""
    from src.bench import features, peers
    from src.networks import clip as clips
    from src.networks.inference import Tower
    from src.schema.networks import Encoder

    spec = Encoder(clip=features.TINY if quick else clip)
    with tempfile.TemporaryDirectory(dir=scratch(folder)) as temporary:
        with silence():
            rows = rows_of(pictures(folder, quick)[:n], Path(temporary))
            model, cfg = clips.load(spec).model, clips.preprocessing(spec)
        tower = Tower(model.encode_image, clips.geometry(spec), tuple(cfg.mean), tuple(cfg.std))
        work, plain = flops(tower), copy.deepcopy(model)  # first: ours casts its model's weights
        batch, _ = features.find_batch(tower, spec, len(rows))
        ours = features.Ours(tower, spec, rows, batch, Path(temporary) / "ours")
        others = peers.Peers(plain, spec, len(rows), batch)
        workers = 0 if quick else threads.cores()
        arms = {"model alone": timed(others.alone), **dict(zip(OURS, (ours.stored, ours.decoded), strict=True))}
        arms["open_clip's transform and DataLoader"] = partial(others.readme, workers=workers)
        rates = race_rates(arms, [rows], ROUNDS, len(rows), warm=[rows.take(slice(0, 2 * batch))])
    share = work / matrix_rate(128 if quick else 8192)
    shares = {f"{arm}, share of the matrix rate": median(rates[arm]) * share for arm in OURS}
    return {"images a batch": batch, **compared(rates, OURS), **shares}


def compared(rates: dict[str, list[float]], ours: tuple[str, ...]) -> dict[str, float]:
    """The median rate of each arm (images/s of each round), and that of ours as a multiple of the others'."""
    middle = {arm: median(values) for arm, values in rates.items()}
    ratios = {f"{arm} / {other}": middle[arm] / middle[other] for arm in ours for other in middle if other not in ours}
    return {f"{arm}, images/s": rate for arm, rate in middle.items()} | ratios


def recipe(quick: bool, batch: int, **changes):
    """A ConvNeXt with shifts and flips; the rates are those of any lr."""
    from src.bench.finetune import SHIFTS
    from src.schema.models import FineTune

    network = {"backbone": "test_convnext", "img_size": 32} if quick else {"backbone": "convnext_base", "img_size": 224}
    common = {"pretrained": False, "epochs": EPOCHS, "lr": 1e-5, "warmup_epochs": 0.0, "augment": SHIFTS}
    return FineTune(**network, **common, batch_size=8 if quick else batch, **changes)


def train(folder: Path, quick: bool, batch: int) -> dict[str, float]:
    """Epochs: of ours, of steps on tensors that are there, and of a plain loop."""
    from src.bench import finetune

    with tempfile.TemporaryDirectory(dir=scratch(folder)) as temporary:
        paths = pictures(folder, quick)[:TRAIN_N]
        against = finetune.compare("", recipe(quick, batch), paths, Path(temporary) / "files", ROUNDS)
    rates = {"ours": against[0].ours, "tensors in memory": against[0].peer, "plain loop": against[1].peer}
    figures, share = compared(rates, ("ours",)), against[0].more.get("bf16_share")  # of a CPU there is none
    return figures | ({"ours, share of the matrix rate": share} if share else {})


def overheads(folder: Path, quick: bool) -> dict[str, float]:
    """What the average of weights, validation and checkpoints take beside the steps, with a fifth held out."""
    from src.bench import finetune
    from src.models.finetune import augment
    from src.models.finetune.resume import Running
    from src.models.finetune.training import Training, train_fold
    from src.networks import classifiers

    spec = recipe(quick, 64, ema_decay=0.998)
    with tempfile.TemporaryDirectory(dir=scratch(folder)) as name, silence():
        whole = finetune.make_fold(spec, pictures(folder, quick)[:TRAIN_N], Path(name))
        held = np.arange(len(whole.train)) % 5 == 0
        parts = {"train": whole.train[~held], "targets": whole.targets[~held]}
        fold = replace(whole, **parts, valid=whole.train[held], valid_targets=whole.targets[held])
        stamps, last = [], []

        def looked(training: Training, probs: np.ndarray) -> dict:
            stamps.append(time.perf_counter())
            last[:] = [training]
            return {}

        running = Running(Path(name) / "fold0.safetensors", {})
        create = partial(classifiers.create, spec, finetune.CLASSES, 0)
        _, history = train_fold(fold, lambda _: create(False), augment.compose(spec.augment), running, looked)
        synchronise()
        start = time.perf_counter()
        running.save(last[0].state(), last[0].about())
        saving, gigabytes = time.perf_counter() - start, running.paths()[-1].stat().st_size / 1e9
        plain = replace(fold, spec=spec.model_copy(update={"ema_decay": None}))
        arms = {"averaged": one_step(fold, create(False)), "plain": one_step(plain, create(False))}
        steps = [None] * (2 if quick else 20)
        rates = race_rates(arms, steps, ROUNDS, len(steps) * spec.batch_size, warm=steps[:3])
    wall, rest = stamps[-1] - stamps[0], history[1:]  # from the end of the first epoch on
    training = sum(len(fold.train) / row["images_per_second"] for row in rest)
    epochs = sum(row["seconds"] for row in rest)
    return {
        "an average of weights, share of a step": 1 - median(rates["averaged"]) / median(rates["plain"]),
        # what an epoch says of itself is rounded, and sums of it may pass the whole
        "validation on a fifth, share of all time": min(max(0.0, epochs - training) / wall, 1.0),
        "between epochs (checkpoints, loader), share": max(0.0, 1 - epochs / wall),
        "waiting for pictures, share of the steps": float(np.mean([row["waited"] for row in rest])),
        "a whole checkpoint at once, seconds": saving,
        "its size, GB": gigabytes,
    }


def one_step(fold, model):
    """A step of training on one batch that is there, timed."""
    from src.models.finetune.training import Training

    training = Training(fold, model)
    training.set_mode()
    side = fold.squares.geometry.size
    pixels = torch.zeros((fold.spec.batch_size, 3, side, side), dtype=torch.uint8, device=machine.device())
    targets = torch.zeros(len(pixels), dtype=torch.int64, device=machine.device())

    def step(_) -> None:
        training.step = 0
        training.train_step(pixels, targets)

    return timed(step)


def probe(folder: Path, quick: bool) -> dict[str, float]:
    """The sweep of a linear probe on this machine's device and on its CPU."""
    from src.bench import probe as bench

    small, case = bench.QUICK["quick"], bench.QUICK["quick"] if quick else bench.CASES["10 classes"]
    data, figures, fits = bench.make_data(case), {}, bench.FOLDS * len(case.cs)
    for device in dict.fromkeys((machine.device().type, "cpu")):
        bench.ours(small, *bench.make_data(small), bench.EXACT, device)  # kernels and libraries are loaded
        seconds, solution = bench.ours(case, *data, bench.EXACT, device)
        what = f"{case.n} x {case.d}, {case.k} classes, {fits} fits on {device}"
        figures |= {f"{what}, seconds": seconds, f"fits on {device} that converged": int(solution.converged.sum())}
    return figures


def end_with(parent: int) -> None:
    """End this process when the one that started it is gone: it would write beside the next call's."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main(name: str, folder: Path, quick: bool) -> None:
    """Measure a part and write its figures, with the most memory of the GPU that its tensors took."""
    part, start = PARTS[name], time.perf_counter()
    figures = globals()[part.measure](folder, quick, **part.options)
    figures["all of the part, seconds"] = time.perf_counter() - start
    if machine.device().type == "cuda":
        figures["most GPU memory, GB"] = torch.cuda.max_memory_allocated() / 1e9
    files.write_json(folder / f"{name}.json", {"where": where(quick), "figures": figures})


if __name__ == "__main__":
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:] == ["quick"])
