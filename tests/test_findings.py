"""What fuzzing once found stays mended: every input in fuzz/findings is tried again."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import run_fuzz as fuzzing


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name in fuzzing.harnesses() for path in fuzzing.findings(name)],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_a_finding_stays_mended(name: str, path: Path) -> None:
    import_module(f"harness_{name}").test_one(path.read_bytes())


@pytest.mark.parametrize("name", fuzzing.harnesses())
def test_a_harness_accepts_what_it_starts_from(name: str) -> None:
    harness = import_module(f"harness_{name}")
    for seed in harness.seeds():
        assert len(seed) <= harness.MAX_BYTES
        harness.test_one(seed)
