"""Assemble a mask from bands of logits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.segment.counting import count_pixels, strips
from foveal.tasks.segment.instances import Bits, as_levels, find_instances
from foveal.tasks.segment.patches import tidy
from foveal.tasks.segment.prediction import Maps, Segmentation
from foveal.types import Calibration, Mask, Outputs

# Some arrays of this many float32 stay in a processor's cache: three times as fast as whole bands.
CHUNK_PX = 1 << 17
# Log odds beyond which a probability is 0 or 1 in float32.
_FAR = 50
CORES = "cores"
"""The output with the log odds of being part of an object's core, (N, 1, h, w)."""


@final
class MaskCollector:
    """Collects bands of logits from top to bottom, and returns a `Segmentation`.

    Args:
        size: (height, width) of the picture, original pixels.
        labels: The C names.
        calibration: Calibration of the bundle.
        maps: Type of the probabilities to keep, float16 or float32; None keeps none.
        objects: Positions of the labels whose objects are told apart; bands then hold `cores`.
    """

    def __init__(
        self,
        size: tuple[int, int],
        labels: tuple[str, ...],
        calibration: Calibration,
        *,
        maps: type[np.float16] | type[np.float32] | None = None,
        objects: tuple[int, ...] = (),
    ) -> None:
        self._labels = labels
        self._calibration = calibration
        self._mask: Mask = np.empty(size, np.uint8)
        self._maps: Maps | None = None if maps is None else np.empty((len(labels), *size), maps)
        self._objects = objects
        # Whether a pixel is part of a core, and the probability of its label in steps of 1/255.
        self._cores: Bits = np.empty(size if objects else (0, 0), np.bool_)
        self._sureness: NDArray[np.uint8] = np.empty(self._cores.shape, np.uint8)
        keeps_cores = objects and maps is not None
        self._core_maps = np.empty(size, maps) if keeps_cores else None
        self._sure = 0.0
        self._next = 0

    def add(self, top: int, outputs: Outputs) -> None:
        """Take the next band; see `foveal.tasks.base.Collector`.

        Raises:
            ValueError: If the band does not follow the one before, or reaches past the picture.
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
            part = logits[:, start:end]
            if self._objects:
                cores = outputs[CORES][0, start:end]
                np.greater(cores, 0, out=self._cores[place])
                if self._core_maps is not None:
                    self._core_maps[place] = 1 / (1 + np.exp(-np.clip(cores, -_FAR, _FAR)))
                maps = np.empty(part.shape, np.float32) if maps is None else maps
            self._sure += decide(part, self._calibration, self._mask[place], maps)
            if self._objects and maps is not None:
                own = np.take_along_axis(maps, self._mask[place][None].astype(np.intp), axis=0)[0]
                self._sureness[place] = as_levels(own)

    def finish(self) -> Segmentation:
        """Return the prediction, its small patches and holes cleared away.

        Raises:
            ValueError: If rows are missing.
        """
        mask, calibration = self._mask, self._calibration
        if self._next != len(mask):
            raise ValueError(f"Rows {self._next} to {len(mask)} of the picture were not answered.")
        tidy(mask, calibration.smallest, calibration.holes, len(self._labels))
        confidence = min(1.0, self._sure / max(1, mask.size))
        found, numbers = None, None
        if self._objects:
            found, numbers = find_instances(
                mask, self._cores, self._sureness, self._objects, calibration.cores
            )
            found = replace(found, cores=self._core_maps, least=calibration.cores)
        return Segmentation(
            mask=mask,
            numbers=numbers,
            pixels=tuple(int(n) for n in count_pixels(mask, len(self._labels))),
            size=(int(mask.shape[0]), int(mask.shape[1])),
            confidence=confidence,
            unsure=confidence < calibration.unsure_below,
            probabilities=self._maps,
            labels=self._labels,
            offsets=calibration.offsets,
            instances=found,
        )


def decide(
    logits: NDArray[np.float32],
    calibration: Calibration,
    mask: Mask,
    maps: Maps | None = None,
) -> float:
    """Write the label of each pixel, and return the sum of the probabilities of these labels.

    The label is the likeliest one after the offsets of the calibration are added; probabilities
    are without the offsets.

    Args:
        logits: (C, rows, W), not changed.
        calibration: Calibration with the temperature and the offsets of the labels.
        mask: (rows, W), written; of equal scores the first label's.
        maps: (C, rows, W), written with the probabilities; None for none.
    """
    offsets = _in_logits(calibration, len(logits))
    if len(logits) == 2 and maps is None:
        return _decide_two(logits, calibration.temperature, offsets, mask)
    chosen = _choose(logits, offsets, mask)
    sharpness = np.float32(1 / calibration.temperature)
    total = np.zeros_like(chosen)
    power = np.empty_like(chosen)
    for label in range(len(logits)):
        _power(logits[label], chosen, sharpness, out=power)
        total += power
        if maps is not None:
            maps[label] = power
    np.reciprocal(total, out=total)
    if maps is not None:
        np.multiply(maps, total, out=maps, casting="same_kind")
    return float(total.sum(dtype=np.float64))


def _in_logits(calibration: Calibration, classes: int) -> NDArray[np.float32]:
    """Return what is added to the logits of each label, (C,), all 0 for no offsets."""
    offsets = calibration.offsets or (0.0,) * classes
    return np.array([offset * calibration.temperature for offset in offsets], np.float32)


def _choose(
    logits: NDArray[np.float32], offsets: NDArray[np.float32], mask: Mask
) -> NDArray[np.float32]:
    """Write the label with the largest sum of logit and offset; return the logits of these."""
    if len(logits) == 2:
        # As `_decide_two` has it, to the last bit: maps must not change a mask.
        is_second = mask.view(np.bool_)
        np.greater(logits[1] - logits[0], offsets[0] - offsets[1], out=is_second)
        likelier: NDArray[np.float32] = np.where(is_second, logits[1], logits[0])
        return likelier.astype(np.float32, copy=False)
    chosen: NDArray[np.float32] = logits[0].astype(np.float32)
    best = chosen + offsets[0]
    mask[:] = 0
    for label in range(1, len(logits)):
        score = logits[label] + offsets[label]
        is_better = score > best
        np.copyto(mask, np.uint8(label), where=is_better)
        np.copyto(chosen, logits[label], where=is_better)
        np.maximum(best, score, out=best)
    return chosen


def _decide_two(
    logits: NDArray[np.float32], temperature: float, offsets: NDArray[np.float32], mask: Mask
) -> float:
    """Do the same for two labels: the softmax is a sigmoid of their difference."""
    difference: Any = logits[1] - logits[0]
    least = offsets[0] - offsets[1]
    np.greater(difference, least, out=mask.view(np.bool_))
    # How far the label that was chosen is ahead, or behind where an offset decided.
    if least == 0:
        np.abs(difference, out=difference)
    else:
        sign = mask.astype(np.float32)
        sign *= np.float32(2)
        sign -= np.float32(1)
        difference *= sign
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
