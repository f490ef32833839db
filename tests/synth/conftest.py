"""Fonts for the drawn kinds that are the same on every machine."""

from pathlib import Path

import pytest

from foveal.fonts import MAIN_FONT
from foveal.synth import fonts

_OWN = Path(__file__).with_name("fonts")


@pytest.fixture(autouse=True)
def fonts_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw with the packages' fonts and a small one with Han characters, not the machine's."""
    folders = [f for f in fonts.font_folders() if f == MAIN_FONT.parent or "matplotlib" in f.parts]
    monkeypatch.setattr(fonts, "font_folders", lambda: [*folders, _OWN])
