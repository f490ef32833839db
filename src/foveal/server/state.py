"""The shared state of a server: models, limits, batcher and counters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, final

from foveal.data.decode import decode
from foveal.data.isolation.decoder import IsolatedDecoder
from foveal.errors import FovealError
from foveal.machine import available_cores, resident_bytes
from foveal.render.masks import MASK_FORMS, MaskForm
from foveal.server.access.accesslog import AccessLog
from foveal.server.access.auth import Access
from foveal.server.collector import Collector
from foveal.server.models.loader import Loader, Offered
from foveal.server.models.served import ModelSet, Served
from foveal.server.options import ServerOptions
from foveal.server.request.limits import Budget, RequestError
from foveal.server.request.notes import current_notes
from foveal.server.scheduling.batcher import SLOW_THREADS, Batcher
from foveal.server.scheduling.jobs import Reply, Terms
from foveal.server.telemetry.compare import Comparer
from foveal.server.telemetry.counters import Telemetry
from foveal.server.telemetry.drift import DriftWatch
from foveal.tasks.distribution import kind_of


@final
class ServerState:
    """The state of a server.

    Args:
        offered: What to serve.
        options: Limits.

    Raises:
        UsageError: For no model, or a name that cannot stand in a route.
        FovealError: If a model of a store cannot be loaded.
    """

    def __init__(self, offered: Offered, options: ServerOptions) -> None:
        self.options = options
        threads = options.threads or available_cores()
        self._isolated = (
            IsolatedDecoder(threads + SLOW_THREADS, timeout_s=options.decode_timeout_s)
            if options.isolate_decoding
            else None
        )
        self.access = Access(options)
        self.access_log = None if options.access_log is None else AccessLog(options.access_log)
        self.models = ModelSet(self._isolated or decode)
        self.telemetry = Telemetry(self._read, options.runtime_dir)
        self.batcher = Batcher(
            max_batch=options.max_batch, threads=threads, observer=self.telemetry.inference
        )
        self.budget = Budget(options.queue_items, options.queue_bytes, options.max_body_bytes)
        self.collector = (
            None
            if options.collect is None
            else Collector(options.collect, options, self.access, self.telemetry)
        )
        self.draining = False
        self.grpc_port: int | None = None
        self.loader = Loader(offered, self.models, options, self.telemetry.versions.count_load)
        self.loader.load()
        versions = self.telemetry.versions
        self.drift = DriftWatch(self.models, self.telemetry.families, versions)
        self.comparer = Comparer(
            self.batcher.answer,
            lambda: self.batcher.waiting > 0,
            versions,
        )

    @property
    def ready(self) -> bool:
        """Whether every model has answered its warm-up and the server is not going down."""
        return all(served.is_ready for served in self.models.current()) and not self.draining

    def _read(self) -> dict[str, tuple[str, float]]:
        stats = self.batcher.stats
        return {
            "foveal_batches_total": ("Runs of a network.", stats.batches),
            "foveal_batched_pictures_total": ("Pictures in these runs.", stats.pictures),
            "foveal_failed_pictures_total": ("Pictures that caused an error.", stats.failed),
            "foveal_dropped_pictures_total": ("Pictures nobody waited for.", stats.dropped),
            "foveal_decode_seconds_total": ("Time to decode and pre-process.", stats.decode_s),
            "foveal_network_seconds_total": ("Time in the networks.", stats.network_s),
            "foveal_lost_decoders_total": (
                "Decoding processes that a picture ended; see --isolate-decoding.",
                self._isolated.lost if self._isolated else 0,
            ),
            "foveal_queue_pictures": ("Pictures in work.", self.budget.items),
            "foveal_queue_bytes": ("Bytes of bodies in memory.", self.budget.bytes),
            "foveal_resident_bytes": ("Memory of the processes.", resident_bytes()),
            "foveal_ready": ("1 when traffic may come.", self.ready),
        }

    def warm_up(self) -> None:
        """Let each model answer a picture before traffic comes."""
        if self._isolated is not None:
            self._isolated.warm_up()
        for served in self.models.all():
            if not served.is_ready:
                served.warm_up()

    def reload(self) -> None:
        """Look at once whether there are new versions; see `Loader.reload`."""
        self.loader.reload()

    def close(self) -> None:
        """End the threads, and the processes that decode."""
        self.loader.stop()
        self.batcher.stop()
        if self._isolated is not None:
            self._isolated.close()
        if self.collector is not None:
            self.collector.close()
        if self.access_log is not None:
            self.access_log.close()

    async def answer_all(
        self,
        served: Served,
        pictures: Sequence[bytes],
        *,
        explain: bool = False,
        mask: MaskForm = MASK_FORMS[0],
        timeout_s: float | None = None,
        priority: int = 0,
        for_feedback: bool = False,
    ) -> list[Reply | FovealError]:
        """Return the answer to each picture, or the error that it caused.

        Args:
            served: The model that is asked.
            pictures: The bytes of picture files.
            explain: Whether explanations are drawn.
            mask: How masks are given.
            timeout_s: How long the answer is waited for; None is what the request's header says.
                It can only shorten the server's own deadline.
            priority: Order among the pictures of one client: 1 comes first, 0 last.
            for_feedback: Whether it is asked again because of what was said about its answer: that
                is neither counted as an answer, nor kept for being unsure.

        Raises:
            RequestError: 504 when the deadline passed.
        """
        notes = current_notes()
        notes.answered_by(served.name, served.version)
        asked = notes.timeout_s if timeout_s is None else timeout_s
        seconds = min(self.options.deadline_s, asked or self.options.deadline_s)
        terms = Terms(notes.caller.client, time.perf_counter() + seconds, priority)
        work = [
            self._answer(served, data, explain=explain, mask=mask, terms=terms) for data in pictures
        ]
        with self.telemetry.inference.request(served) as outcome:
            answers = await self._in_time(work, seconds)
            if any(isinstance(answer, FovealError) for answer in answers):
                outcome.failed("OTHER")
        if for_feedback:
            return answers
        self._count(served, answers)
        self.comparer.offer(self.models.get(served.name), served, pictures, answers)
        if self.collector is not None:
            self.collector.offer(served, pictures, answers)
        return answers

    def _count(self, served: Served, answers: Sequence[Reply | FovealError]) -> None:
        target = served.predictor.task.target_kind
        for answer in answers:
            if isinstance(answer, Reply):
                said = answer.prediction
                self.telemetry.count_answer(served.name, said.unsure)
                kind = kind_of(said, target)
                self.telemetry.versions.count_kind(
                    served.name, served.version, kind, said.confidence
                )

    async def _in_time(
        self, work: Sequence[Coroutine[Any, Any, Reply | FovealError]], seconds: float
    ) -> list[Reply | FovealError]:
        """Return the answers, or raise RequestError 504 when they take longer."""
        try:
            async with asyncio.timeout(seconds):
                return [await work[0]] if len(work) == 1 else await asyncio.gather(*work)
        except TimeoutError as error:
            raise RequestError(
                504, f"No answer within {seconds:g} s.", retry_after_s=self.budget.wait_s()
            ) from error

    async def _answer(self, served: Served, data: bytes, **asked: Any) -> Reply | FovealError:
        try:
            return await self.batcher.answer(served, data, **asked)
        except FovealError as error:
            return error
