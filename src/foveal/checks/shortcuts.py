"""Can the labels be told without looking at the picture?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from foveal.checks.base import CheckInput, check
from foveal.types import Finding

# Share of the errors of "always the commonest class" that one threshold must remove.
_ERRORS_REMOVED = 0.5
_MIN_SAMPLES = 20


@check("data.size_shortcut", tasks=("classify",))
def size_shortcut(given: CheckInput) -> Iterator[Finding]:
    """One threshold on the pictures' height, width or aspect ratio tells two classes apart.

    A model may learn the size (through the padding) rather than what is shown, and fail on
    pictures from elsewhere. Quote the accuracy beside this baseline.
    """
    usable = given.usable().tolist()
    raws = [given.samples[i].raw for i in usable]
    counts = Counter(raws)
    if len(counts) != 2 or len(usable) < _MIN_SAMPLES:
        return
    first = next(iter(sorted(counts, key=str)))
    target = np.array([raw == first for raw in raws])
    height, width = given.scan.sizes[usable].astype(np.float64).T
    measures = {"height": height, "width": width, "aspect ratio": width / height}
    scores = {name: one_threshold(values, target) for name, values in measures.items()}
    name = max(scores, key=lambda key: scores[key])
    majority = max(target.mean(), 1 - target.mean())
    if 1 - scores[name] < (1 - _ERRORS_REMOVED) * (1 - majority):
        yield Finding(
            id="data.size_shortcut",
            severity="warning",
            message=(
                f"The picture's {name} alone, with one threshold, tells the two classes apart in "
                f"{100 * scores[name]:.1f} % of the pictures: the model may learn the size."
            ),
            count=len(usable),
            hint="quote the accuracy beside this baseline; test on pictures of equal size",
        )


def one_threshold(values: NDArray[np.float64], target: NDArray[np.bool_]) -> float:
    """Return the best accuracy of "target if value < t" or its opposite, over all t."""
    order = np.argsort(values, kind="stable")
    ordered, hits = values[order], target[order]
    below = np.concatenate([[0], np.cumsum(hits)])
    above = hits.sum() - below
    size = np.arange(len(values) + 1)
    # Right answers when the first `size` values are called the target.
    right = below + (len(values) - size - above)
    # A threshold cannot part equal values.
    cut = np.concatenate([[True], ordered[1:] != ordered[:-1], [True]])
    best = np.maximum(right, len(values) - right)[cut].max()
    return float(best / len(values))
