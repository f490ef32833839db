"""Run the steps one after the other, and lay out what each made as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

from foveal.page.boxes import Box
from foveal.page.clean import Mask, Pixels, as_grey, as_rgb, equalise, ink_mask, median, morph
from foveal.page.edges import Ground, grey_of, ground_of, trim, with_margins
from foveal.page.lines import find_lines
from foveal.page.opencv import opencv
from foveal.page.steps import CUTS, LINE_STEPS, Step, parse_steps
from foveal.types import Image, Piece

# Boxes are drawn over what is cut into lines, before it is: light red on any ground.
_BOX_COLOR = (230, 60, 60)
# Between two lines, as a share of the lowest line's height: wider than between two words, so
# that a reader can tell where a line ends.
_GAP: Final = 0.5
# Wide enough for the glyphs of a page 4000 pixels wide, narrow enough for a screen.
_SHEET_WIDTH: Final = 1400
_SHEET_GAP: Final = 12
_SHEET_LINE: Final = 24
_SHEET_GROUND: Final = (236, 236, 240)
_SHEET_INK: Final = (40, 40, 40)


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """The result of a step, for display.

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
    """A page on its way.

    Attributes:
        picture: What it is now.
        mask: Its ink, from `threshold` until it is cut.
        pieces: What it is made of, once it was cut or got margins.
        note: What the last step found.
        ground: Colour of the paper, as it was before a cut left no paper around the ink.
    """

    picture: Pixels
    mask: Mask | None = None
    pieces: tuple[Piece, ...] = ()
    note: str = ""
    ground: Ground | None = None

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
        nothing without the steps `lines`, `fractions`, `trim` and `margin`. They cut what `grey`,
        `equalise` and `median` made of the page, not the ink.

    Raises:
        RecipeError: If the steps cannot be read.
        MissingExtraError: If OpenCV is not installed.
    """
    state = _State(pixels)
    for step in parse_steps(steps):
        state = _apply(step, state)
    return np.ascontiguousarray(state.image()), state.pieces


def show_steps(pixels: Image, steps: Sequence[str]) -> list[Stage]:
    """Run the steps as `run_steps` does and return what each of them made.

    The boxes that `lines` or `fractions` finds are drawn on a stage of their own, `boxes`, before
    the strip.

    Raises:
        RecipeError: If the steps cannot be read.
        MissingExtraError: If OpenCV is not installed.
    """
    stages = []
    state = _State(pixels)
    for step in parse_steps(steps):
        before, state = state, _apply(step, state)
        if step.name in LINE_STEPS:
            boxed = _with_boxes(as_rgb(before.picture), state.pieces)
            stages.append(Stage("boxes", boxed, state.note))
        stages.append(Stage(str(step), np.ascontiguousarray(state.image()), state.note))
    return stages


def _apply(step: Step, state: _State) -> _State:
    picture, mask = state.picture, state.mask
    if step.name == "threshold":
        mask, note = ink_mask(picture, step.size)
        return replace(state, mask=mask, note=note)
    if step.name in CUTS:
        return _cut(step, state)
    if step.name == "margin":
        ground = ground_of(picture) if state.ground is None else state.ground
        picture, mask, pieces = with_margins(picture, mask, state.pieces, step.size, ground)
        return _State(picture, mask, pieces, ground=ground)
    changed = replace(state, note="")
    if step.name in ("open", "close") and mask is not None:
        return replace(changed, mask=morph(mask, step.name, step.size))
    if step.name == "grey":
        paper = None if state.ground is None else grey_of(state.ground)
        return replace(changed, picture=as_grey(picture), ground=paper)
    if step.name == "equalise":
        return replace(changed, picture=equalise(picture), ground=None)
    if step.name == "median":
        return replace(changed, picture=median(picture, step.size))
    return replace(changed, picture=morph(picture, step.name, step.size))


def _cut(step: Step, state: _State) -> _State:
    picture, mask, ground = state.picture, state.mask, ground_of(state.picture)
    if step.name == "trim":
        part, pieces = (picture, ()) if mask is None else trim(picture, mask)
        found = "cut to its ink" if pieces else "no ink found"
        return _State(part, None, pieces, found, ground)
    lines = find_lines(mask, unstack=step.name == "fractions") if mask is not None else []
    strip, pieces = join_lines(picture, lines)
    noun = "piece" if step.name == "fractions" else "line"
    found = f"{len(lines)} {noun}{'' if len(lines) == 1 else 's'}" if lines else "no line found"
    return _State(strip, None, pieces, found, ground)


def _with_boxes(picture: Image, pieces: Sequence[Piece]) -> Image:
    drawn = picture.copy()
    thickness = max(2, min(picture.shape[:2]) // 150)
    for piece in pieces:
        corners = (piece.x0, piece.y0), (piece.x1 - 1, piece.y1 - 1)
        opencv().rectangle(drawn, *corners, _BOX_COLOR, thickness)
    return drawn


def join_lines(picture: Pixels, lines: Sequence[Box]) -> tuple[Pixels, tuple[Piece, ...]]:
    """Cut lines out of a picture and set them side by side on a strip of ground.

    Args:
        picture: (H, W) or (H, W, 3) uint8.
        lines: Boxes in its pixels; none keeps the whole picture.

    Returns:
        The strip, as high as the highest line, and where its pieces come from.
    """
    if not lines:
        height, width = picture.shape[:2]
        return picture, (Piece(0, 0, width, height, 0, 0),)
    heights = [y1 - y0 for _, y0, _, y1 in lines]
    gap = round(_GAP * min(heights))
    width = sum(x1 - x0 for x0, _, x1, _ in lines) + gap * (len(lines) - 1)
    strip = np.empty((max(heights), width, *picture.shape[2:]), np.uint8)
    strip[:] = ground_of(picture)
    pieces = []
    x = 0
    for x0, y0, x1, y1 in lines:
        y = (max(heights) - (y1 - y0)) // 2
        strip[y : y + y1 - y0, x : x + x1 - x0] = picture[y0:y1, x0:x1]
        pieces.append(Piece(x0, y0, x1, y1, x, y))
        x += x1 - x0 + gap
    return strip, tuple(pieces)


def stages_sheet(stages: Sequence[Stage]) -> Image:
    """Lay stages out under each other, each with its number, its step and what it found.

    Returns:
        (H, W, 3) uint8 RGB. Pictures wider than the sheet are reduced, none is enlarged.
    """
    font = ImageFont.load_default(size=16)
    shown = [_reduced(stage.image) for stage in stages]
    height = sum(image.height + _SHEET_LINE + _SHEET_GAP for image in shown) + _SHEET_GAP
    sheet = PILImage.new("RGB", (_SHEET_WIDTH + 2 * _SHEET_GAP, height), _SHEET_GROUND)
    pen = ImageDraw.Draw(sheet)
    y = _SHEET_GAP
    for number, (stage, image) in enumerate(zip(stages, shown, strict=True), 1):
        words = f"{number}  {stage.step}" + (f"  ({stage.note})" if stage.note else "")
        pen.text((_SHEET_GAP, y), words, fill=_SHEET_INK, font=font)
        sheet.paste(image, (_SHEET_GAP, y + _SHEET_LINE))
        y += _SHEET_LINE + image.height + _SHEET_GAP
    return np.asarray(sheet)


def _reduced(image: Image) -> PILImage.Image:
    picture = PILImage.fromarray(image)
    if picture.width <= _SHEET_WIDTH:
        return picture
    height = max(1, round(picture.height * _SHEET_WIDTH / picture.width))
    return picture.resize((_SHEET_WIDTH, height), PILImage.Resampling.LANCZOS, reducing_gap=3.0)
