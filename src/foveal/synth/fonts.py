"""Find fonts on this machine that have given characters.

foveal includes one font, so there is always one; further fonts come from matplotlib, which the
extra `synth` installs for its fonts, and from the system.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from foveal.errors import DataError
from foveal.extras import install_extra
from foveal.fonts import can_draw, font_files, font_folders

# Fonts that put symbols where letters belong: their glyphs exist, but are not what they claim.
_NOT_LETTERS = (
    "symbol", "dingbat", "emoji", "wingding", "webding", "awesome", "icon", "barcode", "braille",
    "marlett", "cmsy", "cmex", "stixsiz", "stixnonuni", "d050000l",
)  # fmt: skip
# TeX's mathematical italic has its letters, but arrows where brackets and operators belong.
_ONLY_LETTERS = "cmmi"
# Upright text fonts with free licences: those of matplotlib, and of Debian's fonts-dejavu,
# -liberation, -noto-cjk and -wqy.
_PLAIN = (
    "DejaVuSans.", "DejaVuSans-Bold.", "DejaVuSansMono.", "DejaVuSansMono-Bold.", "DejaVuSerif.",
    "DejaVuSerif-Bold.", "LiberationSans-Regular", "LiberationSans-Bold.",
    "LiberationSerif-Regular", "LiberationSerif-Bold.", "LiberationMono-Regular", "STIXGeneral.",
    "STIXGeneralBol.", "NotoSansCJK", "NotoSerifCJK", "wqy-zenhei", "wqy-microhei",
)  # fmt: skip


def find_fonts(characters: str, folders: Sequence[Path] | None = None) -> list[Path]:
    """Return the font files that draw all of `characters`, one for each file name, sorted.

    Args:
        characters: Characters that the font must have.
        folders: Folders to search; None searches the font folders of this machine.

    Raises:
        DataError: If there is no such font.
    """
    looked_at = list(font_folders() if folders is None else folders)
    by_name: dict[str, Path] = {}
    for path in font_files(looked_at):
        has_letters = not any(part in path.name.lower() for part in _NOT_LETTERS)
        is_whole = characters.isalpha() or not path.name.startswith(_ONLY_LETTERS)
        if has_letters and is_whole:
            by_name.setdefault(path.name.lower(), path)
    fonts = [by_name[name] for name in sorted(by_name) if can_draw(by_name[name], characters)]
    if not fonts:
        where = ", ".join(str(folder) for folder in looked_at) or "no folders"
        raise DataError(
            f"No font on this machine can draw {characters[:12]!r}. Looked in: {where}.",
            hint=_how_to_install(characters),
        )
    return fonts


def choose_fonts(choice: str, characters: str) -> list[Path]:
    """Return the font files that an option names.

    Args:
        choice: `all` for every available font with the characters, or files separated by commas.
        characters: Characters that each font must have.

    Raises:
        DataError: If a file does not exist, or a font lacks a character.
    """
    if choice == "all":
        return find_fonts(characters)
    fonts = [Path(name.strip()).expanduser() for name in choice.split(",")]
    for font in fonts:
        if not font.is_file():
            raise DataError(
                f"The font file {font} does not exist.",
                hint="list fonts with fc-list, or use --option fonts=all",
            )
        if not can_draw(font, characters):
            raise DataError(
                f"The font {font} cannot draw all of {characters[:12]!r}.",
                hint="choose another font, or use --option fonts=all",
            )
    return fonts


def _how_to_install(characters: str) -> str:
    # Where the blocks of Han characters begin, with their radicals.
    if max(characters, default="") >= "\u2e80":
        return "apt-get install fonts-noto-cjk"
    return f"apt-get install fonts-dejavu-core, or {install_extra('synth')}"


def plain_fonts(characters: str) -> list[Path]:
    """Return common available fonts, or else all fonts with the characters.

    Decorative fonts, and those with other symbols in place of digits and operators, would draw
    something else than the label.

    Raises:
        DataError: If there is no font at all.
    """
    fonts = find_fonts(characters)
    return [font for font in fonts if font.name.startswith(_PLAIN)] or fonts
