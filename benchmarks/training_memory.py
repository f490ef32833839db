"""Memory of training on 100,000 small pictures against 10,000, same recipe: at most 10 % more.

Each training is one process. Sampled while it runs: resident memory, its share-weighted part
(PSS) and the anonymous part, of the process and its children. The peak that the system itself kept
(ru_maxrss) is what is judged.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

import foveal_command
from outcome import Outcome, add_out, note, report

CLASSES = ("bright", "dark", "left", "right", "top")
_FIELDS = {"Rss": "rss_mb", "Pss": "pss_mb", "Anonymous": "anonymous_mb"}
_SAMPLE_S = 0.1


def main() -> None:
    """Train on few and on many pictures, in turns, and report the ratio of the peaks."""
    arguments = parse_arguments()
    trials = []
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        folder = Path(temporary)
        sets = {n: draw(folder / str(n), n, arguments) for n in (arguments.few, arguments.many)}
        for number in range(arguments.repeats):
            pair = {n: peak(data, folder, f"{n}-{number}", arguments) for n, data in sets.items()}
            few, many = pair[arguments.few], pair[arguments.many]
            trials.append({"few": few, "many": many})
            note(f"  {few['maxrss_mb']:.0f} MB against {many['maxrss_mb']:.0f} MB")
    report(
        Outcome(
            claim="training_memory",
            what=f"peak memory of training on {arguments.many:,} pictures relative to "
            f"{arguments.few:,}",
            unit="ratio",
            values=tuple(t["many"]["maxrss_mb"] / t["few"]["maxrss_mb"] for t in trials),
            target=1.10,
            better="low",
            detail={
                "side_px": arguments.side,
                "layout": arguments.layout,
                "pss_ratio": [t["many"]["pss_mb"] / t["few"]["pss_mb"] for t in trials],
                "anonymous_ratio": [
                    t["many"]["anonymous_mb"] / t["few"]["anonymous_mb"] for t in trials
                ],
                "trials": trials,
            },
        ),
        arguments.out,
    )


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--few", type=int, default=10_000)
    made.add_argument("--many", type=int, default=100_000)
    made.add_argument("--side", type=int, default=24, help="of a picture, in pixels")
    made.add_argument("--layout", choices=("folder", "npy"), default="folder")
    made.add_argument("--epochs", type=int, default=2)
    made.add_argument("--backbone", default="cnn3")
    made.add_argument("--repeats", type=int, default=2)
    return made.parse_args()


def draw(root: Path, count: int, arguments: argparse.Namespace) -> Path:
    """Draw `count` noisy pictures whose bright part names the class; every one is different."""
    root.mkdir(parents=True)
    batches = pictures(count, arguments.side)
    if arguments.layout == "npy":
        return draw_arrays(root, batches)
    for name in CLASSES:
        (root / name).mkdir()
    number = 0
    for images, labels in batches:
        for image, label in zip(images, labels, strict=True):
            path = root / CLASSES[label] / f"{number:06d}.png"
            PILImage.fromarray(image).save(path, compress_level=1)
            number += 1
    return root


def draw_arrays(root: Path, batches: Iterator[tuple[np.ndarray, np.ndarray]]) -> Path:
    """Write the pictures as a pair of .npy files."""
    drawn = list(batches)
    np.save(root / "images.npy", np.concatenate([images for images, _ in drawn]))
    names = np.array(CLASSES)
    np.save(root / "labels.npy", names[np.concatenate([labels for _, labels in drawn])])
    return root


def pictures(count: int, side: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches of (n, side, side, 3) uint8 pictures and (n,) class numbers."""
    rng = np.random.default_rng(0)
    half = side // 2
    for start in range(0, count, 1000):
        n = min(1000, count - start)
        labels = rng.integers(0, len(CLASSES), n)
        images = rng.integers(0, 90, (n, side, side, 3), dtype=np.uint8)
        images[labels == 0] += 120
        images[labels == 2, :, :half] += 120
        images[labels == 3, :, half:] += 120
        images[labels == 4, :half] += 120
        yield images, labels


def peak(data: Path, folder: Path, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train in a process of its own and return its highest memory, in MB."""
    line = foveal_command.command("train", data, "--out", folder / "runs", "--name", name)
    line += ["--backbone", arguments.backbone, "--image-size", "32", "--batch-size", "128"]
    line += ["--epochs", str(arguments.epochs), "--quiet", "--json"]
    log = folder / f"{name}.log"
    start = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            line, stdout=file, stderr=subprocess.STDOUT, env=foveal_command.environment()
        )
        highest = dict.fromkeys(_FIELDS.values(), 0.0)
        while True:
            finished, status, usage = os.wait4(process.pid, os.WNOHANG)
            if finished:
                break
            for key, value in memory_of_tree(process.pid).items():
                highest[key] = max(highest[key], value)
            time.sleep(_SAMPLE_S)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(line)} failed:\n{log.read_text()[-3000:]}")
    wall_s = time.perf_counter() - start
    return {"maxrss_mb": usage.ru_maxrss / 1024, **highest, "wall_s": round(wall_s, 1)}


def memory_of_tree(pid: int) -> dict[str, float]:
    """Return the memory of a process and its children now, in MB."""
    total = dict.fromkeys(_FIELDS.values(), 0.0)
    for one in (pid, *children(pid)):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue  # It has just ended.
        for line in lines:
            key, _, rest = line.partition(":")
            if key in _FIELDS:
                total[_FIELDS[key]] += int(rest.split()[0]) / 1024
    return total


def children(pid: int) -> Iterator[int]:
    """Yield the process ids of all descendants."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        found = [int(c) for t in threads for c in (t / "children").read_text().split()]
    except OSError:
        return
    for child in found:
        yield child
        yield from children(child)


if __name__ == "__main__":
    main()
