"""Write and read `split.csv`, which says where each sample of a run is."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foveal.atomic import atomic_path
from foveal.data.source import Sample
from foveal.data.split import UNUSED
from foveal.errors import DataError
from foveal.types import SPLIT_NAMES

_HEADER = ["image", "label", "split"]
_FOLD = "fold"


def write_split_csv(
    path: Path,
    samples: Sequence[Sample],
    split: NDArray[np.int8],
    fold: NDArray[np.int8] | None = None,
) -> None:
    """Write `image,label,split`, a row for each sample; the split is empty where unused.

    With folds there is a fourth column `fold`, which counts from 1 and is empty outside them.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_HEADER if fold is None else [*_HEADER, _FOLD])
        for i, (sample, side) in enumerate(zip(samples, split.tolist(), strict=True)):
            row = [sample.id, "|".join(sample.raw or ()), SPLIT_NAMES[side] if side >= 0 else ""]
            if fold is not None:
                row.append(str(fold[i] + 1) if fold[i] >= 0 else "")
            writer.writerow(row)


def read_split_csv(
    path: Path, samples: Sequence[Sample]
) -> tuple[NDArray[np.int8], NDArray[np.int8] | None]:
    """Read what `write_split_csv` wrote, for the same samples.

    Returns:
        (N,) side of each sample, and (N,) fold from 0, -1 for none; None without folds.

    Raises:
        DataError: If it is no such file, or the samples are no longer those of the file.
    """
    sides: dict[str, int] = {"": UNUSED}
    sides.update({name: i for i, name in enumerate(SPLIT_NAMES)})
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        if header not in (_HEADER, [*_HEADER, _FOLD]):
            raise ValueError(f"its columns are {header}")
        split = np.array([sides[row[2]] for row in rows], np.int8)
        folds = None
        if _FOLD in header:
            folds = np.array([int(row[3]) - 1 if row[3] else UNUSED for row in rows], np.int8)
    except (OSError, ValueError, csv.Error, IndexError, KeyError) as error:
        raise DataError(f"Cannot read the split in {path}: {error!r}.") from error
    if [row[0] for row in rows] != [sample.id for sample in samples]:
        raise DataError(
            f"The data has changed since {path} was written: it had {len(rows):,} pictures and "
            f"has {len(samples):,} now, or their names differ.",
            hint="foveal train DATA starts a new run",
        )
    return split, folds
