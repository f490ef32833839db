"""A picture in the server, with its client and deadline."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from typing import final

from foveal.data.headers import read_header
from foveal.predict.predictor import ModelInput
from foveal.render.masks import MaskForm
from foveal.server.models.served import Served
from foveal.tasks.prediction import Prediction
from foveal.types import Frame, JsonObject, Picture

# A picture over this takes a tenth of a second to decode in most formats: more than the others,
# which are answered together, should wait for.
_SLOW_PIXELS = 4_000_000


@final
@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of a request: client, priority and deadline.

    Attributes:
        client: Who asks: the id of a key, or an address. Clients get equal shares of the machine.
        until: When nobody waits any more, by `time.perf_counter`.
        priority: Order among pictures of one client: 1 comes first, 0 after all other numbers.
    """

    client: str = ""
    until: float = float("inf")
    priority: int = 0


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """The result for one picture.

    Attributes:
        record: The prediction as the predictions contract has it.
        prediction: The prediction itself.
        overlay_png: The explanation drawn over the picture, or None when not asked for.
    """

    record: JsonObject
    prediction: Prediction
    overlay_png: bytes | None = None


@final
@dataclass(slots=True, eq=False)
class Job:
    """One picture. Owned by one thread at a time; only `abandoned` may be set by another.

    Attributes:
        served: The model that is asked; kept until the picture is answered.
        data: The file; dropped as soon as it is decoded.
        explain: Whether the explanation is drawn too.
        mask: How a mask is given.
        terms: Who asks, until when.
        future: Told on the event loop.
        pixels: Height times width of the picture.
        cost: What its client is charged with, in seconds.
        started: When it came.
        taken: When a thread took it from the queue.
        decode_s: Seconds to decode and pre-process.
        network_s: Its share of the seconds of its run of the network.
    """

    served: Served
    data: bytes
    explain: bool
    mask: MaskForm
    terms: Terms
    future: asyncio.Future[Reply]
    pixels: int = 0
    cost: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    abandoned: bool = False
    taken: float = 0.0
    decode_s: float = 0.0
    network_s: float = 0.0
    input: ModelInput | None = None
    frame: Frame | None = None
    preview: Picture | None = None
    prediction: Prediction | None = None
    overlay_png: bytes | None = None
    record: JsonObject | None = None

    @property
    def client(self) -> str:
        """The client."""
        return self.terms.client

    @property
    def kind(self) -> Served:
        """Key of the batch."""
        return self.served

    @property
    def rank(self) -> int:
        """Order among pictures of one client; the smallest comes first."""
        return self.terms.priority or sys.maxsize

    @property
    def is_slow(self) -> bool:
        """Whether it would hold up the pictures that are answered in a few milliseconds."""
        return self.explain or self.is_tiled or self.pixels > _SLOW_PIXELS

    @property
    def is_tiled(self) -> bool:
        """Whether it is answered tile by tile."""
        return self.served.predictor.pipeline.is_tiled

    def is_wanted(self, now: float) -> bool:
        """Return whether somebody still waits for the answer."""
        return not self.abandoned and now < self.terms.until

    def answer(self, prediction: Prediction) -> None:
        """Keep the answer, and write it down.

        Not on the event loop: a large mask's PNG takes a second.
        """
        self.prediction = prediction
        ms = 1000 * (time.perf_counter() - self.started)
        predictor = self.served.predictor
        self.record = predictor.record(prediction, "upload", ms, mask=self.mask)

    def reply(self) -> Reply:
        """Return what the client gets; call it once the picture is answered."""
        if self.record is None or self.prediction is None:
            raise RuntimeError("the picture has no answer yet")
        return Reply(self.record, self.prediction, self.overlay_png)


def pixels_of(data: bytes) -> int:
    """Return height times width of a picture, by its header.

    Raises:
        ImageError: If it is not a picture.
    """
    header = read_header(data)
    return header.height * header.width
