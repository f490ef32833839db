"""Pictures of the `captcha` package, reproducible by seed.

https://github.com/lepture/captcha, BSD-3-Clause; its own font is Droid Sans Mono, Apache-2.0.
"""

from __future__ import annotations

import importlib.util
import random
import string
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar, final

import numpy as np
from PIL import Image as PILImage
from PIL import ImageDraw

from foveal.errors import MissingExtraError
from foveal.extras import install_extra
from foveal.synth.chance import random_for
from foveal.synth.fonts import choose_fonts
from foveal.synth.kinds import KINDS, Drawn, Kind
from foveal.synth.options import option, plain_text, span, truth, visible, whole
from foveal.types import RawTarget

T = TypeVar("T")

# The package draws a gap before a character as a space turned and warped like any other; a gap
# is empty however it is turned, so that only its width needs to be drawn by lot.
_SPACE = " "

# The weights of favoured characters are rounded to parts of so many.
_WEIGHTS = 200

# The package takes the ink's brightness for its coverage, so that black would be invisible;
# 129 is the darkest grey that covers fully.
_PLAIN_INK = (129, 129, 129, 255)
_PLAIN_PAPER = (255, 255, 255)


@final
@dataclass(frozen=True, slots=True)
class Captcha(Kind):
    """Draws texts of random characters with the `captcha` package.

    Attributes:
        width: Width of a picture, in pixels.
        height: Height of a picture, in pixels.
        length: Smallest and largest number of characters.
        alphabet: Characters to draw at random, sorted.
        fonts: Font files separated by commas, `all` for every font at hand, or empty for the
            package's own.
        plain: Not turned, warped, stained nor touching: for checking labels by eye or by program.
        font_files: Found by `prepared`.
        favoured: Characters that are drawn more often, each as many times as its weight says.
        favoured_share: Share of all characters that is drawn from `favoured`.
    """

    name: ClassVar[str] = "captcha"
    task: ClassVar[Literal["classify", "read"]] = "read"
    batch: ClassVar[int] = 64

    width: int = option(170, whole(20, 2000))
    height: int = option(80, whole(20, 1000))
    length: tuple[int, int] = option((4, 4), span(1, 32))
    alphabet: str = option(string.digits + string.ascii_uppercase, visible)
    fonts: str = option("", plain_text)
    plain: bool = option(False, truth)
    font_files: tuple[str, ...] = ()
    favoured: str = ""
    favoured_share: float = 0.0

    @property
    def description(self) -> str:
        """Short description of the pictures."""
        low, high = self.length
        count = str(low) if low == high else f"{low} to {high}"
        return f"captchas of {count} from {len(self.alphabet)} characters"

    def prepared(self) -> Self:
        """Return the same kind with its fonts found; see `Kind.prepared`."""
        own = Path(_package().origin).parent / "data" / "DroidSansMono.ttf"
        files = choose_fonts(self.fonts or str(own), self.alphabet)
        return replace(self, font_files=tuple(str(path) for path in files))

    def favouring(self, confused: Mapping[str, int], share: float) -> Self:
        """Return the same kind with some characters drawn more often; see `Kind.favouring`."""
        weights = {c: confused[c] for c in self.alphabet if confused.get(c, 0) > 0}
        total = sum(weights.values())
        repeated = (c * max(1, round(_WEIGHTS * n / total)) for c, n in weights.items())
        return replace(self, favoured="".join(repeated), favoured_share=share)

    def target(self, seed: int, index: int) -> RawTarget:
        """Return the text of a picture."""
        return (self._text(random_for(seed, index)),)

    def draw(self, seed: int, index: int) -> Drawn:
        """Draw one picture; see `Kind.draw`."""
        rng = random_for(seed, index)
        text = self._text(rng)
        painter, chance = _painter(self.width, self.height, self.font_files, self.plain)
        chance.use(rng)
        if self.plain:
            # The package begins with a margin that it forgets when it measures the text: without
            # a gap at the end, the last character would be cut off.
            image = painter.create_captcha_image(text + _SPACE, _PLAIN_INK, _PLAIN_PAPER)
        else:
            image = painter.generate_image(text)
        return Drawn(np.array(image), (text,))

    def _text(self, rng: random.Random) -> str:
        low, high = self.length
        length = low + int(rng.random() * (high - low + 1))
        return "".join(self._character(rng) for _ in range(length))

    def _character(self, rng: random.Random) -> str:
        is_favoured = bool(self.favoured) and rng.random() < self.favoured_share
        characters = self.favoured if is_favoured else self.alphabet
        return characters[int(rng.random() * len(characters))]


@final
class Chance(threading.local):
    """Replacement for the module `secrets` with a seeded generator.

    Each thread has its own.
    """

    def use(self, rng: random.Random) -> None:
        """Take every number from `rng` from now on."""
        self._random = rng.random
        self._bits = rng.getrandbits

    def randbelow(self, bound: int) -> int:
        """Return a number in [0, bound)."""
        return int(self._random() * bound)

    def randbits(self, bits: int) -> int:
        """Return a number of `bits` bits."""
        return self._bits(bits)

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[int(self._random() * len(items))]


@final
@dataclass(frozen=True, slots=True)
class Package:
    """A copy of the module `captcha.image` of our own.

    Attributes:
        module: The copy; its `secrets` is `chance`.
        chance: Where it takes its random numbers from.
        origin: The file of the module.
    """

    module: Any
    chance: Chance
    origin: str


@lru_cache(maxsize=1)
def _package() -> Package:
    """Load the copy, so that nothing changes for others who import the package.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        spec = importlib.util.find_spec("captcha.image")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            "Drawing captchas needs the package captcha, which is not installed.",
            hint=install_extra("synth"),
        )
    own = importlib.util.spec_from_file_location("foveal_captcha_image", spec.origin)
    if own is None or own.loader is None:
        raise MissingExtraError(f"Cannot load {spec.origin}.", hint="pip install -U captcha")
    module = importlib.util.module_from_spec(own)
    own.loader.exec_module(module)
    chance = Chance()
    vars(module)["secrets"] = chance
    return Package(module, chance, spec.origin)


@lru_cache(maxsize=4)
def _painter(width: int, height: int, fonts: tuple[str, ...], plain: bool) -> tuple[Any, Chance]:
    """Return the package's painter with its fonts loaded, and where it takes numbers from."""
    package = _package()
    painter = package.module.ImageCaptcha(width, height, list(fonts))
    gaps = [_gap(font) for font in painter.truefonts]
    draw_character = painter._draw_character

    def draw(character: str, canvas: Any, color: Any) -> PILImage.Image:
        if character == _SPACE:
            return package.chance.choice(gaps)
        drawn: PILImage.Image = draw_character(character, canvas, color)
        return drawn

    painter._draw_character = draw
    if plain:
        painter.character_rotate = (0, 0)
        painter.character_warp_dx = painter.character_warp_dy = (0.0, 0.0)
        painter.word_offset_dx = painter.word_space_probability = 0.0
    return painter, package.chance


def _gap(font: Any) -> PILImage.Image:
    """Return the empty picture that the package pastes for a space in this font."""
    canvas = ImageDraw.Draw(PILImage.new("RGB", (1, 1)))
    _, _, right, bottom = canvas.multiline_textbbox((1, 1), _SPACE, font=font)
    return PILImage.new("RGBA", (int(right), int(bottom)))


CAPTCHA = KINDS.add(Captcha.name, Captcha())
