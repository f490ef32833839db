"""Hostile pictures are the same each time, and nothing but errors of pictures comes of them."""

from __future__ import annotations

import hashlib
import json
import os
import signal

import hostile
import pytest
from hostile import Found, gather, read, work
from hostile_bombs import BOMBS
from hostile_pictures import Hostile, pictures

from foveal.data.decode import DecodeLimits


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the largest bombs be refused: decoding them takes seconds."""
    limits = DecodeLimits(max_bytes=10_000_000, max_pixels=250_000)
    monkeypatch.setattr(hostile, "DEFAULT_LIMITS", limits)


def test_pictures_are_the_same_each_time() -> None:
    first, second, other = (
        [hashlib.sha256(data).digest() for _, data in pictures(200, seed, bombs=False)]
        for seed in (0, 0, 1)
    )
    assert first == second
    assert len(set(first) - set(other)) > 100


def test_nothing_but_image_errors_comes_of_a_sample(small_limits: None) -> None:
    pytest.importorskip("tifffile")
    bugs = {}
    for name, data in pictures(len(BOMBS) + 350):
        if "bug" in (line := read(data)):
            bugs[name] = line["bug"]
    assert not bugs


# In a process with threads, as pytest may be, forking is safe for the little that happens here.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_bugs_slow_reads_and_crashes_are_reported(
    small_limits: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(data: bytes, limits: DecodeLimits, **_: object) -> None:
        if data == b"crash":
            os.kill(os.getpid(), signal.SIGKILL)
        raise KeyError(data.decode())

    monkeypatch.setattr(hostile, "decode", decode)
    corpus = [Hostile(text, text.encode()) for text in ("bug", "crash", "another")]
    monkeypatch.setattr(hostile, "pictures", lambda count, seed: iter(corpus))
    found = hostile.read_all(3, 0)
    assert found.crashes == ["crash"]
    assert set(found.bugs) == {"bug", "another"}
    assert "KeyError" in found.bugs["bug"]
    assert len(found.slow) == 2


def test_outcomes_are_counted(small_limits: None) -> None:
    lines: list[str] = []
    work(iter([Hostile("none", b""), Hostile("text", b"no picture")]), lines.append)
    found = Found()
    assert gather(found, map(json.loads, lines)) == (2, "text")
    assert found.outcomes == {"ImageFormatError": 2}
    assert found.slow[0][0] >= found.slow[1][0]
    assert found.peak_mib > found.rise_mib
