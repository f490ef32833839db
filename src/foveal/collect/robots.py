"""robots.txt of every host, as RFC 9309 has it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import final

from protego import Protego

from foveal.collect.addresses import origin_of
from foveal.collect.fetch import TOO_MANY_REDIRECTS, FetchError, Response

# RFC 9309, section 2.5: at least this much is read. What follows is passed over.
MAX_BYTES = 512_000


@final
@dataclass(frozen=True, slots=True)
class Rules:
    """The robots.txt of a host.

    Attributes:
        text: Its lines; empty where there is none.
        problem: Why nothing may be fetched although no line says so, or None.
    """

    text: str
    problem: str | None = None


@final
class Robots:
    """Asks for each robots.txt once, and says what it allows.

    Args:
        user_agent: Whose rules count; its name without the version.
        fetch: Returns the answer to the address of a robots.txt, redirects followed.
        known: Origin → rules from a call before, no older than a day.
        learnt: Called with an origin and its rules when they were fetched.
    """

    def __init__(
        self,
        user_agent: str,
        fetch: Callable[[str], Awaitable[Response]],
        known: dict[str, Rules],
        learnt: Callable[[str, Rules], Awaitable[None]],
    ) -> None:
        self._agent = user_agent
        self._fetch = fetch
        self._learnt = learnt
        self._known = known
        self._parsed: dict[str, Protego] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def check(self, address: str) -> float | None:
        """Raise unless an address may be fetched; return the seconds between two requests.

        Raises:
            FetchError: If robots.txt forbids it, or fails in a way that forbids everything.
        """
        origin = origin_of(address)
        async with self._locks.setdefault(origin, asyncio.Lock()):
            rules = self._known.get(origin)
            if rules is None:
                rules = self._known[origin] = await self._read(origin)
                await self._learnt(origin, rules)
        if rules.problem is not None:
            raise FetchError(rules.problem, passes=True)
        parsed = self._parsed.get(origin)
        if parsed is None:
            parsed = self._parsed[origin] = Protego.parse(rules.text)
        if not parsed.can_fetch(address, self._agent):
            raise FetchError("forbidden by robots.txt", passes=True)
        return delay_of(parsed, self._agent)

    async def _read(self, origin: str) -> Rules:
        """Return the rules: none after 4xx, and nothing allowed after 5xx or no answer."""
        try:
            answer = await self._fetch(f"{origin}/robots.txt")
        except FetchError as error:
            refused = error.status is not None and 300 <= error.status < 500 and not error.passes
            # RFC 9309, section 2.3.1.2: after five redirects, as if there were none.
            if refused or error.reason == TOO_MANY_REDIRECTS:
                return Rules("")
            is_named = error.reason in ("private address", "not an address")
            return Rules("", error.reason if is_named else f"robots.txt: {error.reason}")
        return Rules(answer.body.decode("utf-8-sig", "replace"))


def delay_of(rules: Protego, agent: str) -> float | None:
    """Return the longer of Crawl-delay and Request-rate, in seconds; None where neither is."""
    found = [rules.crawl_delay(agent)]
    rate = rules.request_rate(agent)
    if rate is not None and rate.requests:
        found.append(rate.seconds / rate.requests)
    given = [float(value) for value in found if value is not None and math.isfinite(value)]
    return max(given) if given else None
