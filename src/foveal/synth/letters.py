"""Single letters a-z in all available fonts, slightly rotated, scaled, blurred and stained."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, final

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFilter, ImageFont

from foveal.synth.fonts import choose_fonts
from foveal.synth.kinds import KINDS, Drawn, Kind
from foveal.synth.options import number, option, plain_text, visible, whole
from foveal.types import Image, RawTarget

# Drawn larger and then reduced, so that turning and placing need no whole pixels.
_OVERSAMPLING = 3


@final
@dataclass(frozen=True, slots=True)
class Letters(Kind):
    """Draws the classes `a` to `z`, equally often.

    Attributes:
        characters: The classes; each must be a valid folder name.
        size_px: Side of a picture, in pixels.
        rotation: Largest rotation, in degrees.
        noise: Largest standard deviation of the noise, in grey levels.
        fonts: Font files separated by commas, or `all` for every font at hand.
        font_files: Found by `prepared`.
    """

    name: ClassVar[str] = "letters"
    task: ClassVar[Literal["classify", "read"]] = "classify"
    batch: ClassVar[int] = 64

    characters: str = option(string.ascii_lowercase, visible)
    size_px: int = option(60, whole(8, 1000))
    rotation: float = option(14.0, number(0, 180))
    noise: float = option(14.0, number(0, 100))
    fonts: str = option("all", plain_text)
    font_files: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Short description of the pictures."""
        return f"single letters {self.characters[0]}-{self.characters[-1]} in the fonts at hand"

    @property
    def alphabet(self) -> str:
        """Every character that a target may hold, each once, sorted."""
        return "".join(sorted(self.characters))

    def prepared(self) -> Self:
        """Return the same kind with its fonts found; see `Kind.prepared`."""
        files = choose_fonts(self.fonts, self.characters)
        return replace(self, font_files=tuple(str(path) for path in files))

    def target(self, seed: int, index: int) -> RawTarget:
        """Return the letter of a picture; letters alternate, so that all are equally frequent."""
        return (self.characters[index % len(self.characters)],)

    def draw(self, seed: int, index: int) -> Drawn:
        """Draw one picture; see `Kind.draw`."""
        target = self.target(seed, index)
        rng = np.random.default_rng([seed, index])
        font = self.font_files[int(rng.integers(len(self.font_files)))]
        return Drawn(self._picture(target[0], font, rng), target)

    def _picture(self, character: str, font: str, rng: np.random.Generator) -> Image:
        """Return one (size_px, size_px, 3) picture of a character."""
        mask = self._mask(character, font, rng)
        coverage = np.asarray(mask, np.float32)[..., None] / 255.0
        paper, ink = _paper_and_ink(rng)
        # Light falls a little from one side, as on a photograph of paper.
        slope = rng.uniform(-14, 14, 2)
        ramp = np.linspace(-0.5, 0.5, self.size_px, dtype=np.float32)
        light = slope[0] * ramp[:, None] + slope[1] * ramp[None, :]
        pixels = paper + coverage * (ink - paper) + light[..., None]
        grain = rng.normal(0.0, rng.uniform(0.0, self.noise), (self.size_px, self.size_px, 1))
        drawn: Image = np.clip(pixels + grain, 0, 255).round().astype(np.uint8)
        return drawn

    def _mask(self, character: str, font: str, rng: np.random.Generator) -> PILImage.Image:
        """Return the ink's coverage, (size_px, size_px) in [0, 255]."""
        side = self.size_px * _OVERSAMPLING
        size = int(side * rng.uniform(0.55, 0.85))
        canvas = PILImage.new("L", (side, side), 0)
        shift = rng.uniform(-0.06, 0.06, 2) * side
        # Centred on the glyph itself and not on the line, so that nothing is cut off.
        glyph = ImageFont.truetype(font, size)
        left, top, right, bottom = glyph.getbbox(character)
        place = (
            (side - (left + right)) / 2 + shift[0],
            (side - (top + bottom)) / 2 + shift[1],
        )
        ImageDraw.Draw(canvas).text(place, character, fill=255, font=glyph)
        turned = canvas.rotate(
            rng.uniform(-self.rotation, self.rotation), PILImage.Resampling.BICUBIC
        )
        blur = rng.uniform(0.0, 0.9) * _OVERSAMPLING
        return turned.filter(ImageFilter.GaussianBlur(blur)).resize(
            (self.size_px, self.size_px), PILImage.Resampling.BOX
        )


def _paper_and_ink(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return two RGB colours, (3,) float32: dark ink on light paper, or now and then reversed."""
    paper = np.clip(rng.uniform(185, 255) + rng.uniform(-12, 12, 3), 0, 255)
    ink = np.clip(rng.uniform(0, 90) + rng.uniform(-15, 15, 3), 0, 255)
    # One in eight is a sign or a screen: light on dark.
    pair = (ink, paper) if rng.random() < 0.125 else (paper, ink)
    return pair[0].astype(np.float32), pair[1].astype(np.float32)


LETTERS = KINDS.add(Letters.name, Letters())
