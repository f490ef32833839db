"""Requests with robots.txt, rate limits, retries and redirects."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import final

from foveal.collect.addresses import AddressError, host_of, normal
from foveal.collect.fetch import TOO_MANY_REDIRECTS, Client, FetchError, Response
from foveal.collect.host import Host
from foveal.collect.recipe import Options
from foveal.collect.robots import MAX_BYTES, Robots, Rules

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
# As RFC 9309 has it for robots.txt.
_MOST_REDIRECTS = 5


@final
class Requests:
    """Fetches addresses, each hop of a redirect by the rules of its own host.

    Args:
        client: Sends them.
        options: Delay, tries, robots.txt.
        rules: Origin → robots.txt that is known from before.
        learnt: Called with a robots.txt that was fetched.
    """

    def __init__(
        self,
        client: Client,
        options: Options,
        rules: dict[str, Rules],
        learnt: Callable[[str, Rules], Awaitable[None]],
    ) -> None:
        self._client = client
        self._options = options
        # Chance spreads requests; nothing depends on it.
        self._rng = random.Random()  # noqa: S311
        self.hosts: dict[str, Host] = defaultdict(lambda: Host(options.delay, self._rng))
        agent = options.user_agent.partition("/")[0].strip()
        self._robots = Robots(agent, self._fetch_robots, rules, learnt)

    async def fetch(self, address: str, *, accept: str, most_bytes: int) -> Response:
        """Return the answer of a success, redirects followed.

        Raises:
            FetchError: If there is none.
        """
        return await self._fetch(address, accept, most_bytes, is_robots=False)

    async def _fetch_robots(self, address: str) -> Response:
        return await self._fetch(address, "text/plain, */*;q=0.1", MAX_BYTES, is_robots=True)

    async def _fetch(
        self, address: str, accept: str, most_bytes: int, *, is_robots: bool
    ) -> Response:
        for _ in range(_MOST_REDIRECTS + 1):
            if self._options.robots and not is_robots:
                delay = await self._robots.check(address)
                host = self.hosts[host_of(address)]
                host.delay_s = max(host.delay_s, delay or 0.0)
            answer = await self._ask(address, accept, most_bytes, cut=is_robots)
            if 200 <= answer.status < 300:
                return answer
            target = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not target:
                raise FetchError(f"HTTP {answer.status}", status=answer.status)
            try:
                address = normal(target, address)
            except AddressError as error:
                raise FetchError(f"redirected to {error}", status=answer.status) from error
        raise FetchError(TOO_MANY_REDIRECTS)

    async def _ask(self, address: str, accept: str, most_bytes: int, *, cut: bool) -> Response:
        """Send a request, again after failures that pass."""
        host = self.hosts[host_of(address)]
        problem = FetchError("not requested")
        for _ in range(self._options.tries):
            await host.turn()
            try:
                answer = await self._client.get(
                    address, accept=accept, most_bytes=most_bytes, cut=cut
                )
            except FetchError as error:
                if not error.passes:
                    host.succeeded()
                    raise
                host.failed(error)
                problem = error
            else:
                host.succeeded()
                return answer
        raise problem
