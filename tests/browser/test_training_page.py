"""The live page of a real training process, in a real Chromium."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from chromium import expect
from drawing import DrawFolder

from foveal.server.options import ServerOptions
from foveal.server.run import start_app
from foveal.server.training_page import create_watch_app
from foveal.workflow.rundir import RunDirectory

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# As long as a busy machine may take to start torch, or to export and measure a network.
_PATIENT_MS = 300_000


def test_a_training_is_watched_and_stopped_from_the_page(
    browser, draw_folder: DrawFolder, tmp_path: Path
) -> None:
    data = draw_folder(tmp_path / "shapes", n=40, size=32)
    epochs = ["--epochs", "5000", "--patience", "5000", "--backbone", "fovea"]
    command = [sys.executable, "-m", "foveal", "train", str(data), *epochs, "--image-size", "32"]
    run = RunDirectory(tmp_path / "runs" / "classify" / "shapes")
    with (
        subprocess.Popen(
            [*command, "--device", "cpu", "--quiet"], cwd=tmp_path, stdout=subprocess.DEVNULL
        ) as training,
        contextlib.ExitStack() as cleanup,
    ):
        # Or a failure here would wait for all the epochs.
        cleanup.callback(training.kill)
        while not run.state.is_file():
            assert training.poll() is None
            time.sleep(0.05)
        options = ServerOptions(port=0)
        with start_app(create_watch_app(run, options), options) as handle:
            page = browser.new_page()
            page.set_default_timeout(_PATIENT_MS)
            complaints: list[str] = []
            page.on("console", lambda message: complaints.append(message.text))
            page.goto(handle.url)
            expect(page.locator("#curves svg")).to_have_count(2, timeout=_PATIENT_MS)
            expect(page.locator("#pictures figure")).to_have_count(12)
            expect(page.locator("#pictures figcaption p").first).to_be_visible()
            # Empty for a moment between two pieces of work.
            title = page.locator("#work-title")
            expect(title).to_have_text("train (full)", timeout=_PATIENT_MS)
            page.get_by_role("button", name="Stop after this epoch").click()
            page.get_by_text("The training was stopped").wait_for()
            assert training.wait() == 0
            assert "Accuracy" in page.locator("#metrics").inner_text()
            assert f"foveal train --resume {run.path}" in page.locator("#next").inner_text()
            with page.expect_popup() as popup:
                page.get_by_role("link", name="Open the report").click()
            assert "shapes" in popup.value.locator("h1").inner_text()
            page.close()
    assert complaints == []
    assert (run.bundle / "bundle.json").is_file()


def test_an_epoch_that_is_chosen_stays_and_the_page_fits_a_phone(
    browser, tiny_masks, tmp_path: Path
) -> None:
    run = RunDirectory(tiny_masks.path.parent)
    options = ServerOptions(port=0)
    with start_app(create_watch_app(run, options), options) as handle:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.goto(handle.url)
        answer = page.locator("#pictures figure").first.locator(".panels img").last
        expect(page.locator("#epoch-name")).to_have_text("6")
        last = answer.get_attribute("src")
        page.locator("#epoch").fill("0")
        expect(page.locator("#epoch-name")).to_have_text("1")
        assert answer.get_attribute("src") != last
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.close()


def test_a_confidence_is_never_certain_by_rounding_alone(browser, tiny_masks) -> None:
    def surer(route: Any) -> None:
        response = route.fetch()
        given = response.json()
        given["answers"][0]["confidence"] = 0.9996
        route.fulfill(response=response, json=given)

    run = RunDirectory(tiny_masks.path.parent)
    options = ServerOptions(port=0)
    with start_app(create_watch_app(run, options), options) as handle:
        page = browser.new_page()
        page.route("**/epochs/*", surer)
        page.goto(handle.url)
        said = page.locator("#pictures figcaption").first
        expect(said).to_contain_text("> 99.9 %")
        # "%" does not begin a line.
        assert said.locator("span").evaluate("(s) => getComputedStyle(s).whiteSpace") == "nowrap"
        page.close()
