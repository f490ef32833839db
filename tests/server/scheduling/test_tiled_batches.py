"""Serving what is cut into tiles: one picture after another, each run once."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage
from shading import ShadeEngine, half_light, shade_bundle

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server.models.served import Served
from foveal.server.models.turns import TurnEngine
from foveal.server.options import ServerOptions
from foveal.server.scheduling.batcher import Batcher
from foveal.server.scheduling.jobs import Reply
from foveal.types import Outputs


def png(height: int, width: int) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(half_light(height, width)).save(buffer, "PNG")
    return buffer.getvalue()


def answers_of(
    predictor: Predictor, pictures: Sequence[bytes], *, explain: bool
) -> tuple[list[Reply], Batcher]:
    batcher = Batcher(max_batch=8)
    served = Served("shades", 1, predictor, ServerOptions())

    async def main() -> list[Reply]:
        batcher.start(asyncio.get_running_loop())
        try:
            jobs = [batcher.answer(served, data, explain=explain) for data in pictures]
            return list(await asyncio.gather(*jobs))
        finally:
            await asyncio.to_thread(batcher.stop)

    return asyncio.run(main()), batcher


def test_pictures_of_one_size_still_run_one_by_one() -> None:
    predictor = Predictor(shade_bundle(), engine=ShadeEngine())
    answers, batcher = answers_of(predictor, [png(40, 60)] * 3, explain=False)
    assert [answer.record["size"] for answer in answers] == [[40, 60]] * 3
    assert (batcher.stats.pictures, batcher.stats.batches) == (3, 3)


def test_an_explanation_costs_no_second_run_and_is_drawn_on_a_small_copy() -> None:
    engine = ShadeEngine()
    predictor = Predictor(shade_bundle(), engine=engine)
    # One row of tiles of 16 pixels, 12 apart: 15 of them would reach over 168 + 16 pixels.
    (answer,), _ = answers_of(predictor, [png(16, 184)], explain=True)
    assert sum(engine.batches) == 15
    assert answer.overlay_png is not None
    overlay = np.asarray(PILImage.open(io.BytesIO(answer.overlay_png)))
    assert overlay.shape == (16, 184, 3)
    assert overlay[0, [91, 92], 1].tolist() == [0, 255]


def test_a_preview_of_a_large_picture_has_at_most_the_width_of_a_screens_column() -> None:
    predictor = Predictor(shade_bundle(), engine=ShadeEngine())
    (answer,), _ = answers_of(predictor, [png(16, 2048)], explain=True)
    assert answer.record["size"] == [16, 2048]
    assert answer.overlay_png is not None
    assert PILImage.open(io.BytesIO(answer.overlay_png)).size == (1024, 8)


class HeldEngine:
    """Runs once for each time that it is let go; remembers which network was asked."""

    def __init__(self) -> None:
        self._engine = ShadeEngine()
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.order: list[int] = []

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        self.order.append(int(inputs[0, 0, 0, 0]))
        self.entered.release()
        assert self.go.acquire(timeout=20)
        return self._engine.run(inputs, names)


def test_a_held_picture_of_many_tiles_holds_no_other_model(tiny_bundle: Bundle) -> None:
    engine = HeldEngine()
    large = Served("large", 1, Predictor(shade_bundle(), engine=engine), ServerOptions())
    small = Served("small", 1, Predictor(tiny_bundle, threads=1), ServerOptions())
    batcher = Batcher(max_batch=8)

    async def main() -> None:
        batcher.start(asyncio.get_running_loop())
        held = asyncio.ensure_future(batcher.answer(large, png(40, 400)))
        assert await asyncio.to_thread(engine.entered.acquire)
        await asyncio.gather(*(batcher.answer(small, png(8, 8)) for _ in range(20)))
        assert not held.done()
        engine.go.release(1000)
        assert (await held).record["size"] == [40, 400]
        await asyncio.to_thread(batcher.stop)

    asyncio.run(main())


def test_pictures_of_many_tiles_take_turns_at_the_network() -> None:
    engine = HeldEngine()
    turns = TurnEngine(engine)
    threads = [threading.Thread(target=run_thrice, args=(turns, number)) for number in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        if number == 0:
            assert engine.entered.acquire(timeout=20)
        # The first has its turn; each of the others is in the queue before the next.
        wait_for(turns, number)
    engine.entered.release()
    for run in range(9):
        assert engine.entered.acquire(timeout=20)
        # Whoever has had its turn is back in the queue before the next turn ends.
        wait_for(turns, min(2, 8 - run))
        engine.go.release()
    for thread in threads:
        thread.join()
    assert engine.order == [0, 1, 2] * 3


def run_thrice(engine: TurnEngine, number: int) -> None:
    for _ in range(3):
        engine.run(np.full((1, 16, 16, 3), number, np.uint8))


def wait_for(turns: TurnEngine, count: int) -> None:
    """Wait until `count` wait for their turn."""
    while turns.waiting < count:
        time.sleep(0.001)


def test_a_network_that_raises_passes_its_turn_on() -> None:
    class Broken:
        def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
            raise RuntimeError("broken")

    turns = TurnEngine(Broken())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            turns.run(np.zeros((1, 16, 16, 3), np.uint8))
