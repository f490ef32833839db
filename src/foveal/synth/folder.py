"""Write drawn pictures to a folder for `foveal train`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image as PILImage

from foveal.console import NoProgress, Progress
from foveal.destination import check_folder, writing
from foveal.errors import UsageError
from foveal.machine import over_cores
from foveal.synth.kinds import Kind
from foveal.tasks import get_task

_READ_FOLDER = "images"
# Of 0 to 9: noise hardly compresses, and 6, the default, takes four times as long.
_PNG_LEVEL = 1


def write_folder(
    kind: Kind,
    out: Path,
    *,
    count: int,
    seed: int,
    workers: int = 0,
    progress: Progress | None = None,
) -> None:
    """Draw pictures into a folder: class folders, or `images/` and a `labels.csv`.

    Args:
        kind: Kind of pictures.
        out: The folder; must be empty or not exist.
        count: Number of pictures, at least 1.
        seed: Random seed; with the same fonts installed, the pictures are identical.
        workers: Number of processes; 0 takes all cores. Does not change the pictures.
        progress: Receives the progress.

    Raises:
        UsageError: If the folder is not empty or cannot be written to, or the count is below 1.
        DataError: If this machine has no font with the required characters.
    """
    if count < 1:
        raise UsageError(f"Invalid count. Expected at least 1. Received: {count}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(
            f"{out} exists and is not an empty folder.",
            hint="choose another --out, or delete the folder first",
        )
    check_folder(out)
    prepared = kind.prepared()
    names = [_name(prepared, seed, index) for index in range(count)]
    with writing(out):
        _write(prepared, names, out, seed=seed, workers=workers, progress=progress or NoProgress())


def _write(
    kind: Kind, names: Sequence[str], out: Path, *, seed: int, workers: int, progress: Progress
) -> None:
    for folder in sorted({name.rpartition("/")[0] for name in names}):
        (out / folder).mkdir(parents=True, exist_ok=True)
    progress.start("drawing", len(names))
    save = partial(_save_batch, kind, seed, out)
    all_saved = over_cores(save, range(len(names)), batch=kind.batch, workers=workers)
    for done, _ in enumerate(all_saved, 1):
        progress.update(done)
    if _is_text(kind):
        _write_labels(out / "labels.csv", kind, seed, names)
    progress.finish()


def _is_text(kind: Kind) -> bool:
    return get_task(kind.task).target_kind == "text"


def _name(kind: Kind, seed: int, index: int) -> str:
    folder = _READ_FOLDER if _is_text(kind) else kind.target(seed, index)[0]
    return f"{folder}/{index:06d}.png"


def _save_batch(kind: Kind, seed: int, out: Path, indices: Sequence[int]) -> list[None]:
    for index in indices:
        image = PILImage.fromarray(kind.draw(seed, index).pixels)
        image.save(out / _name(kind, seed, index), compress_level=_PNG_LEVEL)
    return [None] * len(indices)


def _write_labels(path: Path, kind: Kind, seed: int, names: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("image", "text"))
        for index, name in enumerate(names):
            table.writerow((name, kind.target(seed, index)[0]))
