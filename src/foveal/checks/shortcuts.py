"""Find shortcuts: measures that predict the labels without the content of the pictures.

Models learn the easiest cue: the size through the padding, the background of a studio, the JPEG
quality of one website. Each such measure is turned into a classifier: its values are binned, and
each bin predicts its most frequent class, with cross-validation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.checks.base import CheckInput, check
from foveal.data.findings import finding
from foveal.data.scan import Scan
from foveal.types import Finding, Severity

Bins: TypeAlias = NDArray[np.int64]
Group: TypeAlias = Literal["size", "surroundings", "file", "look"]

_MIN_SAMPLES = 20
# Of a rarer class too little is held out to say anything.
_MIN_OF_CLASS = 5
_FOLDS = 5
_BINS = 24
# Sizes, cameras: the commonest have a bin of their own, the others share one.
_MOST_NAMED = 64
# Share of the errors of guessing that a measure must remove, at the lower end of the interval, to
# be worth a warning; and to be worth knowing.
_WARNED, _NOTED = 0.5, 0.25
_Z = 1.96


@final
@dataclass(frozen=True, slots=True)
class Told:
    """The accuracy of predicting the classes from one measure.

    Attributes:
        name: Name of the measure, in words.
        accuracy: Balanced accuracy (mean recall of the classes), in [0, 1].
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    name: str
    accuracy: float
    low: float
    high: float


@check("data.size_shortcut", tasks=("classify",))
def size_shortcut(given: CheckInput) -> Iterator[Finding]:
    """Classes that can be predicted from the height, width, aspect ratio or exact size.

    A model may learn the size (through the padding) rather than the content, and fail on pictures
    from other sources. Compare its accuracy with this baseline.
    """
    hint = "report the accuracy beside this baseline, and test on pictures of equal size"
    yield from _shortcut(given, "data.size_shortcut", "size", "warning", hint)


@check("data.background_shortcut", tasks=("classify",))
def background_shortcut(given: CheckInput) -> Iterator[Finding]:
    """Classes that can be predicted from the colour of the background, or from a frame."""
    hint = "add pictures of each class before other backgrounds, or cut the frames off"
    yield from _shortcut(given, "data.background_shortcut", "surroundings", "warning", hint)


@check("data.file_shortcut", tasks=("classify",))
def file_shortcut(given: CheckInput) -> Iterator[Finding]:
    """Classes that can be predicted from file properties, because they come from two sources.

    A model sees traces of them, such as those of the JPEG quality.
    """
    hint = "collect each class from every source, or save all files again in one way"
    yield from _shortcut(given, "data.file_shortcut", "file", "warning", hint)


@check("data.look_shortcut", tasks=("classify",))
def look_shortcut(given: CheckInput) -> Iterator[Finding]:
    """Classes that can be predicted from brightness, colourfulness, sharpness or contrast.

    This may be the actual difference between the classes, or how their pictures were taken.
    """
    hint = "if the classes should not depend on it, add pictures of each class taken in other ways"
    yield from _shortcut(given, "data.look_shortcut", "look", "info", hint)


def _shortcut(
    given: CheckInput, id: str, group: Group, severity: Severity, hint: str
) -> Iterator[Finding]:
    positions, classes = _classes(given)
    count = int(classes.max(initial=-1)) + 1
    if count < 2 or len(positions) < _MIN_SAMPLES:
        return
    told = [
        tell(name, bins, classes)
        for name, bins in _measures(given.scan, positions, group)
        if len(np.unique(bins)) > 1
    ]
    chance = 1 / count
    for level, share in ((severity, _WARNED), ("info", _NOTED)):
        best = max(told, key=lambda one: one.low, default=None)
        if best is None or 1 - best.low >= (1 - share) * (1 - chance):
            continue
        yield finding(
            id,
            level,
            f"The picture's {best.name} alone separates the {count} classes in "
            f"{100 * best.accuracy:.1f} % of the pictures ({100 * best.low:.1f} to "
            f"{100 * best.high:.1f} %; guessing {100 * chance:.1f} %): the model may learn this "
            "instead of the content.",
            count=len(positions),
            hint=hint,
            method=f"The most frequent class of each of at most {_BINS} bins of the measure, by "
            f"{_FOLDS}-fold cross-validation, each class counted alike. A warning where at least "
            f"{100 * _WARNED:.0f} % of the errors of guessing go, at the lower end of the 95 % "
            f"interval, and a note from {100 * _NOTED:.0f} % on.",
        )
        return


def tell(name: str, bins: Bins, classes: NDArray[np.int64]) -> Told:
    """Measure how well bins predict classes.

    Args:
        name: Name of the measure, in words.
        bins: (n,) bin of each picture, from 0.
        classes: (n,) class of each picture, from 0.
    """
    count, width = int(classes.max()) + 1, int(bins.max()) + 1
    folds = _folds(classes)
    cells = (folds * width + bins) * count + classes
    table = np.bincount(cells, minlength=_FOLDS * width * count).reshape(_FOLDS, width, count)
    sizes = np.bincount(classes, minlength=count)
    right = np.zeros(count)
    for held_out in table:
        learnt = table.sum(axis=0) - held_out
        # Each class counts alike, however rare; an empty bin is answered by the first.
        answers = (learnt / np.maximum(1, learnt.sum(axis=0))).argmax(axis=1)
        np.add.at(right, answers, held_out[np.arange(width), answers])
    shares = right / sizes
    # Agresti and Coull's: classes told without an error are not told with certainty.
    smooth = (right + 2) / (sizes + 4)
    deviation = float(np.sqrt((smooth * (1 - smooth) / (sizes + 4)).sum()) / count)
    accuracy = float(shares.mean())
    low, high = max(0.0, accuracy - _Z * deviation), min(1.0, accuracy + _Z * deviation)
    return Told(name, accuracy, low, high)


def _classes(given: CheckInput) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions and classes of the pictures of all classes except rare ones."""
    usable = given.usable()
    raws = [given.samples[i].raw for i in usable.tolist()]
    counts = Counter(raws)
    names = sorted((raw for raw, n in counts.items() if n >= _MIN_OF_CLASS), key=str)
    known = {raw: number for number, raw in enumerate(names)}
    classes = np.array([known.get(raw, -1) for raw in raws], np.int64)
    return usable[classes >= 0], classes[classes >= 0]


def _folds(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Distribute the pictures of each class over the folds, with a fixed seed."""
    shuffled = np.random.default_rng(0).permutation(len(classes))
    order = shuffled[np.argsort(classes[shuffled], kind="stable")]
    folds = np.empty(len(classes), np.int64)
    folds[order] = np.arange(len(classes)) % _FOLDS
    return folds


def _measures(scan: Scan, positions: NDArray[np.int64], group: Group) -> Iterator[tuple[str, Bins]]:
    """Yield the name of each measure and the bins of its values, (n,)."""
    height, width = scan.sizes[positions].astype(np.float64).T
    if group == "size":
        yield "height", _binned(height)
        yield "width", _binned(width)
        yield "aspect ratio", _binned(width / np.maximum(1, height))
        yield "exact size", _named(scan.sizes[positions, 0] * 100_000 + scan.sizes[positions, 1])
    elif group == "file":
        size, quality = scan.files[positions].astype(np.float64).T
        yield "JPEG quality", _binned(quality)
        yield "bytes per pixel", _binned(size / np.maximum(1, height * width))
        yield "file format", _named(scan.words[positions, 0])
        yield "camera or software", _named(scan.words[positions, 1])
    elif group == "surroundings":
        colors = [scan.measure(name)[positions] for name in ("red", "green", "blue")]
        for name, values in zip(("red", "green", "blue"), colors, strict=True):
            yield f"background ({name})", _binned(values.astype(np.float64))
        # Four levels of each together: white, grey, or a tint.
        levels = [np.nan_to_num(np.minimum(3, 4 * v), nan=0).astype(np.int64) for v in colors]
        yield "background colour", _named(16 * levels[0] + 4 * levels[1] + levels[2])
        yield "border", _binned(scan.measure("border")[positions].astype(np.float64))
    else:
        for name in ("brightness", "sharpness", "information", "colorfulness"):
            words = {"colorfulness": "colourfulness"}.get(name, name)
            yield words, _binned(scan.measure(name)[positions].astype(np.float64))


def _binned(values: NDArray[np.float64]) -> Bins:
    """Return quantile bins of the values; unknown values have their own bin."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros(len(values), np.int64)
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1]))
    # A value that many share has its own bin: it ends just there.
    bins = 1 + np.searchsorted(cuts, values, "left")
    bins[np.isnan(values)] = 0
    return bins.astype(np.int64)


def _named(values: NDArray[np.int32] | NDArray[np.int64]) -> Bins:
    """Return one bin for each of the most frequent values, and one for the others."""
    names, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.empty(len(names), np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(names))
    return np.minimum(ranks[inverse.ravel()], _MOST_NAMED)
