"""Fresh pictures from the plain `captcha` package with its defaults; nothing of foveal draws them.

The package takes its random numbers from the system: no two sets are alike, and none can be had
again.
"""

from __future__ import annotations

import csv
import secrets
import string
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from captcha.image import ImageCaptcha

# (width, height) in pixels.
SIZE = (170, 80)
ALPHABET = string.digits + string.ascii_uppercase
LENGTH = 4
PROCESSES = 2
# Pictures that a process draws before it is given more.
_BATCH = 64


def write_captchas(folder: Path, count: int, *, val: int = 0) -> float:
    """Draw captchas into `folder/images` with a labels.csv beside them.

    Args:
        folder: Made here.
        count: How many pictures.
        val: So many of them, the last ones, are the validation part; 0 writes no split.

    Returns:
        The seconds that it took.
    """
    start = time.perf_counter()
    (folder / "images").mkdir(parents=True)
    batches = [range(first, min(first + _BATCH, count)) for first in range(0, count, _BATCH)]
    # Started anew, not forked: whoever calls may hold threads.
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(partial(_draw, folder), batches))
    rows = [row for part in parts for row in part]
    write_labels(folder / "labels.csv", rows, val=val)
    return time.perf_counter() - start


def write_labels(path: Path, rows: Sequence[tuple[str, str]], *, val: int = 0) -> None:
    """Write the table of pictures and texts, with a split when the last `val` are validation."""
    first_val = len(rows) - val
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image", "text", "split") if val else ("image", "text"))
        for number, row in enumerate(rows):
            split = ("train" if number < first_val else "val",) if val else ()
            writer.writerow((*row, *split))


def _draw(folder: Path, numbers: range) -> list[tuple[str, str]]:
    painter = ImageCaptcha(*SIZE)
    rows = []
    for number in numbers:
        text = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        name = f"images/{number:06d}.png"
        painter.generate_image(text).save(folder / name)
        rows.append((name, text))
    return rows
