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


def matplotlib_fonts() -> Path | None:
    """Return the folder of the fonts that matplotlib brings along, which is slow to import."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def font_folders() -> list[Path]:
    """Return the folders where fonts lie on this machine, matplotlib's own first."""
    own = matplotlib_fonts()
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
    return [folder for folder in ([own] if own else []) + system if folder.is_dir()]


def font_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the font files of folders and all their subfolders, sorted within each folder."""
    for folder in folders:
        yield from (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in _SUFFIXES)


def can_draw(path: Path, characters: str) -> bool:
    """Tell whether the font file has a visible glyph of its own for each of `characters`."""
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
