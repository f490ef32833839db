"""Where pictures become answers: workers decode, one thread per server runs the networks.

Batching is dynamic and never waits: whatever is ready when the network comes free is the next
batch. While the network runs (outside Python's lock), the workers decode what comes next.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import final

import numpy as np

from foveal.machine import available_cores
from foveal.predict import Predictor
from foveal.predict.copies import copy_to_draw_on
from foveal.predict.predictor import ModelInput
from foveal.render import encode_png
from foveal.render.masks import MASK_FORMS, MaskForm
from foveal.tasks.prediction import Prediction
from foveal.types import Frame, JsonObject, Picture

logger = logging.getLogger(__name__)

# Longer side of the picture on which an explanation is drawn: enough for any screen's column,
# and drawing a 50-megapixel heat map would take seconds and a gigabyte.
_PREVIEW_PX = 1024


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """What one picture came to.

    Attributes:
        record: The prediction as the predictions contract has it.
        prediction: The prediction itself.
        overlay_png: The explanation drawn over the picture, or None when not asked for.
    """

    record: JsonObject
    prediction: Prediction
    overlay_png: bytes | None = None


@final
@dataclass(slots=True)
class BatchStats:
    """What the batcher has done; written on the event loop only."""

    pictures: int = 0
    batches: int = 0
    failed: int = 0
    dropped: int = 0
    decode_s: float = 0.0
    network_s: float = 0.0


@final
@dataclass(slots=True, eq=False)
class _Job:
    """One picture on its way. Owned by one thread at a time; `abandoned` may be set by any."""

    predictor: Predictor
    data: bytes
    explain: bool
    mask: MaskForm
    future: asyncio.Future[Reply]
    started: float = field(default_factory=time.perf_counter)
    abandoned: bool = False
    decode_s: float = 0.0
    input: ModelInput | None = None
    frame: Frame | None = None
    preview: Picture | None = None
    # Set by the network's thread.
    prediction: Prediction = field(init=False)
    drawing: Prediction | None = None
    overlay_png: bytes | None = None
    record: JsonObject | None = None

    @property
    def kind(self) -> tuple[int, bool, tuple[int, ...]]:
        """Return what jobs of one batch have in common: model, explanation, size of the input."""
        # Of a raster, which is answered by itself, the size does not matter.
        shape = self.input.shape if isinstance(self.input, np.ndarray) else ()
        return id(self.predictor), self.explain, shape


@final
class Batcher:
    """Answers pictures for all models of a server.

    Args:
        max_batch: Most pictures of one run of a network.
        workers: Threads that decode, pre-process and draw; None takes every core.
    """

    def __init__(self, *, max_batch: int, workers: int | None = None) -> None:
        self._max_batch = max_batch
        self._workers = workers or available_cores()
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._ready: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.stats = BatchStats()

    @property
    def waiting(self) -> int:
        """How many pictures are decoded and wait for the network."""
        return self._ready.qsize()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads; answers are delivered on `loop`."""
        self._loop = loop
        names = [("foveal-network", self._network_thread)]
        names += [(f"foveal-decode-{i}", self._worker_thread) for i in range(self._workers)]
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True) for name, target in names
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is queued, then end the threads."""
        for _ in range(self._workers):
            self._tasks.put(None)
        for thread in self._threads[1:]:
            thread.join()
        self._ready.put(None)
        for thread in self._threads[:1]:
            thread.join()

    async def answer(
        self,
        predictor: Predictor,
        data: bytes,
        *,
        explain: bool = False,
        mask: MaskForm = MASK_FORMS[0],
    ) -> Reply:
        """Return the answer to the bytes of one picture file.

        When the caller is cancelled (deadline, client gone), the picture is dropped before the
        next stage of work.

        Raises:
            ImageError: When it is not a picture, damaged, or over the limits.
        """
        loop = asyncio.get_running_loop()
        job = _Job(predictor, data, explain, mask, loop.create_future())
        self._tasks.put(lambda: self._prepare(job))
        try:
            return await job.future
        finally:
            job.abandoned = True

    def _worker_thread(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
            # Or the last task, with the request's bytes in it, lives as long as the pause.
            del task

    def _prepare(self, job: _Job) -> None:
        if job.abandoned:
            self._deliver([(job, None)])
            return
        begun = time.perf_counter()
        try:
            picture = job.predictor.decode(job.data)
            job.input, job.frame = job.predictor.prepare_raster(picture)
            if job.explain:
                # Decoded again where the network's copy is smaller: it must stay the same picture
                # with and without an explanation.
                job.preview = copy_to_draw_on(
                    picture,
                    job.data,
                    job.predictor.limits,
                    _PREVIEW_PX,
                    decoder=job.predictor.decoder,
                )
        except Exception as error:  # A picture's failure must never end the thread.
            self._deliver([(job, error)])
            return
        job.data = b""
        job.decode_s = time.perf_counter() - begun
        self._ready.put(job)

    def _network_thread(self) -> None:
        waiting: deque[_Job] = deque()
        while True:
            if not waiting:
                first = self._ready.get()
                if first is None:
                    return
                waiting.append(first)
            try:
                while (job := self._ready.get_nowait()) is not None:
                    waiting.append(job)
                self._ready.put(None)
                self._run(_take_batch(waiting, self._max_batch))
            except Empty:
                self._run(_take_batch(waiting, self._max_batch))

    def _run(self, batch: Sequence[_Job]) -> None:
        kept = [job for job in batch if not job.abandoned]
        results: list[tuple[_Job, Exception | None]] = [
            (job, None) for job in batch if job.abandoned
        ]
        begun = time.perf_counter()
        try:
            if kept:
                _predict(kept)
        except Exception as error:  # Whatever broke the batch, its other pictures are innocent.
            if len(kept) > 1:
                for job in kept:
                    self._run([job])
                kept = []
            else:
                results += [(job, error) for job in kept]
                kept = []
        seconds = time.perf_counter() - begun
        for job in kept:
            if job.explain or job.predictor.pipeline.is_tiled:
                self._tasks.put(lambda job=job: self._finish(job))  # type: ignore[misc]
            else:
                results.append((job, None))
        if results or kept:
            self._deliver(results, len(kept), seconds)

    def _finish(self, job: _Job) -> None:
        try:
            if not job.abandoned and job.preview is not None and job.drawing is not None:
                job.overlay_png = encode_png(job.drawing.draw(job.preview))
            if not job.abandoned and job.predictor.pipeline.is_tiled:
                # Here, not on the event loop: a large mask's PNG takes a second.
                job.record = _record(job)
        except Exception as error:  # As in _prepare.
            self._deliver([(job, error)])
            return
        self._deliver([(job, None)])

    def _deliver(
        self,
        results: Sequence[tuple[_Job, Exception | None]],
        pictures: int = 0,
        network_s: float = 0.0,
    ) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, results, pictures, network_s)

    def _settle(
        self,
        results: Sequence[tuple[_Job, Exception | None]],
        pictures: int,
        network_s: float,
    ) -> None:
        stats = self.stats
        stats.pictures += pictures
        stats.batches += pictures > 0
        stats.network_s += network_s
        for job, error in results:
            stats.decode_s += job.decode_s
            if job.abandoned or job.future.done():
                stats.dropped += 1
            elif error is not None:
                stats.failed += 1
                job.future.set_exception(error)
            else:
                record = job.record or _record(job)
                job.future.set_result(Reply(record, job.prediction, job.overlay_png))


def _record(job: _Job) -> JsonObject:
    ms = 1000 * (time.perf_counter() - job.started)
    return job.predictor.record(job.prediction, "upload", ms, mask=job.mask)


def _take_batch(waiting: deque[_Job], limit: int) -> list[_Job]:
    """Take the oldest job and up to `limit` that can run with it; the others keep their order.

    One that is cut into tiles runs alone: its tiles are the batch.
    """
    first = waiting[0]
    if first.predictor.pipeline.is_tiled:
        return [waiting.popleft()]
    batch: list[_Job] = []
    others: list[_Job] = []
    while waiting and len(batch) < limit:
        job = waiting.popleft()
        fits = job.kind == first.kind
        (batch if fits else others).append(job)
    waiting.extendleft(reversed(others))
    return batch


def _predict(jobs: Sequence[_Job]) -> None:
    predictor, explain = jobs[0].predictor, jobs[0].explain
    inputs = [job.input for job in jobs if job.input is not None]
    frames = [job.frame for job in jobs if job.frame is not None]
    if not explain:
        predictions = predictor.predict_inputs(inputs, frames)
        for job, prediction in zip(jobs, predictions, strict=True):
            job.prediction = prediction
        return
    previews = [job.preview for job in jobs if job.preview is not None]
    answers = predictor.predict_drawn(inputs, frames, previews, explain=False)
    for job, (prediction, drawing) in zip(jobs, answers, strict=True):
        job.prediction, job.drawing = prediction, drawing
