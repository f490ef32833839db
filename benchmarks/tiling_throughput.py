"""Answering a large picture tile by tile keeps at least 90 % of the bare network's throughput.

The bare loop runs ONNX Runtime on the very tiles, in the very batches, that foveal cuts out of a
drawn picture; they lie ready in memory, and nothing is made of the answers. foveal cuts the tiles,
runs them, joins the maps and makes the mask. In turns in one process, with all cores and with one
thread of the network.

    python benchmarks/tiling_throughput.py
    python benchmarks/tiling_throughput.py --bundle RUN --side 2048 --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drawn_slide import draw_slide
from foveal.bundle import Bundle
from foveal.machine import available_cores
from foveal.predict import Predictor
from foveal.predict.engine import OnnxEngine
from foveal.types import Outputs, Picture
from foveal.workflow.locate import find_model
from outcome import Outcome, add_out, note, report
from untrained_segmenter import write_untrained


def main() -> None:
    """Measure with every number of threads and report each."""
    arguments = parse_arguments()
    picture = Picture.from_array(draw_slide(arguments.side))
    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as temporary:
        if arguments.bundle is not None:
            bundle = find_model(arguments.bundle).bundle
        else:
            bundle = write_untrained(Path(temporary) / "bundle", arguments.backbone)
        for threads in thread_counts(arguments.threads):
            report(measure(bundle, picture, threads, arguments), arguments.out)


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--bundle", type=Path, default=None, metavar="RUN", help="else one is made")
    made.add_argument("--backbone", default="auto", help="of the bundle that is made")
    made.add_argument("--side", type=int, default=4096, help="of the picture, in pixels")
    made.add_argument("--threads", type=int, default=None, help="of the network; else all, then 1")
    made.add_argument("--rounds", type=int, default=5)
    return made.parse_args()


def thread_counts(wanted: int | None) -> tuple[int, ...]:
    """Return how many threads the network shall have, one measurement each."""
    if wanted is not None:
        return (wanted,)
    return tuple(dict.fromkeys((available_cores(), 1)))


@dataclass
class Recorder:
    """An engine that keeps what it is run on.

    Attributes:
        engine: Runs the network.
        batches: The model inputs of each run, in order.
    """

    engine: OnnxEngine
    batches: list[NDArray[np.uint8]] = field(default_factory=list)

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        """Keep the inputs and run the network."""
        self.batches.append(inputs.copy())
        return self.engine.run(inputs, names)


def measure(
    bundle: Bundle, picture: Picture, threads: int, arguments: argparse.Namespace
) -> Outcome:
    """Time both in turns; who begins changes from turn to turn."""
    engine = OnnxEngine(bundle.model_bytes(), threads=threads)
    recorder = Recorder(engine)
    Predictor(bundle, engine=recorder).predict([picture])
    whole = Predictor(bundle, engine=engine)
    work: dict[str, Callable[[], object]] = {
        "bare": lambda: run_bare(engine, recorder.batches, bundle.task.core_outputs),
        "foveal": lambda: whole.predict([picture]),
    }
    clock_s: dict[str, list[float]] = {name: [] for name in work}
    processor_s: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(arguments.rounds):
        for name in sorted(work, reverse=turn % 2 == 1):
            taken, busy = timed(work[name])
            clock_s[name].append(taken)
            processor_s[name].append(busy)
        note(
            f"  turn {turn + 1}: bare {clock_s['bare'][-1]:.2f} s, foveal "
            f"{clock_s['foveal'][-1]:.2f} s"
        )
    tiles = sum(len(batch) for batch in recorder.batches)
    # On one core both numbers of threads are the same, and the line is the claim's own.
    suffix = "" if threads == available_cores() else f"_{threads}_thread"
    return Outcome(
        claim=f"tiling_throughput{suffix}",
        what=f"tiles a second of a {arguments.side:,} x {arguments.side:,} picture with cutting, "
        f"joining and mask, relative to the bare network on the same tiles, {threads} "
        f"thread{'s' if threads > 1 else ''}",
        unit="ratio",
        values=ratios(clock_s["bare"], clock_s["foveal"]),
        target=0.90,
        judged_by="median",
        detail={
            "bundle": bundle.name,
            "backbone": bundle.manifest.backbone,
            "pipeline": bundle.pipeline.to_json(),
            "tiles": tiles,
            "batch_size": len(recorder.batches[0]),
            "threads": threads,
            "tiles_per_s": {n: tiles / statistics.median(v) for n, v in clock_s.items()},
            "clock_s": clock_s,
            "processor_s": processor_s,
            "processor_ratio": ratios(processor_s["bare"], processor_s["foveal"]),
        },
    )


def run_bare(
    engine: OnnxEngine, batches: Sequence[NDArray[np.uint8]], names: Sequence[str]
) -> None:
    """Run the network on every batch and let go of what it gives."""
    for batch in batches:
        engine.run(batch, names)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of some work by the clock and of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def ratios(bare_s: Sequence[float], foveal_s: Sequence[float]) -> tuple[float, ...]:
    """Return foveal's throughput relative to the bare loop's of the same turn."""
    return tuple(bare / whole for bare, whole in zip(bare_s, foveal_s, strict=True))


if __name__ == "__main__":
    main()
