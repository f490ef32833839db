"""The Open Inference Protocol over gRPC: models, limits, keys and deadlines are those of HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias, final

from foveal.errors import FovealError, UsageError
from foveal.extras import import_extra
from foveal.server.options import ServerOptions
from foveal.server.protocols.oip import routes
from foveal.server.protocols.oip.messages import SERVICE, Message, method_types
from foveal.server.protocols.oip.rpc_call import Call, Context
from foveal.server.protocols.oip.rpc_codec import encode_infer, parse_infer
from foveal.server.protocols.oip.signature import signature_of
from foveal.server.request.limits import Claim, RequestError
from foveal.server.request.responses import status_of
from foveal.server.state import ServerState

logger = logging.getLogger(__name__)

Answer: TypeAlias = Callable[[Message, Context, Claim], Awaitable[Mapping[str, Any]]]

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
_COSTLY = "ModelInfer"
_HANDSHAKE_MS, _IDLE_MS = 10_000, 300_000
# A message is counted in the budget once it is whole: this many times its bytes is the most.
_ROOM_FACTOR = 4


@final
class RpcServer:
    """A gRPC server in the event loop of the HTTP server.

    Args:
        state: What both share.

    Raises:
        MissingExtraError: If grpcio is not installed.
    """

    def __init__(self, state: ServerState) -> None:
        self._grpc = import_extra("grpc", "grpc", "Serving over gRPC needs grpcio")
        self._aio = import_extra("grpc.aio", "grpc", "Serving over gRPC needs grpcio")
        message = import_extra(
            "google.protobuf.message", "grpc", "Serving over gRPC needs protobuf"
        )
        self._decode_error: type[Exception] = message.DecodeError
        self._state = state
        self._server: Any = None

    async def start(self) -> None:
        """Listen on the port of the options; `state.grpc_port` then says which.

        Raises:
            UsageError: If the address cannot be listened on.
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
                logger.error("the previous certificate stays in use: %s", error)
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
            # To the client this is the same as unary_unary, for which grpcio would read the message
            # before it is known who sends it.
            name: self._grpc.stream_unary_rpc_method_handler(
                self._guarded(name, answers[name], request, reply),
                response_serializer=reply.SerializeToString,
            )
            for name, (request, reply) in method_types().items()
        }
        return self._grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _guarded(
        self, name: str, answer: Answer, request: type[Message], reply: type[Message]
    ) -> Callable[[AsyncIterator[bytes], Context], Awaitable[Message]]:
        """Return the method, behind what the gate does for HTTP."""

        async def method(messages: AsyncIterator[bytes], context: Context) -> Message:
            call = Call(self._state, name, context)
            try:
                with call, Claim(self._state.budget) as claim:
                    if name == _COSTLY:
                        claim.check()
                    asked = await self._read(messages, request, claim)
                    return reply(**await answer(asked, context, claim))
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

    async def _read(
        self, messages: AsyncIterator[bytes], request: type[Message], claim: Claim
    ) -> Message:
        """Return the one message of a call.

        Raises:
            RequestError: 400 for none, or another; 408 when it does not arrive in time; 503 when
                there is no room for it.
        """
        options = self._state.options
        try:
            async with asyncio.timeout(_receiving_s(options)):
                data = await anext(messages, None)
        except TimeoutError as error:
            raise RequestError(408, "The message did not arrive in time.") from error
        if data is None:
            raise RequestError(400, "There is no message. Expected one.")
        claim.grow(0, len(data))
        try:
            return request.FromString(data)
        except self._decode_error as error:
            raise RequestError(400, f"Not a message of {request.__name__}.") from error


def _receiving_s(options: ServerOptions) -> float:
    """Return how long the largest message may take, which says its size to nobody before."""
    return options.body_timeout_s + options.max_body_bytes / options.min_bytes_per_s


def _answers(state: ServerState) -> Mapping[str, Answer]:
    """Return what answers each method: from its request to the fields of its reply."""

    async def live(_: Message, *__: Any) -> Mapping[str, Any]:
        return {"live": True}

    async def ready(_: Message, *__: Any) -> Mapping[str, Any]:
        return {"ready": state.ready}

    async def model_ready(request: Message, *_: Any) -> Mapping[str, Any]:
        try:
            served = routes.find(state, request.name, request.version, answers=False)
        except RequestError as error:
            if error.status != 404:
                raise
            # As Triton answers: its clients ask until a model that is still to come is ready.
            return {"ready": False}
        return {"ready": served.is_ready and not state.draining}

    async def metadata(_: Message, *__: Any) -> Mapping[str, Any]:
        return routes.server_metadata()

    async def model_metadata(request: Message, *_: Any) -> Mapping[str, Any]:
        served = routes.find(state, request.name, request.version, answers=False)
        return routes.model_description(state, served)

    async def index(request: Message, *_: Any) -> Mapping[str, Any]:
        return {"models": routes.repository_index(state, only_ready=request.ready)}

    async def infer(request: Message, context: Context, claim: Claim) -> Mapping[str, Any]:
        served = routes.find(state, request.model_name, request.model_version)
        signature = signature_of(served)
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
        _COSTLY: infer,
    }
