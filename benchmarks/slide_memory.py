"""A slide of 20,000 x 20,000 pixels is answered in less than 1.5 GB of memory.

The slide is a drawn tiled TIFF. `foveal predict SLIDE --out DIR` answers it in a process of its
own, drawn answer included; the peak that the system itself kept for that process (ru_maxrss) is
what is judged. What the network's weights are makes no difference, so they are random: a slide of
this size has some 11,000 tiles, minutes on two cores.

    python benchmarks/slide_memory.py --keep SLIDES
    python benchmarks/slide_memory.py --side 2000               # to try the script
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import foveal_command
from drawn_slide import write_slide
from outcome import Outcome, add_out, note, report
from training_memory import memory_of_tree

SIDE_PX = 20_000
TARGET_GB = 1.5
UNTRAINED = Path(__file__).with_name("untrained_segmenter.py")
_SAMPLE_S = 0.25


def main() -> None:
    """Draw the slide if it is not there, answer it, and report the peak."""
    arguments = parse_arguments()
    side = arguments.side
    with folder_of(arguments) as place:
        folder = Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        slide = folder / f"slide-{side}-{arguments.compression}.tif"
        if not slide.is_file():
            note(f"  drawing {slide.name}")
            write_slide(slide, side, arguments.compression)
        model = arguments.bundle or untrained(folder, arguments.backbone)
        trials = []
        for _ in range(arguments.repeats):
            with tempfile.TemporaryDirectory(prefix="foveal-bench-") as out:
                trials.append(answered(model, slide, side, Path(out)))
            note(f"  {trials[-1]['maxrss_gb']:.2f} GB, {trials[-1]['wall_s']:.0f} s")
        slide_bytes = slide.stat().st_size
    report(
        Outcome(
            claim="slide_memory" if side == SIDE_PX else f"slide_memory_{side}",
            what=f"peak memory of foveal predict --out on a TIFF of {side:,} x {side:,} pixels",
            unit="GB",
            values=tuple(trial["maxrss_gb"] for trial in trials),
            # What a smaller slide takes says nothing of the claim.
            target=TARGET_GB if side >= SIDE_PX else None,
            better="low",
            detail={
                "side_px": side,
                "compression": arguments.compression,
                "slide_bytes": slide_bytes,
                "model": str(arguments.bundle) if arguments.bundle else model.name,
                "own_maxrss_gb": gigabytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss),
                "trials": trials,
            },
        ),
        arguments.out,
    )


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--bundle", type=Path, default=None, metavar="RUN", help="else one is made")
    made.add_argument(
        "--backbone", default="auto", help="of the bundle that is made; auto is the default one"
    )
    made.add_argument("--side", type=int, default=SIDE_PX, help="of the slide, in pixels")
    made.add_argument("--compression", choices=("jpeg", "deflate"), default="jpeg")
    made.add_argument("--repeats", type=int, default=1)
    made.add_argument(
        "--keep", type=Path, default=None, metavar="DIR", help="keep slide and bundle here"
    )
    return made.parse_args()


def folder_of(arguments: argparse.Namespace) -> AbstractContextManager[str | Path]:
    """Return the folder of slide and bundle: the one asked for, or one that goes away."""
    if arguments.keep is not None:
        return nullcontext(arguments.keep)
    return tempfile.TemporaryDirectory(prefix="foveal-bench-")


def untrained(folder: Path, backbone: str) -> Path:
    """Return an untrained bundle, made in a process of its own.

    Before a program takes a child process over, the system counts the parent's memory to the
    child's peak: this process must stay small, and torch is not.
    """
    path = folder / f"untrained-{backbone}"
    line = [sys.executable, str(UNTRAINED), str(path), "--backbone", backbone]
    subprocess.run(line, check=True, env=foveal_command.environment())
    return path


def answered(model: Path, slide: Path, side: int, out: Path) -> dict[str, Any]:
    """Answer the slide in a process of its own and return its highest memory and its time.

    Raises:
        SystemExit: When it fails, or the answer is not one for every pixel.
    """
    line = foveal_command.command("predict", model, slide, "--out", out, "--json", "--quiet")
    printed, log = out / "stdout.txt", out / "stderr.txt"
    start = time.perf_counter()
    with printed.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(
            line, stdout=stdout, stderr=stderr, env=foveal_command.environment()
        )
        highest: dict[str, float] = {}
        while True:
            finished, status, usage = os.wait4(process.pid, os.WNOHANG)
            if finished:
                break
            for key, value in memory_of_tree(process.pid).items():
                highest[key] = max(highest.get(key, 0.0), value)
            time.sleep(_SAMPLE_S)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - start
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(line)} failed:\n{log.read_text()[-3000:]}")
    record = json.loads(printed.read_text(encoding="utf-8").splitlines()[-1])
    check(record, side)
    return {
        "maxrss_gb": gigabytes(usage.ru_maxrss),
        "sampled_mb": highest,
        "wall_s": round(wall_s, 1),
        "processor_s": round(usage.ru_utime + usage.ru_stime, 1),
        "ms": record["ms"],
        "shares": {found["name"]: found["share"] for found in record["classes"]},
        "mask_bytes": Path(record["mask"]["path"]).stat().st_size,
    }


def check(record: dict[str, Any], side: int) -> None:
    """End the script unless a record and its mask are of a square picture of this side."""
    size = png_size(Path(record["mask"]["path"]))
    pixels = sum(found["pixels"] for found in record["classes"])
    if record["size"] != [side, side] or size != (side, side) or pixels != side * side:
        raise SystemExit(
            f"the answer says {record['size']}, its mask has {size}, its classes {pixels} pixels; "
            f"the slide has {side} x {side}"
        )


def png_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the header of a PNG: Pillow refuses to open one so large."""
    with path.open("rb") as file:
        head = file.read(24)
    width, height = struct.unpack(">II", head[16:24])
    return height, width


def gigabytes(maxrss: int) -> float:
    """Return what the system states as ru_maxrss, in kilobytes of 1024, as 10^9 bytes."""
    return maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
