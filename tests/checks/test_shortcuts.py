"""Shortcuts: what tells the classes without looking at what is shown is named."""

from __future__ import annotations

import numpy as np
import pytest

from foveal.checks import CheckInput, run_checks
from foveal.checks.shortcuts import tell
from foveal.data.measures import MEASURES
from foveal.data.scan import Scan
from foveal.data.source import Sample
from foveal.types import Finding


def pictures(classes: int, each: int = 40) -> CheckInput:
    """Return pictures of several classes that differ in nothing but chance."""
    rng = np.random.default_rng(0)
    count = classes * each
    scan = Scan.empty(count)
    scan.ok[:] = True
    scan.spread[:] = 50
    scan.sizes[:] = rng.integers(200, 260, (count, 2))
    scan.digest[:] = rng.integers(0, 256, scan.digest.shape)
    scan.phash[:] = rng.integers(0, 1 << 63, count)
    scan.measures[:] = rng.uniform(0.4, 0.6, scan.measures.shape)
    scan.files[:] = rng.uniform(60, 90, scan.files.shape)
    samples = tuple(Sample(f"{i}.jpg", (f"class {i % classes}",)) for i in range(count))
    return CheckInput(samples, scan, (np.arange(count) % 2).astype(np.int8), near_distance=2)


def shortcuts(given: CheckInput) -> dict[str, Finding]:
    return {f.id: f for f in run_checks(given) if f.id.endswith("_shortcut")}


@pytest.mark.parametrize("classes", [2, 5])
def test_chance_is_no_shortcut(classes: int) -> None:
    assert shortcuts(pictures(classes)) == {}


@pytest.mark.parametrize("classes", [2, 5])
def test_a_background_that_tells_the_class_is_named(classes: int) -> None:
    given = pictures(classes)
    which = np.arange(len(given.samples)) % classes
    given.scan.measures[:, MEASURES.index("green")] = 0.15 * which + 0.1
    found = shortcuts(given)
    assert list(found) == ["data.background_shortcut"]
    assert found["data.background_shortcut"].severity == "warning"
    assert "background (green) alone" in found["data.background_shortcut"].message
    assert f"guessing {100 / classes:.1f} %" in found["data.background_shortcut"].message


def test_the_camera_and_the_format_of_one_class() -> None:
    given = pictures(3)
    which = np.arange(len(given.samples)) % 3
    given.scan.names.extend(["Ape X", "JPEG"])
    given.scan.words[which == 0, 1] = 1
    found = shortcuts(given)["data.file_shortcut"]
    # A third is told for sure, the others by chance.
    assert "camera or software" in found.message
    assert found.severity == "info"
    assert "66.7 %" in found.message


def test_the_best_of_the_sizes_is_named() -> None:
    given = pictures(2)
    given.scan.sizes[0::2] = np.array([[200, 300], [300, 200]] * 20)
    given.scan.sizes[1::2] = np.array([[200, 200], [300, 300]] * 20)
    assert "aspect ratio alone" in shortcuts(given)["data.size_shortcut"].message


def test_brightness_is_a_note() -> None:
    given = pictures(2)
    given.scan.measures[0::2, MEASURES.index("brightness")] += 0.3
    found = shortcuts(given)
    assert [(f.id, f.severity) for f in found.values()] == [("data.look_shortcut", "info")]


def test_rare_classes_and_a_single_class_are_left_alone() -> None:
    given = pictures(2, each=4)
    given.scan.sizes[0::2] = 100
    assert shortcuts(given) == {}


def test_each_class_counts_alike() -> None:
    classes = np.array([0] * 90 + [1] * 10)
    nothing = tell("nothing", np.zeros(100, np.int64), classes)
    assert nothing.accuracy == 0.5
    everything = tell("everything", classes, classes)
    assert everything.accuracy == everything.high == 1
    assert 0.7 < everything.low < 0.95
