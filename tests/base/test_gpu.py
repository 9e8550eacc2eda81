"""A GPU that torch cannot use is said before anything is computed."""

import pytest
import torch

from src.__main__ import main
from src.base import gpu
from src.base.errors import UserError
from src.leaderboard import preflight

CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Sat Jan 27 01:00:15 UTC 2024\nGCC version: 12.2.0\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\n"
PINNED = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """machine(driver, devices): a machine with the driver's file and so many GPUs, of which torch finds none."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("DRIVER", "WINDOWS", "DEVICES"):
        monkeypatch.setattr(gpu, name, tmp_path / name)
    (tmp_path / "DEVICES").mkdir()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.2")

    def make(driver: str, devices: int = 1) -> None:
        (tmp_path / "DRIVER").write_text(driver)
        for i in range(devices):
            (tmp_path / f"DEVICES/nvidia{i}").touch()
        (tmp_path / "DEVICES/nvidiactl").touch()

    return make


def test_a_driver_too_old_for_torch_is_said_with_both_ways_out(machine):
    machine(CLOSED)
    with pytest.raises(UserError, match=r"driver 535\.161\.08\) that torch \S+ \(CUDA 13\.2\) does not find") as error:
        gpu.require_usable()
    assert "install a driver of 580 or later or torch 2.14 for CUDA 12.6 (" in str(error.value)
    assert str(error.value).endswith('or compute on the CPU: CUDA_VISIBLE_DEVICES="" ./run.sh ...')


@pytest.mark.parametrize(
    ("driver", "cuda", "said"),
    [
        (OPEN, "13.2", "driver 580.65.06) that torch {torch} (CUDA 13.2) does not find: see what nvidia-smi says"),
        (CLOSED.replace("535", "470"), "13.2", "install a driver of 580 or later, or compute"),
        (CLOSED, "12.6", "see what nvidia-smi says"),
        (CLOSED, None, "torch {torch} is built without CUDA"),
        ("", "13.2", "(driver unknown)"),
    ],
)
def test_each_cause_has_its_own_remedy(machine, monkeypatch, driver, cuda, said):
    machine(driver)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert said.format(torch=torch.__version__) in gpu.find_fault()


@pytest.mark.parametrize("asked", ["", "-1", "NoDevFiles"])
def test_who_asks_for_the_cpu_gets_it(machine, monkeypatch, asked):
    machine(CLOSED)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
    gpu.require_usable()


def test_a_container_that_was_given_no_gpu_of_its_machine_has_none(machine):
    machine(CLOSED, devices=0)
    assert gpu.find_fault() == ""


def test_no_torch_is_imported_where_there_is_no_gpu(machine, hide):
    hide("torch")
    assert gpu.find_fault() == ""


@pytest.mark.parametrize(
    ("capability", "kinds", "said"),
    [
        ((7, 0), PINNED, "compute capability 7.0) is none that torch {torch} has kernels for (sm_75, sm_80, "),
        ((6, 0), PINNED, "install torch 2.14 for CUDA 12.6"),
        ((12, 0), ["sm_80", "sm_90"], "install a newer torch"),
        ((12, 0), ["sm_80", "compute_90"], ""),
        ((8, 9), PINNED, ""),
        ((7, 5), PINNED, ""),
        ((9, 0), ["sm_90a"], ""),
    ],
)
def test_a_gpu_for_which_torch_has_no_kernels_is_said(machine, monkeypatch, capability, kinds, said):
    machine(OPEN)
    found = {
        "is_available": True,
        "get_device_capability": capability,
        "get_arch_list": kinds,
        "get_device_name": "GPU",
    }
    for name, value in found.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    fault = gpu.find_fault()
    assert said.format(torch=torch.__version__) in fault
    assert bool(said) == bool(fault)


def test_the_doctor_says_it(toy, machine, monkeypatch):
    assert preflight.gpu_check(toy).said == "none: networks run on the CPU"
    machine(CLOSED)
    check = preflight.gpu_check(toy)
    assert check.warning
    assert check.said == gpu.find_fault()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90"])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert preflight.gpu_check(toy) == preflight.Check("gpu", "NVIDIA H100 (driver 535.161.08)")


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((160,), ""),
        ((160, 224), "train m1: ./run.sh"),
        ((None,) * 5, "train m0, m1, m2 and 2 more: ./run.sh"),
    ],
)
def test_no_gpu_is_a_warning_where_networks_are_large(toy, machine, sizes, said):
    networks = {f"m{i}": toy.models["convnext"].model_copy(update={"img_size": size}) for i, size in enumerate(sizes)}
    check = preflight.gpu_check(toy.model_copy(update={"models": networks}))
    assert said in check.said
    assert check.warning == bool(said)
    assert not check.cause


def test_a_run_is_refused_before_its_first_stage_unless_it_needs_no_network(machine, roots, capsys):
    machine(CLOSED)
    assert main(["digits", "zeroshot", "--limit", "60"]) == 2
    assert capsys.readouterr().err == f"error: {gpu.find_fault()}\n"
    assert list(roots.glob("[is]*/*")) == []
    assert main(["digits", "folds", "--limit", "60"]) == 0
    assert (roots / "submissions/digits-limit60/folds.csv").is_file()
