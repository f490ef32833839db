"""Choose offsets of the log odds of each label that maximise the mean Dice on validation.

The most likely label of each pixel maximises pixel accuracy, but not the mean Dice: for a label
with a Dice of D, the best answer takes the pixels with a probability of at least D / 2 (Z. C.
Lipton, C. Elkan and B. Narayanaswamy, "Optimal Thresholding of Classifiers to Maximize F1 Measure",
2014, https://doi.org/10.1007/978-3-662-44851-9_15). The offset is measured here, not taken from
this rule, which is for one label and calibrated probabilities.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.segment.analysis import picture_dice
from foveal.tasks.segment.collecting import CHUNK_PX
from foveal.tasks.segment.counting import strips
from foveal.types import IGNORED, Mask

# Log odds that are tried, on either side of 0: probabilities from 0.12 to 0.88 for two labels.
_MOST, _STEP = 2.0, 0.125
# Gaps between logits are kept in eighths, up to 8: what is further behind is never chosen.
_PER_LOGIT, _MOST_GAP = 8, 64
# Offsets in logits stay under half of the largest gap, so that of two labels one may go up and the
# other down.
_MOST_LOGITS = _MOST_GAP / _PER_LOGIT / 2
# An offset is chosen on all pictures but one and judged on that one, in turn. A mean gain in Dice
# of less than this is as likely chance, and so is one to which more pictures lose than gain.
_LEAST_GAIN = 0.002
_LEAST_PICTURES = 2


@final
@dataclass(frozen=True, slots=True)
class Gaps:
    """Gaps between the logit of each label and the largest one of the pixel, compressed.

    Those of all validation pictures are kept at once: logits would not fit.
    """

    data: bytes
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, logits: NDArray[np.float32]) -> Gaps:
        """Return the gaps of logits, (C, H, W), rounded up: of equal logits alone they are 0."""
        classes, height, width = (int(side) for side in logits.shape)
        gaps = np.empty((classes, height, width), np.uint8)
        for start, end in strips(height, width, CHUNK_PX):
            part = logits[:, start:end]
            behind = (part.max(axis=0) - part) * np.float32(_PER_LOGIT)
            gaps[:, start:end] = np.minimum(np.ceil(behind), _MOST_GAP)
        return cls(zlib.compress(gaps.data, 1), (classes, height, width))

    def planes(self) -> NDArray[np.uint8]:
        """Return (C, H, W) gaps in eighths of a logit."""
        return np.frombuffer(zlib.decompress(self.data), np.uint8).reshape(self.shape)

    def mask(self, in_logits: Sequence[float]) -> Mask:
        """Return the label of each pixel: exactly without offsets, else to an eighth of a logit.

        Args:
            in_logits: (C,) what is added to the logits.
        """
        planes = self.planes()
        mask = np.empty(self.shape[1:], np.uint8)
        for start, end in strips(*self.shape[1:], CHUNK_PX):
            mask[start:end] = _scores(planes[:, start:end], in_logits).argmax(axis=0)
        return mask


def choose_offsets(
    gaps: Sequence[Gaps],
    targets: Sequence[Mask],
    counted: tuple[int, ...],
    temperature: float,
) -> tuple[float, ...]:
    """Return the offset of each label in log odds; empty where none gains enough.

    They are chosen label by label, the first label's staying 0.

    Args:
        gaps: Those of the validation pictures.
        targets: The truth.
        counted: Positions of the labels whose mean Dice is to be large.
        temperature: Logits are divided by it.
    """
    if len(gaps) < _LEAST_PICTURES:
        return ()
    most = min(_MOST, _MOST_LOGITS / temperature)
    steps = int(most / _STEP)
    tried = np.linspace(-steps * _STEP, steps * _STEP, 2 * steps + 1)
    chosen = np.zeros(gaps[0].shape[0])
    for label in range(1, len(chosen)):
        dice = np.stack(
            [
                picture_dice(
                    _confusions(
                        one.planes(), targets[i], label, chosen * temperature, tried * temperature
                    ),
                    counted,
                )
                for i, one in enumerate(gaps)
            ]
        )
        # A picture that is rid of its only false alarm has no Dice any more: it is right.
        chosen[label] = tried[_best(np.nan_to_num(dice, nan=1.0), np.abs(tried))]
    return tuple(chosen.tolist()) if chosen.any() else ()


def _best(dice: NDArray[np.float64], distance: NDArray[np.float64]) -> int:
    """Return the position of the best mean, or of no offset where that gains too little.

    Args:
        dice: (N, K) of each picture with each offset.
        distance: (K,) how far each offset is from none; of equally good ones the nearest is taken.
    """
    order = np.argsort(distance, kind="stable")
    ordered = dice[:, order].round(12)
    total = ordered.sum(axis=0)
    others = (total - ordered).round(9).argmax(axis=1)
    gain = ordered[np.arange(len(ordered)), others] - ordered[:, 0]
    is_shown = gain.mean() >= _LEAST_GAIN and np.sign(gain).sum() > 0
    return int(order[total.round(9).argmax() if is_shown else 0])


def _confusions(
    planes: NDArray[np.uint8],
    truth: Mask,
    label: int,
    in_logits: NDArray[np.float64],
    tried: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return (K, C, C): the confusion of a picture with each of the offsets tried for one label.

    Args:
        planes: (C, H, W) gaps.
        truth: (H, W) label positions, or `IGNORED`.
        label: Whose offset is tried.
        in_logits: (C,) what is added to the logits of the others.
        tried: (K,) ascending, in logits, in place of the label's.
    """
    classes, height, width = planes.shape
    counts = np.zeros((len(tried) + 1) * classes * classes, np.int64)
    for start, end in strips(height, width, CHUNK_PX):
        true = truth[start:end]
        known = true != IGNORED
        scores = _scores(planes[:, start:end][:, known], in_logits)
        own = scores[label] - np.float32(in_logits[label])
        scores[label] = -np.inf
        second = scores.argmax(axis=0)
        ahead = np.take_along_axis(scores, second[None], axis=0)[0] - own
        # From the first offset on that is larger, the label is answered, else the second one.
        first = np.searchsorted(tried, ahead, side="right")
        places = (first * classes + true[known]) * classes + second
        counts += np.bincount(places, minlength=len(counts))
    table = counts.reshape(-1, classes, classes).astype(np.float64)
    answered = table.cumsum(axis=0)[:-1]
    confusion: NDArray[np.float64] = table.sum(axis=0) - answered
    confusion[:, :, label] += answered.sum(axis=2)
    return confusion


def _scores(
    planes: NDArray[np.uint8], in_logits: Sequence[float] | NDArray[np.float64]
) -> NDArray[np.float32]:
    scores = planes * np.float32(-1 / _PER_LOGIT)
    scores += np.asarray(in_logits, np.float32).reshape(-1, *(1,) * (scores.ndim - 1))
    return scores
