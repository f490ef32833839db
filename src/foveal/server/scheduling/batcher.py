"""The batcher: threads that decode pictures in fair order and run the network on batches.

Batching is dynamic and never waits: what is queued for a model when a thread comes free is its
next batch, decoded and run in one go by that thread. Where each core has a process of its own,
that is one thread: no picture changes threads, and no two fight over a core. Pictures that take
long (large ones, those answered tile by tile, explanations) have threads of their own, which the
system runs when the others leave time, so that they hold up nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np

from foveal.errors import ImageError
from foveal.predict.copies import copy_to_draw_on
from foveal.render import encode_png
from foveal.render.masks import MASK_FORMS, MaskForm
from foveal.server.models.served import Served
from foveal.server.scheduling.costs import Costs
from foveal.server.scheduling.jobs import Job, Reply, Terms, pixels_of
from foveal.server.scheduling.lanes import Lane

# Longer side of the picture on which an explanation is drawn: enough for any screen's column,
# and drawing a 50-megapixel heat map would take seconds and a gigabyte.
_PREVIEW_PX = 1024
# Pixels of all model inputs of one run: 4 of 256 x 256. Bounds the memory of the network's maps,
# which grows with them.
_RUN_PIXELS = 1 << 18
# Threads for what takes long, and pixels of the pictures that they may have decoded at once.
SLOW_THREADS = 4
_SLOW_PIXELS = 100_000_000
# Of 19: what takes long gets what the others leave, but does not stand still.
_SLOW_NICENESS = 5
_NOBODY = Terms()

_Outcome = tuple[Job, Exception | None]
"""A job that is done, with what went wrong."""


@final
@dataclass(slots=True)
class BatchStats:
    """Statistics of the batcher; written on the event loop only."""

    pictures: int = 0
    batches: int = 0
    failed: int = 0
    dropped: int = 0
    decode_s: float = 0.0
    network_s: float = 0.0


class Observer(Protocol):
    """Interface of observers of the batcher, called on the event loop."""

    def ran(self, served: Served, pictures: int, seconds: float) -> None:
        """A network was run."""

    def finished(self, job: Job, error: Exception | None) -> None:
        """A picture was answered, or caused an error."""


@final
class Batcher:
    """Answers pictures for all models of a server.

    Args:
        max_batch: Most pictures of one run of a network.
        threads: Threads that decode and run networks.
        observer: Is told what is done.
    """

    def __init__(
        self, *, max_batch: int, threads: int = 1, observer: Observer | None = None
    ) -> None:
        self._sizes = run_sizes(max_batch)
        self._observer = observer
        self._costs = Costs()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._quick = Lane("foveal-answer", threads, self._answer_batch, max_batch)
        self._slow = Lane("foveal-large", SLOW_THREADS, self._answer_slow, 1, pixels=_SLOW_PIXELS)
        self.stats = BatchStats()

    @property
    def waiting(self) -> int:
        """Number of pictures that no thread has taken yet."""
        return len(self._quick) + len(self._slow)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads; answers are delivered on `loop`."""
        self._loop = loop
        self._quick.start()
        self._slow.start(_SLOW_NICENESS)

    def stop(self) -> None:
        """Finish what is queued, then end the threads."""
        self._quick.stop()
        self._slow.stop()

    async def answer(
        self,
        served: Served,
        data: bytes,
        *,
        explain: bool = False,
        mask: MaskForm = MASK_FORMS[0],
        terms: Terms = _NOBODY,
    ) -> Reply:
        """Return the answer to the bytes of one picture file.

        When the caller is cancelled (deadline, client gone) or its time is over, the picture is
        dropped: from the queue at once, else before the next stage of work.

        Args:
            served: The model that is asked.
            data: The file.
            explain: Whether the explanation is drawn too.
            mask: How a mask is given.
            terms: Who asks, until when.

        Raises:
            ImageError: If it is not a picture, damaged, or over the limits.
        """
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        job = Job(served, data, explain, mask, terms, future)
        try:
            job.pixels = pixels_of(data)
        except ImageError as error:
            self._settle([(job, error)])
            return await future
        job.cost = self._costs.of(served, job.pixels)
        lane = self._slow if job.is_slow else self._quick
        lane.put(job)
        try:
            return await future
        finally:
            if not future.done() or future.cancelled():
                job.abandoned = True
                if lane.remove(job):
                    self.stats.dropped += 1

    def _answer_batch(self, jobs: Sequence[Job]) -> None:
        """Decode pictures of one model and run its network on them."""
        with self._delivering() as outcomes:
            prepared = [job for job in jobs if self._prepare(job, outcomes)]
        for same in _by_shape(prepared):
            for chunk in _chunks(same, self._sizes):
                with self._delivering() as outcomes:
                    kept = [job for job in chunk if _is_wanted(job, outcomes)]
                    if kept:
                        self._run(kept, outcomes)

    def _answer_slow(self, jobs: Sequence[Job]) -> None:
        """Answer pictures that take long, one by one."""
        for job in jobs:
            with self._delivering() as outcomes:
                if self._prepare(job, outcomes) and _is_wanted(job, outcomes):
                    self._run([job], outcomes)

    def _prepare(self, job: Job, outcomes: list[_Outcome]) -> bool:
        """Decode and pre-process a picture; return whether it goes on."""
        job.taken = begun = time.perf_counter()
        if not _is_wanted(job, outcomes):
            return False
        predictor = job.served.predictor
        try:
            picture = predictor.decode(job.data)
            job.input, job.frame = predictor.prepare_raster(picture)
            if job.explain:
                # Decoded again where the network's copy is smaller: it must stay the same picture
                # with and without an explanation.
                job.preview = copy_to_draw_on(
                    picture, job.data, predictor.limits, _PREVIEW_PX, decoder=predictor.decoder
                )
        except Exception as error:  # A picture's failure must never end the thread.
            outcomes.append((job, error))
            return False
        job.data = b""
        job.decode_s = time.perf_counter() - begun
        return True

    def _run(self, jobs: Sequence[Job], outcomes: list[_Outcome]) -> None:
        """Run the network; when that fails, find the picture to blame by halves."""
        begun = time.perf_counter()
        try:
            _predict(jobs)
        except Exception as error:  # Whatever broke the batch, its other pictures are innocent.
            if len(jobs) == 1:
                outcomes.append((jobs[0], error))
                return
            middle = len(jobs) // 2
            self._run(jobs[:middle], outcomes)
            self._run(jobs[middle:], outcomes)
            return
        seconds = time.perf_counter() - begun
        self._on_loop(self._count_run, jobs, seconds)
        for job in jobs:
            job.network_s = seconds / len(jobs)
            outcomes.append((job, None))

    @contextlib.contextmanager
    def _delivering(self) -> Iterator[list[_Outcome]]:
        """Collect outcomes and hand them to the event loop in one go."""
        outcomes: list[_Outcome] = []
        yield outcomes
        if outcomes:
            self._on_loop(self._settle, outcomes)

    def _on_loop(self, call: Callable[..., None], *values: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *values)

    def _count_run(self, jobs: Sequence[Job], seconds: float) -> None:
        served, pictures = jobs[0].served, len(jobs)
        self._costs.learn(served, pictures, jobs[0].pixels, seconds)
        self.stats.pictures += pictures
        self.stats.batches += 1
        self.stats.network_s += seconds
        if self._observer is not None:
            self._observer.ran(served, pictures, seconds)

    def _settle(self, outcomes: Sequence[_Outcome]) -> None:
        stats = self.stats
        for job, error in outcomes:
            stats.decode_s += job.decode_s
            if job.future.done():
                stats.dropped += 1
                continue
            if error is not None:
                stats.failed += 1
                job.future.set_exception(error)
            else:
                job.future.set_result(job.reply())
            if self._observer is not None:
                self._observer.finished(job, error)


def run_sizes(most: int) -> tuple[int, ...]:
    """Return how many pictures a run of a network may have, largest first.

    Few sizes, because ONNX Runtime keeps memory for each that it has met. What is over goes into
    a smaller run rather than into padding, which would be computed for nothing.

    Args:
        most: The largest.
    """
    powers = [1 << i for i in range(most.bit_length()) if 1 << i < most]
    return (most, *reversed(powers))


def _by_shape(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return the jobs whose model inputs have one size together."""
    groups: defaultdict[tuple[int, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.input.shape if isinstance(job.input, np.ndarray) else ()].append(job)
    return list(groups.values())


def _chunks(jobs: Sequence[Job], sizes: Sequence[int]) -> Iterator[Sequence[Job]]:
    """Yield runs of these sizes, as large as there are pictures for and memory allows."""
    given = jobs[0].input
    room = _RUN_PIXELS // (given.shape[0] * given.shape[1]) if isinstance(given, np.ndarray) else 1
    start = 0
    while left := len(jobs) - start:
        size = next(size for size in sizes if size <= max(1, min(left, room)))
        yield jobs[start : start + size]
        start += size


def _is_wanted(job: Job, outcomes: list[_Outcome]) -> bool:
    if job.is_wanted(time.perf_counter()):
        return True
    outcomes.append((job, TimeoutError()))
    return False


def _predict(jobs: Sequence[Job]) -> None:
    """Run the network on pictures of one model, and write their answers down."""
    predictor, explain = jobs[0].served.predictor, jobs[0].explain
    inputs = [job.input for job in jobs if job.input is not None]
    frames = [job.frame for job in jobs if job.frame is not None]
    if not explain:
        predictions = predictor.predict_inputs(inputs, frames)
        for job, prediction in zip(jobs, predictions, strict=True):
            job.answer(prediction)
        return
    previews = [job.preview for job in jobs if job.preview is not None]
    answers = predictor.predict_drawn(inputs, frames, previews, explain=False)
    for job, preview, (prediction, drawing) in zip(jobs, previews, answers, strict=True):
        job.overlay_png = encode_png(drawing.draw(preview))
        job.answer(prediction)
