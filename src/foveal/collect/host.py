"""Rate limiting and back-off of the requests to a host."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, final

from foveal.collect.fetch import FetchError
from foveal.collect.waiting import back_off

# Longer than this nobody waits for one host; the next call asks again.
LONGEST_WAIT_S = 3600.0
# So many requests in a row that failed for the moment: the host is left alone until the next call.
_MOST_FAILURES = 10


@final
@dataclass(slots=True)
class Job:
    """A queued request.

    Attributes:
        kind: What it is.
        address: Where it is.
        label: Its class.
        page: Address of the page that it was found on; empty for a start and a list.
        fields: Other columns of its row in the list that it stands in.
    """

    kind: Literal["page", "picture"]
    address: str
    label: str
    page: str = ""
    fields: dict[str, str] = field(default_factory=dict)


@final
class Host:
    """The state and the queue of a host.

    Args:
        delay_s: Seconds between the starts of two requests; half to one and a half of it.
        rng: Chance.
    """

    def __init__(self, delay_s: float, rng: random.Random) -> None:
        self.delay_s = delay_s
        self.jobs: deque[Job] = deque()
        self.workers = 0
        self.closed: str | None = None
        self._rng = rng
        self._next_at = 0.0
        self._failures = 0

    async def turn(self) -> None:
        """Wait until a request may be sent.

        Raises:
            FetchError: If the host is left alone until the next call.
        """
        loop = asyncio.get_running_loop()
        while self.closed is None:
            now = loop.time()
            if now >= self._next_at:
                self._next_at = now + self.delay_s * self._rng.uniform(0.5, 1.5)
                return
            # Looked at again afterwards: others may have been first, or the host asked to wait.
            await asyncio.sleep(self._next_at - now)
        raise FetchError(self.closed, passes=True)

    def succeeded(self) -> None:
        """Note an answer."""
        self._failures = 0

    def failed(self, error: FetchError) -> None:
        """Hold back after a failure that passes, for as long as the host asks."""
        self._failures += 1
        wait_s = back_off(self._failures, self._rng) if error.wait_s is None else error.wait_s
        if wait_s > LONGEST_WAIT_S:
            self.closed = "the host asked to wait for more than an hour"
        elif self._failures >= _MOST_FAILURES:
            self.closed = f"the host failed {_MOST_FAILURES} times in a row"
        now = asyncio.get_running_loop().time()
        self._next_at = max(self._next_at, now + wait_s)
