"""The web page of models that read, in a real Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from chromium import expect
from colored import blocks_png

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread

pytestmark = pytest.mark.browser


def as_file(text: str, alphabet: str = "ABC"):
    """Return a drawn text as Playwright hands a file to an input."""
    name = f"{text.replace('/', '÷') or 'empty'}.png"
    return {"name": name, "mimeType": "image/png", "buffer": blocks_png(text, alphabet)}


@pytest.fixture(scope="module")
def reader_server(
    tiny_reader: Bundle, tiny_sums: Bundle, tiny_bundle: Bundle
) -> Iterator[ServerHandle]:
    """Return a server of a reader, a reader of sums, and a classifier."""
    models = {b.name: Predictor(b, threads=1) for b in (tiny_reader, tiny_sums, tiny_bundle)}
    with start_in_thread(models, port=0) as handle:
        yield handle


@pytest.fixture(params=["light"])
def page(browser, reader_server: ServerHandle, request: pytest.FixtureRequest):
    """Return the page, loaded; the test fails when the page's scripts do."""
    context = browser.new_context(color_scheme=request.param)
    context.set_default_timeout(20_000)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(reader_server.url)
    expect(page.locator("#about")).to_contain_text("reader reads")
    yield page
    context.close()
    assert problems == []


def tiles(page) -> list[tuple[str, str, str]]:
    """Return (character, level, number) of the first card's tiles."""
    found = page.locator(".answer").first.locator(".glyph")
    return [
        tuple(pair)
        for pair in found.evaluate_all(
            "all => all.map(e => [e.textContent, e.dataset.level, e.dataset.share])"
        )
    ]


def test_a_text_is_shown_with_how_sure_each_character_is(page) -> None:
    page.set_input_files("#choose", [as_file("A?C")])
    expect(page.locator(".headline .share")).to_have_text("45 %")

    assert tiles(page) == [("A", "sure", "100 %"), ("B", "weak", "48 %"), ("C", "sure", "100 %")]
    family = page.locator(".glyphs").evaluate("e => getComputedStyle(e).fontFamily")
    assert "monospace" in family
    assert page.locator(".glyph").nth(1).get_attribute("title") == "B: 48 %"
    assert page.locator(".characters li").all_text_contents() == ["A: 100 %", "B: 48 %", "C: 100 %"]
    expect(page.locator(".spoken")).to_have_text("ABC")
    expect(page.locator(".unsure-note")).to_contain_text("the limit of 60 %")
    expect(page.locator(".value")).to_be_hidden()
    expect(page.locator(".bars")).to_be_hidden()
    expect(page.locator("#announce")).to_have_text("A?C.png: unsure, best guess ABC, 45 %")


def test_the_page_says_what_the_model_reads(page) -> None:
    expect(page.locator("h1")).to_have_text("What does this picture say?")
    about = page.locator("#about").text_content().replace("\u2060", "")
    assert about == (
        "reader reads texts of 3 characters: A–C. It accepts lines up to 16 times as wide as high, "
        "scaled to a height of 16 pixels. 98.0 % (95.0 to 100.0 %) of its answers to validation "
        "pictures were right."
    )
    page.get_by_label("Model").select_option("sums")
    expect(page.locator("#about")).to_contain_text("3 characters: / 0 1.")


def test_selecting_a_text_gives_its_characters_and_no_numbers(page) -> None:
    page.set_input_files("#choose", [as_file("CAB")])
    expect(page.locator(".glyph")).to_have_count(3)
    text = page.evaluate(
        """() => {
            getSelection().selectAllChildren(document.querySelector(".glyphs"));
            return getSelection().toString();
        }"""
    )
    assert re.sub(r"\s", "", text) == "CAB"


def test_a_text_can_be_copied(browser, reader_server: ServerHandle) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(reader_server.url)
    page.set_input_files("#choose", [as_file("CAB")])
    page.click(".copy")
    expect(page.locator(".copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "CAB"
    context.close()


def test_an_expression_shows_its_value_or_why_it_has_none(page) -> None:
    page.get_by_label("Model").select_option("sums")
    page.set_input_files("#choose", [as_file("10/1", "/01"), as_file("1/0", "/01")])
    values = page.locator(".value:visible")
    expect(values).to_have_count(2)
    assert values.all_inner_texts() == [
        "Exact value 10",
        "No exact value: Division by zero: 1 / 0.",
    ]


def test_several_pictures_of_any_width_are_read_in_order(page) -> None:
    texts = ["AB", "CABCABCABCAB", "A", ""]
    page.set_input_files("#choose", [as_file(text) for text in texts])
    expect(page.locator(".headline:visible")).to_have_count(4)
    assert page.locator(".spoken").all_text_contents() == [*texts[:3], "No text was found"]
    expect(page.locator("#announce")).to_have_text("4 of 4 pictures answered.")
    expect(page.locator(".copy:visible")).to_have_count(3)


def test_a_picture_that_is_too_wide_says_what_to_do(page) -> None:
    page.set_input_files("#choose", [as_file("A" * 17)])
    expect(page.locator(".answer .error")).to_contain_text("Crop it to the line of text")


@pytest.mark.parametrize("text", ["CAB", ""])
def test_the_alignment_stands_below_the_picture_in_its_own_proportions(page, text: str) -> None:
    page.set_input_files("#choose", [as_file(text)])
    page.check(".evidence-on")
    image = page.locator(".figure img")
    expect(image).to_be_visible()
    expect(page.locator(".overlay")).to_be_hidden()
    expect(page.locator(".evidence-strength")).to_be_hidden()

    drawn, preview = image.bounding_box(), page.locator(".preview").bounding_box()
    width, height = image.evaluate("e => [e.naturalWidth, e.naturalHeight]")
    assert drawn["y"] > preview["y"] + preview["height"]
    assert drawn["width"] / drawn["height"] == pytest.approx(width / height, rel=0.01)
    assert f"the characters of {text or 'no text'}" in image.get_attribute("alt")
    page.uncheck(".evidence-on")
    expect(image).to_be_hidden()


def open_check(page, text: str) -> None:
    """Go to the text check and say what is expected."""
    page.locator('input[value="check"]').check(force=True)
    page.get_by_label("Expected text").fill(text)


def test_an_expected_text_is_checked(page) -> None:
    open_check(page, "CAB")
    expect(page.locator("h1")).to_have_text("Does the picture say what is expected?")
    expect(page.locator("#category-field")).to_be_hidden()
    page.set_input_files("#choose", [as_file("CAB")])
    expect(page.locator("#verdict")).to_have_text("Match: this says CAB.")

    page.set_input_files("#choose", [as_file("CA")])
    expect(page.locator("#verdict")).to_have_text("This says CA, not CAB.")
    expect(page.locator(".card-verdict").first).to_have_text("This says CA, not CAB.")

    page.set_input_files("#choose", [as_file("CAB"), as_file("B")])
    expect(page.locator("#verdict")).to_have_text("1 of 2 do not say CAB.")

    open_check(page, "AAB")
    expect(page.locator("#verdict")).to_have_text("")
    page.set_input_files("#choose", [as_file("A?B")])
    expect(page.locator("#verdict")).to_contain_text("Unsure: perhaps ABB, not AAB")


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "Type the expected text first."), ("CAx", "The model does not know “x”")],
)
def test_a_text_that_cannot_be_read_is_not_sent(page, text: str, said: str) -> None:
    open_check(page, text)
    page.set_input_files("#choose", [as_file("A")])
    expect(page.locator("#verdict")).to_contain_text(said)
    expect(page.get_by_label("Expected text")).to_be_focused()
    expect(page.locator(".answer")).to_have_count(0)


def test_changing_to_a_model_that_classifies_changes_the_words(page) -> None:
    page.locator('input[value="check"]').check(force=True)
    page.get_by_label("Model").select_option("tiny")
    expect(page.locator("#about")).to_contain_text("distinguishes circle and square.")
    expect(page.locator("h1")).to_have_text("Does the picture fit its category?")
    expect(page.get_by_label("Declared category")).to_be_visible()
    expect(page.get_by_label("Expected text")).to_be_hidden()


def test_a_long_text_is_set_small_and_stays_inside_its_card(page) -> None:
    text = "流=42072;圳=86;(圳-(97510*45921))*流/35864"
    answer = {
        "text": text,
        "confidence": 0.4,
        "unsure": True,
        "reasons": ["confidence"],
        "characters": [
            {"char": char, "confidence": 0.6 if i == 3 else 0.99, "x0": i, "x1": i + 1}
            for i, char in enumerate(text)
        ],
        "value": "-188322155497056/35864",
        "source": "upload",
        "model": "reader",
        "version": "1",
        "ms": 12.0,
    }
    page.set_viewport_size({"width": 320, "height": 800})
    page.route(
        "**/predict/**",
        lambda route: route.fulfill(content_type="application/json", body=json.dumps(answer)),
    )
    page.set_input_files("#choose", [as_file("A")])
    expect(page.locator(".glyphs.long")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert tiles(page)[3] == ("2", "doubtful", "60")
    shown = page.locator(".glyph").evaluate_all(
        "all => all.filter(e => getComputedStyle(e, '::after').content !== 'none').length"
    )
    assert shown == 1


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_window(page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    open_check(page, "CAB")
    page.set_input_files("#choose", [as_file("CABCAB")])
    page.check(".evidence-on")
    expect(page.locator(".figure img")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_characters_stand_out_from_their_tiles(page) -> None:
    page.set_input_files("#choose", [as_file("A?C")])
    expect(page.locator(".glyph")).to_have_count(3)
    ratios = page.evaluate(
        """() => {
            const light = (text) => {
                const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
                    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            return [...document.querySelectorAll(".glyph")].flatMap(e => {
                const ground = light(getComputedStyle(e).backgroundColor);
                return [null, "::after"].map(part => {
                    const pair = [light(getComputedStyle(e, part).color), ground];
                    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
                });
            });
        }"""
    )
    assert len(ratios) == 6
    # 4.5: WCAG 2.2 AA for text of normal size.
    assert min(ratios) >= 4.5


def test_every_control_has_a_name(page) -> None:
    open_check(page, "A")
    page.set_input_files("#choose", [as_file("A")])
    expect(page.locator(".headline")).to_be_visible()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, a, img:not([alt])")]
            .filter(e => e.checkVisibility())
            .filter(e => e.tagName === "IMG" || !(e.labels?.length || e.textContent.trim()
                || e.getAttribute("aria-label")))
            .map(e => e.outerHTML)"""
    )
    assert nameless == []
