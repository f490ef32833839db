"""Authorization: keys, scopes, quotas and administrative actions.

Everything is protected but what is listed as public, so that a new route is protected until someone
says otherwise. All of this is settled before a byte of the body is read.
"""

from __future__ import annotations

import ipaddress
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import final

from starlette.requests import Request

from foveal.access import SCOPES, Key, Rate, append_audit, audit_path, check_audit
from foveal.errors import FovealError
from foveal.server.access.keyring import Keyring
from foveal.server.access.quotas import Quotas
from foveal.server.access.sender import Head, check_same_origin
from foveal.server.options import ServerOptions
from foveal.server.request.limits import RequestError
from foveal.server.request.notes import Caller, current_notes

PUBLIC_PATHS = frozenset(
    {
        # Pages: what they show comes from protected routes.
        "/",
        "/docs",
        "/live",
        "/versions",
        "/openapi.json",
        "/favicon.ico",
        # Probes of orchestrators send no key.
        "/healthz",
        "/readyz",
        "/ping",
        "/v2/health/live",
        "/v2/health/ready",
    }
)
"""Exactly these paths, and what is under `/static/`, are answered without a key."""

_PUBLIC_FOLDER = "/static/"
# Where Vertex AI looks whether a deployed model is healthy, unless it is told another path.
_VERTEX_HEALTH = re.compile(r"/v1/endpoints/[^/:]{1,64}/deployedModels/[^/:]{1,64}")
# First match; any of the scopes is enough.
_RULES: tuple[tuple[tuple[str, ...], frozenset[str]], ...] = (
    (("/admin/", "/admin", "/v2/repository"), frozenset({"admin"})),
    (("/feedback",), frozenset({"feedback"})),
    (("/metrics", "/monitoring/"), frozenset({"metrics", "admin"})),
    # What is there, for whoever does anything with it.
    (("/models",), frozenset({"predict", "feedback", "admin"})),
)
_ELSE = frozenset({"predict"})
_WITHOUT_KEYS = frozenset(SCOPES) - {"admin"}
# A typing error or a forgotten change of a key is a few; more is someone who tries keys.
_STRANGERS = Rate(30, "min")
_REALM = 'Bearer realm="foveal"'


def scopes_for(path: str) -> frozenset[str] | None:
    """Return the scopes of which a key needs one for a path; None if no key is needed."""
    if path in PUBLIC_PATHS or path.startswith(_PUBLIC_FOLDER) or _VERTEX_HEALTH.fullmatch(path):
        return None
    lowered = path.lower()
    for beginnings, scopes in _RULES:
        if lowered.startswith(beginnings):
            return scopes
    return _ELSE


@final
class Access:
    """Authorizes every request by its key.

    Args:
        options: Where the keys are, or that there are none; the folder that workers share.
        clock: Returns seconds that all workers agree on.

    Raises:
        UsageError: If the keys cannot be understood.
    """

    def __init__(self, options: ServerOptions, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._keyring = None if options.keys is None else Keyring(options.keys, clock)
        shared = options.runtime_dir
        self._quotas = Quotas(None if shared is None else shared / "quotas", clock)
        # A table of their own: whoever comes from many addresses cannot push out a key's counts.
        self._strangers = Quotas(None if shared is None else shared / "strangers", clock)
        self._feedback_rate = Rate.parse(options.collect_rate)
        self._feedback = Quotas(None if shared is None else shared / "feedback", clock)

    @property
    def audit_log(self) -> Path | None:
        """The audit log; None if administrative actions are impossible."""
        if self._options.audit_log is not None:
            return self._options.audit_log
        return None if self._options.keys is None else audit_path(self._options.keys)

    def wait_for_feedback(self, caller: Caller, *, unsure: bool = False) -> float:
        """Count one picture that is to be kept; return the seconds to wait, 0 for none.

        Called on the event loop only.

        Args:
            caller: The client that sent it.
            unsure: Whether it is kept because the model was unsure. These are counted apart: the
                many that a client sends unasked must not use up what its users may say.
        """
        name = caller.key_id or _network(caller.address)
        return self._feedback.enter(f"{name} unsure" if unsure else name, self._feedback_rate, None)

    def check_origin(self, request: Request) -> None:
        """Refuse requests from pages of other origins, even allowed ones."""
        check_same_origin(Head.of(request.scope), request.scope, self._options)

    def admitted(self, head: Head, path: str, address: str) -> AbstractContextManager[Caller]:
        """Yield the caller while the request is in progress.

        Args:
            head: May have the key, in `X-API-Key` or as `Authorization: Bearer`.
            path: Without the query, where a key would end up in logs.
            address: IP address of the other end.

        Raises:
            RequestError: 401 without a valid key, 403 for a scope that is lacking, 429 over a
                limit of the key; on entering the block.
        """
        if self._keyring is None:
            return nullcontext(Caller(address, scopes=_WITHOUT_KEYS))
        needed = None if path == self._options.health_route else scopes_for(path)
        if needed is None:
            return nullcontext(Caller(address))
        return self.entered(_sent_key(head), needed, address)

    @contextmanager
    def entered(self, text: str | None, needed: frozenset[str], address: str) -> Iterator[Caller]:
        """Yield the caller of a key while its request is in progress; for every protocol.

        Args:
            text: The key; None when none was sent.
            needed: Scopes of which one is enough.
            address: IP address of the other end.

        Raises:
            RequestError: As for `admitted`.
        """
        if self._keyring is None:
            yield Caller(address, scopes=_WITHOUT_KEYS)
            return
        key = self._known(self._keyring, text, address)
        caller = Caller(address, key.id, key.name, frozenset(key.scopes))
        # Also of one that is refused below: whose key it is belongs in the log.
        current_notes().caller = caller
        if needed.isdisjoint(key.scopes):
            raise _forbidden(" or ".join(sorted(needed)))
        is_limited = key.rate is not None or key.concurrent is not None
        if is_limited and (wait_s := self._quotas.enter(key.id, key.rate, key.concurrent)):
            raise RequestError(429, _over(key), retry_after_s=math.ceil(wait_s))
        try:
            yield caller
        finally:
            if key.concurrent is not None:
                self._quotas.leave(key.id)

    def _known(self, keyring: Keyring, text: str | None, address: str) -> Key:
        if text is None:
            raise _unauthorized("This server requires a key: Authorization: Bearer KEY.", _REALM)
        key = keyring.find(text)
        if key is None:
            # Only who has no valid key is slowed down: users behind the same address are not.
            if wait_s := self._strangers.enter(_network(address), _STRANGERS, None):
                raise RequestError(429, "Too many unknown keys.", retry_after_s=math.ceil(wait_s))
            challenge = f'{_REALM}, error="invalid_token"'
            raise _unauthorized("The key is unknown, expired or revoked.", challenge)
        return key


def require_scope(scope: str) -> Caller:
    """Return the caller, if its key has the scope.

    Raises:
        RequestError: 403 when it has not. Without keys nobody has `admin`: a proxy in front of a
            loopback server would let everyone in.
    """
    caller = current_notes().caller
    if scope not in caller.scopes:
        raise _forbidden(scope)
    return caller


@contextmanager
def admin_act(request: Request, act: str, **details: object) -> Iterator[Caller]:
    """Run the block as an administrative action, and log it when it ends.

    Args:
        request: Sent with a key that has the scope `admin`, by a program or by the server's own
            page.
        act: What is done, such as `promote`.
        **details: What exactly, such as `model="photos", version=4`; they stand in the log.

    Raises:
        RequestError: 403 for a key without the scope or a foreign page, 503 when it cannot be
            written down: then the block is not run.
    """
    access: Access = request.app.state.foveal.access
    caller = require_scope("admin")
    access.check_origin(request)
    log = access.audit_log
    if log is None:
        raise _forbidden("admin")
    try:
        check_audit(log)
    except FovealError as error:
        raise RequestError(503, "The audit log cannot be written.") from error
    entry: dict[str, object] = {
        "by": {"key": caller.key_id, "name": caller.name},
        "from": caller.address,
        "request": current_notes().request_id,
        **details,
    }
    try:
        yield caller
    except BaseException as error:
        why = (
            error.message
            if isinstance(error, (FovealError, RequestError))
            else type(error).__name__
        )
        append_audit(log, act, {**entry, "outcome": "failed", "why": why})
        raise
    append_audit(log, act, {**entry, "outcome": "done"})


def _sent_key(head: Head) -> str | None:
    own = head.values.get("x-api-key")
    if own is not None:
        return own.strip()
    scheme, _, credentials = head.values.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" and credentials.strip() else None


def _network(address: str) -> str:
    """Return the client identity without a key: an IPv4 address or an IPv6 /64 network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _over(key: Key) -> str:
    allowed = []
    if key.rate is not None:
        allowed.append(str(key.rate))
    if key.concurrent is not None:
        allowed.append(f"{key.concurrent} at once")
    return f"Too many requests. This key may send {' and '.join(allowed)}."


def _unauthorized(message: str, challenge: str) -> RequestError:
    error = RequestError(401, message)
    error.headers["www-authenticate"] = challenge
    return error


def _forbidden(scope: str) -> RequestError:
    return RequestError(403, f"This request needs a key with the scope {scope}.")
