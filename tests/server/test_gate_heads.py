"""Whatever stands in the head of a request, the gate answers it, and never with a 5xx."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from foveal.access import KeyFile
from foveal.server.access.auth import Access
from foveal.server.gate import Gate
from foveal.server.options import ServerOptions
from foveal.server.telemetry.counters import Telemetry


class Log:
    """Keeps the lines of an access log."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def add(self, entry: dict[str, Any]) -> None:
        """Keep a line."""
        self.lines.append(entry)


@dataclass
class State:
    """A server that asks for keys and writes everything down."""

    options: ServerOptions
    access_log: Any = field(default_factory=Log)
    draining: bool = False
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(dict))

    def __post_init__(self) -> None:
        """Read the keys."""
        self.access = Access(self.options)


async def _answer(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def _receive() -> Message:
    return {"type": "http.disconnect"}


def _status(state: State, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]]]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Gate(_answer, state)(scope, _receive, send))
    return sent[0]["status"], sent[0]["headers"]


@pytest.fixture(scope="module")
def key_and_state(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, State]:
    """Return a key, and a server that knows it."""
    file = KeyFile(Path(tmp_path_factory.mktemp("keys")) / "keys.json")
    text, _ = file.create("shop")
    origins = ("https://app.example.org",)
    return text, State(ServerOptions(keys=file.path, allowed_origins=origins))


_WIRE = st.binary(max_size=60)
_NAMES = st.sampled_from(
    b"host origin authorization x-api-key content-encoding sec-fetch-site x-request-id traceparent "
    b"x-request-timeout content-length access-control-request-method cookie forwarded".split()
)


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"]),
    path=st.one_of(st.text(max_size=40), st.sampled_from(["/", "/docs", "/metrics", "/admin/x"])),
    headers=st.lists(st.tuples(_NAMES, _WIRE), max_size=6),
    has_host=st.booleans(),
    has_key=st.booleans(),
    address=st.sampled_from(["127.0.0.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", ""]),
)
def test_no_head_is_an_error_of_the_server(
    key_and_state: tuple[str, State],
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    has_host: bool,
    has_key: bool,
    address: str,
) -> None:
    text, state = key_and_state
    given = [*headers]
    given += [(b"host", b"localhost")] if has_host else []
    given += [(b"x-api-key", text.encode())] if has_key else []
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "http_version": "1.1",
        "client": (address, 1) if address else None,
        "headers": given,
    }
    state.access_log.lines.clear()
    status, answered = _status(state, scope)
    assert status < 500
    assert all(b"\r" not in value and b"\n" not in value for _, value in answered)
    (line,) = state.access_log.lines
    assert line["status"] == status
    assert text not in str(line)
