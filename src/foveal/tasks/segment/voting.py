"""Combine the answers of several bundles to one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from foveal.tasks.prediction import joint_doubts
from foveal.tasks.segment.counting import count_pixels, strips
from foveal.tasks.segment.prediction import Segmentation
from foveal.types import Mask


def vote(predictions: Sequence[Segmentation]) -> Segmentation:
    """Take the mean of the probabilities, or, where one has none, what most masks say.

    With probabilities, the mean of the bundles' offsets is added to the log odds before a label is
    chosen, as each bundle does with its own. Where as many masks say one label as another, that of
    the first bundle that says one of them is taken.

    Args:
        predictions: At least one, of the same picture and labels.
    """
    first = predictions[0]
    offsets = _mean_offsets(predictions)
    maps = [p.probabilities for p in predictions if p.probabilities is not None]
    if len(maps) == len(predictions):
        mean = sum(m.astype(np.float32) for m in maps[1:]) + maps[0].astype(np.float32)
        probabilities = mean / np.float32(len(maps))
        weights = np.exp(np.array(offsets or (0.0,) * len(first.labels), np.float32))
        mask = (probabilities * weights[:, None, None]).argmax(axis=0).astype(np.uint8)
        chosen = np.take_along_axis(probabilities, mask[None].astype(np.intp), axis=0)
        confidence = float(chosen.mean(dtype=np.float64))
    else:
        probabilities = None
        mask = _majority([p.known_mask() for p in predictions], len(first.labels))
        confidence = float(np.mean([p.confidence for p in predictions]))
    return replace(
        first,
        mask=mask,
        pixels=tuple(int(n) for n in count_pixels(mask, len(first.labels))),
        confidence=min(1.0, confidence),
        **joint_doubts(predictions),
        probabilities=probabilities,
        offsets=offsets,
    )


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
