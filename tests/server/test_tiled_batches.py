"""Serving what is cut into tiles: one picture after another, each run once."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image as PILImage
from shading import ShadeEngine, half_light, shade_bundle

from foveal.predict import Predictor
from foveal.server.batcher import Batcher, Reply


def png(height: int, width: int) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(half_light(height, width)).save(buffer, "PNG")
    return buffer.getvalue()


def answers_of(
    predictor: Predictor, pictures: Sequence[bytes], *, explain: bool
) -> tuple[list[Reply], Batcher]:
    batcher = Batcher(max_batch=8, workers=1)

    async def main() -> list[Reply]:
        batcher.start(asyncio.get_running_loop())
        try:
            jobs = [batcher.answer(predictor, data, explain=explain) for data in pictures]
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
