"""The Open Inference Protocol over gRPC: models, limits, keys and deadlines are those of HTTP."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, final
from urllib.parse import unquote

from foveal.errors import FovealError, UsageError
from foveal.extras import import_extra
from foveal.server.access.accesslog import utc
from foveal.server.protocols.oip import routes
from foveal.server.protocols.oip.messages import SERVICE, Message, method_types
from foveal.server.protocols.oip.rpc_codec import encode_infer, parse_infer
from foveal.server.protocols.oip.signature import signature_of
from foveal.server.request.limits import Claim, RequestError
from foveal.server.request.notes import Caller, RequestNotes, drop_notes, take_notes
from foveal.server.request.responses import status_of
from foveal.server.state import ServerState

logger = logging.getLogger(__name__)

Context: TypeAlias = Any
"""`grpc.aio.ServicerContext`: grpcio ships no types."""
Answer: TypeAlias = Callable[[Message, Context], Awaitable[Mapping[str, Any]]]

# As HTTP's are mapped everywhere: google.rpc.Code, code.proto.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# Probes send no key.
_PUBLIC = frozenset({"ServerLive", "ServerReady"})
_PREDICT = frozenset({"predict"})
_HANDSHAKE_MS, _IDLE_MS = 10_000, 300_000
# Messages arrive before the budget can be asked: this many times its bytes is the most.
_ROOM_FACTOR = 4


@final
class RpcServer:
    """A gRPC server in the event loop of the HTTP server.

    Args:
        state: What both share.

    Raises:
        MissingExtraError: When grpcio is not installed.
    """

    def __init__(self, state: ServerState) -> None:
        self._grpc = import_extra("grpc", "grpc", "Serving over gRPC needs grpcio")
        self._aio = import_extra("grpc.aio", "grpc", "Serving over gRPC needs grpcio")
        self._state = state
        self._server: Any = None

    async def start(self) -> None:
        """Listen on the port of the options; `state.grpc_port` then says which.

        Raises:
            UsageError: When the address cannot be listened on.
        """
        options = self._state.options
        room = _ROOM_FACTOR * options.queue_bytes // options.max_body_bytes
        self._server = self._aio.server(
            options=[
                ("grpc.max_receive_message_length", options.max_body_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
                ("grpc.max_connection_idle_ms", _IDLE_MS),
                # Workers share the port; one server alone must see that it is taken.
                ("grpc.so_reuseport", int(options.workers > 1)),
            ],
            maximum_concurrent_rpcs=max(1, min(options.queue_items, room)),
        )
        self._server.add_generic_rpc_handlers([self._handlers()])
        host = f"[{options.host}]" if ":" in options.host else options.host
        address = f"{host}:{options.grpc_port}"
        try:
            self._state.grpc_port = self._listen(address)
        except RuntimeError as error:
            raise UsageError(
                f"Cannot listen on {address} for gRPC.", hint="choose another --grpc-port"
            ) from error
        await self._server.start()

    def _listen(self, address: str) -> int:
        certificate, key = self._state.options.tls_cert, self._state.options.tls_key
        if certificate is None or key is None:
            port: int = self._server.add_insecure_port(address)
            return port

        def read() -> Any:
            """Return what is used for the next connection; None for what was used before."""
            try:
                pair = (key.read_bytes(), certificate.read_bytes())
            except OSError as error:
                logger.error("the certificate before stays in use: %s", error)
                return None
            return self._grpc.ssl_server_certificate_configuration([pair])

        credentials = self._grpc.dynamic_ssl_server_credentials(read(), read)
        port = self._server.add_secure_port(address, credentials)
        return port

    async def stop(self) -> None:
        """Finish what is in flight, and end."""
        if self._server is not None:
            await self._server.stop(self._state.options.drain_s)

    def _handlers(self) -> Any:
        answers = _answers(self._state)
        handlers = {
            name: self._grpc.unary_unary_rpc_method_handler(
                self._guarded(name, answers[name], reply),
                request_deserializer=request.FromString,
                response_serializer=reply.SerializeToString,
            )
            for name, (request, reply) in method_types().items()
        }
        return self._grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _guarded(
        self, name: str, answer: Answer, reply: type[Message]
    ) -> Callable[[Message, Context], Awaitable[Message]]:
        """Return the method, behind what the gate does for HTTP."""

        async def method(request: Message, context: Context) -> Message:
            call = _Call(self._state, name, context)
            try:
                with call:
                    return reply(**await answer(request, context))
            except RequestError as error:
                status, message, headers = error.status, error.message, error.headers
            except FovealError as error:
                (status, message), headers = status_of(error), {}
            except Exception as error:  # As on_unexpected.
                logger.error("a call failed unexpectedly", exc_info=error)
                status, headers = 500, {}
                message = "Internal error. The server's log has the details."
            code = self._grpc.StatusCode[_CODES.get(status, "INTERNAL")]
            await context.abort(code, message, tuple(headers.items()))
            raise AssertionError("abort raises")  # pragma: no cover

        return method


@final
class _Call:
    """One call: who sends it, whether they may, and what is counted and written down of it."""

    def __init__(self, state: ServerState, name: str, context: Context) -> None:
        self._state = state
        self._name = name
        sent = dict(context.invocation_metadata() or ())
        self._key = sent.get("x-api-key")
        authorization = str(sent.get("authorization", ""))
        if self._key is None and authorization[:7].lower() == "bearer ":
            self._key = authorization[7:].strip()
        self._notes = RequestNotes(caller=Caller(_address(context.peer())))
        self._begun = time.perf_counter()

    def __enter__(self) -> None:
        """Admit the call.

        Raises:
            RequestError: 401, 403 or 429.
        """
        self._token = take_notes(self._notes)
        self._entered: Any = None
        if self._name not in _PUBLIC:
            entered = self._state.access.entered(self._key, _PREDICT, self._notes.caller.address)
            try:
                self._notes.caller = entered.__enter__()
            except RequestError as error:
                self._end(error.status)
                raise
            self._entered = entered

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Let go of the caller's share, and count the call."""
        if self._entered is not None:
            self._entered.__exit__(None, None, None)
        if isinstance(error, RequestError):
            self._end(error.status)
        elif isinstance(error, FovealError):
            self._end(error.http_status)
        elif error is None:
            self._end(200)
        else:
            self._end(500 if isinstance(error, Exception) else 499)

    def _end(self, status: int) -> None:
        drop_notes(self._token)
        seconds, notes = time.perf_counter() - self._begun, self._notes
        self._state.telemetry.count_request(f"grpc_{self._name}", status, seconds)
        if self._state.access_log is not None:
            self._state.access_log.add(
                {
                    "time": utc(time.time() - seconds),
                    "request": notes.request_id or None,
                    "key": notes.caller.key_id,
                    "address": notes.caller.address,
                    "method": "gRPC",
                    "route": self._name,
                    "model": notes.model or None,
                    "version": notes.version or None,
                    "status": status,
                    "ms": round(1000 * seconds, 2),
                }
            )


def _address(peer: str) -> str:
    """Return the IP address of `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`."""
    kind, _, rest = peer.partition(":")
    return unquote(rest).rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""


def _answers(state: ServerState) -> Mapping[str, Answer]:
    """Return what answers each method: from its request to the fields of its reply."""

    async def live(_: Message, __: Context) -> Mapping[str, Any]:
        return {"live": True}

    async def ready(_: Message, __: Context) -> Mapping[str, Any]:
        return {"ready": state.ready}

    async def model_ready(request: Message, _: Context) -> Mapping[str, Any]:
        served = routes.find(state, request.name, request.version, answers=False)
        return {"ready": served.is_ready and not state.draining}

    async def metadata(_: Message, __: Context) -> Mapping[str, Any]:
        return routes.server_metadata()

    async def model_metadata(request: Message, _: Context) -> Mapping[str, Any]:
        served = routes.find(state, request.name, request.version, answers=False)
        return routes.model_description(state, served)

    async def index(request: Message, _: Context) -> Mapping[str, Any]:
        return {"models": routes.repository_index(state, only_ready=request.ready)}

    async def infer(request: Message, context: Context) -> Mapping[str, Any]:
        served = routes.find(state, request.model_name, request.model_version)
        signature = signature_of(served)
        with Claim(state.budget) as claim:
            claim.grow(0, request.ByteSize())
            asked = parse_infer(request, signature, state.options.max_instances)
            claim.grow(len(asked.pictures), 0)
            replies = await routes.answered(state, served, asked, context.time_remaining())
        head = routes.reply_head(served, asked)
        return {**head, **encode_infer(asked, signature, replies, bool(request.raw_input_contents))}

    return {
        "ServerLive": live,
        "ServerReady": ready,
        "ModelReady": model_ready,
        "ServerMetadata": metadata,
        "ModelMetadata": model_metadata,
        "RepositoryIndex": index,
        "ModelInfer": infer,
    }
