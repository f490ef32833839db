"""List and divide a million files: time and peak memory of `foveal split --no-look --link hard`.

The files cost nothing: they are hard links to a few small pictures, so only names are many. Each
part runs in a process of its own, whose peak memory the system tells.

    python benchmarks/curation/million_files.py [--files 1000000] [--classes 100]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

# Of one file, and as many again when it is divided; ext4 allows 65,000.
_LINKS = 25_000


def make(folder: Path, files: int, classes: int) -> None:
    """Write class folders of hard links."""
    originals = []
    for number in range(-(-files // _LINKS)):
        path = folder / ".originals" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        originals.append(path)
    for label in range(classes):
        (folder / f"class-{label:03d}").mkdir()
    for number in range(files):
        name = folder / f"class-{number % classes:03d}" / f"photo-{number:07d}.png"
        os.link(originals[number // _LINKS], name)


def work(what: str, data: str, out: str) -> None:
    """List or divide in this process, and print seconds and peak memory."""
    from foveal.api.data import split
    from foveal.data.layouts import open_source

    start = time.monotonic()
    if what == "list":
        words = open_source(data).layout
    else:
        words = repr(split(data, out, val=0.2, test=0.1, link="hard", look=False, verbose=False))
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what}: {seconds:.1f} s, peak {peak:,.0f} MiB ({words})", flush=True)


def main() -> None:
    """Make the files, list them, divide them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="where to write; removed at the end")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(*given.work)
        return
    folder = Path(tempfile.mkdtemp(prefix="million-", dir=given.folder))
    try:
        start = time.monotonic()
        make(folder / "data", given.files, given.classes)
        print(f"made {given.files:,} links in {time.monotonic() - start:.1f} s", flush=True)
        for what in ("list", "divide"):
            args = [sys.executable, __file__, "--work", what, folder / "data", folder / "tree"]
            subprocess.run(args, check=True)
        written = sum(len(files) for _, _, files in os.walk(folder / "tree"))
        if written != given.files:
            raise SystemExit(f"only {written:,} of {given.files:,} files were written")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
