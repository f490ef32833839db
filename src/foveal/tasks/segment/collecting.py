"""From bands of logits to a mask, in the memory of the mask and of some rows."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.segment.counting import count_pixels, strips
from foveal.tasks.segment.patches import tidy
from foveal.tasks.segment.prediction import Maps, Segmentation
from foveal.types import Calibration, Mask, Outputs

# Some arrays of this many float32 stay in a processor's cache: three times as fast as whole bands.
CHUNK_PX = 1 << 17


@final
class MaskCollector:
    """Takes bands of logits from top to bottom and ends in a `Segmentation`.

    Args:
        size: (height, width) of the picture, original pixels.
        labels: The C names.
        calibration: Calibration of the bundle.
        maps: Type of the probabilities to keep, float16 or float32; None keeps none.
    """

    def __init__(
        self,
        size: tuple[int, int],
        labels: tuple[str, ...],
        calibration: Calibration,
        *,
        maps: type[np.float16] | type[np.float32] | None = None,
    ) -> None:
        self._labels = labels
        self._calibration = calibration
        self._mask: Mask = np.empty(size, np.uint8)
        self._maps: Maps | None = None if maps is None else np.empty((len(labels), *size), maps)
        self._sure = 0.0
        self._next = 0

    def add(self, top: int, outputs: Outputs) -> None:
        """Take the next band; see `foveal.tasks.base.Collector`.

        Raises:
            ValueError: When the band does not follow the one before, or reaches past the picture.
        """
        logits = outputs["logits"]
        classes, rows, width = logits.shape
        height, expected = self._mask.shape
        fits = top == self._next and top + rows <= height and width == expected
        if not fits or classes != len(self._labels):
            raise ValueError(
                f"Invalid band at row {top}, shape {logits.shape}. Expected row {self._next} of a "
                f"{height} x {expected} picture with {len(self._labels)} labels."
            )
        self._next += rows
        for start, end in strips(rows, width, CHUNK_PX):
            place = slice(top + start, top + end)
            maps = None if self._maps is None else self._maps[:, place]
            self._sure += decide(
                logits[:, start:end], self._calibration.temperature, self._mask[place], maps
            )

    def finish(self) -> Segmentation:
        """Return the prediction, its small patches and holes cleared away.

        Raises:
            ValueError: When rows are missing.
        """
        mask, calibration = self._mask, self._calibration
        if self._next != len(mask):
            raise ValueError(f"Rows {self._next} to {len(mask)} of the picture were not answered.")
        tidy(mask, calibration.smallest, calibration.holes, len(self._labels))
        confidence = min(1.0, self._sure / max(1, mask.size))
        return Segmentation(
            mask=mask,
            pixels=tuple(int(n) for n in count_pixels(mask, len(self._labels))),
            size=(int(mask.shape[0]), int(mask.shape[1])),
            confidence=confidence,
            unsure=confidence < calibration.unsure_below,
            probabilities=self._maps,
            labels=self._labels,
        )


def decide(
    logits: NDArray[np.float32], temperature: float, mask: Mask, maps: Maps | None = None
) -> float:
    """Write the likeliest label of each pixel, and return the sum of its probabilities.

    Args:
        logits: (C, rows, W), not changed.
        temperature: Logits are divided by it.
        mask: (rows, W), written; of equal logits the first label's.
        maps: (C, rows, W), written with the probabilities; None for none.
    """
    if len(logits) == 2 and maps is None:
        return _decide_two(logits, temperature, mask)
    best = logits[0].astype(np.float32)
    mask[:] = 0
    for label in range(1, len(logits)):
        np.copyto(mask, np.uint8(label), where=logits[label] > best)
        np.maximum(best, logits[label], out=best)
    sharpness = np.float32(1 / temperature)
    total = np.zeros_like(best)
    power = np.empty_like(best)
    for label in range(len(logits)):
        _power(logits[label], best, sharpness, out=power)
        total += power
        if maps is not None:
            maps[label] = power
    np.reciprocal(total, out=total)
    if maps is not None:
        np.multiply(maps, total, out=maps, casting="same_kind")
    return float(total.sum(dtype=np.float64))


def _decide_two(logits: NDArray[np.float32], temperature: float, mask: Mask) -> float:
    """Do the same for two labels: the softmax is a sigmoid of their difference."""
    difference: Any = logits[1] - logits[0]
    np.greater(difference, 0, out=mask.view(np.bool_))
    np.abs(difference, out=difference)
    difference *= np.float32(-1 / temperature)
    np.exp(difference, out=difference)
    difference += np.float32(1)
    np.reciprocal(difference, out=difference)
    return float(difference.sum(dtype=np.float64))


def _power(
    logits: NDArray[np.float32],
    best: NDArray[np.float32],
    sharpness: np.float32,
    *,
    out: NDArray[np.float32],
) -> None:
    np.subtract(logits, best, out=out)
    np.multiply(out, sharpness, out=out)
    np.exp(out, out=out)
