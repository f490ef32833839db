"""Assemble the application of a review."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from foveal.errors import FovealError
from foveal.server.gate import gated, on_memory
from foveal.server.request.responses import error_response
from foveal.server.review import routes
from foveal.server.review.state import ReviewState


def create_review_app(state: ReviewState) -> Starlette:
    """Return the ASGI application of a review.

    Args:
        state: The review, its pictures, and who may ask.
    """
    own = (
        Route("/", routes.page, methods=["GET"], name="page"),
        Route("/state", routes.state, methods=["GET"], name="state"),
        Route("/queues/{queue:int}", routes.suspects, methods=["GET"], name="suspects"),
        Route("/queues/{queue:int}/next", routes.next_open, methods=["GET"], name="next"),
        Route("/decide", routes.decide, methods=["POST"], name="decide"),
        Route("/undo", routes.undo, methods=["POST"], name="undo"),
        Route("/pictures/{number:int}", routes.facts, methods=["GET"], name="facts"),
        Route("/pictures/{number:int}/{form}", routes.picture, methods=["GET"], name="picture"),
    )
    return gated(own, state, handlers={FovealError: _on_foveal_error, MemoryError: on_memory})


async def _on_foveal_error(_: Request, error: Exception) -> Response:
    """Answer an error of the data or the log, whose owner is the one who asks."""
    if isinstance(error, FovealError):
        return error_response(error.http_status, error.message)
    raise error
