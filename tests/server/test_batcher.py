"""Dynamic batching: who shares a run, who fails, who is dropped, what happens when it is full."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from foveal.bundle import Bundle
from foveal.errors import ImageFormatError
from foveal.predict import OnnxEngine, Predictor
from foveal.server import start_in_thread
from foveal.server.batcher import Batcher
from foveal.types import Outputs


class GatedEngine:
    """Runs the real network, but each run first waits for the gate; remembers batch sizes."""

    def __init__(self, bundle: Bundle) -> None:
        self._engine = OnnxEngine(bundle.model_bytes(), threads=1)
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.batches: list[int] = []
        self.poison: int | None = None

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        self.entered.release()
        assert self.gate.wait(20)
        if self.poison is not None and (inputs == self.poison).all(axis=(1, 2, 3)).any():
            raise RuntimeError("poisoned batch")
        self.batches.append(len(inputs))
        return self._engine.run(inputs, names)


@pytest.fixture
def engine(tiny_bundle: Bundle) -> GatedEngine:
    """Return a gated engine of the tiny bundle."""
    return GatedEngine(tiny_bundle)


def run_batcher(
    work: Callable[[Batcher], Coroutine[Any, Any, None]], max_batch: int = 4
) -> Batcher:
    """Run a coroutine with a started batcher and return the batcher."""
    batcher = Batcher(max_batch=max_batch, workers=1)

    async def main() -> None:
        batcher.start(asyncio.get_running_loop())
        try:
            await work(batcher)
        finally:
            await asyncio.to_thread(batcher.stop)

    asyncio.run(main())
    return batcher


async def enter(engine: GatedEngine) -> None:
    """Wait until a run has begun."""
    assert await asyncio.to_thread(engine.entered.acquire)


async def prepared(batcher: Batcher, count: int) -> None:
    """Wait until `count` pictures wait for the network."""
    while batcher.waiting < count:
        await asyncio.sleep(0)


def test_what_waits_shares_the_next_run(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes, bright_jpeg: bytes
) -> None:
    predictor = Predictor(tiny_bundle, engine=engine)

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        await enter(engine)
        others = [
            asyncio.ensure_future(batcher.answer(predictor, data))
            for data in (bright_jpeg, dark_png, bright_jpeg, dark_png, bright_jpeg)
        ]
        await prepared(batcher, 5)
        engine.gate.set()
        answers = await asyncio.gather(first, *others)
        labels = [answer.record["label"] for answer in answers]
        assert labels == ["circle", "square", "circle", "square", "circle", "square"]

    batcher = run_batcher(work)
    assert engine.batches == [1, 4, 1]
    assert (batcher.stats.pictures, batcher.stats.batches) == (6, 3)


def test_explained_pictures_and_plain_ones_do_not_share_a_run(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    predictor = Predictor(tiny_bundle, engine=engine)

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        await enter(engine)
        others = [
            asyncio.ensure_future(batcher.answer(predictor, dark_png, explain=explain))
            for explain in (False, True, False, True)
        ]
        await prepared(batcher, 4)
        engine.gate.set()
        await first
        answers = await asyncio.gather(*others)
        assert [a.overlay_png is not None for a in answers] == [False, True, False, True]

    run_batcher(work)
    assert engine.batches == [1, 2, 2]


def test_a_bad_picture_fails_alone(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    predictor = Predictor(tiny_bundle, engine=engine)
    engine.gate.set()

    async def work(batcher: Batcher) -> None:
        results = await asyncio.gather(
            *(batcher.answer(predictor, data) for data in (dark_png, b"rubbish", dark_png)),
            return_exceptions=True,
        )
        kinds = [type(result).__name__ for result in results]
        assert kinds == ["Reply", "ImageFormatError", "Reply"]
        with pytest.raises(ImageFormatError):
            await batcher.answer(predictor, b"rubbish")

    assert run_batcher(work).stats.failed == 2


def test_a_picture_that_breaks_the_run_fails_alone(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    import io

    from PIL import Image as PILImage

    buffer = io.BytesIO()
    PILImage.new("RGB", (16, 16), (77, 77, 77)).save(buffer, "PNG")
    predictor = Predictor(tiny_bundle, engine=engine)
    engine.poison = 77

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        await enter(engine)
        others = [
            asyncio.ensure_future(batcher.answer(predictor, data))
            for data in (dark_png, buffer.getvalue(), dark_png)
        ]
        await prepared(batcher, 3)
        engine.gate.set()
        await first
        results = await asyncio.gather(*others, return_exceptions=True)
        kinds = [type(result).__name__ for result in results]
        assert kinds == ["Reply", "RuntimeError", "Reply"]

    run_batcher(work)


def test_a_cancelled_picture_is_not_computed(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    predictor = Predictor(tiny_bundle, engine=engine)

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        await enter(engine)
        cancelled = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        kept = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        await prepared(batcher, 2)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        engine.gate.set()
        await asyncio.gather(first, kept)

    batcher = run_batcher(work)
    assert engine.batches == [1, 1]
    assert batcher.stats.dropped == 1


def test_a_hundred_requests_at_once_are_each_answered_rightly(
    predictor: Predictor, dark_png: bytes, bright_jpeg: bytes
) -> None:
    with start_in_thread({"tiny": predictor}, port=0) as server:
        limits = httpx.Limits(max_connections=100)
        with (
            httpx.Client(base_url=server.url, timeout=None, limits=limits) as client,
            ThreadPoolExecutor(100) as pool,
        ):

            def ask(i: int) -> bool:
                data, label = [(dark_png, "circle"), (bright_jpeg, "square")][i % 2]
                response = client.post("/predict/tiny", content=data)
                return bool(response.json().get("label") == label)

            assert all(pool.map(ask, range(100)))


def test_a_full_server_says_when_to_come_back(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    engine.gate.set()
    predictor = Predictor(tiny_bundle, engine=engine)
    with start_in_thread({"tiny": predictor}, port=0, queue_items=1) as server:
        engine.gate.clear()
        while engine.entered.acquire(blocking=False):
            pass
        with (
            httpx.Client(base_url=server.url, timeout=None) as client,
            ThreadPoolExecutor(1) as pool,
        ):
            slow = pool.submit(client.post, "/predict/tiny", content=dark_png)
            assert engine.entered.acquire()
            refused = client.post("/predict/tiny", content=dark_png)
            alive = client.get("/healthz")
            engine.gate.set()
            assert slow.result().status_code == 200
            again = client.post("/predict/tiny", content=dark_png)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert list(refused.json()) == ["error"]
    assert (alive.status_code, again.status_code) == (200, 200)


def test_an_answer_after_the_deadline_is_not_waited_for(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    engine.gate.set()
    predictor = Predictor(tiny_bundle, engine=engine)
    with start_in_thread({"tiny": predictor}, port=0, deadline_s=0.05) as server:
        engine.gate.clear()
        late = httpx.post(f"{server.url}/predict/tiny", content=dark_png, timeout=None)
        engine.gate.set()
    assert late.status_code == 504
    assert list(late.json()) == ["error"]
