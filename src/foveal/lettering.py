"""Write any character on a picture: with a font that can draw it, or as its code point."""

from __future__ import annotations

import functools
import itertools
import unicodedata
from pathlib import Path

from PIL import ImageDraw, ImageFont

from foveal.fonts import MAIN_FONT, can_draw, font_files, font_folders

# Names of fonts that draw many scripts; looked at first, because opening each font of a machine
# takes seconds.
_BROAD = ("cjk", "wqy", "unifont", "unicode", "fallback", "noto", "yahei", "pingfang", "gothic")
_MOST_FONTS = 200


def visible(character: str) -> str:
    """Return what to write for a character: itself, `␣` for a space, a code point for a control."""
    if character == " ":
        return "␣"
    if unicodedata.category(character)[0] in "CZ":
        return f"{ord(character):04X}"
    return character


def write(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    character: str,
    size_px: int,
    color: tuple[int, int, int],
    *,
    anchor: str = "mm",
) -> None:
    """Write one character of any script.

    Args:
        pen: Draws on the picture.
        place: (x, y) of the anchor, in pixels.
        character: What to write.
        size_px: Size of the font; a code point is written smaller.
        color: RGB.
        anchor: As Pillow names them: `mm` is the middle, `rm` the right end.
    """
    text, font = _setting(character, size_px)
    pen.text(place, text, fill=color, font=font, anchor=anchor)


def measure(character: str, size_px: int) -> float:
    """Return the width of a character as `write` writes it, in pixels."""
    text, font = _setting(character, size_px)
    return font.getlength(text)


def plain_font(size_px: int) -> ImageFont.FreeTypeFont:
    """Return the font for words and numbers."""
    return _open(MAIN_FONT, size_px)


def text_font(text: str, size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return a font for a line of text: one that draws most of its characters that are not ASCII.

    Text of ASCII alone is written with Pillow's own font, without a look at the machine's.
    """
    rare = "".join(dict.fromkeys(c for c in text if not c.isascii() and visible(c) == c))
    found = dict.fromkeys(path for path in map(_find_font, rare) if path is not None)
    if not found:
        return ImageFont.load_default(size_px)
    return _open(max(found, key=lambda path: sum(_draws(path, c) for c in rare)), size_px)


def _setting(character: str, size_px: int) -> tuple[str, ImageFont.FreeTypeFont]:
    text = visible(character)
    if len(text) == 1:
        path = _find_font(text)
        if path is not None:
            return text, _open(path, size_px)
        text = f"{ord(text):04X}"
    return text, _open(MAIN_FONT, max(7, size_px // 2))


@functools.lru_cache(maxsize=256)
def _open(path: Path, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size_px)


@functools.lru_cache(maxsize=4096)
def _find_font(character: str) -> Path | None:
    paths = itertools.chain([MAIN_FONT], _system_fonts())
    return next((path for path in paths if _draws(path, character)), None)


# A caption asks again for the characters of the one before it, and each answer opens the font.
_draws = functools.lru_cache(maxsize=4096)(can_draw)


@functools.lru_cache(maxsize=1)
def _system_fonts() -> tuple[Path, ...]:
    """Return the machine's fonts, those of many scripts first and bold or slanted ones last."""

    def rank(path: Path) -> tuple[bool, bool, str]:
        name = path.name.lower()
        is_styled = any(word in name for word in ("bold", "italic", "oblique", "black", "light"))
        return not any(word in name for word in _BROAD), is_styled, str(path)

    return tuple(sorted(set(font_files(font_folders())), key=rank)[:_MOST_FONTS])
