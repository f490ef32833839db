"""Exported apps in a real Chromium: proven, refused, on a phone's screen, and without a network."""

from __future__ import annotations

import functools
import http.server
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colored import blocks_png
from discs import discs_png
from drawing import brightness_model
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.data.decode import DEFAULT_LIMITS, DecodeLimits
from foveal.data.source import Loaded, Sample, Source
from foveal.errors import ParityError
from foveal.export.formats import write_as
from foveal.export.job import ExportJob, ExportOptions, Pictures
from foveal.export.web import write
from foveal.export.web.runtime import find_folder
from foveal.predict import Predictor
from foveal.server import start_in_thread
from foveal.types import Picture

playwright_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)
expect = playwright_api.expect
_CHROMIUM = Path("/usr/bin/chromium")
_WAIT_MS = 120_000
_FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not _CHROMIUM.exists(), reason="there is no /usr/bin/chromium: apt-get install chromium"
    ),
]


@pytest.fixture(autouse=True)
def _runtime() -> None:
    if find_folder() is None:
        pytest.skip("onnxruntime-web is not installed: make setup installs it where npm is there")


class Drawn(Source):
    """Grey squares, from dark to bright."""

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        shade = int(sample.id)
        return Loaded(Picture.from_array(np.full((20 + shade, 30, 3), shade, np.uint8)), bytes(16))


def drawn_pictures() -> Pictures:
    samples = tuple(Sample(str(shade), ("circle",)) for shade in (10, 60, 200, 240))
    return Pictures(Drawn("drawn", "drawn", samples, ()), samples, samples, DEFAULT_LIMITS)


def job_of(bundle: Bundle, **options: Any) -> ExportJob:
    return ExportJob(bundle, ExportOptions(**options), drawn_pictures)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """Serve a folder as a static host does."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@contextmanager
def opened(bundle: Bundle, folder: Path, page: Any) -> Iterator[None]:
    """Write the app of a bundle, host it and open it in a page."""
    write.write_served_app(bundle, folder)
    with hosted(folder) as address:
        page.goto(address)
        yield


@pytest.fixture
def phone() -> Iterator[Any]:
    """Return a Chromium with a drawn camera and a phone's screen."""
    with playwright_api.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=str(_CHROMIUM), args=["--no-sandbox", *_FAKE_CAMERA]
        )
        context = browser.new_context(viewport={"width": 390, "height": 800})
        context.set_default_timeout(_WAIT_MS)
        expect.set_options(timeout=_WAIT_MS)
        yield context
        browser.close()


def give(page: Any, name: str, data: bytes) -> None:
    kind = "image/jpeg" if name.endswith("jpg") else "image/png"
    page.set_input_files("#files", {"name": name, "mimeType": kind, "buffer": data})


def watched(page: Any) -> list[str]:
    """Return a list that fills with whatever goes wrong on a page."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    return problems


def png(shade: int) -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", (40, 30), (shade, shade, shade)).save(file, "PNG")
    return file.getvalue()


def test_an_app_is_proven_checks_itself_and_answers_without_a_network(
    tiny_bundle: Bundle, tmp_path: Path, phone: Any
) -> None:
    out = tmp_path / "app"
    proof = write_as(job_of(tiny_bundle), "web", out)
    assert proof is not None
    assert (proof.samples, proof.label_agreement, proof.identical_inputs) == (4, 1.0, 1.0)
    assert "Chrome" in proof.runtime
    page = phone.new_page()
    problems = watched(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with hosted(out) as address:
        page.goto(f"{address}check.html")
        expect(page.locator("#verdict")).to_have_text("4 of 4 pictures passed.")
        expect(page.locator("#proof")).to_contain_text("4 validation pictures")
        page.goto(address)
        expect(page.locator("#offline")).to_contain_text("Ready to work offline")
        session = phone.new_cdp_session(page)
        assert session.send("Page.getAppManifest")["errors"] == []
        failures = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
        # A test's profile is a private one.
        assert [f["errorId"] for f in failures] in ([], ["in-incognito"])
        assert all(url.startswith((address, "blob:")) for url in asked)
    # The host is gone now.
    page.goto(address)
    give(page, "dark.png", png(20))
    expect(page.locator(".headline")).to_have_text("circle")
    expect(page.locator(".certainty")).to_contain_text("sure")
    expect(page.locator(".toggle")).to_be_visible()
    expect(page.locator(".over")).to_be_visible()
    page.get_by_role("checkbox", name="Show the evidence").uncheck()
    expect(page.locator(".over")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("button", name="Remove dark.png").click()
    expect(page.locator(".answer")).to_have_count(0)
    assert problems == []


def test_an_app_of_another_network_is_refused(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = np.array([[-1.0] * 3, [1.0] * 3], np.float32) / 60.0
    turned = brightness_model().replace(weight.tobytes(), (-weight).tobytes())
    write_app = write.write_app

    def tampered(bundle: Bundle, out: Path) -> None:
        write_app(bundle, out)
        (out / "model" / "model.onnx").write_bytes(turned)

    monkeypatch.setattr(write, "write_app", tampered)
    with pytest.raises(ParityError, match="answers differently"):
        write_as(job_of(tiny_bundle), "web", tmp_path / "app")
    assert list(tmp_path.iterdir()) == []


def test_no_validation_picture_is_in_an_app_that_is_written_without_them(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    app, job = tmp_path / "app", job_of(tiny_bundle, without_pictures=True)
    proof = write_as(job, "web", app)
    assert json.loads((app / "check" / "checks.json").read_text()) == []
    assert [p.name for p in (app / "check").iterdir()] == ["checks.json"]

    # It is verified where it lies, as long as nothing of it is changed.
    assert write.verify_web(job, app) == proof
    (app / "model" / "model.onnx").write_bytes(b"another network")
    with pytest.raises(ParityError, match="they were changed, or belong to another version"):
        write.verify_web(job, app)


def test_a_dropped_file_that_is_no_picture_is_told(
    tiny_bundle: Bundle, tmp_path: Path, phone: Any
) -> None:
    page = phone.new_page()
    with opened(tiny_bundle, tmp_path / "app", page):
        page.evaluate(
            """() => {
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File(["words"], "notes.txt", { type: "text/plain" }));
              document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
            }"""
        )
        card = page.locator(".answer", has_text="notes.txt")
        expect(card.locator(".headline")).to_have_text("No answer")
        expect(card.locator(".doubt")).to_contain_text("This is no picture")
        # On a wide screen too, there is no empty half where the picture would be.
        page.set_viewport_size({"width": 1280, "height": 800})
        whole, said = (card.bounding_box(), card.locator(".said").bounding_box())
        assert said["width"] == pytest.approx(whole["width"], abs=4)


def test_the_camera_is_answered_kept_and_let_go(
    tiny_bundle: Bundle, tmp_path: Path, phone: Any
) -> None:
    page = phone.new_page()
    with opened(tiny_bundle, tmp_path / "app", page):
        page.get_by_role("button", name="Use the camera").click()
        expect(page.locator("#live strong")).to_be_visible()
        expect(page.locator("#live")).to_contain_text("sure")
        assert page.evaluate("document.getElementById('video').muted")
        page.get_by_role("button", name="Keep this picture").click()
        expect(page.locator(".answer .certainty")).to_contain_text("sure")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#stage")).to_be_hidden()
        assert page.evaluate("document.getElementById('video').srcObject") is None


def test_texts_and_masks_are_answered_with_their_places(
    tiny_reader: Bundle, tiny_masks: Bundle, tmp_path: Path, phone: Any
) -> None:
    page = phone.new_page()
    with opened(tiny_reader, tmp_path / "reader", page):
        give(page, "blocks.png", blocks_png("ABCA"))
        expect(page.locator(".headline")).to_have_text("ABCA")
        expect(page.locator(".characters li")).to_have_count(4)
    picture = discs_png((("blue", 40, 40, 20), ("red", 60, 115, 25)))
    expected = Predictor(tiny_masks)
    (answer,) = expected.predict([expected.decode(picture)])
    with opened(tiny_masks, tmp_path / "masks", page):
        give(page, "discs.png", picture)
        expect(page.locator(".legend li")).to_have_count(len(answer.labels))
        for name, count in zip(answer.labels, answer.pixels, strict=True):
            row = page.locator(".legend li", has_text=name)
            expect(row).to_contain_text(f"{count:,} pixels")
        expect(page.locator(".over")).to_be_visible()


def test_a_server_offers_its_models_as_apps(tiny_bundle: Bundle, phone: Any) -> None:
    offered = {"tiny": Predictor(tiny_bundle, threads=1)}
    with start_in_thread(offered, port=0, app=True) as handle:
        page = phone.new_page()
        problems = watched(page)
        page.goto(f"{handle.url}/app")
        expect(page.get_by_role("img", name="QR code")).to_be_visible()
        page.get_by_role("link", name="/app/tiny/").click()
        expect(page.locator("#offline")).to_contain_text("Ready to work offline")
        give(page, "bright.png", png(250))
        expect(page.locator(".headline")).to_have_text("square")
        assert problems == []
