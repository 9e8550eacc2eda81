"""Fine-tuning on one fold: AdamW, linear warm-up and cosine, a fixed number of epochs, the last (or averaged) weights.

A run that was stopped between any two steps ends with the very weights of an undisturbed one (on one CPU).
"""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import albumentations as A
import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from src.base import machine
from src.base.interrupts import StopRequest, deferred_signals
from src.base.machine import AdaptiveBatch
from src.base.progress import track
from src.data.geometry import normalised
from src.models.finetune import losses, optimizer, resident
from src.models.finetune.batches import Batches, Fold, draw, order
from src.models.finetune.optimizer import RunningAverages
from src.models.finetune.resident import Resident
from src.models.finetune.resume import Checkpointer, Running
from src.models.finetune.waiting import timed, waiting
from src.models.gathering import gathered
from src.models.links import link
from src.networks.classifiers import freeze, head_of
from src.networks.predictor import LAYOUT, Predictor, to_device
from src.scoring import label_noise
from src.scoring.tables import Table
from src.units.pace import Pace
from src.units.unit import WholeFailed

CHECK = 50  # steps between two looks at the losses on a GPU, which has to be waited for then


class NotFinite(WholeFailed):
    """A loss was not finite: with another lr, or other rows, every fold is retrained."""


class Training:
    """A fold in training: the model, its moving average, its optimizer, and how far they are."""

    def __init__(self, fold: Fold, model: nn.Module, looked: "EpochHook | None" = None, behind: float = 0.0):
        spec, device = fold.spec, machine.device()
        torch.backends.cudnn.benchmark = device.type == "cuda"  # an epoch's batches have two sizes at most
        self.fold, self.looked = fold, looked
        self.model = to_device(model)
        self.forward = torch.compile(self.model) if spec.compile else self.model
        self.ema = ModelEmaV3(model, decay=spec.ema_decay, use_warmup=True) if spec.ema_decay is not None else None
        self.optimizer, self.averages = optimizer.create(spec, self.model), RunningAverages(self.model)
        # float16 has no small gradients: they are scaled, and a step whose scaled ones overflow is left out
        self.scaler = torch.amp.GradScaler(device.type, enabled=fold.precision == "float16")
        self.loss = losses.loss_of(fold, device)
        self.micro = AdaptiveBatch(fold.title, min(spec.micro_batch or spec.batch_size, len(fold.train)))
        self.schedule = partial(
            optimizer.lr_at, steps=spec.epochs * fold.steps, warmup=spec.warmup_epochs * fold.steps, peak=spec.lr
        )
        self.epoch = self.step = 0  # of the epoch
        self.pace, self.is_late = Pace(spec.epochs * fold.steps * (1 + behind)), False
        self.losses = torch.zeros(fold.steps, device=device)  # of the epoch's steps
        self.history: list[dict[str, Any]] = []
        self.seconds = {"train": 0.0, "wait": 0.0}  # of the epoch, up to the last checkpoint

    @property
    def predictor(self) -> nn.Module:
        return self.ema.module if self.ema is not None else self.model

    @property
    def done(self) -> int:
        """Steps."""
        return self.epoch * self.fold.steps + self.step

    @property
    def position(self) -> str:
        return f"epoch {self.epoch}" + (f" and {self.step} steps" if self.step else "")

    def set_lr(self) -> None:
        self.lr = self.schedule(self.done)
        optimizer.set_lr(self.optimizer, self.lr)

    def set_mode(self) -> None:
        """Ready to train; in the first epochs only the head, and the rest stays as it is, norms' averages included.

        So do the first layers where these are frozen.
        """
        head_only, head = self.epoch < self.fold.spec.head_epochs, head_of(self.model)
        self.model.train(not head_only)
        head.train()
        self.model.requires_grad_(not head_only)
        head.requires_grad_(True)
        freeze(self.model, self.fold.spec.frozen_groups)

    def train_step(self, pixels: Tensor, targets: Tensor) -> None:
        """One step of the optimizer: uint8 (n, 3, size, size), and (n,) or (n, k), from the loader."""
        fold, device = self.fold, machine.device()
        self.set_lr()
        self.losses[self.step] = self.gradients(pixels, targets)
        if fold.spec.clip_grad is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), fold.spec.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.ema is not None:
            self.ema.update(self.model, step=self.done)
        if self.step == fold.steps or device.type == "cpu" or self.step % CHECK == 0:
            self.check()
            self.is_late = self.pace.is_too_slow(self.done)

    def gradients(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """Compute those of the batch's mean loss, which is returned; in smaller parts where memory is too small."""
        where = f" in epoch {self.epoch + 1}, step {self.step + 1}, with a batch of {len(pixels)}"
        self.averages.keep()

        def attempt(micro: int) -> Tensor:
            try:
                with machine.full_float32():  # gradients too, which autocast is not for
                    return self.backward(*self.inputs(pixels, targets), micro)
            except RuntimeError as error:
                self.averages.restore()
                if self.fold.spec.compile and not machine.is_out_of_memory(error) and machine.is_of_compiler(error):
                    raise machine.cannot_compile(self.fold.title, error) from error
                raise

        return self.micro.run(attempt, where)

    def inputs(self, pixels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loader's batch on the device, normalised and mixed; the room for what the optimizer keeps is there."""
        fold, device = self.fold, machine.device()
        self.optimizer.zero_grad(set_to_none=True)  # what an attempt without enough memory has left
        optimizer.allocate_moments(self.optimizer)
        machine.seed(draw(fold.seed, fold.number, self.epoch, self.step, 0))
        pixels, targets = pixels.to(device, non_blocking=True), targets.to(device, non_blocking=True)
        pixels = normalised(pixels, fold.data_config.mean, fold.data_config.std, LAYOUT)
        return losses.mixed(pixels, targets, fold.spec, fold.k)

    def backward(self, pixels: Tensor, targets: Tensor, micro: int) -> Tensor:
        """Compute the gradients with `micro` images at a time, of what `inputs` returns."""
        machine.seed(draw(self.fold.seed, self.fold.number, self.epoch, self.step, 1))  # dropout, drop path
        n, total = len(pixels), torch.zeros((), device=pixels.device)
        parts = math.ceil(n / micro)
        for some, wanted in zip(pixels.tensor_split(parts), targets.tensor_split(parts), strict=True):
            with machine.autocast(self.fold.precision):
                logits = self.forward(some)
            loss = self.loss(logits.float(), wanted)
            self.scaler.scale(loss / n).backward()
            total += loss.detach() / n
        return total

    def check(self) -> None:
        """Raises NotFinite: A loss of the epoch was not finite."""
        bad = (~torch.isfinite(self.losses[: self.step])).nonzero()
        if len(bad):
            fold, step = self.fold, int(bad[0])
            batch = order(fold, self.epoch)[step]
            ids = ", ".join(fold.ids[fold.train[position]] for position in batch)
            lr = self.schedule(self.epoch * fold.steps + step)
            raise NotFinite(
                f"{fold.title}: the loss is not finite in epoch {self.epoch + 1}, step {step + 1} of {fold.steps}, "
                f"at lr {lr:.2g}: lower lr ({fold.spec.lr:g}), or look at the images of its batch (ids {ids})"
            )

    def state(self) -> dict[str, Tensor]:
        """Everything that training resumes from, as named tensors."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.ema is not None:
            tensors |= {f"ema.{name}": tensor for name, tensor in self.ema.module.state_dict().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in optimizer.state(self.optimizer).items()}
        return {**tensors, "losses.epoch": self.losses}

    def about(self) -> dict[str, Any]:
        position = {"epoch": self.epoch, "step": self.step, "micro_batch": self.micro.size}
        scaler = self.scaler.state_dict()  # empty where it does nothing
        return {**position, "scaler": scaler, "seconds": self.seconds, "history": self.history}

    def save(self, checkpointer: Checkpointer) -> None:
        """Save state. Raises NotFinite: A loss of the epoch was not finite; that is not saved."""
        self.check()
        checkpointer.save(self.state(), self.about())

    def restore(self, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
        """The inverse of `state` and `about`."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "optimizer": {}, "losses": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self.model.load_state_dict(parts["model"])
        if self.ema is not None:
            self.ema.module.load_state_dict(parts["ema"])
        optimizer.restore(self.optimizer, parts["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(about["scaler"])
        self.losses.copy_(parts["losses"]["epoch"])
        self.epoch, self.step, self.micro.size = about["epoch"], about["step"], about["micro_batch"]
        self.seconds, self.history = about["seconds"], about["history"]

    def end_epoch(self) -> dict[str, Any]:
        """The epoch's row of the history, which is printed."""
        fold, competition, start = self.fold, self.fold.competition, time.perf_counter()
        target = competition.target
        probs = predict(self.predictor, fold, fold.valid, ("identity",), self.micro.size)
        n = sum(map(len, order(fold, self.epoch)))
        row = {
            "fold": fold.number,
            "seed": fold.seed,
            "epoch": self.epoch + 1,
            "step": (self.epoch + 1) * fold.steps,
            "lr": self.lr,
            "loss": float(self.losses.double().mean()),
            f"valid_{competition.metric}": competition.scorer.value(fold.valid_targets, probs),
            "valid_log_loss": float(target.loss(fold.valid_targets, probs).mean()),  # squared error of numbers
            "images_per_second": round(n / self.seconds["train"], 1),
            "waited": round(self.seconds["wait"] / self.seconds["train"], 3),  # the model, for pictures: a share
            "micro_batch": self.micro.size,
            "seconds": round(self.seconds["train"] + time.perf_counter() - start, 3),
            **fold.noise,
            **(self.looked(self, probs) if self.looked else {}),
        }
        # beside workers the model need not wait; without them the two take turns
        limit = "data" if row["waited"] > (0.1 if machine.workers() else 0.5) else "model"
        lost = "" if competition.is_scored_by_loss else f"  {target.loss_title} {row['valid_log_loss']:.4f}"
        print(
            f"epoch {row['epoch']:3d}/{fold.spec.epochs}  step {row['step']:5d}  lr {self.lr:.1e}  "
            f"loss {row['loss']:.4f}  valid {competition.metric} {row[f'valid_{competition.metric}']:.4f}{lost}  "
            f"{row['images_per_second']:.0f} images/s (the {limit} is the limit, {row['waited']:.0%} waited for data)  "
            f"{row['seconds']:.1f}s"
        )
        return row


# A caller's addition to an epoch's row, by the training and the held-out rows' predictions (n, k)
EpochHook = Callable[[Training, np.ndarray], dict[str, Any]]


def predict(model: nn.Module, fold: Fold, rows: np.ndarray, views: tuple[str, ...], batch_size: int) -> Table:
    """The mean of the views' predictions: (n, k) float32; in smaller parts where memory is too small."""
    data, geometry = fold.data_config, fold.squares.geometry
    of_outputs = link(fold.competition).predict_tensor
    network = Predictor(fold.title, model, of_outputs, geometry, data.mean, data.std, fold.precision, views, batch_size)
    return gathered(network.batches(fold.squares.pictures, rows), len(rows), fold.competition.target)


def train_fold(
    fold: Fold,
    create: Callable[[bool], nn.Module],
    transform: A.Compose,
    running: Running,
    looked: EpochHook | None = None,
    behind: float = 0.0,
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Train one fold, resuming from the checkpoint that `running` has.

    Args:
        create: Makes the network, with its pretrained weights if its argument is true.
        looked: Called at the end of each epoch, before its checkpoint is written: see `EpochHook`.
        behind: The time that the run takes afterwards, as a share of its training.

    Returns:
        The model that predicts, and the history: a row an epoch.

    Raises:
        UserError: A loss was not finite (NotFinite), the loader died, the GPU lacks the memory for one image, or the
            disk has no room for a checkpoint; or it would end too late (OutOfTime), after the state was saved.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the state was saved.
    """
    spec = fold.spec
    print(f"{fold.title}  train {len(fold.train)}  valid {len(fold.valid)}")
    if spec.label_noise != "keep":
        print(f"{fold.title}  {label_noise.drop_message(fold.dropped, len(fold.train) + fold.dropped)}")
    if spec.batch_size > len(fold.train):
        print(f"{fold.title}  batch_size {spec.batch_size} is more than all its rows: one batch of {len(fold.train)}")
    before = running.latest(fold.title)
    training = Training(fold, create(before is None), looked, behind)
    if before is not None:
        training.restore(*before)
        print(f"{fold.title}  resuming after {training.position}")
    batches = resident.batches(fold, transform)
    with deferred_signals() as stop, ThreadPoolExecutor(1) as pool:
        checkpointer = Checkpointer(running, pool)
        if training.epoch < spec.epochs:  # before signals are raised: see `waiting`
            batches.prepare(training.epoch, training.step)
        while training.epoch < spec.epochs:
            train_epoch(training, batches, checkpointer, stop)
        checkpointer.wait()
        stop.raise_if_set()
    return training.predictor, training.history


def train_epoch(training: Training, batches: Batches | Resident, checkpointer: Checkpointer, stop: StopRequest) -> None:
    """Train from the present step to the epoch's end, or to where a signal asks to stop, and save where it is time."""
    fold, start, before = training.fold, time.perf_counter(), training.seconds["train"]
    training.set_mode()
    items = timed(batches.of(training.epoch, training.step), training.seconds, stop)
    what = f"{fold.title} epoch {training.epoch + 1}"
    for pixels, targets in track(items, what, fold.steps - training.step, "steps"):
        training.train_step(pixels, targets)
        if stop.signal is not None or training.is_late:
            break
        if training.step < fold.steps and checkpointer.due:
            training.seconds["train"] = before + time.perf_counter() - start
            training.save(checkpointer)
    training.seconds["train"] = before + time.perf_counter() - start
    training.check()
    if training.step == fold.steps:
        if stop.signal is None and not training.is_late and training.epoch + 1 < fold.spec.epochs:
            with waiting(stop):  # pictures are loaded while the held-out ones are predicted
                batches.prepare(training.epoch + 1)
        training.history.append(training.end_epoch())
        training.epoch, training.step, training.seconds = training.epoch + 1, 0, {"train": 0.0, "wait": 0.0}
        training.losses.zero_()
    late = training.is_late and training.epoch < fold.spec.epochs
    if stop.signal is not None or late or checkpointer.due or training.epoch == fold.spec.epochs:
        training.save(checkpointer)
    if stop.signal is not None or late:
        checkpointer.wait()
    stop.raise_if_set()
    if late:
        raise training.pace.error(fold.title, training.done, training.position)
