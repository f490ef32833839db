"""A review in a cell of a real kernel, decided in a real Chromium."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pytest
from chromium import expect, launched
from drawing import DrawFolder
from nbclient import NotebookClient

pytestmark = [pytest.mark.browser, pytest.mark.slow]


# A name that is not of the loopback, for a server that is.
_ELSEWHERE = "--host-resolver-rules=MAP elsewhere.example 127.0.0.1"


@contextmanager
def served(html: str) -> Iterator[int]:
    """Serve a page on this machine, and give the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def shown(cell: Any) -> dict[str, str]:
    """Return what a cell gave: media type to text."""
    return {kind: text for output in cell.outputs for kind, text in output.get("data", {}).items()}


# nbclient and jupyter_client still ask asyncio and zmq for what Python will drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_review_is_decided_in_its_cell_and_ends_with_the_kernel(
    tmp_path: Path, draw_folder: DrawFolder
) -> None:
    data = draw_folder(tmp_path / "shapes", n=4, size=16)
    broken = next(data.iterdir()) / "broken.png"
    broken.write_bytes(b"no picture")
    sources = (
        "import foveal; review = foveal.review('shapes', verbose=False); review",
        "[(sample, each.action) for sample, each in review.decisions.items()]",
        "review.close(); review",
        "again = foveal.review('shapes', verbose=False); again",
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in sources])
    client = NotebookClient(book, resources={"metadata": {"path": str(tmp_path)}})
    with launched(_ELSEWHERE) as browser, client.setup_kernel():
        html = shown(client.execute_cell(book.cells[0], 0))["text/html"]
        (url,) = set(re.findall(r'<iframe src="([^"]+)"', html))
        assert url.rsplit(":", 1)[1] in html[html.index("ssh -L") :]
        page = browser.new_page()
        # As a notebook shows it: on a page of another port of this machine.
        with served(f"<!doctype html><title>Lab</title>{html}") as port:
            page.goto(f"http://localhost:{port}/")
            frame = page.frame_locator("iframe")
            expect(frame.locator(".tile-error")).to_contain_text("Not a picture")
            # The keys are still the notebook's, which runs the next cell by Shift and Enter.
            assert page.evaluate("document.activeElement.tagName") == "BODY"
            frame.locator("#grid").press("q")
            expect(frame.locator("#done")).to_have_text("1")
            # A page from elsewhere shows nothing.
            page.goto(f"http://elsewhere.example:{port}/")
            expect(page.locator("iframe")).to_be_visible()
            expect(page.frame_locator("iframe").locator("#grid")).to_have_count(0)

        decided = shown(client.execute_cell(book.cells[1], 1))["text/plain"]
        assert decided == str([(broken.relative_to(data).as_posix(), "quarantine")])
        assert "closed" in shown(client.execute_cell(book.cells[2], 2))["text/plain"]
        with pytest.raises(OSError):
            urllib.request.urlopen(url)
        html = shown(client.execute_cell(book.cells[3], 3))["text/html"]
        url = re.findall(r'<iframe src="([^"]+)"', html)[0]
        assert urllib.request.urlopen(url).status == 200
    with pytest.raises(OSError):
        urllib.request.urlopen(url)
