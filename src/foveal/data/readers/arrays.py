"""`.npz` and `.npy` pairs: pictures and labels as arrays, as Keras and scikit-learn users keep them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from foveal.data.decode import DecodeLimits
from foveal.data.source import Loaded, Sample, Source, digest
from foveal.errors import DataError, ImageTooLargeError
from foveal.types import Picture, SplitName

_PICTURES = ("x", "images", "image", "data", "pictures", "features")
_LABELS = ("y", "labels", "label", "targets", "target", "classes")
_PARTS: dict[str, SplitName | None] = {
    "": None, "train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"
}


@final
@dataclass(frozen=True)
class ArraySource(Source):
    """Samples that are rows of arrays; `parts` are the arrays in the order of the samples."""

    parts: tuple[NDArray[Any], ...]

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Return a row as a picture; see `Source.load`."""
        row = int(sample.id.removeprefix("array:"))
        for part in self.parts:
            if row < len(part):
                break
            row -= len(part)
        pixels = np.ascontiguousarray(part[row])
        height, width = pixels.shape[:2]
        if height * width > limits.max_pixels:
            raise ImageTooLargeError(
                f"The picture has {width} x {height} pixels. Expected at most {limits.max_pixels}."
            )
        return Loaded(Picture.from_array(_to_rgb(pixels)), digest(pixels.tobytes()))


def read_arrays(location: str, path: Path) -> ArraySource:
    """Return the source of an `.npz` file, or of an `.npy` file with its labels beside it.

    In an `.npz` the arrays are called x and y (or images and labels, …), alone or with `_train`,
    `_val`, `_test`. Beside `images.npy` the labels are `labels.npy`.

    Raises:
        DataError: For arrays that are not (N, H, W), (N, H, W, 1), (N, H, W, 3) or (N, H, W, 4)
            pictures with N labels.
    """
    arrays = _load_npz(path) if path.suffix == ".npz" else _load_pair(path)
    parts, samples = [], []
    for suffix, split in _PARTS.items():
        pictures, labels = (_find(arrays, stems, suffix) for stems in (_PICTURES, _LABELS))
        if pictures is None or labels is None:
            continue
        _check(path, pictures, labels)
        start = len(samples)
        parts.append(pictures)
        samples += [
            Sample(f"array:{start + i}", raw, split) for i, raw in enumerate(_raws(labels))
        ]
    if not samples:
        raise DataError(
            f"{path} holds no pictures with labels. Expected arrays called x and y, or x_train, "
            f"y_train, x_test, y_test. Received: {', '.join(arrays) or 'nothing'}.",
            hint="numpy.savez('data.npz', x=pictures, y=labels)",
        )
    layout = f"{len(samples)} pictures in {path.name}"
    return ArraySource(location, layout, tuple(samples), (), tuple(parts))


def _find(
    arrays: dict[str, NDArray[Any]], stems: tuple[str, ...], suffix: str
) -> NDArray[Any] | None:
    lowered = {name.lower(): array for name, array in arrays.items()}
    for stem in stems:
        for name in (f"{stem}_{suffix}", f"{suffix}_{stem}") if suffix else (stem,):
            if name in lowered:
                return lowered[name]
    return None


def _load_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise _unreadable(path, error) from error


def _load_pair(path: Path) -> dict[str, NDArray[Any]]:
    folder = path if path.is_dir() else path.parent
    arrays: dict[str, NDArray[Any]] = {}
    for file in sorted(folder.glob("*.npy")):
        try:
            # Mapped: pictures may be larger than memory.
            arrays[file.stem] = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _unreadable(file, error) from error
    return arrays


def _unreadable(path: Path, error: Exception) -> DataError:
    hint = "save labels as numbers or text, not as Python objects" if "pickle" in str(error) else None
    return DataError(f"Cannot read {path}: {error}.", hint=hint)


def _check(path: Path, pictures: NDArray[Any], labels: NDArray[Any]) -> None:
    shape = pictures.shape
    is_grey = len(shape) == 3
    if not (is_grey or (len(shape) == 4 and shape[3] in (1, 3, 4))) or 0 in shape[1:]:
        raise DataError(
            f"{path}: expected pictures of shape (N, H, W), (N, H, W, 1), (N, H, W, 3) or "
            f"(N, H, W, 4). Received: {shape}."
        )
    if pictures.dtype.kind not in "uif":
        raise DataError(f"{path}: expected pictures of numbers. Received: {pictures.dtype}.")
    if len(labels) != len(pictures):
        raise DataError(f"{path}: {len(pictures)} pictures but {len(labels)} labels.")
    if labels.dtype.kind not in "uibUS" or labels.ndim not in (1, 2):
        raise DataError(
            f"{path}: expected labels as numbers or text, (N,) or 0/1 of shape (N, C). "
            f"Received: {labels.dtype} {labels.shape}."
        )


def _raws(labels: NDArray[Any]) -> list[tuple[str, ...]]:
    if labels.ndim == 2 and labels.shape[1] > 1:
        return [tuple(str(i) for i in np.flatnonzero(row)) for row in labels]
    flat = labels.reshape(len(labels))
    return [(v.decode() if isinstance(v, bytes) else str(v),) for v in flat.tolist()]


def _to_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.dtype.kind == "f":
        # Shares of the range, or 8-bit values as floating point.
        scale = 255.0 if float(pixels.max(initial=0.0)) <= 1.0 else 1.0
        pixels = np.clip(np.nan_to_num(pixels) * scale, 0, 255).round()
    elif pixels.dtype.itemsize > 1 and int(pixels.max(initial=0)) > 255:
        pixels = np.clip(pixels, 0, 65535) // 257
    pixels = pixels.astype(np.uint8)
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.float32) / 255.0
        blended = pixels[..., :3] * alpha + 255.0 * (1.0 - alpha)
        return blended.round().astype(np.uint8)
    return pixels if pixels.shape[2] == 3 else pixels.repeat(3, axis=2)
