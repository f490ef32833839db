"""Find the fastest number of threads for a network.

More threads make small networks slower, because they synchronise at every layer; and a thread that
brings little speed-up is better used for another picture.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable

import numpy as np

from foveal.predict.engine import Engine, OnnxEngine
from foveal.predict.predictor import Predictor

logger = logging.getLogger(__name__)

_RUNS = 5
# Half the threads are taken unless twice as many save this share of the time of a run.
_SAVING = 0.1


def tuned_engine(predictor: Predictor) -> Engine:
    """Return the predictor's engine, or one of the same network with fewer threads.

    The answers are the same. Each trial costs opening the network and some runs.

    Args:
        predictor: Predictor whose engine may use all cores of the process.
    """
    engine = predictor.engine
    if not isinstance(engine, OnnxEngine) or engine.threads == 1:
        return engine
    grey = np.full((1, *predictor.pipeline.example_size, 3), 128, np.uint8)
    model = predictor.bundle.model_bytes()

    def seconds(candidate: OnnxEngine) -> float:
        return median_seconds(lambda: candidate.run(grey))

    best, best_s = engine, seconds(engine)
    while best.threads > 1:
        other = OnnxEngine(model, threads=best.threads // 2)
        other_s = seconds(other)
        if best_s < (1 - _SAVING) * other_s:
            break
        best, best_s = other, other_s
    logger.debug("%s: %d threads, %.1f ms", predictor.bundle.name, best.threads, 1000 * best_s)
    return best


def median_seconds(run: Callable[[], object]) -> float:
    """Return the median time of several runs, after a warm-up."""
    run()
    times = []
    for _ in range(_RUNS):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
