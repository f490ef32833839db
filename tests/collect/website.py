"""A web site for the tests of `foveal collect`: what it answers is scripted, and it keeps count."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image as PILImage

Answer = Callable[["Handler"], None]


def picture(seed: int, kind: str = "PNG", size: int = 16) -> bytes:
    """Return the file of a picture of noise; each seed gives another one."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    file = io.BytesIO()
    PILImage.fromarray(pixels).save(file, kind)
    return file.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers by the script of its site; connections stay open."""

    protocol_version = "HTTP/1.1"

    @property
    def site(self) -> Site:
        """Return the site."""
        return self.server.site  # type: ignore[attr-defined,no-any-return]

    def do_GET(self) -> None:
        """Count the request and answer it."""
        with self.site.lock:
            self.site.hits[self.path] += 1
            self.site.times[self.path].append(time.monotonic())
            self.site.agents.add(self.headers.get("User-Agent", ""))
        answer = self.site.answers.get(self.path)
        try:
            if answer is None:
                self.give(b"not here", "text/plain", 404)
            else:
                answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def give(self, body: bytes, kind: str | None, status: int = 200, **headers: str) -> None:
        """Send an answer."""
        self.send_response(status)
        if kind is not None:
            self.send_header("Content-Type", kind)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Site:
    """What a server answers, and what it was asked.

    Attributes:
        answers: Path → what answers it; any other is 404.
        hits: Path → how often it was asked for.
        times: Path → when.
        agents: Names of those who asked.
        release: Set when the server ends, for answers that stall.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: dict[str, Answer] = {}
        self.hits: Counter[str] = Counter()
        self.times: dict[str, list[float]] = defaultdict(list)
        self.agents: set[str] = set()
        self.lock = threading.Lock()
        self.release = threading.Event()

    def file(self, path: str, body: bytes, kind: str | None = "image/png", **headers: str) -> None:
        """Answer a path with a body."""
        self.answers[path] = lambda handler: handler.give(body, kind, **headers)

    def page(self, path: str, pictures: list[str], next: str | None = None, more: str = "") -> None:
        """Answer a path with a listing."""
        items = "".join(
            f'<li class="ad"><h3> Ad  {i} </h3><img src="{source}"><b>{i} &euro;</b></li>'
            for i, source in enumerate(pictures)
        )
        link = f'<a class="next" href="{next}">next</a>' if next else ""
        text = f"<!doctype html><html><body>{more}<ul>{items}</ul>{link}</body></html>"
        self.file(path, text.encode(), "text/html; charset=utf-8")

    def listing(self, name: str, pages: int, each: int, seed: int = 0) -> None:
        """Add pages `/NAME/1`, ... of different pictures, each leading to the next."""
        for page in range(1, pages + 1):
            paths = [f"/{name}/{page}-{i}.png" for i in range(each)]
            following = f"/{name}/{page + 1}" if page < pages else None
            self.page(f"/{name}/{page}", paths, following)
            for i, path in enumerate(paths):
                self.file(path, picture(seed + page * 1000 + i))

    def status(self, path: str, *answers: tuple[int, dict[str, str]], then: Answer) -> None:
        """Answer a path with some statuses, one after the other, and then as it should be."""
        left = list(answers)

        def answer(handler: Handler) -> None:
            with self.lock:
                status, headers = left.pop(0) if left else (0, {})
            if status:
                handler.give(b"", "text/plain", status, **headers)
            else:
                then(handler)

        self.answers[path] = answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serving() -> Iterator[Site]:
    """Run a site on this machine."""
    server = _Server(("127.0.0.1", 0), Handler)
    site = Site(f"http://127.0.0.1:{server.server_address[1]}")
    server.site = site  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
