"""Write the results of several requests together, because syncing to disk is slow."""

from __future__ import annotations

import asyncio
from typing import final

from foveal.collect.journal import Journal, Record


@final
class Committer:
    """Gathers records while the last ones are being written, and writes them together.

    Args:
        journal: Where they go.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[tuple[Record, bytes | None, asyncio.Future[None]]] = []
        self._something = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run())

    async def add(self, record: Record, body: bytes | None = None) -> None:
        """Write a record, and the picture of one; return when both are on the disk.

        A caller that is cancelled meanwhile does not take them back.

        Raises:
            OSError: If the disk refuses.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((record, body, done))
        self._something.set()
        await asyncio.shield(done)

    async def close(self) -> None:
        """Write what is waiting, and end."""
        self._closing = True
        self._something.set()
        await self._task

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            await self._something.wait()
            self._something.clear()
            batch, self._waiting = self._waiting, []
            try:
                written = [(record, body) for record, body, _ in batch]
                await asyncio.to_thread(self._journal.commit, written)
            except Exception as error:  # Whoever waits for it raises it.
                for _, _, done in batch:
                    done.set_exception(error)
            else:
                for _, _, done in batch:
                    done.set_result(None)
