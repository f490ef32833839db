"""The page of models and versions in a real Chromium, by keyboard."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from chromium import expect
from stored import answers, write_bundle

import foveal
from foveal.access import KeyFile
from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import start_in_thread
from foveal.server.models.follow import Followed
from foveal.server.models.loader import Offer
from foveal.store.reference import Reference
from foveal.store.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_an_administrator_downloads_an_export(browser, tiny_bundle: Bundle, tmp_path: Path) -> None:
    run = tmp_path / "tiny"
    shutil.copytree(tiny_bundle.path, run / "bundle")
    (run / "recipe.yaml").touch()
    (run / "split.csv").touch()
    foveal.load(run).export("onnx", tmp_path / "tiny.onnx")
    keys = KeyFile(tmp_path / "keys.json")
    ops, _ = keys.create("ops", scopes=("predict", "admin"))
    served = {"tiny": Predictor(Bundle.open(run / "bundle"))}
    with start_in_thread(served, port=0, keys=keys.path) as handle:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto(f"{handle.url}/versions")
        page.get_by_label("Key", exact=True).fill(ops)
        page.keyboard.press("Enter")
        item = page.get_by_role("list", name="Exports").get_by_role("listitem")
        expect(item).to_contain_text("onnx, fp32")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Download onnx, fp32").click()
        assert downloading.value.suggested_filename == "tiny.onnx"
        assert Path(downloading.value.path()).read_bytes() == (tmp_path / "tiny.onnx").read_bytes()
        expect(page.locator("#said")).to_have_text("tiny.onnx was downloaded")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("classify", "99.9 % of 4 validation pictures answered identically in LiteRT 2.3"),
        (
            "segment",
            "99.9 % of the pixels of 4 validation pictures answered identically in LiteRT 2.3",
        ),
    ],
)
def test_a_proof_says_of_what_its_share_is(
    browser, tiny_bundle: Bundle, task: str, said: str
) -> None:
    proof = {"label_agreement": 0.9996, "samples": 4, "runtime": "LiteRT 2.3"}
    export = {"to": "litert", "precision": "fp32", "bytes": 1, "proof": proof, "download": "/"}
    export["options"] = ["with_app"]

    def exported(route) -> None:
        answer = route.fetch().json()
        answer["task"] = task
        answer["versions"][0]["exports"] = [export]
        route.fulfill(json=answer)

    with start_in_thread({"tiny": Predictor(tiny_bundle)}, port=0) as handle:
        page = browser.new_page()
        page.route("**/models/tiny", exported)
        page.goto(f"{handle.url}/versions")
        item = page.get_by_role("list", name="Exports").get_by_role("listitem")
        expect(item).to_have_text(f"litert, fp32, with app (0.0 MB): {said}")


def test_an_administrator_promotes_and_rolls_back_by_keyboard(browser, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "models")
    store.push(write_bundle(tmp_path / "one"), "shapes", answers=answers("1100"))
    store.promote("shapes:1", who="anna")
    store.push(write_bundle(tmp_path / "two"), "shapes", answers=answers("1110"), note="at night")
    keys = KeyFile(tmp_path / "keys.json")
    reader, _ = keys.create("reader")
    ops, _ = keys.create("ops", scopes=("predict", "admin"))
    offer = Offer(followed=(Followed(store, "shapes", (Reference("shapes"),)),))
    with start_in_thread(offer, port=0, keys=keys.path, poll_s=0.05) as handle:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{handle.url}/versions")
        field = page.get_by_label("Key", exact=True)
        expect(field).to_be_focused()
        page.keyboard.type(reader)
        page.keyboard.press("Enter")
        newest = page.locator("article").first
        expect(newest.locator("h3")).to_have_text("Version 2")
        expect(newest.locator(".note")).to_have_text("at night")
        expect(newest.locator(".difference")).to_contain_text(
            "Compared with version 1: accuracy +25.00"
        )
        assert page.evaluate("document.documentElement.scrollWidth") == 390

        newest.get_by_role("button", name="Promote version 2").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog", name="Promote shapes, version 2")).to_be_visible()
        page.keyboard.press("Escape")
        expect(newest.get_by_role("button")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        # The reader's key is not enough: another one is asked for.
        expect(page.locator(".key-why")).to_contain_text("scope admin")
        expect(field).to_be_focused()
        page.keyboard.type(ops)
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text("live is now version 2")
        assert store.state("shapes").aliases == {"live": 2}

        page.get_by_role("button", name="Roll back").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text("live is now version 1")
        expect(page.locator("summary")).to_contain_text("3 changes")
        assert problems == []
