"""Saying on the web page whether an answer is right, in a real Chromium."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import expect
from colored import blocks_png
from drawing import draw_shape

from foveal.bundle import Bundle
from foveal.curation.feedback import read_feedback
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the server keeps feedback in."""
    return tmp_path_factory.mktemp("feedback") / "kept"


@pytest.fixture(scope="module")
def keeping(
    tiny_bundle: Bundle, tiny_reader: Bundle, tiny_masks: Bundle, kept: Path
) -> Iterator[ServerHandle]:
    """Return a server of all three tasks that keeps feedback."""
    models = {b.name: Predictor(b, threads=1) for b in (tiny_bundle, tiny_reader, tiny_masks)}
    with start_in_thread(models, port=0, collect=kept, collect_new_labels=True) as handle:
        yield handle


@pytest.fixture
def page(browser, keeping: ServerHandle):
    """Return the page, loaded; the test fails when the page's scripts do."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(keeping.url)
    yield page
    context.close()
    assert problems == []


def circle_png() -> bytes:
    buffer = io.BytesIO()
    draw_shape("circle", np.random.default_rng(0), 64).save(buffer, "PNG")
    return buffer.getvalue()


def picture(name: str, content: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def test_what_is_kept_is_said_before_anything_is_sent(page) -> None:
    expect(page.locator("#keeps")).to_contain_text("the picture is stored with it")
    expect(page.locator("#keeps")).to_contain_text("Other pictures are not stored.")


def test_a_class_is_put_right_and_named_anew(page, kept: Path) -> None:
    page.set_input_files("#choose", [picture("dark.png", circle_png())])
    card = page.locator(".answer").first
    expect(card.locator(".headline")).to_contain_text("circle")
    card.get_by_role("button", name="No, it is …").press("Enter")
    choice = card.get_by_label("Correct class")
    expect(choice).to_be_focused()
    assert choice.locator("option").all_text_contents() == ["Choose…", "square", "Another class …"]
    choice.select_option("square")
    card.get_by_role("button", name="Send").press("Enter")
    expect(card.locator(".feedback-said")).to_have_text("Thank you. The correction was stored.")
    expect(card.locator(".feedback-ask")).to_be_hidden()

    page.set_input_files("#choose", [picture("again.png", circle_png())])
    card = page.locator(".answer").first
    card.get_by_role("button", name="No, it is …").click()
    card.get_by_label("Correct class").select_option("Another class …")
    card.get_by_label("Class name").fill("<img src=x onerror=alert(1)>")
    card.get_by_role("button", name="Send").click()
    expect(card.locator(".feedback-said")).to_contain_text("Invalid class")
    card.get_by_label("Class name").fill("ring")
    card.get_by_role("button", name="Send").click()
    expect(card.locator(".feedback-said")).to_have_text("Thank you. The correction was stored.")
    assert [line.said.truth for line in read_feedback(kept)][-2:] == [("square",), ("ring",)]


def test_a_text_is_put_right(page, kept: Path) -> None:
    page.get_by_label("Model").select_option("reader")
    page.set_input_files("#choose", [picture("text.png", blocks_png("ABC", "ABC"))])
    card = page.locator(".answer").first
    card.get_by_role("button", name="No, it says …").click()
    text = card.get_by_label("Text in the picture")
    expect(text).to_have_value("ABC")
    text.fill("ABX")
    text.press("Enter")
    expect(card.locator(".feedback-said")).to_have_text("Thank you. The correction was stored.")
    last = list(read_feedback(kept))[-1]
    assert (last.said.answer, last.said.truth) == (("ABC",), ("ABX",))


def test_a_mask_is_right_or_not_with_a_note(page, kept: Path) -> None:
    page.get_by_label("Model").select_option("discs")
    page.set_input_files("#choose", [picture("discs.png", circle_png())] * 2)
    right, wrong = page.locator(".answer").nth(1), page.locator(".answer").nth(0)
    right.get_by_role("button", name="Yes").click()
    expect(right.locator(".feedback-said")).to_have_text("Thank you. Stored as right.")
    wrong.get_by_role("button", name="No").click()
    wrong.get_by_label("Note").fill("the edge is cut off")
    wrong.get_by_role("button", name="Send").click()
    expect(wrong.locator(".feedback-said")).to_have_text("Thank you. The correction was stored.")
    first, second = list(read_feedback(kept))[-2:]
    assert (first.said.right, first.mask is not None) == (True, True)
    assert (second.said.right, second.said.note) == (False, "the edge is cut off")
