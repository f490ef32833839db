"""Decode thousands of hostile pictures: nothing crashes, hangs, keeps memory, or raises a bug.

Each picture is read as a header, decoded at its own and at a reduced scale, decoded as a mask, and,
if it is a TIFF, read in parts; all by the default limits. This happens in a process of its own,
so that a crash is counted and the next picture goes on in another.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hostile_pictures import Hostile, pictures

from foveal.data.decode import DEFAULT_LIMITS, decode
from foveal.data.headers import read_header
from foveal.data.masks.file import decode_mask
from foveal.data.tiff.raster import open_tiff
from foveal.errors import ImageError
from outcome import Outcome, add_out, report

_SLOWEST_S, _RISE_MIB = 5.0, 64.0
_WINDOW_PX = 512
# By then, libraries have loaded what they need, and the allocator knows large pictures.
_SETTLED = 1000


@dataclass
class Found:
    """What happened.

    Attributes:
        outcomes: How often pictures came out, or which errors.
        bugs: Name of a picture → an error that is no ImageError.
        crashes: Names of pictures that ended the process.
        slow: The slowest reads, in seconds of the processor: (seconds, name). What other programs
            take meanwhile does not count.
        longest_s: The longest time that passed over one picture, read in every way.
        rise_mib: Growth of the process's memory after the first pictures.
        peak_mib: Most memory of the process.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    bugs: dict[str, str] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    slow: list[tuple[float, str]] = field(default_factory=list)
    longest_s: float = 0.0
    rise_mib: float = 0.0
    peak_mib: float = 0.0


def main() -> None:
    """Read all pictures and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_out(parser)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = read_all(arguments.count, arguments.seed)
    report(
        Outcome(
            claim="hostile_pictures",
            what=f"slowest of {arguments.count:,} hostile pictures, read once, processor time",
            unit="s",
            values=(found.slow[0][0],),
            target=_SLOWEST_S,
            better="low",
            limits={
                "crashes": (len(found.crashes), 0),
                "errors that are no ImageError": (len(found.bugs), 0),
                "rise of the memory, MiB": (found.rise_mib, _RISE_MIB),
            },
            detail={
                "outcomes": dict(found.outcomes.most_common()),
                "bugs": found.bugs,
                "crashes": found.crashes,
                "slowest": found.slow[:10],
                "longest_s": found.longest_s,
                "peak_mib": found.peak_mib,
            },
        ),
        arguments.out,
    )


def read_all(count: int, seed: int) -> Found:
    """Read all pictures, in as many processes as it takes."""
    found, begin = Found(), 0
    while begin < count:
        receiver, sender = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(receiver)
                # Line by line: a process that ends by a signal leaves no line behind otherwise.
                with os.fdopen(sender, "w", buffering=1) as lines:
                    work(islice(pictures(count, seed), begin, None), lines.write)
                status = 0
            finally:
                os._exit(status)
        os.close(sender)
        with os.fdopen(receiver) as lines:
            done, reading = gather(found, map(json.loads, lines))
        if os.waitpid(pid, 0)[1]:
            found.crashes.append(reading)
            done += 1
        begin += done
    found.slow.sort(reverse=True)
    return found


def gather(found: Found, lines: Iterator[dict[str, Any]]) -> tuple[int, str]:
    """Add up what a process says; return how many pictures it has read, and the last one's name."""
    done, reading = 0, ""
    for line in lines:
        if "name" in line:
            reading = line["name"]
            continue
        done += 1
        found.outcomes[line["outcome"]] += 1
        if "bug" in line:
            found.bugs[reading] = line["bug"]
        found.slow = sorted([*found.slow, (line["seconds"], reading)], reverse=True)[:20]
        found.longest_s = max(found.longest_s, line["passed_s"])
        found.rise_mib = max(found.rise_mib, line["rise_mib"])
        found.peak_mib = max(found.peak_mib, line["peak_mib"])
    return done, reading


def work(hostile: Iterator[Hostile], write: Callable[[str], Any]) -> None:
    """Read pictures in this process, and say before and after each what is done."""
    settled = 0.0
    for number, picture in enumerate(hostile):
        write(json.dumps({"name": picture.name}) + "\n")
        start = time.perf_counter()
        line = read(picture.data)
        line["passed_s"] = time.perf_counter() - start
        if number <= _SETTLED:
            settled = resident_mib()
        line["rise_mib"] = resident_mib() - settled
        line["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        write(json.dumps(line) + "\n")


def read(data: bytes) -> dict[str, Any]:
    """Read a picture in every way, and say what came of decoding it."""
    line: dict[str, Any] = {"outcome": "decoded", "seconds": 0.0}
    for way in (read_header, as_picture, as_small_picture, as_mask, in_parts):
        start = time.process_time()
        try:
            way(data)
        except ImageError as error:
            if way is as_picture:
                line["outcome"] = type(error).__name__
        except Exception as error:  # What is looked for.
            line["bug"] = f"{way.__name__}: {error!r}"
        line["seconds"] = max(line["seconds"], time.process_time() - start)
    return line


def as_picture(data: bytes) -> None:
    """Decode at its own scale."""
    decode(data, DEFAULT_LIMITS)


def as_small_picture(data: bytes) -> None:
    """Decode as a network needs it."""
    decode(data, DEFAULT_LIMITS, min_size=(224, 224))


def as_mask(data: bytes) -> None:
    """Decode as a mask."""
    decode_mask(data, DEFAULT_LIMITS)


def in_parts(data: bytes) -> None:
    """Read the corners of a TIFF."""
    if data[:2] not in (b"II", b"MM"):
        return
    raster = open_tiff(data)
    height, width = min(raster.height, _WINDOW_PX), min(raster.width, _WINDOW_PX)
    for top in {0, raster.height - height}:
        for left in {0, raster.width - width}:
            with contextlib.suppress(ImageError):
                raster.read(top, left, height, width)


def resident_mib() -> float:
    """Return the memory of this process now."""
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
