"""Arrays of pictures and labels: one `.npz`, or `.npy` files side by side. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.array_file import ArrayFile, open_npy, open_npz
from foveal.data.array_source import ArraySource, PictureArray
from foveal.data.findings import finding, plural, split_as_given
from foveal.data.names import SPLIT_ALIASES
from foveal.data.readers.base import Place, Reader
from foveal.data.source import Sample, Source, SourceOptions
from foveal.data.storage import LocalStorage, Storage
from foveal.errors import DataError, unknown_name
from foveal.types import Finding, RawTarget, SplitName

Arrays: TypeAlias = Mapping[str, ArrayFile]

_PICTURES = ("x", "images", "image", "pictures", "data", "features", "imgs")
_LABELS = ("y", "labels", "label", "targets", "target", "classes")
_NAMES = ("class_names", "label_names", "names", "target_names")
# More distinct numbers than this are measurements, not classes.
_MAX_CLASSES = 10_000


@final
class ArrayReader(Reader):
    """`x_train`/`y_train`/`x_test`/`y_test`, or `images`/`labels`, in `.npz` or `.npy`."""

    name: ClassVar[str] = "arrays"
    expects: ClassVar[str] = "one .npz, or .npy files, with images and labels (x_train, y_train)"

    def read(self, place: Place, options: SourceOptions) -> Source | None:
        """Return the source of an archive or of arrays side by side, or None when there are none.

        Raises:
            DataError: If a folder has several archives, or the arrays do not fit each other.
        """
        archives = _ending(".npz", place.names)
        singles = _ending(".npy", place.names)
        if len(archives) > 1:
            raise DataError(
                f"{place.location} contains {' and '.join(archives[:3])}. Expected one archive.",
                hint=f"foveal check {place.location}/{archives[0]}",
            )
        if not archives and not singles:
            return None
        folder = _local(place.storage).path
        if archives:
            location = place.storage.locate(archives[0])
            return _read(open_npz(folder / archives[0]), location, archives[0])
        # The labels of one array lie beside it.
        beside = _ending(".npy", place.listing.files)
        arrays = {name[:-4]: open_npy(folder / name) for name in beside}
        return _read(arrays, place.location, ", ".join(singles[:4]))


def _ending(suffix: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.lower().endswith(suffix) and "/" not in name]


def _local(storage: Storage) -> LocalStorage:
    if not isinstance(storage, LocalStorage):
        raise DataError(
            f"Arrays cannot be read from {storage.location}. Expected a folder of this machine.",
            hint="copy the file to this machine first",
        )
    return storage


def _read(arrays: Arrays, location: str, shown: str) -> Source:
    pairs = _pairs(arrays)
    if not pairs:
        raise _no_pairs(arrays, location)
    names = _class_names(arrays)
    samples: list[Sample] = []
    pictures: dict[str, PictureArray] = {}
    findings: list[Finding] = []
    for key, label_key, side in pairs:
        array = PictureArray.open(arrays[key])
        pictures[key] = array
        raws = _raws(arrays[label_key], names, array.count, key) if label_key else None
        samples += [
            Sample(f"{key}/{i}", raws[i] if raws else None, side) for i in range(array.count)
        ]
        findings += _no_labels(key, array.count, label_key)
    return ArraySource(location, _layout(samples, shown), tuple(samples), tuple(findings), pictures)


def _pairs(arrays: Arrays) -> list[tuple[str, str | None, SplitName | None]]:
    """Return (pictures, labels, side) of each pair."""
    labels = {role: key for key in arrays if (role := _role(key, _LABELS)) is not None}
    found = []
    for key in arrays:
        role = _role(key, _PICTURES)
        if role is not None and len(arrays[key].shape) >= 3:
            found.append((key, labels.get(role), SPLIT_ALIASES.get(role)))
    return found


def _role(key: str, words: Iterable[str]) -> str | None:
    """Return the part that a name such as `x_train` or `train_images` refers to, or ""."""
    parts = key.lower().replace("-", "_").split("_")
    sides = [part for part in parts if part in SPLIT_ALIASES]
    rest = "_".join(part for part in parts if part not in SPLIT_ALIASES)
    # xtrain, ytest: written in one word.
    for word in words:
        if rest == word and len(sides) <= 1:
            return sides[0] if sides else ""
        if not sides and rest.startswith(word) and rest[len(word) :] in SPLIT_ALIASES:
            return rest[len(word) :]
    return None


def _no_pairs(arrays: Arrays, location: str) -> DataError:
    held = ", ".join(f"{key} {array.shape}" for key, array in list(arrays.items())[:8])
    return DataError(
        f"No array of pictures in {location}. Expected images (N, H, W) or (N, H, W, C) called "
        f"x_train or images, and labels called y_train or labels. Received: {held or 'nothing'}.",
        hint="numpy.savez('data.npz', images=images, labels=labels)",
    )


def _class_names(arrays: Arrays) -> tuple[str, ...] | None:
    for key in arrays:
        if key.lower() in _NAMES:
            values = arrays[key].read()
            return tuple(_text(value) for value in values.ravel())
    return None


def _text(value: object) -> str:
    if isinstance(value, (bytes, np.bytes_)):
        return bytes(value).decode("utf-8", "replace")
    return str(value)


def _raws(
    array: ArrayFile, names: tuple[str, ...] | None, count: int, pictures: str
) -> list[RawTarget | None]:
    values = array.read()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2) or len(values) != count:
        raise DataError(
            f"{array.name} does not match {pictures}. Expected {count:,} labels. Received an "
            f"array of shape {values.shape}."
        )
    if values.ndim == 2:
        return _rows_to_raws(array.name, values, names)
    if values.dtype.kind in "US":
        return [(text,) if (text := _text(value).strip()) else None for value in values]
    numbers = _whole_numbers(array.name, values)
    return [(_class_name(array.name, int(number), names),) for number in numbers]


def _rows_to_raws(
    name: str, values: NDArray[np.generic], names: tuple[str, ...] | None
) -> list[RawTarget | None]:
    """Read one column for each class: a 1 where the class is present."""
    if values.dtype.kind not in "buif" or not np.isin(values, (0, 1)).all():
        raise DataError(
            f"{name} has several columns with values other than 0 and 1. Expected 0 or 1 for each "
            "class."
        )
    return [
        tuple(_class_name(name, int(i), names) for i in np.flatnonzero(row)) or None
        for row in values
    ]


def _whole_numbers(name: str, values: NDArray[np.generic]) -> NDArray[np.int64]:
    if values.dtype.kind not in "buif":
        raise DataError(f"{name} has elements of type {values.dtype}. Expected integers or text.")
    numbers = values.astype(np.int64)
    if (numbers != values).any() or len(np.unique(numbers)) > _MAX_CLASSES:
        raise DataError(
            f"{name} contains fractions or too many different numbers. Expected a class number "
            "for each picture."
        )
    return numbers


def _class_name(array: str, number: int, names: tuple[str, ...] | None) -> str:
    if names is None:
        return str(number)
    if not 0 <= number < len(names):
        known = [str(i) for i in range(len(names))]
        raise DataError(unknown_name(f"class number in {array}", str(number), known))
    return names[number]


def _no_labels(key: str, count: int, label_key: str | None) -> list[Finding]:
    if label_key is not None:
        return []
    message = f"{plural(count, 'picture')} of {key} without an array of labels."
    return [finding("arrays.no_labels", "warning", message, count=count)]


def _layout(samples: list[Sample], shown: str) -> str:
    labels = {label for sample in samples for label in sample.raw or ()}
    words = f"{plural(len(samples), 'picture')} in {shown} with {plural(len(labels), 'label')}"
    return words + split_as_given(sample.split for sample in samples)
