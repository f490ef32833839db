"""Features of pictures: computed once, kept by content, and what a check finds with them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from drawing import draw_shape

import foveal
from foveal.curation.workspace import Workspace
from foveal.errors import MissingExtraError
from foveal.workflow.features import Kept

SHAPES = ("circle", "square")


class Steps:
    """A progress that remembers how many pictures each step was for."""

    def __init__(self) -> None:
        self.totals: dict[str, int | None] = {}

    def start(self, title: str, total: int | None) -> None:
        self.totals[title] = total

    def update(self, done: int, fields: dict[str, str] | None = None) -> None:
        pass

    def finish(self) -> None:
        pass


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of shapes, two of which are in the folder of the other."""
    root = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        (root / shape).mkdir()
        for i in range(24):
            draw_shape(shape, rng, size=64).save(root / shape / f"{shape}{i}.png")
    (root / "circle" / "circle0.png").rename(root / "square" / "circle0.png")
    (root / "square" / "square0.png").rename(root / "circle" / "square0.png")
    return root


def test_pictures_in_the_wrong_folder_are_found(shapes: Path) -> None:
    report = foveal.check(shapes, features=True, verbose=False)
    finding = next(f for f in report.findings if f.id == "labels.suspect")
    assert {(s.sample, s.label) for s in finding.suspects} == {
        ("circle/square0.png", "square"),
        ("square/circle0.png", "circle"),
    }


def test_only_new_pictures_are_computed_whatever_they_are_called(
    shapes: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    first, again, more = Steps(), Steps(), Steps()
    foveal.check(data, features=True, progress=first)
    (data / "square" / "square1.png").rename(data / "square" / "renamed.png")
    foveal.check(data, features=True, progress=again)
    draw_shape("square", np.random.default_rng(9), size=64).save(data / "square" / "new.png")
    foveal.check(data, features=True, progress=more)
    assert first.totals["features"] == 48
    assert "features" not in again.totals
    assert more.totals["features"] == 1


def test_without_the_option_no_features_are_computed(shapes: Path) -> None:
    steps = Steps()
    report = foveal.check(shapes, progress=steps)
    assert "features" not in steps.totals
    assert "labels.suspect" not in {finding.id for finding in report.findings}


def test_a_torn_row_is_written_over(tmp_path: Path) -> None:
    digests = np.arange(48, dtype=np.uint8).reshape(3, 16)
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = tmp_path / "kept.features"
    Kept(path, 4).append(digests[:2], rows[:2])
    with path.open("ab") as file:
        file.write(b"torn")
    kept = Kept(path, 4)
    assert not kept.has(digests[2])
    kept.append(digests[2:], rows[2:])
    assert np.array_equal(Kept(path, 4).read(digests[[2, 0, 1]]), rows[[2, 0, 1]])


def test_activations_that_two_bytes_cannot_hold_are_cut(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept.features", 2)
    digest = np.zeros((1, 16), np.uint8)
    kept.append(digest, np.array([[1e9, -1e9]], np.float32))
    assert kept.read(digest).tolist() == [[65504.0, -65504.0]]


def test_without_torch_one_line_says_what_to_install(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="Features need torch") as caught:
        foveal.check(shapes, features=True, verbose=False)
    assert "train" in (caught.value.hint or "")


def test_the_cache_is_the_workspaces(shapes: Path) -> None:
    foveal.check(shapes, features=True, verbose=False)
    assert len(list(Workspace.of(shapes).cache.glob("*.features"))) == 1
