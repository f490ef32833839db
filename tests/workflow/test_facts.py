"""What a look at some pictures finds of their ink."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.recipe import Recipe
from foveal.tasks.facts import DataFacts
from foveal.workflow.facts import look
from foveal.workflow.sources import limits_of, open_for

WHITE, BLACK = 235, 20


def glyph(extent: float, ground: int = WHITE, ink: int = BLACK) -> NDArray[np.uint8]:
    """Return a cross whose arms are `extent` of the sides long, 60 x 60."""
    pixels = np.full((60, 60, 3), ground, np.uint8)
    first, last = round(30 - 30 * extent), round(30 + 30 * extent)
    pixels[first:last, 27:33] = ink
    pixels[27:33, first:last] = ink
    return pixels


def seen(folder: Path, pictures: list[NDArray[np.uint8]]) -> DataFacts:
    for number, pixels in enumerate(pictures):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        PILImage.fromarray(pixels).save(path)
    return look(open_for(folder, Recipe()), limits_of(Recipe()), [])


def test_the_share_of_dark_ink_is_that_of_the_pictures(tmp_path: Path) -> None:
    pictures = [glyph(0.9)] * 6 + [glyph(0.9, BLACK, WHITE)] * 2
    facts = seen(tmp_path, pictures)
    assert facts.is_ink
    assert facts.dark_share == 0.75


def test_the_share_of_grey_ink_is_that_of_the_pictures(tmp_path: Path) -> None:
    red = glyph(0.9)
    red[red[:, :, 0] == BLACK] = (200, 20, 20)
    pictures = [glyph(0.9), glyph(0.9), glyph(0.9, BLACK, WHITE), red]
    facts = seen(tmp_path, pictures)
    assert facts.is_ink
    assert facts.grey_share == 0.75


@pytest.mark.parametrize("extent", [0.2, 0.5, 0.9])
def test_the_extent_of_ink_is_measured_against_its_frame(tmp_path: Path, extent: float) -> None:
    facts = seen(tmp_path, [glyph(extent)] * 4)
    assert facts.ink_extent == pytest.approx(extent, abs=0.04)


def test_bold_ink_that_covers_most_of_its_frame_is_dark_all_the_same(tmp_path: Path) -> None:
    pixels = np.full((60, 60, 3), WHITE, np.uint8)
    pixels[6:54, 6:54] = BLACK
    assert seen(tmp_path, [pixels] * 4).dark_share == 1.0


@pytest.mark.parametrize("width", [2, 4, 10])
def test_the_width_of_strokes_is_a_share_of_the_side(tmp_path: Path, width: int) -> None:
    pixels = np.full((60, 100, 3), WHITE, np.uint8)
    pixels[20 : 20 + width, 5:95] = BLACK
    facts = seen(tmp_path, [pixels] * 4)
    assert facts.stroke == pytest.approx(width / 100, rel=0.15)


def test_photographs_and_empty_paper_say_nothing_of_ink(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (60, 60, 3), np.uint8)
    facts = seen(tmp_path, [colours, np.full((60, 60, 3), WHITE, np.uint8)])
    assert facts.ink_share == 0.5
    assert (facts.dark_share, facts.ink_extent) == (1.0, 1.0)
