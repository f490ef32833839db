"""The web page of models that answer with masks, in a real Chromium."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import expect
from discs import discs_png, draw_discs
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.render.masks import mask_json, mask_png
from foveal.server import ServerHandle, start_in_thread
from foveal.tasks.segment.prediction import Segmentation

pytestmark = pytest.mark.browser

SIZE = (96, 160)
SHOWN = (("blue", 40, 40, 20), ("red", 60, 115, 25))
PIXELS = draw_discs(SHOWN, SIZE)[0]
# Row and column of the centres of both discs, and of a place on the ground.
IN_BLUE, IN_RED, ON_GROUND = (40, 40), (60, 115), (8, 150)
# The palette's first two.
BLUE_COLOR, RED_COLOR = [0, 158, 115], [240, 228, 66]


def as_file(name: str, data: bytes, kind: str = "image/png"):
    """Return a file as Playwright hands it to an input."""
    return {"name": name, "mimeType": kind, "buffer": data}


ANY_NUMBER = re.compile(r"[0-9.]+")
PICTURE = as_file("cells.png", discs_png(SHOWN, SIZE))


@pytest.fixture(scope="module")
def mask_server(tiny_masks: Bundle, tiny_bundle: Bundle) -> Iterator[ServerHandle]:
    """Return a server of a model that marks discs, and a classifier."""
    models = {b.name: Predictor(b, threads=1) for b in (tiny_masks, tiny_bundle)}
    with start_in_thread(models, port=0) as handle:
        yield handle


@pytest.fixture(params=["light"])
def page(browser, mask_server: ServerHandle, request: pytest.FixtureRequest):
    """Return the page, loaded; the test fails when its scripts do or anything is complained of."""
    context = browser.new_context(color_scheme=request.param, has_touch=True)
    context.set_default_timeout(20_000)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    page.goto(mask_server.url)
    expect(page.locator("#about")).to_contain_text("discs segments blue and red")
    yield page
    context.close()
    assert problems == []


def show(page, picture=PICTURE) -> None:
    """Add a picture and wait until its mask is drawn."""
    page.set_input_files("#choose", [picture])
    expect(page.locator(".view-stage").first).to_have_attribute("data-zoom", ANY_NUMBER)


def zoom(page) -> float:
    """Return pixels of the page for each of the picture, once all is drawn."""
    _settle(page)
    return float(page.locator(".view-stage").get_attribute("data-zoom"))


def _settle(page) -> None:
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def until(page, condition: str, arg=None) -> None:
    """Wait for a condition; Playwright's own waiting is stopped by the page's security policy."""
    for _ in range(400):
        if page.evaluate(condition, arg):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"this never came true: {condition}")


def place(page, row: int, column: int, size: tuple[int, int] = SIZE) -> tuple[float, float]:
    """Return where the middle of a pixel of the fitted picture lies on the stage."""
    scale = zoom(page)
    width, height = page.locator(".view-stage").evaluate("e => [e.clientWidth, e.clientHeight]")
    left, top = (width - size[1] * scale) / 2, (height - size[0] * scale) / 2
    return left + (column + 0.5) * scale, top + (row + 0.5) * scale


def drawn(page, at: tuple[int, int]) -> list[int]:
    """Return the colour of the canvas at (row, column) of the fitted picture."""
    return page.locator(".view-stage canvas").evaluate(
        """(canvas, [x, y]) => [...canvas.getContext("2d")
            .getImageData(Math.floor(x), Math.floor(y), 1, 1).data].slice(0, 3)""",
        list(place(page, *at)),
    )


def set_opacity(page, percent: int) -> None:
    """Move the slider."""
    page.get_by_label("Opacity of the mask").fill(str(percent))


def hover(page, row: int, column: int) -> tuple[float, float]:
    """Put the pointer on a pixel of the fitted picture; return where that lies on the page."""
    page.locator(".view-stage").scroll_into_view_if_needed()
    x, y = place(page, row, column)
    box = page.locator(".view-stage").bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y)
    return box["x"] + x, box["y"] + y


def nudge(page, x: float, y: float) -> None:
    """Move the pointer on the spot, so that the page says what lies under it now."""
    page.mouse.move(x + 0.5, y)
    page.mouse.move(x, y)


def test_the_mask_lies_over_the_picture_in_the_colours_of_its_classes(page) -> None:
    show(page)
    set_opacity(page, 100)
    assert drawn(page, IN_BLUE) == BLUE_COLOR
    assert drawn(page, IN_RED) == RED_COLOR
    # The background lets the picture through.
    assert drawn(page, ON_GROUND) == PIXELS[ON_GROUND].tolist()


def test_the_opacity_is_mixed_in_the_browser_alone(page) -> None:
    show(page)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    set_opacity(page, 0)
    assert drawn(page, IN_RED) == PIXELS[IN_RED].tolist()

    set_opacity(page, 50)
    expect(page.locator(".opacity-share")).to_have_text("50 %")
    mixed = (PIXELS[IN_RED].astype(float) + RED_COLOR) / 2
    assert drawn(page, IN_RED) == pytest.approx(mixed.tolist(), abs=2)

    page.get_by_label("Zoom in").click()
    zoom(page)
    assert requests == []


def test_classes_are_hidden_and_shown(page) -> None:
    show(page)
    set_opacity(page, 100)
    page.get_by_label("red", exact=True).uncheck()
    assert drawn(page, IN_RED) == PIXELS[IN_RED].tolist()
    assert drawn(page, IN_BLUE) == BLUE_COLOR

    page.get_by_label("red", exact=True).check()
    page.get_by_label("background", exact=True).check()
    assert drawn(page, IN_RED) == RED_COLOR
    assert drawn(page, ON_GROUND) == [0, 0, 0]


def test_outlines_alone_leave_the_inside_as_it_is(page) -> None:
    show(page)
    set_opacity(page, 100)
    page.get_by_label("Outlines only").check()
    assert drawn(page, IN_RED) == PIXELS[IN_RED].tolist()
    is_drawn = page.locator(".view-stage canvas").evaluate(
        """(canvas, color) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width,
                canvas.height);
            for (let i = 0; i < data.length; i += 4) {
                if (color.every((value, j) => data[i + j] === value)) return true;
            }
            return false;
        }""",
        RED_COLOR,
    )
    assert is_drawn


def test_shares_and_confidence_are_said(page) -> None:
    with page.expect_response("**/predict/**") as response:
        show(page)
    answer = response.value.json()
    shares = {entry["name"]: 100 * entry["share"] for entry in answer["classes"]}

    rows = page.locator(".legend li")
    # What was looked for comes first.
    assert rows.locator(".class-name").all_text_contents() == ["blue", "red", "background"]
    said = [float(text.rstrip(" %")) for text in rows.locator(".bar-share").all_text_contents()]
    assert said == pytest.approx([shares["blue"], shares["red"], shares["background"]], abs=0.5)
    assert rows.locator("input").evaluate_all("all => all.map(e => e.checked)") == [
        True,
        True,
        False,
    ]
    expect(page.locator(".headline")).to_contain_text("red")
    expect(page.locator(".certainty")).to_contain_text("% mean confidence over its pixels")
    expect(page.locator("#announce")).to_contain_text("red")
    expect(page.locator(".view-stage canvas")).to_have_attribute(
        "aria-label", "cells.png under its mask: " + ", ".join(spoken(page, answer))
    )
    expect(page.locator(".bars")).to_be_hidden()
    expect(page.locator(".evidence")).to_be_hidden()


def spoken(page, answer) -> list[str]:
    """Return the shares as the legend has them, in the order of the answer."""
    return [f"{entry['name']} {row_share(page, entry['name'])}" for entry in answer["classes"]]


def row_share(page, name: str) -> str:
    """Return what the legend says of a class."""
    return page.locator(".legend li", has_text=name).locator(".bar-share").text_content()


def test_nothing_found_is_said(page) -> None:
    show(page, as_file("empty.png", discs_png([], SIZE)))
    expect(page.locator(".headline")).to_have_text("Nothing found")
    expect(page.locator("#announce")).to_contain_text("nothing found")


def test_buttons_zoom_and_fit(page) -> None:
    show(page)
    fitted = zoom(page)
    expect(page.get_by_label("Zoom out")).to_be_disabled()
    page.get_by_label("Zoom in").click()
    assert zoom(page) == pytest.approx(1.5 * fitted, rel=0.01)
    expect(page.locator(".zoom-share")).to_have_text(f"{round(150 * fitted)} %")

    page.get_by_label("Zoom out").click()
    assert zoom(page) == pytest.approx(fitted, rel=0.01)
    for _ in range(12):
        if page.get_by_label("Zoom in").is_enabled():
            page.get_by_label("Zoom in").click()
    assert zoom(page) == 32
    expect(page.get_by_label("Zoom in")).to_be_disabled()
    page.get_by_role("button", name="Fit").click()
    assert zoom(page) == pytest.approx(fitted, rel=0.01)


def test_the_wheel_and_a_double_click_zoom_where_the_pointer_is(page) -> None:
    show(page)
    fitted = zoom(page)
    pointer = hover(page, *IN_BLUE)
    expect(page.locator(".readout")).to_have_text("blue · 40, 40")
    page.mouse.wheel(0, -400)
    until(page, f"Number(document.querySelector('.view-stage').dataset.zoom) > {1.5 * fitted}")
    nudge(page, *pointer)
    expect(page.locator(".readout")).to_have_text("blue · 40, 40")

    page.get_by_role("button", name="Fit").click()
    pointer = hover(page, *IN_RED)
    page.mouse.dblclick(*pointer)
    assert zoom(page) == pytest.approx(2 * fitted, rel=0.01)
    nudge(page, *pointer)
    expect(page.locator(".readout")).to_have_text("red · 115, 60")


def test_the_page_scrolls_on_where_all_is_seen(page) -> None:
    page.set_viewport_size({"width": 1000, "height": 500})
    show(page)
    page.locator(".view-stage").scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    page.locator(".view-stage").hover(position={"x": 20, "y": 20})
    page.mouse.wheel(0, 120)
    until(page, "before => scrollY > before", before)
    assert page.locator(".view-stage").evaluate("e => getComputedStyle(e).touchAction") == "pan-y"


def test_a_zoomed_picture_is_dragged(page) -> None:
    show(page)
    start = hover(page, *IN_RED)
    page.mouse.dblclick(*start)
    zoom(page)
    page.mouse.down()
    page.mouse.move(start[0] - 60, start[1] - 40, steps=3)
    # What was under the pointer came along.
    expect(page.locator(".readout")).to_have_text("red · 115, 60")
    expect(page.locator(".view-stage")).to_have_class("view-stage is-zoomed is-held")
    page.mouse.up()
    expect(page.locator(".view-stage")).to_have_class("view-stage is-zoomed")
    page.mouse.move(*start)
    expect(page.locator(".readout")).not_to_have_text("red · 115, 60")


def test_two_fingers_zoom(page) -> None:
    show(page)
    fitted = zoom(page)
    # Touches outside of the window are lost.
    page.locator(".view-stage").scroll_into_view_if_needed()
    box = page.locator(".view-stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        sent = [] if kind == "touchEnd" else points
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": sent})

    fingers("touchStart", 40)
    for apart in (60, 80, 100, 120):
        fingers("touchMove", apart)
    fingers("touchEnd", 0)
    # The browser hands touches on when it can, which may be after it has drawn twice.
    page.wait_for_function(
        "least => Number(document.querySelector('.view-stage').dataset.zoom) > least",
        arg=2 * fitted,
    )
    assert zoom(page) == pytest.approx(3 * fitted, rel=0.1)


def test_all_can_be_done_with_the_keyboard(page) -> None:
    show(page)
    fitted = zoom(page)
    pointer = hover(page, *IN_BLUE)
    page.locator(".view-stage").focus()
    page.keyboard.press("+")
    assert zoom(page) == pytest.approx(1.5 * fitted, rel=0.01)
    nudge(page, *pointer)
    before = page.locator(".readout").text_content()
    page.keyboard.press("ArrowRight")
    zoom(page)
    nudge(page, *pointer)
    expect(page.locator(".readout")).not_to_have_text(before)
    page.keyboard.press("0")
    assert zoom(page) == pytest.approx(fitted, rel=0.01)

    # At first all is seen: only "+" of the buttons can be pressed.
    page.keyboard.press("Tab")
    expect(page.get_by_label("Zoom in")).to_be_focused()
    page.keyboard.press("Tab")
    slider = page.get_by_label("Opacity of the mask")
    expect(slider).to_be_focused()
    page.keyboard.press("End")
    assert drawn(page, IN_BLUE) == BLUE_COLOR
    page.keyboard.press("Home")
    assert drawn(page, IN_BLUE) == PIXELS[IN_BLUE].tolist()
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Outlines only")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("blue", exact=True)).to_be_focused()
    page.keyboard.press("Space")
    assert drawn(page, IN_BLUE) == PIXELS[IN_BLUE].tolist()


def test_mask_and_overlay_are_saved(page) -> None:
    with page.expect_response("**/predict/**") as response:
        show(page)
    sent = base64.b64decode(response.value.json()["mask"]["png_b64"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Save mask").click()
    assert download.value.suggested_filename == "cells_mask.png"
    assert Path(download.value.path()).read_bytes() == sent

    set_opacity(page, 100)
    page.get_by_label("blue", exact=True).uncheck()
    page.get_by_label("Zoom in").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save overlay").click()
    assert download.value.suggested_filename == "cells_overlay.png"
    with PILImage.open(download.value.path()) as image:
        overlay = np.asarray(image.convert("RGB"))
    # All of the picture, at its own size, with what is shown.
    assert overlay.shape[:2] == SIZE
    assert overlay[IN_RED].tolist() == RED_COLOR
    assert overlay[IN_BLUE].tolist() == PIXELS[IN_BLUE].tolist()


def test_what_the_browser_cannot_show_still_has_its_mask(page) -> None:
    buffer = io.BytesIO()
    PILImage.fromarray(PIXELS).save(buffer, "TIFF")
    show(page, as_file("cells.tif", buffer.getvalue(), "image/tiff"))
    expect(page.locator(".note")).to_contain_text("only its mask")
    assert drawn(page, IN_RED) == RED_COLOR


def test_a_large_picture_is_shown_whole_and_sharp(page) -> None:
    size = (1500, 3000)
    row, column = np.indices(size)
    # Squares of one pixel: a copy of the picture would have grey ones.
    pixels = np.where((row + column) % 2, 255, 0).astype(np.uint8)
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).convert("RGB").save(buffer, "PNG")
    answer = answer_of(np.zeros(size, np.uint8), ("background", "cell"))
    page.route("**/predict/**", lambda route: route.fulfill(json=answer))
    show(page, as_file("slide.png", buffer.getvalue()))
    assert zoom(page) < 1

    while page.get_by_label("Zoom in").is_enabled():
        page.get_by_label("Zoom in").click()
    until(
        page,
        """() => {
            const canvas = document.querySelector(".view-stage canvas");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 1);
            return data.every(value => value === 0 || value === 255);
        }""",
    )


def answer_of(mask: np.ndarray, labels: tuple[str, ...]) -> dict:
    """Return what a server would say of a mask."""
    size = (mask.shape[0], mask.shape[1])
    pixels = tuple(np.bincount(mask.ravel(), minlength=len(labels)).tolist())
    prediction = Segmentation(0.9, False, pixels, size, None, labels, mask=mask)
    meta = {"source": "upload", "model": "discs", "version": "1", "ms": 12.0}
    return {**prediction.to_json(), "mask": mask_json(mask, labels, "png"), **meta}


def test_of_many_classes_those_that_occur_are_listed(page) -> None:
    labels = ("background", *(f"class_{i}" for i in range(1, 20)))
    mask = np.zeros(SIZE, np.uint8)
    mask[:, :50], mask[:, 50:70] = 17, 3
    body = json.dumps(answer_of(mask, labels))
    page.route(
        "**/predict/**", lambda route: route.fulfill(content_type="application/json", body=body)
    )
    show(page)
    expect(page.locator(".legend li:visible")).to_have_count(3)
    expect(page.locator(".headline")).to_have_text("class_17 31 %, class_3 13 %")
    page.get_by_role("button", name="Show all 20 classes").click()
    expect(page.locator(".legend li:visible")).to_have_count(20)
    page.get_by_role("button", name="Show fewer classes").click()
    expect(page.locator(".legend li:visible")).to_have_count(3)


def read_in_page(page, png: bytes) -> list[int]:
    """Return the values that the page finds in a PNG."""
    return page.evaluate(
        """async (bytes) => {
            const { readMask } = await import("/static/png.js");
            return [...(await readMask(new Uint8Array(bytes))).values];
        }""",
        list(png),
    )


# 1, 2, 4 and 8 bits for each pixel, on rows that end within a byte.
@pytest.mark.parametrize("classes", [2, 3, 5, 17, 200])
def test_masks_of_any_number_of_classes_are_read_exactly(page, classes: int) -> None:
    mask = np.random.default_rng(classes).integers(0, classes, (7, 13)).astype(np.uint8)
    labels = tuple(f"class_{i}" for i in range(classes))
    png = mask_png(mask, labels)
    assert read_in_page(page, png) == mask.ravel().tolist()


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4])
def test_rows_of_every_filter_are_read(page, kind: int) -> None:
    values = np.random.default_rng(1).integers(0, 256, (5, 9)).astype(np.uint8)
    assert read_in_page(page, filtered_png(values, kind)) == values.ravel().tolist()


def filtered_png(values: np.ndarray, kind: int) -> bytes:
    """Return a palette PNG whose rows are stored by one filter of the PNG specification, 9.2."""
    padded = np.pad(values.astype(int), ((1, 0), (1, 0)))
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    # Nearest of the three to left + above - corner; the earlier one of equals.
    guess = left + above - corner
    nearest = np.abs(np.stack([left, above, corner]) - guess).argmin(axis=0)
    paeth = np.choose(nearest, [left, above, corner])
    predicted = [np.zeros_like(left), left, above, (left + above) // 2, paeth][kind]
    stored = (values.astype(int) - predicted).astype(np.uint8)
    rows = b"".join(bytes([kind]) + row.tobytes() for row in stored)

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8, 3, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"PLTE", bytes(768)),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def test_there_is_nothing_to_check_a_mask_against(page) -> None:
    page.get_by_label("Model").select_option("tiny")
    page.locator('input[value="check"]').check(force=True)
    expect(page.locator("#check")).to_be_visible()
    page.get_by_label("Model").select_option("discs")
    expect(page.locator("#modes")).to_be_hidden()
    expect(page.locator("#check")).to_be_hidden()
    expect(page.locator("h1")).to_have_text("What is in this picture, and where?")
    show(page)
    expect(page.locator(".headline")).to_contain_text("red")
    page.click("#clear")
    expect(page.locator(".answer")).to_have_count(0)


@pytest.mark.parametrize("width", [320, 360, 768, 1400])
def test_nothing_is_wider_than_the_window(page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    show(page)
    page.get_by_label("Zoom in").click()
    page.locator(".view-stage").hover(position={"x": 20, "y": 20})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    stage = page.locator(".view-stage").bounding_box()
    assert stage["width"] > 0.55 * min(width, 1248)


def test_the_picture_stays_fitted_when_the_window_changes(page) -> None:
    show(page)
    before = zoom(page)
    page.set_viewport_size({"width": 500, "height": 800})
    until(
        page,
        "before => Number(document.querySelector('.view-stage').dataset.zoom) < before",
        before,
    )
    set_opacity(page, 100)
    assert drawn(page, IN_BLUE) == BLUE_COLOR


def test_every_control_has_a_name(page) -> None:
    show(page)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll(
                "input, select, button, output, a, img:not([alt]), [tabindex], canvas")]
            .filter(e => e.checkVisibility())
            .filter(e => e.tagName === "IMG" || !(e.labels?.length || e.textContent.trim()
                || e.getAttribute("aria-label")))
            .map(e => e.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_text_stands_out_from_its_ground(page) -> None:
    show(page)
    page.get_by_label("Zoom in").click()
    ratios = page.evaluate(
        """() => {
            const light = (text) => {
                const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
                    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const card = light(getComputedStyle(document.querySelector(".card.answer"))
                .backgroundColor);
            const shown = ".headline, .headline .share, .certainty, .class-name, .bar-share, "
                + ".opacity, .opacity-share, .downloads .button, figcaption";
            return [...document.querySelectorAll(shown)].filter(e => e.offsetParent).map(e => {
                const pair = [light(getComputedStyle(e).color), card];
                return [e.className, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)];
            });
        }"""
    )
    assert len(ratios) > 10
    # 4.5: WCAG 2.2 AA for text of normal size.
    assert [pair for pair in ratios if pair[1] < 4.5] == []
