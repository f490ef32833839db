"""Combine the answers of several bundles to one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foveal.tasks.prediction import joint_doubts
from foveal.tasks.segment.counting import count_pixels, strips
from foveal.tasks.segment.instances import Instances, as_levels, find_instances, inner
from foveal.tasks.segment.prediction import Segmentation
from foveal.types import Mask, Numbers


def vote(
    predictions: Sequence[Segmentation], objects: tuple[int, ...] = (), core_px: int = 1
) -> Segmentation:
    """Take the mean of the probabilities, or, where one has none, what most masks say.

    With probabilities, the mean of the bundles' offsets is added to the log odds before a label is
    chosen, as each bundle does with its own. Where as many masks say one label as another, that of
    the first bundle that says one of them is taken. Objects are made anew: from the mean of the
    cores' probabilities, or from the pixels that most bundles have inside an object.

    Args:
        predictions: At least one, of the same picture and labels.
        objects: Positions of the labels whose objects are told apart.
        core_px: Distance of a core from the edge of its object, in pixels, if there are no maps.
    """
    first = predictions[0]
    offsets = _mean_offsets(predictions)
    maps = [p.probabilities for p in predictions if p.probabilities is not None]
    if len(maps) == len(predictions):
        mean = sum(m.astype(np.float32) for m in maps[1:]) + maps[0].astype(np.float32)
        probabilities = mean / np.float32(len(maps))
        weights = np.exp(np.array(offsets or (0.0,) * len(first.labels), np.float32))
        mask = (probabilities * weights[:, None, None]).argmax(axis=0).astype(np.uint8)
        chosen = np.take_along_axis(probabilities, mask[None].astype(np.intp), axis=0)[0]
        confidence = float(chosen.mean(dtype=np.float64))
    else:
        probabilities, chosen = None, None
        mask = _majority([p.known_mask() for p in predictions], len(first.labels))
        confidence = float(np.mean([p.confidence for p in predictions]))
    joint, numbers = None, None
    if all(p.instances is not None for p in predictions):
        joint, numbers = _joint_instances(predictions, mask, chosen, objects, core_px)
    return replace(
        first,
        mask=mask,
        numbers=numbers,
        pixels=tuple(int(n) for n in count_pixels(mask, len(first.labels))),
        confidence=min(1.0, confidence),
        **joint_doubts(predictions),
        probabilities=probabilities,
        offsets=offsets,
        instances=joint,
    )


def _joint_instances(
    predictions: Sequence[Segmentation],
    mask: Mask,
    chosen: NDArray[np.float32] | None,
    objects: tuple[int, ...],
    core_px: int,
) -> tuple[Instances, Numbers]:
    """Return the objects of the joint mask.

    Args:
        predictions: Each with its objects.
        mask: The joint mask.
        chosen: (H, W) probability of each pixel's label, where it is known.
        objects: Positions of the labels that have objects.
        core_px: See `vote`.
    """
    found = [p.instances for p in predictions if p.instances is not None]
    maps = [one.cores for one in found if one.cores is not None]
    if chosen is not None and len(maps) == len(found):
        cores: NDArray[np.float32] = np.mean(maps, axis=0, dtype=np.float32)
        least = _median_areas([one.least for one in found])
        joint, numbers = find_instances(mask, cores > 0.5, as_levels(chosen), objects, least)
        return replace(joint, cores=cores, least=least), numbers
    each = [p.numbers for p in predictions if p.numbers is not None]
    inside = np.sum([inner(one, core_px) for one in each], axis=0)
    scores = [np.append(0, own.scores)[one] for own, one in zip(found, each, strict=True)]
    mean: NDArray[np.float32] = np.mean(scores, axis=0, dtype=np.float32)
    return find_instances(mask, 2 * inside > len(each), as_levels(mean), objects)


def _median_areas(each: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    classes = max(len(areas) for areas in each)
    if classes == 0:
        return ()
    medians = np.median([areas or (0,) * classes for areas in each], axis=0)
    return tuple(int(area) for area in medians)


def _mean_offsets(predictions: Sequence[Segmentation]) -> tuple[float, ...]:
    none = (0.0,) * len(predictions[0].labels)
    means = np.mean([p.offsets or none for p in predictions], axis=0)
    return tuple(means.tolist()) if means.any() else ()


def _majority(masks: Sequence[Mask], classes: int) -> Mask:
    joined = np.empty_like(masks[0])
    for start, end in strips(*joined.shape):
        votes = np.zeros((classes, end - start, joined.shape[1]), np.float32)
        for rank, mask in enumerate(masks):
            # Halving extras of under 1 in all: they decide between equals alone.
            weight = np.float32(1 + 0.5 ** (rank + 1))
            for label in range(classes):
                votes[label] += weight * (mask[start:end] == label)
        joined[start:end] = votes.argmax(axis=0)
    return joined
