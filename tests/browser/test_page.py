"""The web page in a real Chromium."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from chromium import expect
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread
from foveal.words import percent

pytestmark = pytest.mark.browser


def encoded(brightness: int, kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a picture of one grey; the tiny bundle calls dark a circle, bright a square."""
    rng = np.random.default_rng(brightness)
    pixels = np.clip(brightness + rng.integers(-5, 5, (size[1], size[0], 3)), 0, 255)
    buffer = io.BytesIO()
    PILImage.fromarray(pixels.astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def as_file(name: str, data: bytes, kind: str = "image/png"):
    """Return a file as Playwright hands it to an input."""
    return {"name": name, "mimeType": kind, "buffer": data}


DARK = as_file("dark.png", encoded(40))
BRIGHT = as_file("bright.png", encoded(220))
GREY = as_file("grey.png", encoded(128))


@pytest.fixture(scope="module")
def page_server(tiny_bundle: Bundle) -> Iterator[ServerHandle]:
    """Return a server of two models whose byte limit is small."""
    predictor = Predictor(tiny_bundle, threads=1)
    models = {"tiny": predictor, "other": predictor}
    with start_in_thread(models, port=0, max_body_bytes=60_000) as handle:
        yield handle


@pytest.fixture
def page(browser, page_server: ServerHandle):
    """Return the page, loaded; the test fails when the page's scripts do."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: (
            problems.append(message.text) if "Content Security Policy" in message.text else None
        ),
    )
    page.goto(page_server.url)
    expect(page.locator("#about")).to_contain_text("distinguishes")
    yield page
    context.close()
    assert problems == []


def test_a_chosen_picture_is_previewed_and_answered_with_bars(page) -> None:
    page.set_input_files("#choose", [DARK])

    expect(page.locator(".headline")).to_contain_text("circle")
    expect(page.locator(".preview")).to_be_visible()
    expect(page.locator(".bars li")).to_have_count(2)
    expect(page.locator(".bars li").first).to_contain_text("circle")
    expect(page.locator(".unsure-note")).to_be_hidden()
    expect(page.locator("#announce")).to_contain_text("dark.png: circle")
    widths = page.locator(".bar-track span").evaluate_all("all => all.map(e => e.style.width)")
    assert [float(width.rstrip("%")) > 50 for width in widths] == [True, False]


def test_a_picture_given_before_the_models_are_known_is_answered(page) -> None:
    held = []
    page.route("**/models", lambda route: held.append(route))
    page.reload()
    page.set_input_files("#choose", [DARK])
    expect(page.locator("#about")).not_to_contain_text("distinguishes")
    assert page.locator(".answer").count() == 0

    held[0].continue_()
    expect(page.locator(".headline")).to_contain_text("circle")
    expect(page.locator("#page-error")).to_be_hidden()


def test_a_picture_given_to_a_server_that_does_not_answer_leaves_its_error(page) -> None:
    page.route("**/models", lambda route: route.abort())
    page.reload()
    page.set_input_files("#choose", [DARK])
    expect(page.locator("#page-error")).to_contain_text("The server cannot be reached.")
    assert page.locator(".answer").count() == 0


def test_unsure_is_said_plainly(page) -> None:
    page.set_input_files("#choose", [GREY])
    expect(page.locator(".unsure-note")).to_contain_text("Unsure")
    expect(page.locator("#announce")).to_contain_text("unsure, best guess")


def test_a_model_that_is_not_usable_yet_says_why(page) -> None:
    why = "Not usable yet: every answer is marked unsure. It guesses."

    def unusable(route) -> None:
        described = route.fetch().json()
        for model in described["models"]:
            model |= {"usable": False, "promise": why, "unsure_below": 2.0}
        route.fulfill(json=described)

    page.route("**/models", unusable)
    page.reload()
    expect(page.locator("#about")).to_contain_text(why)
    page.set_input_files("#choose", [GREY])
    expect(page.locator(".unsure-note")).to_contain_text(why)

    def foreign(route) -> None:
        answer = route.fetch().json()
        route.fulfill(json=answer | {"unsure": True, "reasons": ["confidence", "unfamiliar"]})

    page.route("**/predict/**", foreign)
    page.click("#clear")
    page.set_input_files("#choose", [GREY])
    expect(page.locator(".unsure-note")).to_contain_text(f"{why} Also, this picture is unlike")


def test_a_figure_has_the_digits_of_the_terminal(page) -> None:
    shares = [*(i / 800 for i in range(801)), 0.9996, 0.99999, 0.0625, 1 / 3]
    said = page.evaluate(
        "async (all) => { const { figure } = await import('/static/words.js');"
        " return all.map(figure); }",
        shares,
    )
    assert said == [percent(share) for share in shares]


def test_several_pictures_each_get_an_answer_in_order(page) -> None:
    page.set_input_files("#choose", [DARK, BRIGHT, DARK])
    expect(page.locator(".headline:visible")).to_have_count(3)
    texts = page.locator(".headline").all_inner_texts()
    assert [text.split()[0] for text in texts] == ["circle", "square", "circle"]
    page.click("#clear")
    expect(page.locator(".answer")).to_have_count(0)
    expect(page.locator("#choose")).to_be_focused()


def test_the_evidence_lies_over_the_picture_and_its_strength_can_be_set(page) -> None:
    page.set_input_files("#choose", [DARK])
    page.check(".evidence-on")
    overlay = page.locator(".overlay")
    expect(overlay).to_be_visible()
    assert overlay.evaluate("e => [e.naturalWidth, e.naturalHeight]") == [64, 48]
    assert overlay.bounding_box() == page.locator(".preview").bounding_box()

    page.locator(".evidence-strength").fill("30")
    expect(overlay).to_have_css("opacity", "0.3")
    page.uncheck(".evidence-on")
    expect(overlay).to_be_hidden()


def test_a_picture_can_be_pasted(page) -> None:
    page.evaluate(
        """async (bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "pasted.png", {type: "image/png"}));
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data}));
        }""",
        list(BRIGHT["buffer"]),
    )
    expect(page.locator(".headline")).to_contain_text("square")


def test_a_picture_can_be_dropped(page) -> None:
    page.evaluate(
        """async (bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
            const zone = document.querySelector("#drop");
            for (const kind of ["dragenter", "dragover", "drop"]) {
                const event = new DragEvent(kind, {dataTransfer: data, bubbles: true});
                zone.dispatchEvent(event);
            }
        }""",
        list(DARK["buffer"]),
    )
    expect(page.locator(".headline")).to_contain_text("circle")


def test_the_camera_input_asks_for_the_back_camera(page) -> None:
    expect(page.locator("#camera")).to_have_attribute("capture", "environment")
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.locator("label[for=camera]")).to_be_visible()


def test_an_error_is_shown_as_text_and_the_others_are_answered(page) -> None:
    broken = as_file("notes.txt", b"not a picture", "text/plain")
    page.set_input_files("#choose", [broken, DARK])
    expect(page.locator(".answer .error:visible")).to_have_count(1)
    expect(page.locator(".answer .error:visible")).to_contain_text("picture")
    expect(page.locator(".headline:visible")).to_have_count(1)


def test_a_picture_over_the_limit_is_made_smaller_first(page) -> None:
    large = encoded(40, size=(400, 400))
    assert len(large) > 60_000
    page.set_input_files("#choose", [as_file("large.png", large)])
    expect(page.locator(".headline")).to_contain_text("circle")
    expect(page.locator(".note")).to_contain_text("Reduced before sending")


def test_a_lost_server_is_said_and_can_be_tried_again(page) -> None:
    page.route("**/predict/**", lambda route: route.abort())
    page.set_input_files("#choose", [DARK])
    expect(page.locator(".answer .error")).to_contain_text("cannot be reached")
    page.unroute("**/predict/**")
    page.click(".retry")
    expect(page.locator(".headline")).to_contain_text("circle")
    expect(page.locator(".answer .error")).to_be_hidden()


def open_check(page, category: str) -> None:
    """Go to the category check and declare a category."""
    # What is above it has come: it moves no more.
    expect(page.locator("#about")).not_to_be_empty()
    page.locator('input[value="check"]').check(force=True)
    page.select_option("#category", category)


def test_a_fitting_picture_is_a_match(page) -> None:
    open_check(page, "circle")
    page.set_input_files("#choose", [DARK])
    expect(page.locator("#verdict")).to_contain_text("Match: this is circle")
    expect(page.locator("#category")).to_have_value("circle")
    expect(page.locator("#undo")).to_be_hidden()


def test_a_mismatch_warns_and_changes_the_category_and_can_be_undone(page) -> None:
    open_check(page, "circle")
    page.set_input_files("#choose", [BRIGHT])
    expect(page.locator("#verdict")).to_contain_text("This looks like square, not circle.")
    expect(page.locator("#category")).to_have_value("square")
    expect(page.locator(".card-verdict")).to_contain_text("This looks like square, not circle.")

    page.click("#undo")
    expect(page.locator("#category")).to_have_value("circle")
    expect(page.locator("#category")).to_be_focused()
    expect(page.locator("#verdict")).to_contain_text("Kept circle")


def test_an_unsure_answer_does_not_change_the_category(page) -> None:
    open_check(page, "circle")
    page.set_input_files("#choose", [GREY])
    expect(page.locator("#verdict")).to_contain_text("nsure")
    expect(page.locator("#category")).to_have_value("circle")


def test_pictures_that_disagree_leave_the_category(page) -> None:
    open_check(page, "circle")
    page.set_input_files("#choose", [BRIGHT, DARK])
    expect(page.locator("#verdict")).to_contain_text("1 of 2 look like square")
    expect(page.locator("#category")).to_have_value("circle")


def test_a_check_asks_for_the_category_first(page) -> None:
    # What is above it has come: it moves no more.
    expect(page.locator("#about")).not_to_be_empty()
    page.locator('input[value="check"]').check(force=True)
    page.set_input_files("#choose", [DARK])
    expect(page.locator("#verdict")).to_contain_text("Choose the declared category first")
    expect(page.locator("#category")).to_be_focused()
    expect(page.locator(".answer")).to_have_count(0)


def test_a_model_can_be_chosen(page) -> None:
    page.get_by_label("Model").select_option("other")
    with page.expect_request("**/predict/other") as request:
        page.set_input_files("#choose", [DARK])
    assert request.value.method == "POST"
    expect(page.locator("#about")).to_contain_text("other distinguishes")


def test_everything_can_be_done_with_the_keyboard(page) -> None:
    # Chooser dialogs are intercepted from the first listener on, but only some time after it is
    # added: adding one here keeps a real dialog from opening when Enter is pressed below.
    page.on("filechooser", lambda _: None)
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#choose")).to_be_focused()
    assert (
        page.locator("label[for=choose]").evaluate("e => getComputedStyle(e).outlineStyle")
        == "solid"
    )

    page.keyboard.press("Shift+Tab")
    expect(page.locator('input[value="recognise"]')).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#check")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#category")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#category")).to_have_value("circle")
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([BRIGHT])
    expect(page.locator("#undo")).to_be_visible()
    expect(page.locator("#choose")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#category")).to_have_value("circle")


def test_every_control_has_a_name(page) -> None:
    page.set_input_files("#choose", [DARK])
    expect(page.locator(".headline")).to_be_visible()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, a, img:not([alt])")]
            .filter(e => e.checkVisibility())
            .filter(e => e.tagName === "IMG" || !(e.labels?.length || e.textContent.trim()
                || e.getAttribute("aria-label")))
            .map(e => e.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser, page_server: ServerHandle, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(page_server.url)
    open_check(page, "circle")
    page.set_input_files("#choose", [BRIGHT, GREY])
    expect(page.locator(".headline:visible")).to_have_count(2)
    ratios = page.evaluate(
        """() => {
            const light = (text) => {
                const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
                    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = (e) => {
                const color = getComputedStyle(e).backgroundColor;
                return color !== "rgba(0, 0, 0, 0)" || !e.parentElement
                    ? color : ground(e.parentElement);
            };
            const shown = "h1, h2, #about, .muted, .button, .verdict, .headline, .bar-share, a";
            return [...document.querySelectorAll(shown)].filter(e => e.offsetParent).map(e => {
                const pair = [light(getComputedStyle(e).color), light(ground(e))];
                const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
                return [e.className || e.tagName, ratio];
            });
        }"""
    )
    context.close()
    # 4.5: WCAG 2.2 AA for text of normal size.
    assert [pair for pair in ratios if pair[1] < 4.5] == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_check(page, "circle")
    page.set_input_files("#choose", [BRIGHT])
    expect(page.locator("#verdict")).to_contain_text("looks like")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_moves_when_less_motion_is_asked_for(browser, page_server: ServerHandle) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(page_server.url)
    page.set_input_files("#choose", [DARK])
    expect(page.locator(".bar-track span").first).to_have_css("animation-name", "none")
    context.close()


def test_the_documentation_page_opens(page) -> None:
    page.click("text=API")
    expect(page.locator("h1")).to_have_text("API")
    expect(page.locator("pre").first).to_contain_text("curl --data-binary")
