"""Whether this machine has a Chinese font, which no Python package brings."""

import pytest

from foveal.errors import DataError
from foveal.synth.expressions import HAN
from foveal.synth.fonts import find_fonts


def has_han() -> bool:
    """Tell whether formulas can be drawn here."""
    try:
        return bool(find_fonts(HAN))
    except DataError:
        return False


needs_han = pytest.mark.skipif(not has_han(), reason="needs apt-get install fonts-noto-cjk")
