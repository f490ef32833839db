"""How many threads a network gets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from foveal.bundle import Bundle
from foveal.predict import OnnxEngine, Predictor, tuning
from foveal.predict.tuning import tuned_engine


def tuned_to(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle, threads: int, *milliseconds: float
) -> int:
    """Return the threads chosen when runs with ever fewer of them take these times."""
    times = iter(milliseconds)

    def seconds(run: Callable[[], object]) -> float:
        run()
        return next(times) / 1000

    monkeypatch.setattr(tuning, "median_seconds", seconds)
    engine = tuned_engine(Predictor(bundle, threads=threads))
    assert isinstance(engine, OnnxEngine)
    assert next(times, None) is None
    return engine.threads


@pytest.mark.parametrize(
    ("threads", "milliseconds", "chosen"),
    [
        (2, (10.0, 18.0), 2),
        (2, (10.0, 11.0), 1),
        (2, (10.0, 7.0), 1),
        (8, (10.0, 10.5, 18.0), 4),
        (8, (10.0, 9.0, 8.0, 7.0), 1),
        (6, (10.0, 10.0, 30.0), 3),
    ],
)
def test_half_the_threads_are_taken_unless_more_save_a_tenth(
    monkeypatch: pytest.MonkeyPatch,
    tiny_bundle: Bundle,
    threads: int,
    milliseconds: tuple[float, ...],
    chosen: int,
) -> None:
    assert tuned_to(monkeypatch, tiny_bundle, threads, *milliseconds) == chosen


def test_one_thread_and_other_engines_are_left_as_they_are(tiny_bundle: Bundle) -> None:
    alone = Predictor(tiny_bundle, threads=1)
    assert tuned_engine(alone) is alone.engine

    class Other:
        run = alone.engine.run

    other = Predictor(tiny_bundle, engine=Other())
    assert tuned_engine(other) is other.engine


def test_answers_are_equal_to_the_bit_whatever_the_threads_and_the_run(
    tiny_masks: Bundle,
) -> None:
    # A trained network with convolutions of many channels.
    model = tiny_masks.model_bytes()
    height, width = tiny_masks.pipeline.height, tiny_masks.pipeline.width
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 256, (4, height, width, 3), dtype=np.uint8)
    said = {
        (threads, size): np.concatenate(
            [
                OnnxEngine(model, threads=threads).run(inputs[i : i + size])["logits"]
                for i in range(0, 4, size)
            ]
        ).tobytes()
        for threads in (1, 2, 3)
        for size in (1, 2, 4)
    }
    assert len(set(said.values())) == 1
