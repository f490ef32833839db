"""An exported app in Chromium: its proof, its size, its first answer and its rate.

Needs Playwright, /usr/bin/chromium and onnxruntime-web (`foveal export --list` says how to get it).
The first answer is that to a picture file on a page of the app that was never opened before, on the
page's main thread, which Chromium's own throttle slows down; from the call to load the model on.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import sync_playwright

import foveal
from outcome import Outcome, add_out, report

_CHROMIUM = "/usr/bin/chromium"
_MEGABYTE = 1e6
# Of a network whose speed is limited: a mobile one's.
_LATENCY_MS = 40
# Loads the model on the main thread and answers pictures one after the other.
_ANSWER = """async ([files]) => {
  const begun = performance.now();
  const at = (path) => new URL(path, location.href);
  const [{ loadModel }, { decodeWithBrowser, fetchBytes }, ort] = await Promise.all([
    import(at("core/load.js")), import(at("core/browser.js")), import(at("runtime/ort.mjs")),
  ]);
  const model = await loadModel((path) => fetchBytes(at(path)), ort, decodeWithBrowser);
  const loaded = performance.now() - begun;
  const times = [];
  for (const file of files) {
    const start = performance.now();
    const bytes = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
    await model.answer(await model.decode(bytes));
    times.push(performance.now() - start);
  }
  return { loaded, times };
}"""


def main() -> None:
    """Export a run's model, and report the seconds to the first answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_out(parser)
    parser.add_argument("run", type=Path, help="a run with its pictures")
    parser.add_argument("--app", type=Path, help="its app, if it was exported already")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--throttle", type=float, default=4.0)
    parser.add_argument("--megabits", type=float, help="a second, of the network; default: all")
    options = parser.parse_args()
    model = foveal.load(options.run)
    with tempfile.TemporaryDirectory() as folder:
        app = options.app or model.export("web", Path(folder) / "app")
        proof = next(e["proof"] for e in model.exports() if e["to"] == "web")
        files = sorted((app / "check").glob("[0-9]*"))
        pictures = [base64.b64encode(path.read_bytes()).decode() for path in files]
        with hosted(app) as address:
            slow = [
                measured(address, pictures, options.throttle, options.megabits)
                for _ in range(options.rounds)
            ]
            quick = [measured(address, pictures * 3, 1.0) for _ in range(options.rounds)]
        network = (app / "model" / "model.onnx").stat().st_size
        shown = sum(path.stat().st_size for path in files)
        whole = sum(path.stat().st_size for path in app.rglob("*") if path.is_file())
    firsts = tuple((said["loaded"] + said["times"][0]) / 1000 for said in slow)
    usual = [statistics.median(said["times"][len(files) :]) for said in quick]
    before = (whole - network - shown) / _MEGABYTE
    report(
        Outcome(
            claim="web",
            what=f"first answer in Chromium slowed down {options.throttle:g} times"
            + (f", over {options.megabits:g} Mbit/s" if options.megabits else ""),
            unit="s",
            values=firsts,
            target=3.0,
            better="low",
            judged_by="median",
            limits={"MB before the network and the pictures of the check": (before, 5.0)},
            detail={
                "proof": proof,
                "network MB": network / _MEGABYTE,
                "pictures of the check MB": shown / _MEGABYTE,
                "first answer not slowed down, s": [
                    (said["loaded"] + said["times"][0]) / 1000 for said in quick
                ],
                "ms a picture": usual,
            },
        ),
        options.out,
    )


def measured(
    address: str, pictures: list[str], throttle: float, megabits: float | None = None
) -> dict[str, Any]:
    """Answer pictures in a fresh browser."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(service_workers="block").new_page()
        page.goto(f"{address}LICENSES.txt")
        session = page.context.new_cdp_session(page)
        session.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
        if megabits is not None:
            session.send("Network.enable")
            rate = megabits * 1e6 / 8
            speed = {"downloadThroughput": rate, "uploadThroughput": rate, "latency": _LATENCY_MS}
            session.send("Network.emulateNetworkConditions", {"offline": False, **speed})
        said: dict[str, Any] = page.evaluate(_ANSWER, [pictures])
        browser.close()
    return said


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A static host that writes no log."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """Serve a folder as a static host does."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


if __name__ == "__main__":
    main()
