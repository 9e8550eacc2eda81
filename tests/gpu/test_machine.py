"""What the machine says of a GPU, and what it does when the GPU's memory ends."""

import subprocess
import sys

import pytest
import torch

from src.base import gpu, machine
from src.base.errors import UserError
from tests.conftest import ROOT
from tests.pretended_gpu import pretended


def test_no_other_test_sees_the_gpu_of_the_machine_it_runs_on():
    assert machine.device().type == "cpu"
    code = "import os; print(repr(os.environ['CUDA_VISIBLE_DEVICES']))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "''\n"


@pytest.mark.parametrize(("half", "precision"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_that_torch_has_kernels_for_is_used_in_its_precision(monkeypatch, half, precision):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(gpu, "is_there", lambda: True)
    with pretended(half=half):
        gpu.require_usable()
        assert (machine.device().type, machine.device_name()) == ("cuda", "NVIDIA Pretended")
        assert machine.precision("auto") == precision
        assert machine.layout() == torch.channels_last


def test_a_seed_is_the_gpu_s_too():
    with pretended():
        draws = []
        for number in (5, 5, 6):
            machine.seed(number)
            draws.append((torch.rand(3), torch.rand(3, device="cuda").cpu()))
    for one, same, other in zip(*draws, strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


def test_work_that_runs_out_of_memory_goes_on_with_half_the_images(capsys):
    def work(images: int) -> int:
        torch.zeros(images, 1000, device="cuda")
        return images

    with pretended(total=3 * 4000) as pretence:
        batch = machine.AdaptiveBatch("toy", 10)
        assert batch.run(work, where=" at picture 7") == batch.size == 3
        assert pretence.calls["empty_cache"] == 2
        assert "toy: out of GPU memory at picture 7, continuing with 5 images at a time\n" in capsys.readouterr().out
        pretence.refuse = lambda func, args: True
        with pytest.raises(UserError, match=r"^toy: the GPU has no memory for a single image$"):
            batch.run(work)
