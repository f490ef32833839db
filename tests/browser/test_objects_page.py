"""The web page of a model that tells objects apart, in a real Chromium."""

from __future__ import annotations

from chromium import expect
from tinted import tint_manifest, tint_model, tints_png

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import start_in_thread

ROWS = (
    *["0" * 24] * 4,
    *["000" + "1" * 16 + "0" * 5] * 3,
    *["000" + "11133111" * 2 + "0" * 5] * 2,
    *["000" + "1" * 16 + "0" * 5] * 3,
    *["0" * 24] * 8,
)


def test_objects_that_touch_are_shown_in_two_colours(browser, tmp_path) -> None:
    model = {"model.onnx": tint_model(with_cores=True)}
    bundle = Bundle.write(tmp_path / "tints", tint_manifest(with_cores=True), model)
    problems: list[str] = []
    with start_in_thread({"tints": Predictor(bundle, threads=1)}, port=0) as handle:
        page = browser.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(handle.url)
        picture = {"name": "a.png", "mimeType": "image/png", "buffer": tints_png(*ROWS)}
        page.set_input_files("#choose", [picture])
        expect(page.locator(".headline").first).to_contain_text("2 objects: blue")
        stage = page.locator(".view-stage").first
        stage.wait_for()
        page.get_by_label("Opacity of the mask").fill("100")
        page.wait_for_timeout(300)
        shown = page.locator(".view-stage canvas").evaluate(
            """(canvas) => {
              const { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              const found = {};
              for (let i = 0; i < data.length; i += 4) {
                const key = `${data[i]},${data[i + 1]},${data[i + 2]}`;
                found[key] = (found[key] ?? 0) + 1;
              }
              return found;
            }"""
        )
        page.close()
    # The first two colours of objects, about as large as each other.
    first, second = shown["0,158,115"], shown["240,228,66"]
    assert 0.8 < first / second < 1.25
    assert problems == []
