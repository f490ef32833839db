from pathlib import Path

import pytest
import torch

from foveal import machine
from foveal.errors import RecipeError
from foveal.machine import available_cores, has_bf16, share_cores
from foveal.train import precision
from foveal.train.precision import choose_device, choose_precision, use_threads

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16 sse\n", True),  # Zen 4, Cooper Lake
        ("flags : fpu amx_tile amx_bf16\n", True),  # Sapphire Rapids
        ("flags : fpu avx2 avx512f\n", False),  # no bf16
        ("flags : fpu avx512_bf16_like\n", False),  # another name
        ("bugs : avx512_bf16\n", False),  # another line
        ("", False),  # nothing known
    ],
)
def test_bf16_is_found_by_the_processors_flags(tmp_path, text, expected):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    assert has_bf16(cpuinfo) is expected
    auto = choose_precision("auto", CPU, cpuinfo=cpuinfo)
    assert auto.dtype is (torch.bfloat16 if expected else None)


def test_a_machine_without_cpuinfo_has_no_bf16(tmp_path):
    assert has_bf16(tmp_path / "missing") is False


def test_fp32_is_taken_at_its_word():
    precision = choose_precision("fp32", CPU)
    assert precision.dtype is None
    with precision.autocast():
        assert torch.nn.functional.linear(torch.ones(1, 2), torch.ones(2, 2)).dtype == torch.float32


def test_bf16_without_the_instructions_is_said_aloud(tmp_path, caplog):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags : sse\n")
    chosen = choose_precision("bf16", CPU, cpuinfo=cpuinfo)
    assert chosen.dtype is torch.bfloat16
    assert "fp32 is faster" in caplog.text


@pytest.mark.parametrize(
    ("native", "dtype", "scaled"),
    [(True, torch.bfloat16, False), (False, torch.float16, True)],
    ids=["ampere", "turing"],
)
def test_cuda_takes_bf16_or_scaled_fp16(monkeypatch, native, dtype, scaled):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    chosen = choose_precision("auto", torch.device("cuda"))
    assert (chosen.dtype, chosen.scaled) == (dtype, scaled)


@pytest.mark.parametrize(
    ("quota", "most"),
    [
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),
        ("150000 100000\n", 1),
        ("max 100000\n", 10**6),
        ("nonsense", 10**6),
    ],
)
def test_cores_are_limited_by_the_control_group(tmp_path, quota, most):
    path = tmp_path / "cpu.max"
    path.write_text(quota)
    assert 1 <= available_cores(path) <= most


@pytest.mark.parametrize(("said", "expected"), [("1", 1), ("0", 1), ("4", 4), ("99", 8), ("x", 8)])
def test_threads_are_limited_by_the_environment(monkeypatch, said, expected):
    asked = []
    monkeypatch.setattr(precision, "available_cores", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: -1)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    use_threads()
    assert asked == [expected]


def test_a_named_device_is_taken():
    assert choose_device("cpu") == CPU


# `meta` and `xpu` are names that torch knows, of devices that cannot train here.
@pytest.mark.parametrize("name", ["cuda:99", "99", "gpu", "", "meta", "xpu"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(RecipeError, match=r"'train.device' \(--device\).*: cpu.*Received: "):
        choose_device(name)


def test_processes_that_share_the_cores_count_their_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_sharing", 1)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    unlimited = tmp_path / "cpu.max"
    unlimited.write_text("max 100000\n")
    shares = []
    for processes in (1, 2, 3, 100):
        share_cores(processes)
        shares.append(available_cores(unlimited))
    assert shares == [8, 4, 2, 1]
