"""Fit temperature, offsets and smallest areas in one pass over the validation pictures.

Where objects are told apart, the smallest cores too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast, final

import numpy as np
from numpy.typing import NDArray

from foveal import metrics
from foveal.errors import TargetError
from foveal.tasks.base import OutputBatch
from foveal.tasks.segment.analysis import picture_dice
from foveal.tasks.segment.collecting import CORES
from foveal.tasks.segment.counting import confusion_counts
from foveal.tasks.segment.instances import find_instances
from foveal.tasks.segment.matching import object_counts
from foveal.tasks.segment.offsets import Gaps, choose_offsets
from foveal.tasks.segment.patches import Kind, clear, find_patches
from foveal.types import IGNORED, Calibration, Mask

CORE_AREAS = (0, 4, 16, 64)
"""Areas of cores in pixels that are tried for each label."""

AREAS = (0, 16, 32, 64, 128, 256, 512)
"""Areas in pixels that are tried for each label."""

# A gain of less is as likely chance, and an answer as the network gave it needs no explanation.
_LEAST_GAIN = 0.0005
# Pixels that the temperature is fitted on: its error is then far below what matters.
_TEMPERATURE_PX = 200_000
# Logits kept of one picture at most, for its confidence; and of all pictures together.
_PICTURE_PX, _LEAST_PX = 16_384, 256
_KEPT_VALUES = 20_000_000


@final
@dataclass(frozen=True, slots=True)
class _Packed:
    """A compressed mask: those of all validation pictures are kept at once."""

    data: bytes
    shape: tuple[int, int]

    @classmethod
    def of(cls, mask: Mask) -> _Packed:
        return cls(zlib.compress(mask.data, 1), (int(mask.shape[0]), int(mask.shape[1])))

    def mask(self) -> Mask:
        """Return a copy that may be changed."""
        return np.frombuffer(bytearray(zlib.decompress(self.data)), np.uint8).reshape(self.shape)


@final
@dataclass(frozen=True, slots=True)
class _Sampled:
    """Logits of some pixels of a picture, (k, C), and what is there, (k,)."""

    logits: NDArray[np.float32]
    truth: NDArray[np.uint8]


def fit_calibration(
    batches: Iterable[OutputBatch],
    targets: Sequence[Mask],
    classes: int,
    counted: tuple[int, ...],
    *,
    objects: tuple[int, ...] = (),
    postprocess: bool,
) -> Calibration:
    """Fit on validation outputs; the batches are gone through once.

    The temperature is that of single pixels (`foveal.metrics.fit_temperature`), on an even sample
    of all pictures. First the offsets, then the areas are chosen greedily, label by label, by the
    mean Dice over the pictures. At last the smallest core of each label is chosen by PQ.

    Args:
        batches: `logits`, (n, C, H, W) of whole pictures or parts of them, with objects `cores`,
            (n, 1, H, W), and their frames.
        targets: Masks of the same sizes, in the order of the batches.
        classes: C.
        counted: Positions of the labels whose mean Dice is to be large.
        objects: Positions of the labels whose objects are told apart.
        postprocess: Whether offsets and areas are chosen.

    Raises:
        TargetError: If a mask differs in size from the network's map.
    """
    gaps, sampled, cores = _gather(batches, targets)
    temperature = _fit_temperature(sampled)
    if not postprocess:
        return Calibration(temperature=temperature)
    offsets = choose_offsets(gaps, targets, counted, temperature)
    in_logits = [offset * temperature for offset in offsets or (0.0,) * classes]
    packed = [_Packed.of(one.mask(in_logits)) for one in gaps]
    smallest, holes = _choose_areas(packed, targets, classes, counted)
    return Calibration(
        temperature=temperature,
        smallest=smallest if any(smallest) else (),
        holes=holes if any(holes) else (),
        offsets=offsets,
        cores=_choose_cores(packed, cores, targets, objects, classes),
    )


def _gather(
    batches: Iterable[OutputBatch], targets: Sequence[Mask]
) -> tuple[list[Gaps], list[_Sampled], list[_Packed]]:
    """Keep of each picture gaps between logits, and the logits of some pixels; all do not fit.

    And where there are cores, which pixels are part of one.
    """
    gaps: list[Gaps] = []
    sampled: list[_Sampled] = []
    cores: list[_Packed] = []
    for i, (logits, odds) in enumerate(_single(batches)):
        if odds is not None:
            cores.append(_Packed.of((odds[0] > 0).view(np.uint8)))
        truth = targets[i]
        if logits.shape[1:] != truth.shape:
            raise TargetError(
                f"The mask of validation picture {i} has the shape {truth.shape}. Expected "
                f"{logits.shape[1:]}."
            )
        gaps.append(Gaps.of(logits))
        sampled.append(_sample(logits, truth, len(targets), i))
    return gaps, sampled, cores


def _single(
    batches: Iterable[OutputBatch],
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
    for outputs, _ in batches:
        cores = outputs.get(CORES)
        for i, logits in enumerate(outputs["logits"]):
            yield logits, None if cores is None else cores[i]


def _sample(logits: NDArray[np.float32], truth: Mask, pictures: int, number: int) -> _Sampled:
    """Take pixels at random places; which does not depend on how the pictures are batched."""
    classes = len(logits)
    count = min(_PICTURE_PX, max(_LEAST_PX, _KEPT_VALUES // (max(1, pictures) * classes)))
    places = np.arange(truth.size)
    if truth.size > count:
        places = np.random.default_rng([0, number]).choice(truth.size, count, replace=False)
    row, column = np.divmod(places, truth.shape[1])
    return _Sampled(logits[:, row, column].T.astype(np.float32), truth[row, column])


def _fit_temperature(sampled: Sequence[_Sampled]) -> float:
    logits = np.concatenate([one.logits for one in sampled])
    truth = np.concatenate([one.truth for one in sampled])
    known = np.flatnonzero(truth != IGNORED)
    chosen = known[:: max(1, -(-len(known) // _TEMPERATURE_PX))]
    return metrics.fit_temperature(logits[chosen], truth[chosen])


def _choose_areas(
    packed: list[_Packed],
    targets: Sequence[Mask],
    classes: int,
    counted: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the smallest areas and the holes of each label, in the order in which `tidy` works.

    Args:
        packed: The answers; those that a chosen area changes are replaced.
        targets: The truth.
        classes: C.
        counted: Positions of the labels whose mean Dice is to be large.
    """
    counts = [confusion_counts(one.mask(), targets[i], classes) for i, one in enumerate(packed)]
    confusion = np.stack(counts).astype(np.float64)
    chosen: dict[Kind, list[int]] = {"smallest": [], "holes": []}
    for kind in chosen:
        for label in range(classes):
            changes = np.stack(
                [
                    _changes(answer.mask(), targets[i], kind, label, classes)
                    for i, answer in enumerate(packed)
                ]
            )
            dice = picture_dice(confusion[:, None] + changes, counted)
            # A picture that is rid of its only false alarm has no Dice any more: it is right.
            best = _best_area(np.nan_to_num(dice, nan=1.0).mean(axis=0))
            chosen[kind].append(AREAS[best])
            if best == 0:
                continue
            confusion += changes[:, best]
            for i in np.flatnonzero(changes[:, best].any(axis=(1, 2))):
                mask = packed[i].mask()
                clear(mask, kind, label, AREAS[best], classes)
                packed[i] = _Packed.of(mask)
    return tuple(chosen["smallest"]), tuple(chosen["holes"])


def _choose_cores(
    packed: Sequence[_Packed],
    cores: Sequence[_Packed],
    targets: Sequence[Mask],
    objects: tuple[int, ...],
    classes: int,
) -> tuple[int, ...]:
    """Return the smallest core of each label by the mean PQ; empty where none gains enough.

    Args:
        packed: The answers.
        cores: Which of their pixels are part of a core, 0 or 1.
        targets: The truth.
        objects: Positions of the labels that have objects.
        classes: C.
    """
    chosen = [0] * classes
    for label in objects:
        scores = np.empty((len(packed), len(CORE_AREAS)))
        for i, answer in enumerate(packed):
            mask, is_core = answer.mask(), cores[i].mask().view(np.bool_)
            for j, area in enumerate(CORE_AREAS):
                found = find_instances(mask, is_core, mask, (label,), (area,) * classes)
                counts = object_counts(*found, targets[i], classes, (label,))
                scores[i, j] = metrics.instance_scores(counts[label])["pq"]
        # A picture that is rid of its only false alarm has no PQ any more: it is right.
        best = _best_area(np.nan_to_num(scores, nan=1.0).mean(axis=0))
        chosen[label] = CORE_AREAS[best]
    return tuple(chosen) if any(chosen) else ()


def _best_area(dice: NDArray[np.float64]) -> int:
    """Return the position of the first of the best areas; 0 unless it gains enough."""
    best = int(np.argmax(dice.round(12)))
    return best if dice[best] - dice[0] >= _LEAST_GAIN else 0


def _changes(mask: Mask, truth: Mask, kind: Kind, label: int, classes: int) -> NDArray[np.float64]:
    """Return what clearing patches under each of `AREAS` changes in the confusion.

    All areas are told from one labelling: which patches are cleared under an area does not
    depend on the others.

    Returns:
        (len(AREAS), C, C) pixels to add.
    """
    square = classes * classes
    counts = np.zeros((len(AREAS) + 1) * square, np.int64)
    for patches in find_patches(mask, kind, label, AREAS[-1], classes):
        row, column = np.divmod(patches.places, max(1, mask.shape[1]))
        said = patches.window[row, column].astype(np.int64)
        true = truth[patches.top + row, column].astype(np.int64)
        known = true != IGNORED
        # The first area that is over the patch's.
        first = np.searchsorted(AREAS, patches.areas, side="right")[patches.owner]
        place = (first * classes + true) * classes
        size = len(counts)
        counts += np.bincount((place + patches.becomes[patches.owner])[known], minlength=size)
        counts -= np.bincount((place + said)[known], minlength=size)
    steps = counts.reshape(-1, classes, classes)[: len(AREAS)]
    return cast(NDArray[np.float64], steps.cumsum(axis=0).astype(np.float64))
