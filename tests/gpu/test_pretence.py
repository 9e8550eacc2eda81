"""The pretended GPU finds what it is there for."""

import copy
import gc

import pytest
import torch
from torch import nn

from tests.pretended_gpu import pretended


def test_tensors_of_two_devices_do_not_mix():
    with pretended(), pytest.raises(RuntimeError, match="same device"):
        torch.zeros(3, device="cuda") + torch.zeros(3)


def test_a_tensor_of_the_gpu_is_no_array():
    with pretended(), pytest.raises(TypeError, match="to numpy"):
        torch.zeros(3, device="cuda").numpy()


def test_a_copy_that_was_not_waited_for_has_no_numbers_yet():
    with pretended():
        copied = torch.ones(3, device="cuda").to("cpu", non_blocking=True)
        assert copied.isnan().all()
        torch.cuda.synchronize()
        assert (copied == 1).all()


def test_an_event_brings_what_came_before_it():
    with pretended():
        there, event = torch.ones(3, device="cuda"), torch.cuda.Event()
        early = there.to("cpu", non_blocking=True)
        event.record()
        late = there.to("cpu", non_blocking=True)
        event.synchronize()
        assert (early == 1).all()
        assert late.isnan().all()


def test_a_pinned_source_that_changes_too_early_is_a_fault():
    with pretended() as gpu:
        source = torch.ones(3).pin_memory()
        source.to("cuda", non_blocking=True)
        source.zero_()
        torch.cuda.synchronize()
    assert "pinned memory was written to" in gpu.faults[0]


def test_a_stream_that_does_not_wait_is_a_fault():
    with pretended() as gpu:
        there, other = torch.ones(3, device="cuda"), torch.cuda.Stream()
        with torch.cuda.stream(other):
            there * 2
    assert "without waiting" in gpu.faults[0]


def test_memory_of_another_stream_that_is_not_recorded_is_a_fault():
    with pretended() as gpu:
        other = torch.cuda.Stream()
        with torch.cuda.stream(other):
            there, recorded = torch.ones(3, device="cuda"), torch.ones(3, device="cuda")
        torch.cuda.current_stream().wait_stream(other)
        recorded.record_stream(torch.cuda.current_stream())
        recorded * 2
        assert gpu.faults == []
        there * 2
    assert "without record_stream" in gpu.faults[0]


def test_what_waits_is_counted():
    with pretended() as gpu:
        there = torch.arange(3, device="cuda")
        there + 1
        assert not gpu.waits
        there[there > 1].sum().item()
        assert {what for what, _ in gpu.waits} == {"a mask as an index", "item"}


def test_memory_is_counted_and_ends():
    with pretended(total=4000) as gpu:
        there = torch.zeros(500, device="cuda")
        assert gpu.live == 2000
        with pytest.raises(torch.OutOfMemoryError):
            torch.cat([there, there, there])
        gc.collect()
        assert gpu.live == 2000
        assert torch.cuda.mem_get_info() == (2000, 4000)
        del there
        assert gpu.live == 0


def test_an_older_gpu_only_emulates_bfloat16():
    with pretended(half=False):
        assert torch.cuda.is_bf16_supported()
        assert not torch.cuda.is_bf16_supported(including_emulation=False)


def test_its_random_numbers_are_its_own():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    with pretended():
        torch.cuda.manual_seed(5)
        one = torch.rand(2, device="cuda").cpu()
        torch.cuda.manual_seed(5)
        assert torch.equal(torch.rand(2, device="cuda").cpu(), one)
        assert torch.equal(torch.rand(2), expected)


class Small(nn.Module):
    """Convolution, batch norm, attention and a product, for gradients through all of them."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm, self.last = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 2)

    def forward(self, pixels):
        found = self.norm(self.convolution(pixels)).flatten(2).transpose(1, 2)
        return self.last(nn.functional.scaled_dot_product_attention(found, found, found).mean(1))


def gradients(model: nn.Module, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    model(pixels).square().sum().backward()
    return {name: weight.grad.cpu() for name, weight in model.named_parameters()}


def test_gradients_are_those_of_the_cpu():
    torch.manual_seed(0)
    model, pixels = Small(), torch.randn(4, 3, 6, 6)
    expected = gradients(copy.deepcopy(model), pixels)
    with pretended() as gpu:
        found = gradients(model.to("cuda", memory_format=torch.channels_last), pixels.to("cuda"))
        assert gpu.faults == []
    assert all(torch.allclose(found[name], one, atol=1e-5) for name, one in expected.items())


def test_autocast_is_that_of_a_gpu():
    with pretended():
        model = nn.Linear(3, 2).to("cuda")
        with torch.autocast("cuda", torch.float16):
            assert model(torch.ones(1, 3, device="cuda")).dtype == torch.float16
            assert copy.deepcopy(model).weight.dtype == torch.float32


def test_memory_of_the_cpu_is_made_like_a_tensor_of_the_gpu():
    with pretended() as gpu:
        made = torch.empty_like(torch.ones(2, 3, device="cuda").T, device="cpu", pin_memory=True)
        assert made.device.type == "cpu"
        assert made.is_pinned()
        made.copy_(torch.ones(3, 2, device="cuda"), non_blocking=True)
        assert made.isnan().all()
        torch.cuda.current_stream().synchronize()
        assert (made == 1).all()
    assert sum(gpu.waits.values()) == 1
