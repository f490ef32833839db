"""The page of live figures of a server with keys, in a real Chromium, by keyboard."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from chromium import expect
from drawing import brightness_model, tiny_manifest
from PIL import Image as PILImage

from foveal.access import KeyFile
from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import start_in_thread
from foveal.tasks.distribution import Distribution

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_figures_ask_for_a_key_and_show_an_alarm(browser, tmp_path: Path) -> None:
    reference = Distribution({"circle": 100, "square": 100}, (0,) * 9 + (200,))
    manifest = replace(tiny_manifest(), answers=reference)
    bundle = Bundle.write(tmp_path / "tiny", manifest, {"model.onnx": brightness_model()})
    keys = KeyFile(tmp_path / "keys.json")
    text, _ = keys.create("ops", scopes=("predict", "metrics"))
    buffer = io.BytesIO()
    PILImage.fromarray(np.full((30, 40, 3), 40, np.uint8)).save(buffer, "PNG")
    with start_in_thread({"tiny": Predictor(bundle)}, port=0, keys=keys.path) as handle:
        headers = {"authorization": f"Bearer {text}"}
        with httpx.Client(base_url=handle.url, headers=headers, timeout=None) as client:
            for _ in range(60):
                assert client.post("/predict/tiny", content=buffer.getvalue()).status_code == 200
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{handle.url}/live")
        # The field has the focus: whoever uses a keyboard types and presses Enter.
        dialog = page.get_by_role("dialog", name="API key")
        expect(dialog.get_by_label("Key", exact=True)).to_be_focused()
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        expect(page.locator("#alarms li")).to_have_text(
            [
                "tiny, version 1: the distribution of answers has shifted from validation "
                "(2.36, over 0.24, 60 answers)."
            ]
        )
        for said in (
            "Answers differ from validation by 2.36",
            "Confidence differs from validation",
        ):
            expect(page.locator(".version")).to_contain_text(said)
        tiles = page.locator("#tiles > div")
        expect(tiles.first).to_have_text("Pictures answered60")
        expect(page.locator("#statuses dt").first).to_have_text("200, answered")
        # Its key is gone with the tab; a wrong one is asked for again.
        assert page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"
        assert problems == []
        other = browser.new_page()
        other.goto(f"{handle.url}/live")
        # Keys pressed before the dialog is there would be lost.
        expect(other.get_by_label("Key", exact=True)).to_be_focused()
        other.keyboard.type("fv_wrong")
        other.keyboard.press("Enter")
        expect(other.locator(".key-why")).to_contain_text("unknown")
        other.keyboard.press("Escape")
        expect(other.locator("#error")).to_contain_text("unknown")


def test_without_answers_no_difference_is_claimed(browser, tmp_path: Path) -> None:
    reference = Distribution({"1 characters": 4, "12 characters": 16}, (0,) * 9 + (20,))
    manifest = replace(tiny_manifest(), answers=reference)
    bundle = Bundle.write(tmp_path / "tiny", manifest, {"model.onnx": brightness_model()})
    with start_in_thread({"tiny": Predictor(bundle)}, port=0) as handle:
        page = browser.new_page()
        page.goto(f"{handle.url}/live")
        version = page.locator(".version")
        expect(version).to_contain_text("Answers: none in the last hour")
        expect(version).not_to_contain_text("differ")
        expect(version.locator(".name").first).to_have_text("12 characters")
        expect(version.locator(".name").nth(1)).to_have_text("1 character")
