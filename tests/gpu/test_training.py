"""Training on a GPU: what a step waits for, where its memory ends, and how its state reaches the disk."""

import dataclasses
import functools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from src.base import machine
from src.base.errors import UserError
from src.models.finetune import augment
from src.models.finetune.batches import Batches
from src.models.finetune.resume import Checkpointer, Running
from src.models.finetune.training import Training, predict
from src.networks import classifiers
from tests.models.test_training import fold_of, spec_of
from tests.pretended_gpu import pretended

aten = torch.ops.aten
NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory.")
ALL = {
    "ema_decay": 0.9,
    "mixup": 0.5,
    "cutmix": 1.0,
    "label_smoothing": 0.1,
    "class_weight": "balanced",
    "head_lr": 1e-2,
    "micro_batch": 5,
}


@pytest.fixture(autouse=True)
def no_workers(monkeypatch):
    monkeypatch.setattr(machine, "workers", lambda: 0)


def started(precision="float32", **changes) -> tuple[Training, list]:
    """A training of test_resnet, which has batch norm, and its first epoch's batches in pinned memory."""
    fold = dataclasses.replace(fold_of(spec_of(backbone="test_resnet", **changes)), precision=precision)
    made = Training(fold, classifiers.create(fold.spec, 3, 0, False))
    made.set_mode()
    batches = list(Batches(fold, augment.compose(())).of(0))
    return made, [tuple(x.pin_memory() for x in batch) for batch in batches] if torch.cuda.is_available() else batches


def numbers(made: Training) -> dict[str, torch.Tensor]:
    return {name: getattr(tensor, "held", tensor).clone() for name, tensor in made.state().items()}


@pytest.mark.parametrize("recipe", [{}, ALL], ids=["plain", "all"])
def test_a_gpu_has_the_numbers_of_a_cpu(recipe):
    made, batches = started(**recipe)
    for batch in batches:
        made.train_step(*batch)
    expected = numbers(made)
    with pretended() as gpu:
        made, batches = started(**recipe)
        for batch in batches:
            made.train_step(*batch)
        found = numbers(made)
    assert gpu.faults == []
    assert found.keys() == expected.keys()
    assert torch.allclose(found["losses.epoch"], expected["losses.epoch"], atol=1e-5)
    # AdamW's first steps are as large for a gradient that is all rounding as for another
    assert all(torch.allclose(found[name], tensor, atol=0.02) for name, tensor in expected.items())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_no_step_waits_for_the_gpu(precision):
    with pretended() as gpu:
        made, batches = started(precision, **ALL)
        made.train_step(*batches[0])  # constants are sent there
        gpu.waits.clear()
        made.train_step(*batches[1])
        assert gpu.waits == {}
        made.train_step(*batches[2])  # the epoch's last: its losses are looked at
        assert {place.partition(" ")[2] for _, place in gpu.waits} == {"check"}


def test_only_on_a_gpu_the_fastest_convolutions_are_looked_for():
    started()
    assert not torch.backends.cudnn.benchmark
    with pretended():
        started()
        assert torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.benchmark  # pretended() has put it back


def refusing_once(error: BaseException, name: str, nth: int = 0):
    """Refuses the nth call of an operator."""
    calls = []

    def refuse(func, args):
        if name in str(func):
            calls.append(func)
            if len(calls) == nth + 1:
                raise error
        return False

    return refuse


@functools.cache
def step_in_parts() -> dict[str, torch.Tensor]:
    """The state after a step that was taken in two parts from the start."""
    with pretended():
        made, batches = started(micro_batch=5, mixup=0.5)
        made.train_step(*batches[0])
        return numbers(made)


@pytest.mark.parametrize(
    ("operator", "nth"),
    [
        ("convolution", 3),
        ("convolution_backward", 2),
        ("div_", 0),  # pixels / 255
        ("roll", 0),  # mixup
        ("zeros_like", 7),  # moments
    ],
)
def test_a_step_where_memory_ends_is_the_step_in_smaller_parts(operator, nth):
    with pretended() as gpu:
        made, batches = started(mixup=0.5)
        gpu.refuse = refusing_once(NO_MEMORY, operator, nth)
        made.train_step(*batches[0])
        assert made.micro.size == 5
        found = numbers(made)
    assert all(torch.equal(found[name], tensor) for name, tensor in step_in_parts().items())


def test_a_bug_is_not_taken_for_the_end_of_memory():
    with pretended() as gpu:
        made, batches = started()
        gpu.refuse = refusing_once(RuntimeError("CUDA error: an illegal memory access was encountered"), "convolution")
        with pytest.raises(RuntimeError, match="illegal memory access"):
            made.train_step(*batches[0])


def test_moments_that_have_no_room_are_a_sentence():
    with pretended() as gpu:
        made, batches = started()
        gpu.refuse = lambda func, args: func is aten.zeros_like.default
        with pytest.raises(UserError, match="the GPU has no memory for a single image"):
            made.train_step(*batches[0])


def test_predicting_goes_on_where_memory_ends_while_pixels_are_made():
    with pretended() as gpu:
        made, _ = started()
        gpu.refuse = refusing_once(NO_MEMORY, "div_")
        probs = predict(made.model, made.fold, made.fold.valid, ("identity",), 10)
    assert probs.shape == (10, 3)


def test_a_checkpoint_is_copied_in_one_wait_and_written_as_it_was(tmp_path):
    with pretended() as gpu, ThreadPoolExecutor(1) as pool:
        made, batches = started("bfloat16", ema_decay=0.9)
        made.train_step(*batches[0])
        expected, running = numbers(made), Running(tmp_path / "fold0.safetensors", {})
        checkpointer = Checkpointer(running, pool)
        checkpointer.copy(made.state())  # its memory is made
        gpu.waits.clear()
        checkpointer.save(made.state(), made.about())
        assert sum(gpu.waits.values()) == 1
        made.train_step(*batches[1])
        checkpointer.wait()
        found, about = running.latest("it")
        assert about["step"] == 1
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        again, _ = started("bfloat16", ema_decay=0.9)
        again.restore(found, about)
        again.set_mode()
        again.train_step(*batches[1])
        expected, found = numbers(made), numbers(again)
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        assert gpu.faults == []


def test_a_step_is_float32_in_full_also_where_gradients_are_computed(monkeypatch):
    seen = []
    backward = Training.backward
    monkeypatch.setattr(
        Training, "backward", lambda *args: seen.append(torch.backends.cudnn.conv.fp32_precision) or backward(*args)
    )
    with pretended():
        made, batches = started()
        made.train_step(*batches[0])
    assert seen
    assert "tf32" not in seen
