"""The machine: what Linux says of its CPU, how a GPU says that its memory has ended, and its products in float32."""

import contextlib

import pytest
import torch

from src.base import machine

EPYC = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu sse4_2 avx2 avx512f\n\nprocessor\t: 1\nflags\t\t: fpu amx_bf16\n"


@pytest.fixture
def facts(tmp_path, monkeypatch):
    """The file of facts, which is not there yet."""
    monkeypatch.setattr(machine, "CPU_FACTS", tmp_path / "cpuinfo")
    machine.cpu_flags.cache_clear()
    yield tmp_path / "cpuinfo"
    machine.cpu_flags.cache_clear()


def test_the_first_core_s_name_and_instructions_are_known(facts):
    facts.write_text(EPYC)
    assert machine.cpu_facts()["model name"] == "AMD EPYC"
    assert machine.cpu_flags() == {"avx2", "avx512f"}


def test_nothing_is_known_where_there_is_no_such_file(facts):
    assert machine.cpu_facts() == {}
    assert machine.cpu_flags() == frozenset()


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), False),
    ],
)
def test_memory_ends_in_many_words(error, is_it, capsys):
    def work(size):
        if size > 2:
            raise error
        return size

    if is_it:
        assert machine.AdaptiveBatch("it", 8).run(work) == 2
        assert "it: out of GPU memory, continuing with 4 images at a time" in capsys.readouterr().out
    else:
        with pytest.raises(type(error)):
            machine.AdaptiveBatch("it", 8).run(work)


@pytest.mark.parametrize("matrices", ["highest", "high"])  # "high" is what NVIDIA's containers have set
def test_float32_is_no_tf32_inside_and_what_it_was_after(matrices):
    kinds = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
    older = torch.backends.cuda.matmul, torch.backends.cudnn  # torch's compiler reads their allow_tf32
    was = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(matrices)
    try:
        before = [kind.fp32_precision for kind in kinds]
        assert "tf32" in before
        with contextlib.suppress(ZeroDivisionError), machine.full_float32():
            assert "tf32" not in {kind.fp32_precision for kind in kinds}
            assert not any(kind.allow_tf32 for kind in older)
            torch.nn.Conv2d(1, 1, 3)(torch.ones(1, 1, 4, 4))  # asks for the precision, on a CPU too
            raise ZeroDivisionError
        assert [kind.fp32_precision for kind in kinds] == before
    finally:
        torch.set_float32_matmul_precision(was)
