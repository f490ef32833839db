"""The icons of an app: foveal's mark, on the app's ground."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from types import MappingProxyType

from PIL import Image as PILImage
from PIL import ImageDraw

_GROUND, _RING, _SPOT = (246, 245, 241), (15, 118, 110), (224, 122, 63)
# Rings of the mark: radius in 32nds of its side, and how strong the colour is.
_RINGS = ((14.0, 0.35), (9.0, 0.7))
_WIDTH, _SPOT_RADIUS = 2.0, 4.5
# Drawn larger and scaled down, as ImageDraw has hard edges.
_FINER = 4
# A launcher may cut a maskable icon to a circle of 80 % of its side.
_PLAIN, _SAFE = 0.86, 0.62

ICONS: Mapping[str, tuple[int, float]] = MappingProxyType(
    {
        "icon-192.png": (192, _PLAIN),
        "icon-512.png": (512, _PLAIN),
        "maskable-192.png": (192, _SAFE),
        "maskable-512.png": (512, _SAFE),
        "apple-touch-icon.png": (180, _SAFE),
    }
)
"""Name of each file → its side in pixels, and the share of it that the mark takes."""


def draw_icon(side: int, share: float) -> bytes:
    """Return a PNG of the mark.

    Args:
        side: In pixels.
        share: How much of the side the mark takes, in (0, 1].
    """
    large = side * _FINER
    image = PILImage.new("RGB", (large, large), _GROUND)
    draw = ImageDraw.Draw(image)
    unit, centre = large * share / 32, large / 2
    for radius, strength in _RINGS:
        colour = _mixed(strength)
        outer = (radius + _WIDTH / 2) * unit
        box = (centre - outer, centre - outer, centre + outer, centre + outer)
        draw.ellipse(box, outline=colour, width=round(_WIDTH * unit))
    spot = _SPOT_RADIUS * unit
    draw.ellipse((centre - spot, centre - spot, centre + spot, centre + spot), fill=_SPOT)
    file = BytesIO()
    image.resize((side, side), PILImage.Resampling.LANCZOS).save(file, "PNG", optimize=True)
    return file.getvalue()


def _mixed(strength: float) -> tuple[int, int, int]:
    red, green, blue = (
        round(strength * ring + (1 - strength) * ground)
        for ring, ground in zip(_RING, _GROUND, strict=True)
    )
    return red, green, blue
