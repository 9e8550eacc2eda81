"""Fine-tuning on one fold: AdamW, linear warm-up and cosine, a fixed number of epochs, the last (or averaged) weights.

All randomness of an epoch is drawn from (seed, fold, epoch), so that an epoch after a kill is the epoch that would have
been, and a picture's augmentation from its row besides, so that the number of loader processes does not matter.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import torch
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from src import checkpoints, files, machine
from src.backbones import DataConfig
from src.errors import UserError
from src.geometry import VIEWS, normalised
from src.metrics import METRICS
from src.specs import FineTune
from src.store import Squares


@dataclass(frozen=True)
class Fold:
    """What one fold is trained with. Rows are positions in `squares`; only `train` and `targets` reach the weights."""

    name: str  # of the model, for what is printed
    number: int
    spec: FineTune
    squares: Squares
    train: np.ndarray  # (n,) rows
    targets: np.ndarray  # (n,) class of each
    valid: np.ndarray  # (m,) the held-out rows, looked at after each epoch and never chosen by
    valid_targets: np.ndarray
    data_config: DataConfig
    metric: str
    precision: str


class Augmented(TorchDataset):
    """(picture, target) of a fold's training rows in one epoch; the picture (3, size, size) uint8."""

    def __init__(self, fold: Fold, transform: A.Compose, epoch: int):
        self.fold, self.transform, self.epoch = fold, transform, epoch

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        fold = self.fold
        self.transform.set_random_seed(draw(fold.spec.seed, fold.number, self.epoch, i))
        square = self.transform(image=fold.squares[fold.train[i]].copy())["image"]  # it may write into what it gets
        if square.shape != (fold.spec.img_size, fold.spec.img_size, 3):
            raise UserError(
                f"{fold.name}: its augmentations turn {fold.spec.img_size} pixels a side into {square.shape[:2]}"
            )
        return torch.from_numpy(np.ascontiguousarray(square)).permute(2, 0, 1), int(fold.targets[i])


class Plain(TorchDataset):
    def __init__(self, squares: Squares, rows: np.ndarray):
        self.squares, self.rows = squares, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Tensor:
        return torch.from_numpy(self.squares[self.rows[i]].copy()).permute(2, 0, 1)


def draw(*numbers: int) -> int:
    """A random seed that is a function of `numbers`."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def lr_at(step: float, steps: int, warmup: float, peak: float) -> float:
    """Linear from 0 to `peak` over `warmup` steps, then half a cosine to 0 at `steps`."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def to_device(pixels: Tensor, config: DataConfig) -> Tensor:
    """uint8 (n, 3, h, w) -> what the backbone was trained to see, on the device."""
    return normalised(pixels.to(machine.device(), non_blocking=True), config.mean, config.std)


def batches(fold: Fold, transform: A.Compose, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The epoch's shuffled batches, of equal size to within one: a last batch of 1 would break batch norm."""
    order = np.random.default_rng(draw(fold.spec.seed, fold.number, epoch)).permutation(len(fold.train))
    sampler = [batch.tolist() for batch in np.array_split(order, steps_of(fold))]
    loader = DataLoader(
        Augmented(fold, transform, epoch),
        batch_sampler=sampler,
        num_workers=machine.workers(),
        pin_memory=machine.workers() > 0,
    )
    yield from loader


def steps_of(fold: Fold) -> int:
    """Optimizer steps of an epoch."""
    return math.ceil(len(fold.train) / fold.spec.batch_size)


def train_one_epoch(
    fold: Fold,
    model: nn.Module,
    ema: ModelEmaV3 | None,
    optimizer: torch.optim.Optimizer,
    transform: A.Compose,
    epoch: int,
) -> float:
    """Trains in place; returns the mean loss."""
    spec, per_epoch = fold.spec, steps_of(fold)
    torch.manual_seed(draw(spec.seed, fold.number, epoch, len(fold.train)))  # dropout and drop path
    model.train()
    total = torch.zeros((), device=machine.device())
    for i, (pixels, targets) in enumerate(batches(fold, transform, epoch)):
        step = epoch * per_epoch + i
        lr = lr_at(step, spec.epochs * per_epoch, spec.warmup_epochs * per_epoch, spec.lr)
        for group in optimizer.param_groups:
            group["lr"] = lr
        with machine.autocast(fold.precision):
            logits = model(to_device(pixels, fold.data_config))
        targets = targets.to(machine.device(), non_blocking=True)
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=spec.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if spec.clip_grad is not None:
            nn.utils.clip_grad_norm_(model.parameters(), spec.clip_grad)
        optimizer.step()
        if ema is not None:
            ema.update(model, step=step + 1)
        total += loss.detach() * len(targets)
    mean = float(total) / len(fold.train)
    if not math.isfinite(mean):
        raise UserError(
            f"{fold.name} fold {fold.number}: the loss is not finite in epoch {epoch + 1}: lower lr ({spec.lr:g})"
        )
    return mean


@torch.inference_mode()
def predict(model: nn.Module, fold: Fold, rows: np.ndarray, views: tuple[str, ...]) -> np.ndarray:
    """The mean of the views' probabilities: (n, k) float32."""
    model.eval()
    workers = machine.workers()
    loader = DataLoader(Plain(fold.squares, rows), fold.spec.batch_size, num_workers=workers, pin_memory=workers > 0)
    probs = []
    for pixels in loader:
        pixels = to_device(pixels, fold.data_config)
        with machine.autocast(fold.precision):
            logits = [model(VIEWS[view](pixels)).float() for view in views]
        probs.append(torch.stack([one.softmax(dim=1) for one in logits]).mean(dim=0).cpu())
    return torch.cat(probs).numpy()


def train_fold(
    fold: Fold, create: Callable[[bool], nn.Module], transform: A.Compose, running: Path, key: dict[str, Any]
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Trains one fold, going on from the last finished epoch in `running` if that is of the same key.

    Args:
        create: Makes the backbone, with its pretrained weights if its argument is true.
        running: The checkpoint of the last finished epoch, replaced after each.

    Returns:
        The model that predicts, and the history: a row an epoch.
    """
    spec, per_epoch = fold.spec, steps_of(fold)
    print(f"{fold.name} fold {fold.number}  train {len(fold.train)}  valid {len(fold.valid)}")
    before = checkpoints.about(running)
    resumed = before is not None and before["key"] == key
    if before is not None and not resumed:
        print(f"{fold.name} fold {fold.number}  starts anew: {files.changed(before['key'], key)}")
    model = create(not resumed).to(machine.device())
    ema = ModelEmaV3(model, decay=spec.ema_decay, use_warmup=True) if spec.ema_decay is not None else None
    optimizer = create_optimizer_v2(model, "adamw", lr=spec.lr, weight_decay=spec.weight_decay)
    history = []
    if resumed:
        restore(checkpoints.load(running), model, ema, optimizer)
        history = before["history"]
        print(f"{fold.name} fold {fold.number}  goes on after epoch {len(history)}")
    predictor = ema.module if ema is not None else model
    for epoch in range(len(history), spec.epochs):
        start = time.perf_counter()
        loss = train_one_epoch(fold, model, ema, optimizer, transform, epoch)
        trained = time.perf_counter() - start
        probs = predict(predictor, fold, fold.valid, ("identity",))
        seconds = time.perf_counter() - start
        row = {
            "fold": fold.number,
            "epoch": epoch + 1,
            "step": (epoch + 1) * per_epoch,
            "lr": optimizer.param_groups[0]["lr"],
            "loss": loss,
            f"valid_{fold.metric}": METRICS[fold.metric].score(fold.valid_targets, probs)[0],
            "valid_log_loss": METRICS["log_loss"].score(fold.valid_targets, probs)[0],
            "images_per_second": round(len(fold.train) / trained, 1),
            "seconds": round(seconds, 3),
        }
        history.append(row)
        print(
            f"epoch {epoch + 1:3d}/{spec.epochs}  step {row['step']:5d}  lr {row['lr']:.1e}  loss {loss:.4f}  "
            f"valid {fold.metric} {row[f'valid_{fold.metric}']:.4f}  log loss {row['valid_log_loss']:.4f}  "
            f"{row['images_per_second']:.0f} images/s  {seconds:.1f}s"
        )
        checkpoints.save(running, state(model, ema, optimizer), {"key": key, "history": history})
    return predictor, history


def state(model: nn.Module, ema: ModelEmaV3 | None, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything that training goes on from, as named tensors."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if ema is not None:
        tensors |= {f"ema.{name}": tensor for name, tensor in ema.module.state_dict().items()}
    for i, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": tensor for name, tensor in moments.items()}
    return tensors


def restore(
    tensors: dict[str, Tensor], model: nn.Module, ema: ModelEmaV3 | None, optimizer: torch.optim.Optimizer
) -> None:
    """The inverse of `state`, in place."""
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    model.load_state_dict(parts["model"])
    if ema is not None:
        ema.module.load_state_dict(parts["ema"])
    whole = copy.copy(optimizer.state_dict())
    whole["state"] = {}
    for name, tensor in parts["optimizer"].items():
        i, _, moment = name.partition(".")
        whole["state"].setdefault(int(i), {})[moment] = tensor
    optimizer.load_state_dict(whole)
