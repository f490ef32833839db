"""Metadata of a request for the access log: caller, ids, model.

Kept in a context variable, so that what is far from the route can ask and add to it.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request.

    Attributes:
        address: IP address of the other end of the connection; empty where there is none.
        key_id: Id of the key; None where no key is asked for.
        name: The key's name; empty without a key.
        scopes: What it may do.
    """

    address: str = ""
    key_id: str | None = None
    name: str = ""
    scopes: frozenset[str] = frozenset()

    @property
    def client(self) -> str:
        """Identity of the sender: the id of the key, or the address."""
        return self.key_id or self.address


@final
@dataclass(slots=True)
class RequestNotes:
    """Filled in while a request is answered, and written to the access log at its end.

    Attributes:
        request_id: The client's, or one of the server's.
        caller: Who sends it.
        trace_id: Trace id in the W3C `traceparent`; empty without one.
        model: Name of the model that was asked.
        version: Version of that model; 0 for none.
        timeout_s: How long its client waits, in seconds; None when it does not say.
    """

    request_id: str = ""
    caller: Caller = Caller()
    trace_id: str = ""
    model: str = ""
    version: int = 0
    timeout_s: float | None = None

    def answered_by(self, model: str, version: int) -> None:
        """Note which model answers."""
        self.model, self.version = model, version


_NOTES: ContextVar[RequestNotes] = ContextVar("foveal_request_notes")


def take_notes(notes: RequestNotes) -> Token[RequestNotes]:
    """Make `notes` those of the request that this task answers."""
    return _NOTES.set(notes)


def drop_notes(token: Token[RequestNotes]) -> None:
    """End what `take_notes` began."""
    _NOTES.reset(token)


def current_notes() -> RequestNotes:
    """Return the notes of the request that this task answers; empty ones outside of any."""
    notes = _NOTES.get(None)
    return RequestNotes() if notes is None else notes
