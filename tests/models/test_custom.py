"""A network of the user's own becomes a backbone, or it is said why it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from foveal.errors import UsageError
from foveal.models.backbones import resolve_backbone

HEAD = """
import torch
from torch import nn
from foveal.models.backbones import BACKBONES
from dataclasses import replace

def conv(stride, channels=4, padding=1):
    return nn.Conv2d(3, channels, 3, stride=stride, padding=padding)

class Of(nn.Module):
    def __init__(self, run, *parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.run = run
    def forward(self, images):
        return self.run(self.parts, images)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Return a function that writes a module into the working directory and returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def write(code: str) -> str:
        # A name of its own: a module is imported once.
        name = f"net_{abs(hash((code, str(tmp_path))))}"
        (tmp_path / f"{name}.py").write_text(HEAD + code)
        return f"{name}:make"

    return write


@pytest.mark.parametrize(
    ("code", "channels", "strides", "row_strides"),
    [
        ("def make(): return conv(2)", (4,), (2,), ()),
        ("def make(): return BACKBONES['fovea'].build('none')", (24, 48, 128), (2, 4, 8), ()),
        # Without padding the sides are no multiples; the strides still are.
        ("def make(): return nn.Sequential(conv(2, 3, 0), conv(2, 5, 0))", (5,), (4,), ()),
        ("def make(): return conv((4, 2))", (4,), (2,), (4,)),
        ("def make(): return Of(lambda p, x: [p[0](x), p[1](x)], conv(2), conv(4, 6))",
         (4, 6), (2, 4), ()),
    ],
)  # fmt: skip
def test_channels_and_strides_are_found_by_running_it(
    code: str, channels: object, strides: object, row_strides: object, write: object
) -> None:
    spec = resolve_backbone(write(code))  # type: ignore[operator]
    assert (spec.channels, spec.strides, spec.row_strides) == (channels, strides, row_strides)
    maps = spec.build("none")(torch.zeros(1, 3, 64, 64))
    assert [m.shape[1] for m in maps] == list(spec.channels)


def test_the_smallest_side_is_found_by_running_it(write: object) -> None:
    code = "def make(): return nn.Sequential(*(nn.Conv2d(3, 3, 5, stride=2) for _ in range(3)))"
    # 16 px give 6, 1 and then less than a kernel; 32 give 14, 5 and 1.
    assert resolve_backbone(write(code)).min_size == 32  # type: ignore[operator]


def test_a_spec_says_what_cannot_be_found(write: object) -> None:
    name = write("make = replace(BACKBONES['fovea'], mean=(0.1, 0.2, 0.3))")  # type: ignore[operator]
    spec = resolve_backbone(name)
    assert (spec.name, spec.mean, spec.channels) == (name, (0.1, 0.2, 0.3), (24, 48, 128))


def test_looking_at_a_network_leaves_the_random_numbers_alone(write: object) -> None:
    name = write("def make(): return conv(2)")  # type: ignore[operator]
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    resolve_backbone(name)
    assert torch.equal(torch.rand(3), expected)


def test_it_stands_beside_others(write: object) -> None:
    spec = resolve_backbone(write("def make(): return conv(2)") + ",fovea")  # type: ignore[operator]
    assert (spec.channels, spec.strides) == ((4 + 128,), (2,))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("make = 3", "function that returns a torch.nn.Module. Received: int"),
        ("def make(): return 'net'", "returns a torch.nn.Module. Received: str"),
        ("def make(size): return conv(2)", "missing 1 required positional argument"),
        ("def other(): pass", "has no attribute 'make'"),
        ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("def make(): return nn.Sequential(conv(2), nn.Flatten())", r"Received: \(2, 16384\)"),
        ("def make(): return nn.AdaptiveAvgPool2d(1)", "divided by a whole number"),
        ("def make(): return Of(lambda p, x: {'maps': x})", "Received: str"),
        ("def make(): return Of(lambda p, x: [])", "at least one feature map"),
        ("def make(): return Of(lambda p, x: [p[0](x), x], conv(2))", r"strides \[2, 1\]"),
        ("def make(): return nn.Conv2d(1, 4, 3)", "to have 1 channels, but got 3"),
    ],
)
def test_what_gives_no_feature_maps_is_refused(code: str, message: str, write: object) -> None:
    name = write(code)  # type: ignore[operator]
    with pytest.raises(UsageError, match=message) as raised:
        resolve_backbone(name)
    assert name in raised.value.message
    assert raised.value.hint


def test_a_module_that_is_nowhere_says_where_it_was_looked_for() -> None:
    with pytest.raises(UsageError, match="Cannot import the backbone 'nowhere:make'") as raised:
        resolve_backbone("nowhere:make")
    assert raised.value.hint == "run foveal in the folder of nowhere.py, or install its package"
