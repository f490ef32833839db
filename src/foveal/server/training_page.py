"""The live page of a training, which `foveal watch` serves from the run directory.

The training runs in a process of its own; the only word to it is the request to stop.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from foveal.evaluate.history import training_section
from foveal.evaluate.report import percent
from foveal.render.svg import ROOT_STYLE
from foveal.server.access.auth import Access
from foveal.server.gate import gated
from foveal.server.options import ServerOptions
from foveal.server.pages.templating import page
from foveal.server.request.limits import RequestError
from foveal.server.request.responses import json_response
from foveal.server.run import run_until_asked, start_app
from foveal.server.telemetry.counters import Telemetry
from foveal.tasks import get_task
from foveal.types import JsonObject
from foveal.workflow.rundir import RunDirectory, answered_epochs

# A living process writes every second; one that swaps or suspends may be late.
_SILENT_S = 15.0
# What report.html itself asks for: its style is inline.
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@final
@dataclass
class WatchState:
    """The shared state of the routes.

    Attributes:
        run: The run that is watched.
        options: Who may ask.
        telemetry: Counts requests.
        draining: Whether the server is going down.
        access: Asks for no keys.
        access_log: None: nothing is written.
    """

    run: RunDirectory
    options: ServerOptions
    telemetry: Telemetry = field(default_factory=lambda: Telemetry(dict))
    draining: bool = False
    access: Access = field(init=False)
    access_log: None = None

    def __post_init__(self) -> None:
        """Let in whoever the options let in."""
        self.access = Access(self.options)


def watch(
    run: RunDirectory,
    options: ServerOptions,
    *,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the live page of a run until SIGTERM or Ctrl-C; see `foveal.server.run.serve`.

    Args:
        run: The run, which another process may be training.
        options: Address.
        on_ready: Called with the URL once the server is ready.
    """
    app = create_watch_app(run, options)
    run_until_asked(lambda: start_app(app, options), options, on_ready)


def create_watch_app(run: RunDirectory, options: ServerOptions) -> Starlette:
    """Return the ASGI application that shows a run.

    Args:
        run: The run; it may be under way, finished, or killed.
        options: Who may ask.
    """
    state = WatchState(run, options)
    routes = (
        Route("/", _page, methods=["GET"], name="page"),
        Route("/state", _state, methods=["GET"], name="state"),
        Route("/pictures", _pictures, methods=["GET"], name="pictures"),
        Route("/epochs/{epoch:int}", _epoch, methods=["GET"], name="epoch"),
        Route("/report", _report, methods=["GET"], name="report"),
        Route("/contact_sheet.png", _sheet, methods=["GET"], name="sheet"),
        Route("/stop", _stop, methods=["POST"], name="stop"),
    )
    return gated(routes, state)


def describe_run(run: RunDirectory) -> JsonObject:
    """Return what the page shows of a run at this moment."""
    known = _read(run.state)
    progress = _read(run.progress)
    is_running = "at" in progress and time.time() - float(progress["at"]) < _SILENT_S
    if not run.path.is_dir():
        status, is_running = "gone", False
    elif is_running:
        status = "running"
        # The training sees a request within a second, and only while it trains.
        progress["stopping"] = progress.get("stopping", False) or run.stop_request.exists()
    elif known.get("status") in ("done", "interrupted"):
        status = known["status"]
    else:
        # Killed, or never begun: nothing says that it has ended, and nothing lives.
        status = "broken_off"
    shown = run.under_way
    training = training_section(shown.results)
    return {
        "schema_version": 1,
        "name": run.name,
        "path": str(run.path),
        "status": status,
        "progress": progress if is_running else {},
        "note": training.note if training else "",
        "figures": [
            {"title": title, "svg": svg.replace(f' style="{ROOT_STYLE}"', "")}
            for title, svg in (training.figures if training else ())
        ],
        "epochs": list(answered_epochs(shown)),
        "has_pictures": shown.pictures.is_file(),
        "has_sheet": run.contact_sheet.is_file(),
        "has_report": not is_running and run.report.is_file(),
        "findings": _read(run.findings).get("findings", []),
        "metrics": [] if is_running else _metrics(_read(run.metrics)),
    }


def _metrics(values: JsonObject) -> list[JsonObject]:
    if not values:
        return []
    words = get_task(values["task"]).metric_words
    return [
        {
            "title": words[name].title,
            "meaning": words[name].meaning,
            "value": percent(metric["value"]),
            "interval": ""
            if metric["low"] is None
            else f"{percent(metric['low'])} to {percent(metric['high'])}",
        }
        for name, metric in values["metrics"].items()
    ]


def _read(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty where there is none yet."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _run(request: Request) -> RunDirectory:
    state: WatchState = request.app.state.foveal
    return state.run


async def _page(_: Request) -> Response:
    return page("watch.html")


def _state(request: Request) -> Response:
    return json_response(describe_run(_run(request)))


def _pictures(request: Request) -> Response:
    return json_response(_read(_run(request).under_way.pictures))


def _epoch(request: Request) -> Response:
    path = answered_epochs(_run(request).under_way).get(request.path_params["epoch"])
    if path is None:
        raise HTTPException(404)
    return json_response(_read(path))


def _report(request: Request) -> Response:
    return _file(_run(request).report, {"content-security-policy": _REPORT_POLICY})


def _sheet(request: Request) -> Response:
    return _file(_run(request).contact_sheet)


def _file(path: Path, headers: dict[str, str] | None = None) -> Response:
    if not path.is_file():
        raise HTTPException(404)
    return FileResponse(path, headers=headers)


def _stop(request: Request) -> Response:
    run = _run(request)
    if describe_run(run)["status"] != "running":
        raise RequestError(409, "This training is no longer running.")
    run.stop_request.touch()
    return json_response({"stopping": True}, 202)
