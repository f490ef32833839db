"""What the routes of one server share: its models, limits, batcher and counters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np

from foveal.data.decode import DecodeLimits
from foveal.errors import FovealError, UsageError, unknown_name
from foveal.predict import Predictor
from foveal.render.masks import MASK_FORMS, MaskForm
from foveal.server.batcher import Batcher, Reply
from foveal.server.limits import Budget, RequestError, is_model_name
from foveal.server.options import ServerOptions
from foveal.server.telemetry import Telemetry
from foveal.types import JsonObject, Picture


@final
class ServerState:
    """One server's models and machinery.

    Args:
        predictors: Name in the routes → predictor.
        options: Limits.

    Raises:
        UsageError: For no model, or a name that cannot stand in a route.
    """

    def __init__(self, predictors: Mapping[str, Predictor], options: ServerOptions) -> None:
        """Give every predictor the server's own limits; it keeps its loaded network.

        A limit that the operator sets holds instead of the model's, up or down: it is the operator
        who knows the machine's memory. What is not set is the model's, so that what was trained on
        is answered; only a body can never be larger than the server takes.
        """
        if not predictors:
            raise UsageError("There is no model to serve.", hint="foveal serve MODEL")
        for name in predictors:
            if not is_model_name(name):
                raise UsageError(
                    f"Invalid model name {name!r}. "
                    "Expected up to 64 letters, digits, '.', '_' or '-'."
                )
        self.options = options
        self.models = {
            name: Predictor(
                p.bundle, engine=p.engine, limits=_limits(p.limits, options), others=p.others
            )
            for name, p in predictors.items()
        }
        self.batcher = Batcher(max_batch=options.max_batch, workers=options.workers)
        self.budget = Budget(options.queue_items, options.queue_bytes)
        self.telemetry = Telemetry(self._read)
        self.samples: dict[str, JsonObject] = {}
        self.draining = False

    @property
    def ready(self) -> bool:
        """Whether every model has answered its warm-up and the server is not going down."""
        return len(self.samples) == len(self.models) and not self.draining

    def _read(self) -> dict[str, tuple[str, float]]:
        stats = self.batcher.stats
        return {
            "foveal_batches_total": ("Runs of a network.", stats.batches),
            "foveal_batched_pictures_total": ("Pictures in these runs.", stats.pictures),
            "foveal_failed_pictures_total": ("Pictures that caused an error.", stats.failed),
            "foveal_dropped_pictures_total": ("Pictures nobody waited for.", stats.dropped),
            "foveal_decode_seconds_total": ("Time to decode and pre-process.", stats.decode_s),
            "foveal_network_seconds_total": ("Time in the networks.", stats.network_s),
            "foveal_queue_pictures": ("Pictures in work.", self.budget.items),
            "foveal_queue_bytes": ("Bytes of bodies in memory.", self.budget.bytes),
            "foveal_ready": ("1 when traffic may come.", self.ready),
        }

    def warm_up(self) -> None:
        """Let each model answer a grey picture, with its explanation, before traffic comes.

        The answers also say which fields a prediction has.
        """
        for name, predictor in self.models.items():
            grey = np.full((*predictor.pipeline.example_size, 3), 128, np.uint8)
            begun = time.perf_counter()
            prediction = predictor.predict([Picture.from_array(grey)], explain=True)[0]
            ms = 1000 * (time.perf_counter() - begun)
            self.samples[name] = predictor.record(prediction, "warm-up", ms)

    def model(self, name: str) -> Predictor:
        """Return the model called `name`.

        Raises:
            RequestError: 404, with the nearest name.
        """
        predictor = self.models.get(name)
        if predictor is None:
            if not is_model_name(name):
                raise RequestError(404, "Unknown model: that is not a model's name.")
            raise RequestError(404, unknown_name("model", name, self.models))
        return predictor

    async def answer_all(
        self,
        name: str,
        pictures: Sequence[bytes],
        *,
        explain: bool = False,
        mask: MaskForm = MASK_FORMS[0],
    ) -> list[Reply | FovealError]:
        """Return the answer to each picture, or the error that it caused.

        Raises:
            RequestError: 504 when the deadline passed.
        """
        predictor = self.models[name]
        try:
            async with asyncio.timeout(self.options.deadline_s):
                if len(pictures) == 1:
                    answers = [await self._answer(predictor, pictures[0], explain, mask)]
                else:
                    answers = await asyncio.gather(
                        *(self._answer(predictor, data, explain, mask) for data in pictures)
                    )
        except TimeoutError as error:
            raise RequestError(
                504, f"No answer within {self.options.deadline_s:g} s.", retry_after_s=1
            ) from error
        for answer in answers:
            if isinstance(answer, Reply):
                self.telemetry.count_answer(name, answer.prediction.unsure)
        return answers

    async def _answer(
        self, predictor: Predictor, data: bytes, explain: bool, mask: MaskForm
    ) -> Reply | FovealError:
        try:
            return await self.batcher.answer(predictor, data, explain=explain, mask=mask)
        except FovealError as error:
            return error


def _limits(own: DecodeLimits, options: ServerOptions) -> DecodeLimits:
    return DecodeLimits(
        max_bytes=min(own.max_bytes, options.max_body_bytes),
        max_pixels=options.max_pixels or own.max_pixels,
        hint="send a smaller picture",
    )
