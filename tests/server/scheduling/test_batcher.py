"""Dynamic batching: who shares a run, who fails, who is dropped, what happens when it is full."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.errors import ImageFormatError
from foveal.predict import OnnxEngine, Predictor
from foveal.server import start_in_thread
from foveal.server.models.served import Served
from foveal.server.options import ServerOptions
from foveal.server.scheduling import lanes
from foveal.server.scheduling.batcher import Batcher, run_sizes
from foveal.server.scheduling.jobs import Reply, Terms
from foveal.tasks.classify.prediction import Classification
from foveal.tasks.prediction import Prediction
from foveal.types import Outputs, Picture


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


def served(predictor: Predictor) -> Served:
    """Return a model as the server has it."""
    return Served("tiny", 1, predictor, ServerOptions())


def run_batcher(
    work: Callable[[Batcher], Coroutine[Any, Any, None]], max_batch: int = 4
) -> Batcher:
    """Run a coroutine with a started batcher and return the batcher."""
    batcher = Batcher(max_batch=max_batch, threads=1)

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
    """Wait until `count` pictures wait for a thread."""
    while batcher.waiting < count:
        await asyncio.sleep(0)


def test_what_waits_shares_the_next_run(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes, bright_jpeg: bytes
) -> None:
    predictor = served(Predictor(tiny_bundle, engine=engine))

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


def test_explained_pictures_neither_share_a_run_with_plain_ones_nor_wait_for_them(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    predictor = served(Predictor(tiny_bundle, engine=engine))

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        await enter(engine)
        others = [
            asyncio.ensure_future(batcher.answer(predictor, dark_png, explain=explain))
            for explain in (False, True, False, True)
        ]
        # The thread of the plain ones is held: the explained ones have others.
        await enter(engine)
        await enter(engine)
        assert batcher.waiting == 2
        engine.gate.set()
        await first
        answers = await asyncio.gather(*others)
        assert [a.overlay_png is not None for a in answers] == [False, True, False, True]

    run_batcher(work)
    assert sorted(engine.batches) == [1, 1, 1, 2]


def test_a_bad_picture_fails_alone(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    predictor = served(Predictor(tiny_bundle, engine=engine))
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
    predictor = served(Predictor(tiny_bundle, engine=engine))
    engine.poison = 77

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        await enter(engine)
        others = [
            asyncio.ensure_future(batcher.answer(predictor, data))
            for data in (dark_png, plain_png(77), dark_png)
        ]
        await prepared(batcher, 3)
        engine.gate.set()
        await first
        results = await asyncio.gather(*others, return_exceptions=True)
        kinds = [type(result).__name__ for result in results]
        assert kinds == ["Reply", "RuntimeError", "Reply"]

    run_batcher(work)


def test_one_poisoned_picture_of_32_costs_few_runs_and_changes_no_other_answer(
    tiny_bundle: Bundle, engine: GatedEngine
) -> None:
    pictures = [plain_png(78 + 5 * i) for i in range(32)]
    model = served(Predictor(tiny_bundle, engine=engine))
    engine.gate.set()
    alone = [said(model.predictor.predict([model.predictor.decode(p)])[0]) for p in pictures]
    engine.gate.clear()
    engine.poison = 77
    pictures[13] = plain_png(77)
    engine.batches.clear()

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.answer(model, pictures[0]))
        await enter(engine)
        while engine.entered.acquire(blocking=False):
            pass
        others = [asyncio.ensure_future(batcher.answer(model, data)) for data in pictures]
        await prepared(batcher, 32)
        engine.gate.set()
        await first
        results = await asyncio.gather(*others, return_exceptions=True)
        failed = [i for i, result in enumerate(results) if isinstance(result, Exception)]
        assert failed == [13]
        for i, result in enumerate(results):
            if isinstance(result, Reply):
                assert said(result.prediction) == alone[i]

    run_batcher(work, max_batch=32)
    # 16, 8, 4, 2 and 1 without it; and the first.
    assert sorted(engine.batches) == [1, 1, 2, 4, 8, 16]


def said(prediction: Prediction) -> tuple[str, bytes]:
    """Return an answer to the last bit."""
    assert isinstance(prediction, Classification)
    return repr(prediction.to_json()), prediction.probabilities.tobytes()


def plain_png(brightness: int) -> bytes:
    """Return a picture of one colour, to which a poisoned engine objects."""
    buffer = io.BytesIO()
    PILImage.new("RGB", (16, 16), (brightness,) * 3).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_cancelled_picture_leaves_the_queue_at_once(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    predictor = served(Predictor(tiny_bundle, engine=engine))

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        await enter(engine)
        cancelled = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        kept = asyncio.ensure_future(batcher.answer(predictor, dark_png))
        await prepared(batcher, 2)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        assert batcher.waiting == 1
        engine.gate.set()
        await asyncio.gather(first, kept)

    batcher = run_batcher(work)
    assert engine.batches == [1, 1]
    assert batcher.stats.dropped == 1


def test_a_picture_whose_time_is_over_is_not_even_decoded(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = served(Predictor(tiny_bundle, engine=engine))
    decoded: list[bytes] = []
    decode = Predictor.decode

    def noted(self: Predictor, data: bytes) -> Picture:
        decoded.append(data)
        return decode(self, data)

    monkeypatch.setattr(Predictor, "decode", noted)
    engine.gate.set()

    async def work(batcher: Batcher) -> None:
        with pytest.raises(TimeoutError):
            await batcher.answer(model, dark_png, terms=Terms(until=time.perf_counter()))
        await batcher.answer(model, dark_png, terms=Terms(until=time.perf_counter() + 60))

    run_batcher(work)
    assert (len(decoded), engine.batches) == (1, [1])


def test_a_flood_of_one_client_does_not_delay_another(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    model = served(Predictor(tiny_bundle, engine=engine))
    done: list[str] = []

    async def ask(batcher: Batcher, client: str, priority: int = 0) -> None:
        terms = Terms(client, priority=priority)
        await batcher.answer(model, dark_png, terms=terms)
        done.append(f"{client}{priority or ''}")

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(ask(batcher, "first"))
        await enter(engine)
        flood = [asyncio.ensure_future(ask(batcher, "flood")) for _ in range(4)]
        flood.append(asyncio.ensure_future(ask(batcher, "flood", 1)))
        small = asyncio.ensure_future(ask(batcher, "small"))
        await prepared(batcher, 6)
        engine.gate.set()
        await asyncio.gather(first, small, *flood)

    run_batcher(work, max_batch=1)
    assert done == ["first", "flood1", "small", "flood", "flood", "flood", "flood"]


@pytest.mark.parametrize(
    ("most", "sizes"), [(1, (1,)), (2, (2, 1)), (16, (16, 8, 4, 2, 1)), (12, (12, 8, 4, 2, 1))]
)
def test_runs_have_few_sizes(most: int, sizes: tuple[int, ...]) -> None:
    assert run_sizes(most) == sizes


def test_a_run_is_as_large_as_there_are_pictures_for_without_padding(
    tiny_bundle: Bundle, engine: GatedEngine, dark_png: bytes
) -> None:
    model = served(Predictor(tiny_bundle, engine=engine))

    async def work(batcher: Batcher) -> None:
        first = asyncio.ensure_future(batcher.answer(model, dark_png))
        await enter(engine)
        others = [asyncio.ensure_future(batcher.answer(model, dark_png)) for _ in range(7)]
        await prepared(batcher, 7)
        engine.gate.set()
        await asyncio.gather(first, *others)

    run_batcher(work, max_batch=16)
    assert engine.batches == [1, 4, 2, 1]


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
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 30
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


def test_memory_is_given_back_after_large_pictures(
    tiny_bundle: Bundle, dark_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back = threading.Event()
    monkeypatch.setattr(lanes, "return_memory", given_back.set)
    buffer = io.BytesIO()
    PILImage.new("RGB", (2100, 2000), (40, 40, 40)).save(buffer, "PNG")
    with (
        start_in_thread({"tiny": Predictor(tiny_bundle)}, port=0) as server,
        httpx.Client(base_url=server.url, timeout=None) as client,
    ):
        assert client.post("/predict/tiny", content=dark_png).status_code == 200
        assert not given_back.is_set()
        assert client.post("/predict/tiny", content=buffer.getvalue()).status_code == 200
        given_back.wait()
