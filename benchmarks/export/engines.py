"""Pictures a second of each engine that can compute here, in turns with ONNX Runtime.

Also what `--engine auto` would take, and whether an optimised network kept in a file would be
opened sooner. On a machine with a GPU the engines cuda and tensorrt are measured too; the first
run of TensorRT makes its plan, which takes minutes.

    python benchmarks/export/engines.py BUNDLE... --batches 1,8 --rounds 15
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from foveal.bundle import Bundle
from foveal.errors import FovealError
from foveal.predict import Predictor
from foveal.predict.choice import choose, prove
from foveal.predict.engine import Engine
from foveal.predict.engines import ENGINES
from outcome import commit, machine, note, versions


def main() -> None:
    """Measure each bundle and print a table on stderr and one JSON line."""
    options = parse_arguments()
    lines = [measure(Bundle.open(path), options) for path in options.bundles]
    report = {"benchmark": "engines", "commit": commit(), "machine": machine()}
    print(json.dumps({**report, "versions": versions(), "bundles": lines}))


def parse_arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("bundles", type=Path, nargs="+")
    made.add_argument("--batches", default="1,8")
    made.add_argument("--rounds", type=int, default=15)
    made.add_argument("--threads", type=int, default=None, help="of a run; default: every core")
    return made.parse_args()


def measure(bundle: Bundle, options: argparse.Namespace) -> dict[str, Any]:
    """Return what is found about one bundle."""
    predictor = Predictor(bundle, threads=options.threads)
    engines: dict[str, Engine] = {}
    found: dict[str, Any] = {"bundle": bundle.name, "backbone": bundle.manifest.backbone}
    for name, kind in ENGINES.items():
        try:
            engine = kind.open(bundle, options.threads)
            found[name] = {"proof": prove(predictor, engine, name)}
            engines[name] = engine
        except FovealError as error:
            found[name] = {"refused": error.message}
            note(f"{bundle.name}: {error.message}")
    for batch in map(int, options.batches.split(",")):
        times = in_turns(engines, batch, bundle.pipeline.example_size, options.rounds)
        for name, seconds in times.items():
            ratios = [a / b for a, b in zip(times["onnxruntime"], seconds, strict=True)]
            rate, ratio = batch / statistics.median(seconds), statistics.median(ratios)
            low, high = np.quantile(ratios, (0.25, 0.75))
            found[name][str(batch)] = {"rate": rate, "ratio": ratio, "quartiles": [low, high]}
            note(
                f"{bundle.name}: {name} in runs of {batch}: {rate:.1f} a second, {ratio:.2f} x "
                f"ONNX Runtime (quartiles {low:.2f} to {high:.2f})"
            )
    begun = time.perf_counter()
    chosen: Any = choose(predictor, "auto")
    found["auto"] = {"took_s": time.perf_counter() - begun, **chosen.facts.to_json()}
    note(f"{bundle.name}: auto takes {chosen.facts.name} after {found['auto']['took_s']:.1f} s")
    found["open_s"] = open_times(bundle.model_bytes(), options.rounds)
    note(f"{bundle.name}: seconds to open {found['open_s']}")
    return found


def in_turns(
    engines: dict[str, Engine], batch: int, size: tuple[int, int], rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each run."""
    inputs = np.random.default_rng(0).integers(0, 256, (batch, *size, 3), dtype=np.uint8)
    times: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name, engine in engines.items():
            seconds = timed(lambda engine=engine: engine.run(inputs))  # type: ignore[misc]
            if number:
                times[name].append(seconds)
    return times


def timed(run: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def open_times(model: bytes, rounds: int) -> dict[str, float]:
    """Return how long ONNX Runtime takes to open a network, and one that it optimised before."""
    import onnxruntime as ort

    def session(data: bytes | str, **changes: Any) -> ort.InferenceSession:
        options = ort.SessionOptions()
        for name, value in changes.items():
            setattr(options, name, value)
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    with tempfile.TemporaryDirectory(prefix="foveal-bench-") as folder:
        kept = str(Path(folder) / "optimised.ort")
        session(model, optimized_model_filepath=kept)
        off = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        times: dict[str, list[float]] = {"the network": [], "optimised before": []}
        for _ in range(rounds):
            times["the network"].append(timed(lambda: session(model)))
            times["optimised before"].append(
                timed(lambda: session(kept, graph_optimization_level=off))
            )
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
