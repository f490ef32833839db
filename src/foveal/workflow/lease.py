"""The lease of a run at a URL: one machine at a time works on it."""

from __future__ import annotations

import json
import logging
import socket
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from foveal.errors import UsageError
from foveal.remote import Remote
from foveal.types import JsonObject
from foveal.urls import shown

logger = logging.getLogger(__name__)

LEASE_NAME = "foveal.lease.json"
RENEW_S = 15.0
# Four renewals that did not come: the machine is gone, or cut off.
DIES_AFTER_S = 60.0
_LOOK_EVERY_S = 2.0


@final
@dataclass
class Lease:
    """The exclusive right of a process to write a run at a URL.

    Clocks of machines differ; so a lease is dead when it does not change while it is watched.

    Attributes:
        remote: The run.
        folder: Where this process works on it; locked by it.
        id: Nobody else has it.
    """

    remote: Remote
    folder: Path
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _beat: int = 0

    def claim(self) -> bool:
        """Take the lease of a run that nobody has begun; return whether it is ours."""
        return self.remote.claim(self._content(), LEASE_NAME)

    def take(self) -> None:
        """Take the lease of a run that goes on, when whoever had it is gone.

        Raises:
            UsageError: `run_busy` when somebody works on it.
        """
        held = self._held()
        if held is not None and not self._is_own(held):
            self._wait(held)
        self.remote.write(self._content(), LEASE_NAME)
        if not self.is_ours():
            raise self.busy()

    def renew(self) -> bool:
        """Show that this process lives; return whether the lease is still its own."""
        if not self.is_ours():
            return False
        self._beat += 1
        self.remote.write(self._content(), LEASE_NAME)
        return True

    def release(self) -> None:
        """Let others have the run at once."""
        if self.is_ours():
            self.remote.delete(LEASE_NAME)

    def is_ours(self) -> bool:
        """Ask whether the lease is this process's."""
        held = self._held()
        return held is not None and held.get("id") == self.id

    def busy(self) -> UsageError:
        """Return the error for a run that somebody else works on."""
        held = self._held() or {}
        return UsageError(
            f"Another process ({held.get('host', 'on an unknown machine')}) is working on the run "
            f"{shown(self.remote.url)}.",
            hint=f"wait for it; to follow it: foveal watch {shown(self.remote.url)}",
            code="run_busy",
        )

    def _wait(self, held: JsonObject) -> None:
        logger.info(
            "%s was working on this run; taking over in %d s unless it renews its lease",
            held.get("host", "an unknown machine"),
            DIES_AFTER_S,
        )
        end = time.monotonic() + DIES_AFTER_S
        while time.monotonic() < end:
            time.sleep(min(_LOOK_EVERY_S, DIES_AFTER_S))
            now = self._held()
            if now is None:
                return
            if now != held:
                raise self.busy()

    def _is_own(self, held: JsonObject) -> bool:
        """Return whether it was taken from this folder, whose lock this process now has."""
        mine = self._describe()
        return all(held.get(key) == mine[key] for key in ("host", "folder"))

    def _describe(self) -> JsonObject:
        return {"host": socket.gethostname(), "folder": str(self.folder.resolve())}

    def _content(self) -> bytes:
        return json.dumps({"id": self.id, "beat": self._beat, **self._describe()}).encode()

    def _held(self) -> JsonObject | None:
        try:
            held = json.loads(self.remote.read(LEASE_NAME))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return held if isinstance(held, dict) else {}
