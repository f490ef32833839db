"""Join the answers of several bundles to one picture."""

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

    Where as many masks say one label as another, that of the first bundle that says one of them
    is taken.

    Args:
        predictions: At least one, of the same picture and labels.
    """
    first = predictions[0]
    maps = [p.probabilities for p in predictions if p.probabilities is not None]
    if len(maps) == len(predictions):
        mean = sum(m.astype(np.float32) for m in maps[1:]) + maps[0].astype(np.float32)
        probabilities = mean / np.float32(len(maps))
        mask = probabilities.argmax(axis=0).astype(np.uint8)
        confidence = float(probabilities.max(axis=0).mean(dtype=np.float64))
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
    )


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
