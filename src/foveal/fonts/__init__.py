"""The font files of this machine, and which characters each can draw."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import ImageFont

_SUFFIXES = frozenset({".ttf", ".otf", ".ttc"})

# A code point that no font draws: its glyph is what the font shows for "missing".
_MISSING = "\uffff"
_PROBE_SIZE_PX = 24


MAIN_FONT = Path(__file__).with_name("DejaVuSans.ttf")
"""DejaVu Sans 2.37, which comes with foveal: Latin, Greek, Cyrillic and signs of mathematics."""


def font_folders() -> list[Path]:
    """Return the folders where fonts lie: foveal's own, matplotlib's, and those of this machine."""
    home = Path.home()
    if sys.platform == "darwin":
        system = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    elif sys.platform == "win32":
        system = [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"]
    else:
        data_home = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
        system = [
            Path("/usr/share/fonts"),
            Path("/usr/local/share/fonts"),
            data_home / "fonts",
            home / ".fonts",
        ]
    folders = [MAIN_FONT.parent, *_matplotlib_folder(), *system]
    return [folder for folder in folders if folder.is_dir()]


def _matplotlib_folder() -> Iterator[Path]:
    # Found without importing it, which is slow.
    spec = importlib.util.find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def font_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the font files of folders and all their subfolders, sorted within each folder."""
    for folder in folders:
        yield from (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in _SUFFIXES)


def can_draw(path: Path, characters: str) -> bool:
    """Return whether the font file has a visible glyph of its own for each of `characters`."""
    wanted = set(characters)
    try:
        font = ImageFont.truetype(str(path), _PROBE_SIZE_PX)
        glyphs = {_glyph(font, character) for character in wanted}
        # Fonts of last resort draw one and the same box for a whole alphabet.
        return len(glyphs - {_glyph(font, _MISSING)}) == len(wanted) and all(g[1] for g in glyphs)
    except (OSError, ValueError):
        # Damaged, or a bitmap font without this size: of no use either way.
        return False


def _glyph(font: ImageFont.FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(character)
    pixels = bytes(mask)
    return mask.size, pixels if any(pixels) else b""
