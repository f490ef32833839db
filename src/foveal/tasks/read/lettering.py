"""Write any character on a picture: the font that can draw it, or its code point."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from PIL import ImageDraw, ImageFont

# No font draws this code point: its glyph is what a font shows for "missing".
_MISSING = "\uffff"
_PROBE_SIZE_PX = 24
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
        pen: Of the picture.
        place: (x, y) of the anchor, in pixels.
        character: What to write.
        size_px: Of the font; a code point is written smaller.
        color: RGB.
        anchor: As Pillow names them: `mm` is the middle, `rm` the right end.
    """
    text, font = _setting(character, size_px)
    pen.text(place, text, fill=color, font=font, anchor=anchor)


def measure(character: str, size_px: int) -> float:
    """Return the width of a character as `write` writes it, in pixels."""
    text, font = _setting(character, size_px)
    return font.getlength(text)


def plain_font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font for words and numbers."""
    return _open(_main_font(), size_px)


def _setting(
    character: str, size_px: int
) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    text = visible(character)
    if len(text) == 1:
        path = _find_font(text)
        if path is not None:
            return text, _open(path, size_px)
        text = f"{ord(text):04X}"
    return text, _open(_main_font(), max(7, size_px // 2))


@functools.lru_cache(maxsize=256)
def _open(path: Path | None, size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if path is None:
        return ImageFont.load_default(size_px)
    return ImageFont.truetype(str(path), size_px)


@functools.lru_cache(maxsize=1)
def _main_font() -> Path | None:
    """Return matplotlib's DejaVu Sans, or None; matplotlib itself is slow to import."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return path if path.is_file() else None


@functools.lru_cache(maxsize=4096)
def _find_font(character: str) -> Path | None:
    main = _main_font()
    first = [main] if main is not None else []
    paths = itertools.chain(first, _system_fonts())
    return next((path for path in paths if _can_draw(path, character)), None)


def _can_draw(path: Path, character: str) -> bool:
    try:
        font = ImageFont.truetype(str(path), _PROBE_SIZE_PX)
        glyph, missing = font.getmask(character), font.getmask(_MISSING)
    except (OSError, ValueError):
        # Damaged, or a bitmap font without this size: of no use either way.
        return False
    return any(glyph) and (glyph.size, bytes(glyph)) != (missing.size, bytes(missing))


@functools.lru_cache(maxsize=1)
def _system_fonts() -> tuple[Path, ...]:
    """Return the machine's fonts, those of many scripts first and bold or slanted ones last."""
    found = {path for folder in _font_folders() for path in _font_files(folder)}

    def rank(path: Path) -> tuple[bool, bool, str]:
        name = path.name.lower()
        is_styled = any(word in name for word in ("bold", "italic", "oblique", "black", "light"))
        return not any(word in name for word in _BROAD), is_styled, str(path)

    return tuple(sorted(found, key=rank)[:_MOST_FONTS])


def _font_files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.suffix.lower() in (".ttf", ".otf", ".ttc"))


def _font_folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "darwin":
        folders = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    elif sys.platform == "win32":
        folders = [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    else:
        folders = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".fonts"]
    return [folder for folder in folders if folder.is_dir()]
