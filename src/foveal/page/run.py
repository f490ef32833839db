"""Run the steps one after the other, keeping what each made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from foveal.page.clean import Mask, Pixels, as_grey, as_rgb, equalise, ink_mask, median, morph
from foveal.page.lines import find_lines
from foveal.page.opencv import opencv
from foveal.page.steps import Step, parse_steps
from foveal.page.strip import join_lines
from foveal.types import Image, Piece

# Boxes are drawn over the stage `lines` before it cuts: light red on any ground.
_BOX_COLOR = (230, 60, 60)


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """What a step made, to be looked at.

    Attributes:
        step: The step as the recipe writes it.
        image: (H, W, 3) uint8 RGB; ink is black on white from `threshold` on.
        note: What the step found, in a few words, or nothing.
    """

    step: str
    image: Image
    note: str


@final
@dataclass(frozen=True, slots=True)
class _State:
    """A page on its way: the picture, its ink once `threshold` ran, its lines once `lines` did."""

    picture: Pixels
    mask: Mask | None = None
    pieces: tuple[Piece, ...] = ()
    note: str = ""

    def image(self) -> Image:
        """Return the ink where there is a mask, else the picture."""
        return as_rgb(self.picture if self.mask is None else 255 - self.mask)


def run_steps(pixels: Image, steps: Sequence[str]) -> tuple[Image, tuple[Piece, ...]]:
    """Run the steps on a page.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        steps: As a recipe writes them; see `STEPS`.

    Returns:
        The picture after the last step, (H, W, 3) uint8 RGB, and where its pieces come from:
        nothing without the step `lines`, which cuts what `grey`, `equalise` and `median` made
        of the page, not the ink.

    Raises:
        RecipeError: When the steps cannot be read.
        MissingExtraError: When OpenCV is not installed.
    """
    state = _State(pixels)
    for step in parse_steps(steps):
        state = _apply(step, state)
    return np.ascontiguousarray(state.image()), state.pieces


def show_steps(pixels: Image, steps: Sequence[str]) -> list[Stage]:
    """Run the steps as `run_steps` does and return what each of them made.

    The boxes that `lines` finds are drawn on a stage of their own, `boxes`, before the strip.

    Raises:
        RecipeError: When the steps cannot be read.
        MissingExtraError: When OpenCV is not installed.
    """
    stages = []
    state = _State(pixels)
    for step in parse_steps(steps):
        before, state = state, _apply(step, state)
        if step.name == "lines":
            boxed = _with_boxes(as_rgb(before.picture), state.pieces)
            stages.append(Stage("boxes", boxed, state.note))
        stages.append(Stage(str(step), np.ascontiguousarray(state.image()), state.note))
    return stages


def _apply(step: Step, state: _State) -> _State:
    picture, mask, pieces = state.picture, state.mask, state.pieces
    if step.name == "grey":
        return _State(as_grey(picture), mask, pieces)
    if step.name == "equalise":
        return _State(equalise(picture), mask, pieces)
    if step.name == "median":
        return _State(median(picture, step.size), mask, pieces)
    if step.name == "threshold":
        mask, note = ink_mask(picture, step.size)
        return _State(picture, mask, pieces, note)
    if step.name in ("open", "close"):
        if mask is None:
            return _State(morph(picture, step.name, step.size), None, pieces)
        return _State(picture, morph(mask, step.name, step.size), pieces)
    lines = find_lines(mask) if mask is not None else []
    strip, pieces = join_lines(picture, lines)
    found = f"{len(lines)} line{'' if len(lines) == 1 else 's'}" if lines else "no line found"
    return _State(strip, None, pieces, found)


def _with_boxes(picture: Image, pieces: Sequence[Piece]) -> Image:
    drawn = picture.copy()
    thickness = max(2, min(picture.shape[:2]) // 150)
    for piece in pieces:
        corners = (piece.x0, piece.y0), (piece.x1 - 1, piece.y1 - 1)
        opencv().rectangle(drawn, *corners, _BOX_COLOR, thickness)
    return drawn
