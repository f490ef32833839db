"""What opening a tar costs: one pass over its headers, after decompressing it once.

    python benchmarks/curation/tar_pass.py

Noise stands for photographs, which are compressed already.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from foveal.data.tars import TarFiles
from outcome import Outcome, add_out, report

MODES = {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz", "tar.bz2": "w:bz2"}
FILES, BYTES = 2_000, 25_000


def pack(path: Path, mode: str) -> None:
    """Write an archive of noise."""
    rng = np.random.default_rng(0)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for i in range(FILES):
            info = tarfile.TarInfo(f"class{i % 5}/{i}.jpg")
            info.size = BYTES
            archive.addfile(info, io.BytesIO(rng.integers(0, 256, BYTES, np.uint8).tobytes()))


def main() -> None:
    """Open each kind of archive some times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    add_out(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for ending, mode in MODES.items():
            path = Path(folder) / f"photos.{ending}"
            pack(path, mode)
            took = []
            for _ in range(arguments.rounds):
                began = time.process_time()
                count = sum(1 for _ in TarFiles(path).members())
                took.append((time.process_time() - began) / (FILES * BYTES / 1e9))
                if count != FILES:
                    raise SystemExit(f"{count} files of {FILES}")
            report(
                Outcome(
                    claim=f"open_{ending}",
                    what=f"processor time to open a .{ending} of photographs, for each gigabyte",
                    unit="s",
                    values=tuple(took),
                    target=None,
                    better="low",
                    judged_by="median",
                ),
                arguments.out,
            )


if __name__ == "__main__":
    main()
