"""Outputs that are kept come back bit by bit, from memory or from the disk."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from foveal.export.kept import KeptOutputs
from foveal.types import Frame

FRAME = Frame((4, 4), (4, 4), (1.0, 1.0), (0.0, 0.0))


@pytest.mark.parametrize("in_memory", [1, 1 << 20], ids=["on disk", "in memory"])
def test_what_is_kept_can_be_read_again_and_again(tmp_path: Path, in_memory: int) -> None:
    rng = np.random.default_rng(0)
    batches = [
        {
            "logits": rng.normal(size=(count, columns, 5)).astype(np.float32),
            "attention": rng.normal(size=(count, 2, columns)).astype(np.float32),
        }
        for count, columns in ((3, 7), (1, 400), (2, 0))
    ]
    batches[0]["logits"][0, 0, 0] = np.nan
    with closing(KeptOutputs(tmp_path, in_memory=in_memory)) as kept:
        for outputs in batches:
            kept.append(outputs, [FRAME] * len(outputs["logits"]))
        for _ in range(2):
            read = list(kept)
            assert [len(frames) for _, frames in read] == [3, 1, 2]
            for (outputs, frames), expected in zip(read, batches, strict=True):
                assert frames == [FRAME] * len(frames)
                assert list(outputs) == list(expected)
                for name, array in expected.items():
                    np.testing.assert_array_equal(outputs[name], array)
    assert list(tmp_path.iterdir()) == []


def test_nothing_kept_is_nothing_read(tmp_path: Path) -> None:
    with closing(KeptOutputs(tmp_path)) as kept:
        assert list(kept) == []
