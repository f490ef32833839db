"""A picture that explains a reading: its alignment to the picture's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw

from foveal.lettering import measure, plain_font, write
from foveal.tasks.read.canvas import (
    PAPER,
    Color,
    fit,
    letter_size,
    show_content,
)
from foveal.tasks.read.characters import Alignment, confidence_color
from foveal.types import Frame, Image, Picture

# A character that never reaches this share could not have been the answer.
_LEAST_SHARE = 0.05
# The heat map of an untrained network would else be taller than a screen.
_MOST_ROWS = 40
_BLANK = "blank"

_INK, _SOFT, _LINE = (24, 28, 38), (118, 124, 138), (206, 210, 218)
# A heat map goes from its ground (0 %) to one of these (100 %).
_GROUND, _ANSWER, _RIVAL, _EMPTY = (240, 242, 247), (17, 82, 200), (222, 84, 20), (168, 174, 188)
_UNSEEN = (214, 216, 222)
# The legend's, and so the least, width of a sheet.
_LEGEND_PX = 400


@final
@dataclass(frozen=True, slots=True)
class _Columns:
    """Positions of the columns of a reading under the picture, in pixels of the sheet.

    Attributes:
        count: T.
        frame: Where the picture lies in the model input.
        scale: Sheet pixels per pixel of the picture.
        left: Left edge of the picture on the sheet.
        width: Width of the picture on the sheet.
    """

    count: int
    frame: Frame
    scale: float
    left: int
    width: int

    def edge(self, column: float) -> float:
        """Return the left edge of a column, held inside the picture."""
        across = self.frame.to_content(0.0, column * self.frame.input[1] / self.count)[1]
        return self.left + min(max(self.scale * across, 0.0), float(self.width))

    def under(self) -> NDArray[np.int64]:
        """Return (width,) the column under each pixel; outside [0, T) the network saw nothing."""
        across = (np.arange(self.width) + 0.5) / self.scale
        at = across * self.frame.scale[1] + self.frame.offset[1]
        return np.floor(at * self.count / self.frame.input[1]).astype(np.int64)


def draw_alignment(picture: Picture, alignment: Alignment) -> Image:
    """Draw which column of the picture spoke for which character.

    On top the picture (or the strip that page pre-processing made of it), under it the characters
    read over the columns they were read from, under these the probability of each character in
    each column: blue where it became the answer, orange where it did not, grey for the blank.
    Columns that lie beside the picture, in the padding, are cut.

    Args:
        picture: The picture that was read, or a copy of another size.
        alignment: Alignment of what was read in it.

    Returns:
        (H, W, 3) uint8 RGB, at most about 900 pixels wide; small pictures are enlarged by whole
        factors.
    """
    alphabet = alignment.alphabet
    frame = alignment.frame.for_copy(picture.height, picture.width)
    shown, scale = fit(show_content(picture, frame))
    height, width = shown.shape[:2]
    classes = _choose_classes(alignment)
    size = 15 if len(classes) <= 20 else 12
    left = 16 + round(max(_name_width(alphabet, c, size) for c in classes))
    columns = _Columns(len(alignment.log_probabilities), frame, scale, left, width)
    heat = _heat(alignment, classes, columns.under()).repeat(size + 7, axis=0)
    heat_top = 10 + height + 44
    heat_bottom = heat_top + len(heat)

    sheet = PILImage.new("RGB", (left + max(width, _LEGEND_PX) + 14, heat_bottom + 30), PAPER)
    sheet.paste(PILImage.fromarray(shown), (left, 10))
    sheet.paste(PILImage.fromarray(heat), (left, heat_top))
    pen = ImageDraw.Draw(sheet)
    read = {character.char for character in alignment.characters}
    for i, index in enumerate(classes):
        y = heat_top + i * (size + 7)
        if i:
            pen.line((left, y, left + width - 1, y), fill=PAPER)
        middle = (left - 8, y + (size + 7) / 2)
        if index == 0:
            pen.text(middle, _BLANK, fill=_SOFT, font=plain_font(size - 2), anchor="rm")
        else:
            name = alphabet[index - 1]
            write(pen, middle, name, size, _INK if name in read else _SOFT, anchor="rm")
    _write_text(pen, alignment, columns, heat_top)
    _write_legend(sheet, pen, left, heat_bottom + 10)
    return np.asarray(sheet)


def _choose_classes(alignment: Alignment) -> list[int]:
    """Return the classes worth a row, in the order in which they peak, the blank last."""
    best = alignment.log_probabilities.max(axis=0)
    peak = alignment.log_probabilities.argmax(axis=0)
    ranked = [int(i) for i in np.argsort(-best, kind="stable") if i != 0]
    heard = {i for i in ranked[:_MOST_ROWS] if np.exp(best[i]) >= _LEAST_SHARE}
    # Under a grammar the answer may be what the network itself held for unlikely.
    answered = {alignment.alphabet.index(character.char) + 1 for character in alignment.characters}
    return [*sorted(heard | answered, key=lambda i: (peak[i], i)), 0]


def _heat(alignment: Alignment, classes: list[int], under: NDArray[np.int64]) -> Image:
    """Return (classes, width, 3): the colour of each class over each pixel column."""
    shares = np.exp(alignment.log_probabilities[:, classes]).T
    heat = _ramp(shares, _RIVAL)
    heat[-1] = _ramp(shares[-1], _EMPTY)
    for character, (first, end) in zip(alignment.characters, alignment.spans, strict=True):
        line = classes.index(alignment.alphabet.index(character.char) + 1)
        heat[line, first:end] = _ramp(shares[line, first:end], _ANSWER)
    spread = heat[:, np.clip(under, 0, shares.shape[1] - 1)]
    spread[:, (under < 0) | (under >= shares.shape[1])] = _UNSEEN
    return spread


def _ramp(shares: NDArray[np.float32], full: Color) -> Image:
    """Return the shares' colours, from the ground's (0) to `full` (1)."""
    # A root, so that a competitor of a few percent is seen.
    weight = np.sqrt(np.clip(shares, 0.0, 1.0))[..., None]
    colors = np.array(_GROUND) * (1 - weight) + np.array(full) * weight
    return np.asarray(colors.round(), np.uint8)


def _write_text(
    pen: ImageDraw.ImageDraw, alignment: Alignment, columns: _Columns, bottom: int
) -> None:
    """Write the characters above `bottom`, each with a bracket over its columns."""
    edges = [(columns.edge(first), columns.edge(end)) for first, end in alignment.spans]
    middles = [(x0 + x1) / 2 for x0, x1 in edges]
    size = letter_size([c.char for c in alignment.characters], middles, [0.0] * len(middles))
    y = bottom - 25
    for i, (character, (x0, x1)) in enumerate(zip(alignment.characters, edges, strict=True)):
        color = confidence_color(character.confidence)
        write(pen, (middles[i], y), character.char, size, color)
        x1 = max(x1 - 1, x0 + 1)
        pen.line((x0, bottom - 2, x0, bottom - 6, x1, bottom - 6, x1, bottom - 2), color)
        if i:
            between = (edges[i - 1][1] + x0) / 2
            pen.line((between, y - 6, between, y + 6), _LINE)


def _write_legend(sheet: PILImage.Image, pen: ImageDraw.ImageDraw, left: int, top: int) -> None:
    font = plain_font(11)
    shares = np.linspace(0, 1, 48, dtype=np.float32)
    x = float(left)
    names = (("the answer", _ANSWER), ("another character", _RIVAL), (_BLANK, _EMPTY))
    for name, color in names:
        ramp = _ramp(shares, color)[None].repeat(9, axis=0)
        sheet.paste(PILImage.fromarray(ramp), (round(x), top))
        pen.text((x + 54, top + 4), name, fill=_SOFT, font=font, anchor="lm")
        x += 54 + font.getlength(name) + 18


def _name_width(alphabet: Sequence[str], index: int, size_px: int) -> float:
    if index == 0:
        return plain_font(size_px - 2).getlength(_BLANK)
    return measure(alphabet[index - 1], size_px)
