"""The latency of single pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from foveal.data.source import Sample, Source
from foveal.evaluate.measure import open_picture
from foveal.predict.predictor import Predictor
from foveal.types import JsonObject

# Timing stops after this long: each picture of a slide scanner takes minutes.
_TIMED_S = 30.0


@final
@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds for one picture, alone in its batch.

    Attributes:
        p50_ms: Median from the decoded picture to the answer.
        p95_ms: 95th percentile of the same.
        decode_p50_ms: Median of reading and decoding.
        pictures: How many were timed.
    """

    p50_ms: float
    p95_ms: float
    decode_p50_ms: float
    pictures: int

    def to_json(self) -> JsonObject:
        """Return rounded values."""
        return {
            "p50_ms": round(self.p50_ms, 3),
            "p95_ms": round(self.p95_ms, 3),
            "decode_p50_ms": round(self.decode_p50_ms, 3),
            "pictures": self.pictures,
        }


def time_single(
    predictor: Predictor, source: Source, samples: Sequence[Sample], count: int
) -> Latency | None:
    """Time up to `count` pictures one by one, taken evenly over the samples; None for none.

    Stops early once it has taken long; at least one is timed.
    """
    picks = sorted(set(np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int)))
    decoding, answering = [], []
    for number, i in enumerate(picks):
        start = time.perf_counter()
        picture = open_picture(predictor, source, samples[i])
        decoded = time.perf_counter()
        if number == 0 and not predictor.pipeline.is_tiled:
            # The first run of a network allocates its memory. A tile's size never changes, and the
            # evaluation before has run it.
            predictor.predict([picture])
        again = time.perf_counter()
        predictor.predict([picture])
        decoding.append(decoded - start)
        answering.append(time.perf_counter() - again)
        if sum(answering) > _TIMED_S:
            break
    if not answering:
        return None
    p50, p95 = np.percentile(answering, (50, 95)) * 1000
    return Latency(float(p50), float(p95), 1000 * float(np.median(decoding)), len(answering))
