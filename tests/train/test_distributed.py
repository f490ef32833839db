"""Several processes compute what one computes: each has a share of every batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from foveal.train.distributed import Group
from foveal.train.norm import SharedNormalisation
from foveal.train.share import Share

pytestmark = pytest.mark.slow

WORLD = 3
HERE = Path(__file__).parent


def together(folder: Path, world: int) -> list[Any]:
    """Return what `together.py` wrote in each of so many processes."""
    folder.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"
    processes = [
        subprocess.Popen(
            [sys.executable, "together.py", str(folder), str(rank), str(world)],
            cwd=HERE,
            env=environment,
        )
        for rank in range(world)
    ]
    assert [process.wait() for process in processes] == [0] * world
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(world)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return together(tmp_path_factory.mktemp("one") / "f", 1)[0]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return together(tmp_path_factory.mktemp("three") / "f", WORLD)


@pytest.mark.parametrize("case", ["plain", "weighted", "tiny"])
def test_every_step_has_the_loss_of_one_process(alone: Any, several: list[Any], case: str) -> None:
    assert len(alone[case]["losses"]) >= 20
    for each in several:
        assert each[case]["losses"] == pytest.approx(alone[case]["losses"], abs=1e-4)


def test_all_processes_end_with_the_same_weights_to_the_bit(several: list[Any]) -> None:
    for case in ("plain", "weighted", "tiny"):
        assert all(each[case]["weights"] == several[0][case]["weights"] for each in several)


def test_a_budget_ends_at_one_step_by_the_clock_of_the_first_process(several: list[Any]) -> None:
    first = several[0]["budget"]
    assert first["stopped"] == "budget"
    assert first["steps"] > 20
    assert all(each["budget"] == first for each in several)


@pytest.mark.parametrize("task", ["classify", "read", "segment"])
def test_losses_and_gradients_are_those_of_the_whole_batch(
    alone: Any, several: list[Any], task: str
) -> None:
    for each in several:
        assert each[task]["losses"] == pytest.approx(alone[task]["losses"], abs=1e-5)
        assert each[task]["gradient"] == pytest.approx(alone[task]["gradient"], abs=1e-5)


@pytest.mark.parametrize("layer", ["2d", "1d", "rows", "no_running"])
def test_batch_normalisation_has_the_statistics_and_gradients_of_the_whole_batch(
    alone: Any, several: list[Any], layer: str
) -> None:
    whole = alone["norm"][layer]
    for each in several:
        part = each["norm"][layer]
        for name in ("answer", "to_inputs"):
            assert np.allclose(part[name], whole[name], atol=2e-4), name
        pairs = zip(part["to_parameters"], whole["to_parameters"], strict=True)
        assert all(np.allclose(mine, theirs, atol=2e-4) for mine, theirs in pairs)
        for name, value in whole["buffers"].items():
            # What is counted up is not a statistic: each process counts its own passes.
            assert np.allclose(part["buffers"][name], value, rtol=1e-5), name


def test_what_is_exchanged_comes_from_all_in_their_order(several: list[Any]) -> None:
    for each in several:
        found = each["exchanges"]
        assert found["decided"] == [0.0, 0.1]
        assert [part["rank"] for part in found["gathered"]] == list(range(WORLD))
        assert found["gathered"][2]["text"] == "üü"
        assert found["rows"] == [[1, 1], [2, 2], [2, 2]]
        assert found["unused"]
        assert found["used"] == [3.0, 3.0]
    # A batch of 5 is split; one of 2 is done by all three.
    assert [each["exchanges"]["shares"][2] for each in several] == [[0], [1, 2], [3, 4]]
    assert all(each["exchanges"]["shares"][1] == [0, 1] for each in several)


def test_shares_cover_a_batch_and_their_weights_add_up_to_one() -> None:
    for total in (1, 2, 5, 8, 64):
        shares = [Share.of(total, rank, 3) for rank in range(3)]
        assert sum(share.weight for share in shares) == pytest.approx(1.0)
        rows = torch.cat([share.take(torch.arange(total)) for share in shares])
        assert sorted(set(rows.tolist())) == list(range(total))


def test_one_process_alone_changes_nothing() -> None:
    group = Group.joined(timeout_s=1.0)
    part = torch.ones(2, requires_grad=True)
    assert group.total(part) is part
    assert group.decided(3.0, 4.0) == (3.0, 4.0)
    assert group.gather({"a": 1}) == [{"a": 1}]
    assert group.joined_rows(part) is part
    assert group.share(5) == Share.whole(5)


@pytest.mark.parametrize(
    ("number", "tolerance"),
    [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)],
)
def test_shared_normalisation_of_one_process_is_the_plain_one(
    number: torch.dtype, tolerance: float
) -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randn(6, 5, 4, 3, generator=draw) * 3 + 1
    wanted, weight = torch.randn(6, 5, 4, 3, generator=draw), torch.rand(5, generator=draw) + 0.5
    found = []
    for context in (nullcontext(), SharedNormalisation(lambda own: own[None], lambda own: own)):
        inputs = pixels.to(number, memory_format=torch.channels_last).requires_grad_()
        factors = weight.clone().requires_grad_()
        with context:
            normal = functional.batch_norm(
                inputs, None, None, factors, torch.zeros_like(factors), training=True
            )
        normal.backward(wanted.to(number))
        found.append((normal, inputs.grad, factors.grad))
    for plain, shared in zip(*found, strict=True):
        assert plain is not None and shared is not None
        torch.testing.assert_close(shared, plain, atol=tolerance, rtol=tolerance)
