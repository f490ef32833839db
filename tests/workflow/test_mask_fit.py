"""Masks that do not fit their pictures are found, and what would fit is said."""

from pathlib import Path

import numpy as np
import pytest
from discs import DISCS, draw_discs, scatter
from PIL import Image as PILImage

import foveal
from foveal.types import Finding, Mask

SIZE = (120, 160)
COUNT = 12


def drawn(folder: Path, spoilt: dict[int, str]) -> Finding | None:
    """Write pictures with masks, some of them spoilt, and return what is found."""
    drawings = [
        draw_discs(scatter(np.random.default_rng(seed), SIZE), SIZE, seed) for seed in range(COUNT)
    ]
    for part in ("images", "masks"):
        (folder / part).mkdir()
    (folder / "classes.txt").write_text("\n".join(DISCS) + "\n", encoding="utf-8")
    for number, (pixels, mask) in enumerate(drawings):
        other = drawings[(number + 1) % COUNT][1]
        PILImage.fromarray(pixels).save(folder / "images" / f"{number:02}.png")
        written = spoil(mask, spoilt.get(number), other)
        PILImage.fromarray(written).save(folder / "masks" / f"{number:02}.png")
    report = foveal.check(folder, task="segment", features=True, verbose=False)
    assert report.features
    return next((f for f in report.findings if f.id == "masks.suspect"), None)


def spoil(mask: Mask, how: str | None, other: Mask) -> Mask:
    return {
        None: mask,
        "moved": np.roll(mask, 16, axis=1),
        "mirrored": np.ascontiguousarray(mask[:, ::-1]),
        "empty": np.zeros_like(mask),
        "another": other,
    }[how]


def test_masks_that_fit_are_no_finding(tmp_path: Path) -> None:
    assert drawn(tmp_path, {}) is None


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("moved", "fits better moved 10 % left"),
        ("mirrored", "fits better mirrored"),
        ("empty", "it is empty, but the picture is not"),
        ("another", "fits better"),
    ],
)
def test_one_that_does_not_is_found_first(tmp_path: Path, how: str, words: str) -> None:
    found = drawn(tmp_path, {5: how})
    assert found is not None
    assert [suspect.sample for suspect in found.suspects] == ["images/05.png"]
    assert words in found.message
    assert "1 mask of" in found.message


def test_nothing_is_said_where_the_pixels_tell_nothing(tmp_path: Path) -> None:
    """Masks that have nothing to do with their pictures: all would be wrong."""
    assert drawn(tmp_path, dict.fromkeys(range(COUNT), "another")) is None
