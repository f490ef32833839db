"""Estimate the cost of pictures from earlier ones."""

from __future__ import annotations

from typing import final
from weakref import WeakKeyDictionary

from foveal.server.models.served import Served

# Seconds to decode a pixel: a PNG of one megapixel takes 10 to 20 ms.
_DECODE_S = 1.5e-8
# Share of the newest run in the mean.
_NEWEST = 0.1


@final
class Costs:
    """Seconds of a network for each model: by picture, or by pixel where tiles are answered.

    Used on the event loop only.
    """

    def __init__(self) -> None:
        self._seconds: WeakKeyDictionary[Served, float] = WeakKeyDictionary()

    def of(self, served: Served, pixels: int) -> float:
        """Return the seconds that a picture will take, more or less."""
        units = pixels if served.predictor.pipeline.is_tiled else 1
        return _DECODE_S * pixels + self._seconds.get(served, 0.0) * units

    def learn(self, served: Served, pictures: int, pixels: int, seconds: float) -> None:
        """Take note of a run of the network.

        Args:
            served: The model.
            pictures: Pictures in the run; 1 where tiles are answered.
            pixels: Height times width of the first.
            seconds: How long it took.
        """
        each = seconds / (pixels if served.predictor.pipeline.is_tiled else pictures)
        before = self._seconds.get(served, each)
        self._seconds[served] = before + _NEWEST * (each - before)
