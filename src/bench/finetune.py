"""An epoch of fine-tuning, beside the same model on tensors in memory and the loop that people write by hand.

For each case, in turns: steps on synthetic tensors that lie on the device, normalised: nothing that reads pictures can
beat them; an epoch of ours (models/finetune/training.py) with the decoded store there; and a DataLoader that opens each
picture by Pillow and resizes, augments and normalises it by albumentations. Model, batch, precision and optimizer are
the same.
"""

import copy
import tempfile
from pathlib import Path
from statistics import median

import albumentations as A
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from src.base import machine, threads
from src.bench.compare import SEED, Comparison, find_pictures, make_pictures, race_rates, rows_of, show, silence, timed
from src.bench.limits import flops, matrix_rate
from src.data.decoded import Squares, Store
from src.models.finetune import augment
from src.models.finetune.batches import Batches, Fold
from src.models.finetune.training import Training
from src.networks import classifiers
from src.networks.inference import Tower
from src.networks.predictor import LAYOUT, to_device
from src.schema.competition import Competition
from src.schema.models import Augment, FineTune

ROUNDS, QUICK_ROUNDS = 7, 3
CLASSES = 4
MADE_UP = Competition.model_construct(classes=tuple("abcd"))
SHIFTS = (Augment("HorizontalFlip", p=0.5), Augment("Affine", rotate=(-10, 10), scale=(0.9, 1.1), p=0.9))


def cases(quick: bool) -> dict[str, tuple[FineTune, int]]:
    """{name: (recipe, pictures)}: seconds for an epoch."""
    common = {"pretrained": False, "epochs": 1000, "lr": 1e-5, "warmup_epochs": 0.0}
    if machine.device().type == "cpu":
        tiny = FineTune(backbone="test_convnext", img_size=32, batch_size=64, **common)
        n = 128 if quick else 2000
        return {"tiny, flips": (tiny, n), "tiny, flips and shifts": (tiny.model_copy(update={"augment": SHIFTS}), n)}
    base = FineTune(backbone="convnext_base", img_size=224, augment=SHIFTS, **common)
    n = 1024 if quick else 17_801
    return {f"ConvNeXt-base, batch {size}": (base.model_copy(update={"batch_size": size}), n) for size in (64, 256)}


def make_fold(spec: FineTune, paths: list[Path], folder: Path) -> Fold:
    """All pictures to train on, none held out; labels are made up."""
    with silence():
        rows = rows_of(paths, folder)
        geometry = classifiers.geometry(spec)
        pictures = Store(folder / "store", rows, geometry.size, 1 << 50).pictures(rows)
    data_config, every = classifiers.data_config(spec), np.arange(len(rows))
    return Fold(
        competition=MADE_UP, title="bench", number=0, seed=0, spec=spec, squares=Squares(pictures, geometry),
        ids=rows.ids, train=every, targets=every % CLASSES, valid=every[:0], valid_targets=every[:0],
        data_config=data_config, precision=machine.precision(spec.precision),
    )  # fmt: skip


class Ours:
    """Epochs of one training that continues; its loader's workers live as long as it."""

    def __init__(self, fold: Fold, model: nn.Module):
        self.training, self.batches = Training(fold, model), Batches(fold, augment.compose(fold.spec.augment))
        self.training.set_mode()

    def epoch(self, _) -> None:
        for pixels, targets in self.batches.of(self.training.epoch):
            self.training.train_step(pixels, targets)
        self.training.epoch, self.training.step = self.training.epoch + 1, 0


class ByHand(torch.utils.data.Dataset):
    """A dataset as one writes it: Pillow and albumentations, a float tensor."""

    def __init__(self, paths: list[Path], spec: FineTune):
        side, config = classifiers.size(spec), classifiers.data_config(spec)
        transforms = [A.Resize(side, side), *(augment.make(one) for one in spec.augment)]
        self.paths = paths
        self.transform = A.Compose([*transforms, A.Normalize(config.mean, config.std), A.ToTensorV2()])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        pixels = np.asarray(Image.open(self.paths[i]).convert("RGB"))
        return self.transform(image=pixels)["image"], i % CLASSES


class Peers:
    """The plain step, on tensors that are there or from a plain loader."""

    def __init__(self, fold: Fold, model: nn.Module, paths: list[Path]):
        self.fold, spec, gpu = fold, fold.spec, machine.device().type == "cuda"
        self.sizes = [len(part) for part in np.array_split(fold.train, fold.steps)]
        self.model = to_device(model).train()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=spec.lr, weight_decay=spec.weight_decay, fused=True)
        side = classifiers.size(spec)
        self.pixels = torch.randn(spec.batch_size, 3, side, side).to(machine.device(), memory_format=LAYOUT)
        self.targets = torch.arange(spec.batch_size, device=machine.device()) % CLASSES
        workers = threads.cores() if gpu else 0
        self.loader = DataLoader(
            ByHand(paths, spec), spec.batch_size, shuffle=True, num_workers=workers, pin_memory=gpu,
            persistent_workers=workers > 0, drop_last=False,
        )  # fmt: skip

    def step(self, pixels: Tensor, targets: Tensor) -> None:
        with machine.autocast(self.fold.precision):
            logits = self.model(pixels)
        F.cross_entropy(logits.float(), targets).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.fold.spec.clip_grad)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def alone(self, _) -> None:
        """As many images as an epoch has, in batches of the same sizes."""
        for n in self.sizes:
            self.step(self.pixels[:n], self.targets[:n])

    def by_hand(self, _) -> None:
        for pixels, targets in self.loader:
            pixels = pixels.to(machine.device(), non_blocking=True, memory_format=LAYOUT)
            self.step(pixels, targets.to(machine.device(), non_blocking=True))


def compare(name: str, spec: FineTune, paths: list[Path], folder: Path, rounds: int) -> list[Comparison]:
    folder.mkdir()
    fold = make_fold(spec, paths, folder)
    paths = [Path(id) for id in fold.ids]
    models = [classifiers.create(spec, CLASSES, 0, False)]
    models.append(copy.deepcopy(models[0]))
    ours, peers = Ours(fold, models[0]), Peers(fold, models[1], paths)
    arms = {"alone": timed(peers.alone), "ours": timed(ours.epoch), "by hand": timed(peers.by_hand)}
    rates = race_rates(arms, [None], rounds, len(paths), warm=[None])
    more = {"pictures": len(paths), "batch": spec.batch_size, "precision": fold.precision}
    if machine.device().type == "cuda":
        config = classifiers.data_config(spec)
        work = 3 * flops(Tower(models[1], classifiers.geometry(spec), config.mean, config.std))  # backward: 2 forward
        more["bf16_share"] = round(median(rates["ours"]) * work / matrix_rate(), 4)
    case, by_hand = f"{name}: an epoch", "DataLoader, Pillow, albumentations"
    return [
        Comparison("finetune", f"{case} | steps on tensors in memory", rates["ours"], rates["alone"], more),
        Comparison("finetune", f"{case} | {by_hand}", rates["ours"], rates["by hand"]),
    ]


def run(quick: bool = False, images: Path | None = None) -> None:
    every, comparisons = cases(quick), []
    with tempfile.TemporaryDirectory() as name:
        folder, most = Path(name), max(n for _, n in every.values())
        paths = find_pictures(images, most) if images else make_pictures(folder / "pictures", most, SEED, ".png")
        for i, (case, (spec, n)) in enumerate(every.items()):
            rounds = QUICK_ROUNDS if quick else ROUNDS
            comparisons += compare(case, spec, paths[:n], folder / str(i), rounds)
    show(comparisons)
