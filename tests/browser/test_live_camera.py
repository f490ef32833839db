"""The live camera of the page, with the camera that Chromium draws itself."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from chromium import expect, launched

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import start_in_thread

pytestmark = pytest.mark.browser
_FAKE_CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture
def open_page(tiny_bundle: Bundle):
    """Return a function that opens the page in a Chromium with or without a camera."""
    with (
        start_in_thread({"tiny": Predictor(tiny_bundle, threads=1)}, port=0) as handle,
        ExitStack() as browsers,
    ):

        def open_in(*flags: str):
            browser = browsers.enter_context(launched(*flags))
            page = browser.new_page(viewport={"width": 390, "height": 800})
            page.set_default_timeout(30_000)
            page.goto(handle.url)
            expect(page.locator("#about")).to_contain_text("distinguishes", timeout=30_000)
            return page

        yield open_in


def test_frames_are_answered_as_they_come_and_one_can_be_kept(open_page) -> None:
    page = open_page(*_FAKE_CAMERA)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Live camera").click()
    # The drawn camera is green: to the tiny bundle a circle or a square, with a share.
    expect(page.locator(".live-answer")).to_contain_text("%", timeout=30_000)
    with page.expect_response("**/predict/tiny"):
        pass
    assert sum("/predict/tiny" in url for url in asked) >= 2
    page.get_by_role("button", name="Keep this picture").click()
    expect(page.locator(".answer figcaption")).to_contain_text("camera-", timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("button", name="Close the camera").click()
    expect(page.locator("#live")).to_be_hidden()
    assert page.evaluate("document.querySelector('#live video').srcObject") is None
    expect(page.get_by_role("button", name="Live camera")).to_be_focused()
    assert problems == []


def test_without_a_camera_the_page_says_so(open_page) -> None:
    page = open_page()
    page.get_by_role("button", name="Live camera").click()
    expect(page.locator(".live-note")).to_contain_text("camera.", timeout=30_000)
    expect(page.get_by_role("button", name="Keep this picture")).to_be_disabled()
