"""Stores feedback on answers and, with `collect_unsure`, the pictures of unsure answers.

Nothing here runs unless the server was started with a folder for it.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import final

from foveal.curation.feedback import Said
from foveal.curation.feedback_folder import FeedbackFolder, FolderFull, Room
from foveal.errors import FovealError, UsageError, reason
from foveal.render.masks import mask_png
from foveal.server.access.auth import Access
from foveal.server.models.served import Served
from foveal.server.options import ServerOptions
from foveal.server.request.notes import current_notes
from foveal.server.scheduling.jobs import Reply
from foveal.server.telemetry.counters import Telemetry
from foveal.tasks.prediction import Prediction

logger = logging.getLogger(__name__)

# Unsure pictures that may wait to be written: more is a disk that does not keep up.
_MOST_WAITING = 64


@final
class Collector:
    """Writes feedback in a separate thread, so that a slow disk does not delay answers.

    Args:
        path: The folder.
        options: Limits.
        access: Counts how often a client may send feedback.
        telemetry: Counts what was said.

    Raises:
        DataError: If what is in the folder cannot be read.
        UsageError: If nothing can be written there.
    """

    def __init__(
        self, path: Path, options: ServerOptions, access: Access, telemetry: Telemetry
    ) -> None:
        try:
            # For its owner: the pictures are other people's.
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Without a name: the workers of a server try it at the same time.
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise UsageError(f"Cannot keep feedback in {path}: {error.strerror}.") from error
        room = Room(
            options.collect_max_bytes, options.collect_max_count, options.collect_max_per_key
        )
        self._folder = FeedbackFolder(path, room)
        self._keeps_unsure = options.collect_unsure
        self._access = access
        self._telemetry = telemetry
        self._thread = ThreadPoolExecutor(1, "foveal-feedback")
        self._waiting = 0
        self._is_full = False
        self._is_failing = False

    async def keep(self, picture: bytes, said: Said, mask: bytes | None = None) -> tuple[int, bool]:
        """Keep feedback; see `FeedbackFolder.keep`, whose errors it raises."""
        loop = asyncio.get_running_loop()
        try:
            kept = await loop.run_in_executor(self._thread, self._folder.keep, picture, said, mask)
        except FolderFull as error:
            self._telemetry.count_feedback(said.model, "full")
            if not self._is_full:
                logger.warning("feedback is lost: %s", error.message)
            self._is_full = True
            raise
        except OSError as error:
            if not self._is_failing:
                logger.error("feedback cannot be saved: %s", reason(error))
            self._is_failing = True
            raise
        self._is_failing = False
        if kept[1]:
            word = "unsure" if said.right is None else "right" if said.right else "wrong"
            self._telemetry.count_feedback(said.model, word)
        return kept

    def offer(
        self,
        served: Served,
        pictures: Sequence[bytes],
        answers: Sequence[Reply | FovealError],
    ) -> None:
        """Queue the pictures of unsure answers, if they are collected. Never blocks.

        Args:
            served: What has answered.
            pictures: The pictures.
            answers: Their answers.
        """
        if not self._keeps_unsure:
            return
        caller = current_notes().caller
        for picture, answer in zip(pictures, answers, strict=True):
            if not isinstance(answer, Reply) or not answer.prediction.unsure:
                continue
            if self._waiting >= _MOST_WAITING or self._access.wait_for_feedback(
                caller, unsure=True
            ):
                continue
            said = said_of(served, answer.prediction, by=caller.key_id)
            self._waiting += 1
            asyncio.get_running_loop().create_task(self._keep_unsure(picture, said))

    async def _keep_unsure(self, picture: bytes, said: Said) -> None:
        try:
            await self.keep(picture, said)
        except (FolderFull, OSError):
            # Logged once.
            pass
        except FovealError as error:
            logger.error("an unsure picture could not be saved: %s", error)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Write what is waiting, and end the thread."""
        self._thread.shutdown(wait=True)


def said_of(
    served: Served,
    prediction: Prediction,
    *,
    truth: tuple[str, ...] | None = None,
    right: bool | None = None,
    note: str = "",
    by: str | None,
) -> Said:
    """Return an answer of a model with what was said about it; see `Said`."""
    predictor = served.predictor
    target, names = predictor.task.target_kind, predictor.task.labels.names
    if target == "text":
        answer: tuple[str, ...] = (prediction.text,)
    else:
        answer = tuple(name for name in names if prediction.says(name))
    return Said(
        model=served.name,
        version=predictor.bundle.version,
        target=target,
        answer=answer,
        confidence=prediction.confidence,
        unsure=prediction.unsure,
        truth=truth,
        right=right,
        note=note,
        by=by,
        origin="unsure" if right is None else "person",
        classes=names if right and target == "mask" else (),
    )


def right_mask(served: Served, prediction: Prediction) -> bytes:
    """Return the mask of an answer as a palette PNG; values are positions in the model's labels."""
    if prediction.mask is None:
        raise ValueError("the answer has no mask")
    return mask_png(prediction.mask, served.predictor.task.labels.names)
