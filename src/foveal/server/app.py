"""Assemble the application: routes, gate, and the lifespan of the batcher."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Route

from foveal.errors import FovealError
from foveal.export.web.runtime import read_runtime
from foveal.server.gate import gated, on_foveal_error, on_memory
from foveal.server.models.loader import Offered
from foveal.server.options import ServerOptions
from foveal.server.pages import admin, exports, figures, phone, web
from foveal.server.protocols import feedback, routes, tfserving, torchserve
from foveal.server.protocols.oip import routes as oip
from foveal.server.protocols.oip.rpc import RpcServer
from foveal.server.state import ServerState
from foveal.server.telemetry.drift import LOOK_S

# Some machines say text/plain, and browsers that are told not to guess run no such script.
mimetypes.add_type("text/javascript", ".js")
_PUBLISH_S = 1.0
_ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def _open_inference_routes() -> Iterator[Route]:
    yield Route("/v2", oip.metadata, methods=["GET"], name="oip_metadata")
    yield Route("/v2/health/live", oip.live, methods=["GET"], name="oip_live")
    yield Route("/v2/health/ready", oip.ready, methods=["GET"], name="oip_ready")
    yield Route("/v2/models", oip.models, methods=["GET"], name="oip_models")
    yield Route("/v2/repository/index", oip.index, methods=["POST"], name="oip_index")
    for path in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        yield Route(path, oip.model_metadata, methods=["GET"], name="oip_model")
        yield Route(f"{path}/ready", oip.model_ready, methods=["GET"], name="oip_model_ready")
        yield Route(f"{path}/infer", oip.infer, methods=["POST"], name="oip_infer")


def _torchserve_routes() -> Iterator[Route]:
    for path in ("/predictions/{model}", "/predictions/{model}/{version}"):
        yield Route(path, torchserve.predictions, methods=["POST", "PUT"], name="torchserve")


_ROUTES = [
    Route("/predict/{model}", routes.predict, methods=["POST"], name="predict"),
    # TF Serving's addresses ignore case.
    Route("/v1/{rest:path}", tfserving.dispatch, methods=_ALL_METHODS, name="tf_serving"),
    Route("/V1/{rest:path}", tfserving.dispatch, methods=_ALL_METHODS, name="tf_serving"),
    *_open_inference_routes(),
    Route("/ping", torchserve.ping, methods=["GET"], name="ping"),
    *_torchserve_routes(),
    Route("/models", routes.models, methods=["GET"], name="models"),
    Route("/healthz", routes.healthz, methods=["GET"], name="healthz"),
    Route("/readyz", routes.readyz, methods=["GET"], name="readyz"),
    Route("/models/{model}", admin.versions, methods=["GET"], name="model"),
    Route("/admin/models/{model}/promote", admin.promote, methods=["POST"], name="promote"),
    Route("/admin/models/{model}/rollback", admin.rollback, methods=["POST"], name="rollback"),
    Route(
        "/admin/models/{model}/exports/{to}/{precision}",
        exports.download,
        methods=["GET"],
        name="download",
    ),
    Route("/admin/reload", admin.reload, methods=["POST"], name="reload"),
    Route("/versions", admin.page, methods=["GET"], name="versions"),
    Route("/metrics.json", figures.figures, methods=["GET"], name="figures"),
    Route("/live", figures.page, methods=["GET"], name="live"),
    Route("/metrics", routes.metrics, methods=["GET"], name="metrics"),
    Route("/docs", web.docs, methods=["GET"], name="docs"),
    Route("/openapi.json", web.openapi, methods=["GET"], name="openapi"),
    Route("/", web.index, methods=["GET"], name="page"),
]


_APP_ROUTES = (
    Route("/app", phone.index, methods=["GET"], name="apps"),
    Route("/app/{model}", phone.folder, methods=["GET"], name="app"),
    Route("/app/{model}/{path:path}", phone.file, methods=["GET"], name="app_file"),
)
_FEEDBACK_ROUTES = (Route("/feedback", feedback.keep, methods=["POST"], name="feedback"),)


def create_app(offered: Offered, options: ServerOptions | None = None) -> Starlette:
    """Return the ASGI application that serves models.

    Models are warmed up and threads started when the server starts the application's lifespan.

    Args:
        offered: Name in the routes → predictor, or an offer, which may follow stores.
        options: Limits; the defaults suit one machine.

    Raises:
        UsageError: For no model, or a name that cannot stand in a route.
        FovealError: If a model of a store cannot be loaded, or grpcio is missing for a gRPC port.
    """
    options = options or ServerOptions()
    state = ServerState(offered, options)
    apps = phone.Apps()
    if options.app:
        # Now: that the runtime of apps is missing is known before anything is asked.
        read_runtime()
    # Now: that grpcio is missing is known before anything is loaded.
    rpc = None if options.grpc_port is None else RpcServer(state)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(state.warm_up)
        state.batcher.start(asyncio.get_running_loop())
        tasks = [asyncio.create_task(_publish(state)), asyncio.create_task(_watch_drift(state))]
        state.loader.start()
        try:
            if rpc is not None:
                await rpc.start()
            yield
        finally:
            for task in tasks:
                task.cancel()
            state.draining = True
            if rpc is not None:
                await rpc.stop()
            await asyncio.to_thread(state.close)
            apps.close()

    app = gated(
        [
            *_named_routes(options),
            *(_APP_ROUTES if options.app else ()),
            *(_FEEDBACK_ROUTES if options.collect is not None else ()),
            *_ROUTES,
        ],
        state,
        handlers={FovealError: on_foveal_error, MemoryError: on_memory},
        lifespan=lifespan,
    )
    app.state.apps = apps
    return app


def _named_routes(options: ServerOptions) -> Iterator[Route]:
    """Yield the routes whose paths the operator names: Vertex AI asks at paths of its own."""
    # Braces would be taken for parameters.
    health, predict = (
        None if path is None else path.replace("{", "{{").replace("}", "}}")
        for path in (options.health_route, options.predict_route)
    )
    if health is not None:
        yield Route(health, tfserving.health, methods=["GET"], name="named_health")
    if predict is not None:
        yield Route(predict, tfserving.predict_only_model, methods=["POST"], name="named_predict")


async def _publish(state: ServerState) -> None:
    """Refresh the shared metrics of this worker, which any worker may report."""
    while state.options.runtime_dir is not None:
        state.telemetry.publish()
        await asyncio.sleep(_PUBLISH_S)


async def _watch_drift(state: ServerState) -> None:
    """Check every minute for drift of the answers from those on validation."""
    while True:
        await asyncio.sleep(LOOK_S)
        await asyncio.to_thread(state.drift.look)
