"""Answer some pictures with a second version, and count how often both agree.

A shadow answers what the current version has answered; of what a canary answers, the current
version is asked too. Nobody waits for that, no client sees it, and it is left out whenever
pictures wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeAlias, final

import numpy as np

from foveal.errors import FovealError
from foveal.server.models.served import Served, Versions
from foveal.server.scheduling.jobs import Reply
from foveal.server.telemetry.versions import VersionTelemetry
from foveal.tasks.prediction import Prediction
from foveal.types import BACKGROUND

logger = logging.getLogger(__name__)

Role: TypeAlias = Literal["canary", "shadow"]


@final
class Comparer:
    """Compares versions while the server has time. Used on the event loop only.

    Args:
        answer: Answers a picture with a version.
        is_busy: Whether pictures of clients wait.
        telemetry: Told of what was compared.
    """

    def __init__(
        self,
        answer: Callable[[Served, bytes], Awaitable[Reply]],
        is_busy: Callable[[], bool],
        telemetry: VersionTelemetry,
    ) -> None:
        self._answer = answer
        self._is_busy = is_busy
        self._telemetry = telemetry
        # One picture at a time: the most that a client's picture ever waits for.
        self._task: asyncio.Task[None] | None = None

    def offer(
        self,
        versions: Versions | None,
        served: Served,
        pictures: Sequence[bytes],
        answers: Sequence[Reply | FovealError],
    ) -> None:
        """Compare one of these answers, if there is something to compare it with, and time.

        Args:
            versions: What is served under the name now.
            served: What has answered.
            pictures: The pictures that were answered.
            answers: Their answers.
        """
        pair = None if versions is None else _pair(versions, served)
        if pair is None:
            return
        role, version, other = pair
        answered = [
            (data, answer.prediction)
            for data, answer in zip(pictures, answers, strict=True)
            if isinstance(answer, Reply)
        ]
        for data, prediction in answered:
            if self._task is not None or self._is_busy():
                self._telemetry.count_uncompared(served.name, version, role, "busy")
                continue
            self._task = asyncio.ensure_future(
                self._compare(role, version, served, other, data, prediction)
            )

    async def _compare(
        self,
        role: Role,
        version: int,
        served: Served,
        other: Served,
        data: bytes,
        prediction: Prediction,
    ) -> None:
        try:
            reply = await self._answer(other, data)
            labels = (served.predictor.task.labels.names, other.predictor.task.labels.names)
            # Of large masks this takes a while.
            degree = await asyncio.to_thread(agreement, prediction, reply.prediction, labels)
            self._telemetry.count_agreement(served.name, version, role, degree)
        except Exception as error:  # Nobody waits for it: it is counted instead.
            self._telemetry.count_uncompared(served.name, version, role, "failed")
            logger.info("%s:%d as %s: %s", served.name, version, role, error)
        finally:
            self._task = None


def _pair(versions: Versions, served: Served) -> tuple[Role, int, Served] | None:
    """Return what to compare an answer as, the version that is judged, and who answers again."""
    current = versions.find()
    canary = None if versions.canary is None else versions.find(versions.canary.version)
    # Once it is promoted, there is nothing left to compare it with: it would agree with itself.
    if served is canary and served is not current:
        return None if current is None else ("canary", served.version, current)
    shadow = None if versions.shadow is None else versions.find(versions.shadow)
    if shadow is None or shadow is served or served is not current:
        return None
    return "shadow", shadow.version, shadow


def agreement(
    first: Prediction, second: Prediction, labels: tuple[Sequence[str], Sequence[str]]
) -> float:
    """Return how far two answers to one picture agree, in [0, 1].

    Labels and texts are equal or not. Masks agree by their mean Dice over the labels, beside the
    background, that occur in either.

    Args:
        first: An answer.
        second: The answer of another version.
        labels: The labels of the one version and of the other.
    """
    if first.mask is None or second.mask is None:
        if first.scores:
            # Several labels come in the order of their probabilities.
            return float({*first.text.split("|")} == {*second.text.split("|")})
        return float(first.text == second.text)
    scores = []
    for name in dict.fromkeys((*labels[0], *labels[1])):
        if name == BACKGROUND:
            continue
        one, two = (
            mask == names.index(name) if name in names else np.zeros_like(mask, bool)
            for mask, names in zip((first.mask, second.mask), labels, strict=True)
        )
        if total := int(one.sum()) + int(two.sum()):
            scores.append(2 * int((one & two).sum()) / total)
    return float(np.mean(scores)) if scores else 1.0
