"""The keys that a running server knows: read again when their file changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import final

from foveal.access import Key, KeyFile
from foveal.access.key import claimed_id
from foveal.errors import UsageError

logger = logging.getLogger(__name__)

_POLL_S = 1.0


@final
class Keyring:
    """Keys by id. New and revoked keys take effect within a second in each worker.

    Args:
        path: File of the keys.
        clock: Returns seconds.

    Raises:
        UsageError: If the file cannot be understood.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = KeyFile(path)
        self._clock = clock
        self._seen = _stamp(path)
        self._keys: Mapping[str, Key] = self._file.read()
        self._look_at = clock() + _POLL_S

    def find(self, text: str) -> Key | None:
        """Return the key for `text`, if it is valid now."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + _POLL_S
            self._refresh()
        key = self._keys.get(claimed_id(text))
        if key is None or not key.matches(text) or key.state(datetime.now(UTC)) != "active":
            return None
        return key

    def _refresh(self) -> None:
        stamp = _stamp(self._file.path)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            # Without its file nobody has a key.
            self._keys = self._file.read()
        except UsageError as error:
            logger.error("the keys were not reloaded: %s", error.message)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size
