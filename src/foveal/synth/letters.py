"""Single letters a-z in every font at hand, turned, scaled, blurred and stained a little."""

from __future__ import annotations

import string
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFilter, ImageFont

from foveal.errors import UsageError
from foveal.synth.fonts import find_fonts
from foveal.synth.kinds import KINDS

# Drawn larger and then reduced, so that turning and placing need no whole pixels.
_OVERSAMPLING = 3


@final
@dataclass(frozen=True, slots=True)
class Letters:
    """Draws class folders `a/` to `z/`, equally many pictures in each.

    Attributes:
        characters: The classes; each must be fit to be a folder's name.
        size_px: Side of a picture.
        rotation: Largest turn, in degrees.
        noise: Largest standard deviation of the noise, in grey levels.
    """

    characters: str = string.ascii_lowercase
    size_px: int = 60
    rotation: float = 14.0
    noise: float = 14.0

    @property
    def description(self) -> str:
        """What is drawn, in a few words for people."""
        return f"single letters {self.characters[0]}-{self.characters[-1]} in the fonts at hand"

    def write(self, out: Path, *, count: int, seed: int) -> None:
        """Draw `count` letters into class folders under `out`; see `Kind.write`."""
        if count < 1:
            raise UsageError(f"Invalid count. Expected at least 1. Received: {count}.")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(
                f"{out} is there already and is not an empty folder; drawing into it would mix.",
                hint="choose another --out, or delete it first",
            )
        fonts = find_fonts(self.characters)
        for character in self.characters[:count]:
            (out / character).mkdir(parents=True, exist_ok=True)

        def draw_one(index: int) -> None:
            # A generator for each picture: the result does not depend on the order of threads.
            rng = np.random.default_rng([seed, index])
            character = self.characters[index % len(self.characters)]
            image = self.draw(character, fonts[int(rng.integers(len(fonts)))], rng)
            image.save(out / character / f"{index:06d}.png")

        with ThreadPoolExecutor(thread_name_prefix="synth") as pool:
            # Consumed, so that an error in a thread is raised here.
            for _ in pool.map(draw_one, range(count)):
                pass

    def draw(self, character: str, font: Path, rng: np.random.Generator) -> PILImage.Image:
        """Return one (size_px, size_px) RGB picture of a character."""
        mask = self._mask(character, font, rng)
        coverage = np.asarray(mask, np.float32)[..., None] / 255.0
        paper, ink = _paper_and_ink(rng)
        # Light falls a little from one side, as on a photograph of paper.
        slope = rng.uniform(-14, 14, 2)
        ramp = np.linspace(-0.5, 0.5, self.size_px, dtype=np.float32)
        light = slope[0] * ramp[:, None] + slope[1] * ramp[None, :]
        pixels = paper + coverage * (ink - paper) + light[..., None]
        grain = rng.normal(0.0, rng.uniform(0.0, self.noise), (self.size_px, self.size_px, 1))
        return PILImage.fromarray(np.clip(pixels + grain, 0, 255).round().astype(np.uint8))

    def _mask(self, character: str, font: Path, rng: np.random.Generator) -> PILImage.Image:
        """Return the ink's coverage, (size_px, size_px) in [0, 255]."""
        side = self.size_px * _OVERSAMPLING
        size = int(side * rng.uniform(0.55, 0.85))
        canvas = PILImage.new("L", (side, side), 0)
        shift = rng.uniform(-0.06, 0.06, 2) * side
        # Centred on the glyph itself and not on the line, so that nothing is cut off.
        glyph = ImageFont.truetype(str(font), size)
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


LETTERS = KINDS.add("letters", Letters())
