"""Answers in JSON, and what is said of an error."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from starlette.responses import Response

from foveal.errors import FovealError, ImageFormatError, NetworkError
from foveal.types import JsonObject

logger = logging.getLogger(__name__)

# Errors of a picture whose hint helps who sent it; that of the others is for who runs the server.
_HINTED_CODES = frozenset({ImageFormatError.code, "image_too_wide"})
# Failures of the server whose sentence is about the picture: a network that answers no number.
_SAID_CODES = frozenset({NetworkError.code})
# Clients of TorchServe, which answers on this path, look at `type` where they tell errors apart.
_TORCHSERVE = "/predictions/"
_TORCHSERVE_TYPES = {
    400: "BadRequestException",
    401: "InvalidKeyException",
    403: "InvalidKeyException",
    404: "ModelNotFoundException",
    405: "MethodNotAllowedException",
    408: "RequestTimeoutException",
    413: "TooLargeFrameException",
    503: "ServiceUnavailableException",
    504: "InternalServerException",
}
INTERNAL_ERROR = "Internal error. The server's log has the details."
"""What is said of a bug, and of what is wrong with the server."""


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def error_response(
    status: int, message: str, headers: dict[str, str] | None = None, *, path: str = ""
) -> Response:
    """Return `{"error": message}`, with the other fields that clients of the path look at."""
    body: JsonObject = {"error": message}
    if path.startswith(_TORCHSERVE):
        other = "BadRequestException" if status < 500 else "InternalServerException"
        kind = _TORCHSERVE_TYPES.get(status, other)
        body = {"code": status, "type": kind, "message": message, **body}
    return json_response(body, status, headers)


def status_of(error: FovealError) -> tuple[int, str]:
    """Return the HTTP status and the sentence for an error that a request caused.

    What is wrong on the server's side is for its log: the sentence may name files.
    """
    if error.http_status == 500 and error.error_code not in _SAID_CODES:
        logger.error("a request failed: %s", error.message, exc_info=error)
        return 500, INTERNAL_ERROR
    hint = error.hint if error.error_code in _HINTED_CODES else None
    return error.http_status, f"{error.message} {_sentence(hint)}" if hint else error.message


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}".rstrip(".") + "."
