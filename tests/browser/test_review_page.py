"""The page of a review in a real Chromium, over pictures that are drawn when they are asked for."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import expect
from doubted import doubted, reviewed
from drawing import DrawFolder

from foveal.curation.decisions import Decisions
from foveal.curation.workspace import Workspace
from foveal.server.review.session import ReviewSession

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_PATIENT_MS = 120_000
Opened = Callable[..., tuple[Any, ReviewSession]]


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    """Return what serves n drawn suspects and opens the page of their review."""
    failures: list[list[str]] = []
    with contextlib.ExitStack() as stack:

        def open_page(
            n: int = 6,
            *,
            target: Any = "labels",
            broken: int | None = None,
            stem: str = "",
            **context: Any,
        ) -> tuple[Any, ReviewSession]:
            source, report = doubted(n, target=target, broken=broken, stem=stem)
            session = stack.enter_context(reviewed(source, report, tmp_path / "review.jsonl"))
            tabs = stack.enter_context(contextlib.closing(browser.new_context(**context)))
            page = tabs.new_page()
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            failures.append(errors)
            page.goto(session.url)
            expect(page.locator(".tile.is-active .tile-label")).not_to_be_empty()
            return page, session

        yield open_page
    assert [each for each in failures if each] == []


def press(page: Any, keys: str) -> None:
    """Press keys one after another."""
    for key in keys.split():
        page.keyboard.press(key)


def actions(session: ReviewSession) -> list[tuple[str, str]]:
    return [
        (sample.split("/")[1][:5], decision.label or decision.action)
        for sample, decision in session.decisions.items()
    ]


def test_a_whole_review_takes_a_key_for_each_picture(opened: Opened) -> None:
    page, session = opened(6)
    expect(page.locator("#title")).to_have_text("Labels in doubt")
    press(page, "k r q s l")
    page.keyboard.type("hor")
    press(page, "Enter k")
    # The outliers are decided too, as suspects: nothing is left anywhere.
    expect(page.locator("#complete-words")).to_contain_text("All decisions are made.")
    expect(page.locator("#apply-command")).to_have_text("foveal clean photos")
    assert actions(session) == [
        ("00000", "keep"),
        ("00001", "horse"),
        ("00002", "quarantine"),
        ("00003", "skip"),
        ("00004", "horse"),
        ("00005", "keep"),
    ]
    page.get_by_role("button", name="Outliers").click()
    expect(page.locator("#done")).to_have_text("2")
    expect(page.locator("#of")).to_have_text("of 2, 1 skipped")


def test_the_keys_that_run_a_cell_decide_nothing(opened: Opened) -> None:
    page, session = opened(6)
    press(page, "Shift+Enter Control+Enter Alt+Enter Enter")
    expect(page.locator("#done")).to_have_text("1")
    expect(page.locator("#said")).to_contain_text("Relabelled")
    assert actions(session) == [("00000", "dog")]


def test_undo_goes_back_an_act_at_a_time_and_says_so(opened: Opened) -> None:
    page, session = opened(6)
    press(page, "k Shift+ArrowRight Shift+ArrowRight q")
    expect(page.locator("#said")).to_have_text("Quarantined 3 pictures. 2 left.")
    press(page, "u")
    expect(page.locator("#said")).to_have_text("Undone: 3 pictures.")
    assert actions(session) == [("00000", "keep")]
    press(page, "u")
    expect(page.locator("#said")).to_have_text("Undone: 1 picture.")
    expect(page.locator("#tile-0")).to_have_class("tile is-active")
    press(page, "u")
    expect(page.locator("#said")).to_have_text("There is nothing to undo.")
    assert session.decisions == {}


def test_undo_is_for_decisions_of_this_browser_also_after_a_reload(opened: Opened) -> None:
    page, session = opened(6)
    press(page, "k")
    other = page.context.browser.new_context().new_page()
    other.goto(session.url)
    expect(other.locator(".tile.is-active .tile-label")).not_to_be_empty()
    press(other, "q")
    expect(other.locator("#said")).to_contain_text("Quarantined")
    page.reload()
    expect(page.locator(".tile.is-active .tile-label")).not_to_be_empty()
    press(page, "u")
    expect(page.locator("#said")).to_have_text("Undone: 1 picture.")
    press(page, "u")
    expect(page.locator("#said")).to_have_text("There is nothing to undo.")
    assert [action for _, action in actions(session)] == ["quarantine"]
    other.context.close()


def test_many_are_selected_by_keys_and_by_clicks(opened: Opened) -> None:
    page, session = opened(9)
    selected = page.locator('.tile[aria-selected="true"]')
    press(page, "x ArrowRight ArrowRight x")
    expect(selected).to_have_count(2)
    press(page, "Escape")
    expect(selected).to_have_count(0)
    page.locator("#tile-1").click(modifiers=["Control"])
    page.locator("#tile-4").click(modifiers=["Shift"])
    expect(selected).to_have_count(4)
    expect(page.locator("#chosen")).to_have_text("4 selected")
    page.get_by_role("button", name="Relabel as suggested").click()
    expect(page.locator("#said")).to_have_text("Relabelled 4 pictures. 5 left.")
    assert actions(session) == [
        ("00001", "horse"),
        ("00002", "cat"),
        ("00003", "dog"),
        ("00004", "horse"),
    ]
    page.locator("#grid").focus()
    press(page, "Control+a s")
    expect(page.locator("#said")).to_have_text("Skipped 9 pictures. 0 left.")
    expect(selected).to_have_count(0)


def test_letters_are_typed_where_a_class_is_asked_for(opened: Opened) -> None:
    page, session = opened(6)
    press(page, "l")
    field = page.get_by_role("combobox", name="Class")
    expect(field).to_be_focused()
    choices = page.get_by_role("listbox", name="Choices").get_by_role("option")
    expect(choices.first).to_contain_text("dog")
    page.keyboard.type("kqs")
    expect(choices).to_have_text(["kqsnew class"])
    assert session.decisions == {}
    press(page, "Escape")
    expect(page.locator("#grid")).to_be_focused()
    press(page, "l")
    # In the middle of a name too, and by arrows.
    page.keyboard.type("o")
    expect(choices).to_have_text(["dogsuggested", "horse", "onew class"])
    press(page, "ArrowDown Enter")
    expect(page.locator("#tile-0 .tile-badge")).to_have_text("→ horse")
    expect(page.locator("#grid")).to_be_focused()
    # Said once the server has stored it.
    expect(page.locator("#said")).to_contain_text("Relabelled")
    assert actions(session) == [("00000", "horse")]


def test_the_name_of_a_collected_picture_fits_where_a_class_is_asked_for(opened: Opened) -> None:
    page, _ = opened(3, stem="f" * 60)
    press(page, "l")
    fits = "(d) => d.open && d.scrollWidth <= d.clientWidth"
    assert page.locator("#label").evaluate(fits)


@pytest.mark.parametrize("place", ["#error", "#large-refused"])
def test_a_name_that_no_class_can_have_is_told_until_the_next_decision(
    opened: Opened, place: str
) -> None:
    page, session = opened(3)
    told = page.locator(place)
    if place == "#large-refused":
        press(page, "o")
    for refused in range(2):
        press(page, "l")
        page.keyboard.type("../up")
        # The suspects are loaded again, since what was shown as decided is not.
        with page.expect_response("**/queues/0?start=0*"):
            press(page, "Enter")
        expect(page.locator(f"#tile-{refused} .tile-badge")).to_have_text("")
        expect(page.locator(f"#tile-{refused} .tile-label")).not_to_be_empty()
        expect(told).to_be_visible()
        expect(told).to_contain_text(f"{refused}.png. Invalid class '../up'")
    assert session.decisions == {}
    press(page, "k")
    expect(page.locator("#done")).to_have_text("1")
    expect(told).to_be_hidden()


def test_a_text_is_typed_and_the_suggestion_stands_there(opened: Opened) -> None:
    page, session = opened(3, target="text")
    press(page, "r l")
    expect(page.get_by_role("combobox", name="Text")).to_have_value("TEXT2")
    page.keyboard.type("k r/q")
    press(page, "Enter")
    expect(page.locator("#done")).to_have_text("2")
    assert actions(session) == [("00000", "TEXT1"), ("00001", "k r/q")]


def test_a_mask_has_no_label_to_change(opened: Opened) -> None:
    page, session = opened(3, target="mask")
    press(page, "r l Enter")
    expect(page.locator('[data-act="label"], [data-act="suggested"]')).to_have_count(0)
    press(page, "q")
    expect(page.locator("#done")).to_have_text("1")
    assert actions(session) == [("00000", "quarantine")]


def test_keys_that_come_before_a_picture_decide_nothing(opened: Opened) -> None:
    page, session = opened(150)
    held: list[Any] = []
    is_over = False
    late = "**/queues/0?start=100*"
    page.route(late, lambda route: route.continue_() if is_over else held.append(route))
    page.locator("#grid").evaluate("(grid) => { grid.scrollTop = 0; }")
    with page.expect_request(late):
        press(page, "End")
    expect(page.locator("#tile-149")).to_have_attribute("aria-label", "Loading")
    press(page, "q k Enter")
    expect(page.locator("#tile-149")).to_have_class("tile is-active")
    assert session.decisions == {}
    # The page may ask once more.
    is_over = True
    for request in held:
        request.continue_()
    expect(page.locator("#tile-149 .tile-label")).to_have_text("horse")
    press(page, "q")
    expect(page.locator("#done")).to_have_text("1")
    assert actions(session) == [("00149", "quarantine")]


def test_a_picture_opens_large_with_those_beside_it(opened: Opened) -> None:
    page, session = opened(6, broken=1)
    press(page, "o")
    large = page.get_by_role("dialog", name="cat/00000.png")
    expect(large.locator("#large-labels")).to_have_text("cat → dog")
    expect(large.locator("#large-facts")).to_contain_text("128 × 96 px")
    expect(large.get_by_role("img", name="cat/00000.png", exact=True)).to_be_visible()
    beside = large.get_by_role("button", name="horse/00002.png horse")
    beside.click()
    expect(beside).to_have_attribute("aria-pressed", "true")
    expect(large.locator("#large-image")).to_have_attribute("alt", "horse/00002.png")
    # A decision leads on to the next, which cannot be shown, and says so.
    press(page, "k")
    expect(page.locator("#large-name")).to_have_text("dog/broken00001.png")
    expect(page.locator("#large-error")).to_have_text("The PNG picture is damaged.")
    press(page, "ArrowRight")
    expect(page.locator("#large-name")).to_have_text("horse/00002.png")
    press(page, "Escape")
    expect(page.locator("#grid")).to_be_focused()
    expect(page.locator("#tile-2")).to_have_class("tile is-active")
    expect(page.locator("#tile-1 .tile-error")).to_have_text("The PNG picture is damaged.")
    assert actions(session) == [("00000", "keep")]


def test_single_letters_can_be_switched_off(opened: Opened) -> None:
    page, session = opened(3)
    press(page, "?")
    page.get_by_label("Enable single-letter keys").uncheck()
    press(page, "Escape k ArrowRight q Enter")
    expect(page.locator("#done")).to_have_text("1")
    assert actions(session) == [("00001", "horse")]


def test_two_tabs_show_the_same(opened: Opened, tmp_path: Path) -> None:
    page, session = opened(6)
    other = page.context.new_page()
    other.goto(session.url)
    expect(other.locator("#of")).to_have_text("of 6")
    press(page, "q")
    other.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(other.locator("#tile-0 .tile-badge")).to_have_text("quarantine")
    expect(other.locator("#done")).to_have_text("1")
    other.keyboard.press("u")
    expect(other.locator("#done")).to_have_text("0")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#tile-0 .tile-badge")).to_have_text("")


def test_the_next_kind_of_finding_is_offered_when_one_is_done(opened: Opened) -> None:
    page, _ = opened(6)
    press(page, "]")
    expect(page.locator("#title")).to_have_text("Outliers")
    # A key that comes before its picture is there decides nothing.
    expect(page.locator("#of")).to_have_text("of 2")
    expect(page.locator("#tile-0 .tile-label")).to_have_text("cat")
    expect(page.locator('.tile[aria-label="Loading"]')).to_have_count(0)
    press(page, "k")
    expect(page.locator("#done")).to_have_text("1")
    press(page, "k")
    expect(page.locator("#complete-words")).to_have_text("All of these are decided.")
    page.get_by_role("button", name="Next: Labels in doubt (4)").click()
    expect(page.locator("#grid")).to_be_focused()
    # Where nothing is decided yet.
    expect(page.locator("#tile-1")).to_have_class("tile is-active")


def test_a_hundred_thousand_suspects_are_few_elements(opened: Opened) -> None:
    page, session = opened(100_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    counts = page.evaluate(
        """async () => {
          const grid = document.getElementById("grid");
          const counts = [];
          for (let i = 0; i <= 40; i += 1) {
            grid.scrollTop = (grid.scrollHeight - grid.clientHeight) * i / 40;
            await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
            counts.push(document.querySelectorAll(".tile").length);
          }
          return counts;
        }"""
    )
    assert max(counts) < 150
    expect(page.locator("#tile-99999 .tile-label")).to_have_text("cat")
    # The active one stays, so that a screen reader does not lose it.
    expect(page.locator("#tile-0")).to_be_attached()
    # A page or two for each place that was passed, and no picture of what was scrolled by.
    assert len([url for url in asked if "/queues/" in url]) < 130
    page.locator("#grid").focus()
    press(page, "End k")
    expect(page.locator("#said")).to_have_text("Kept cat/99999.png. 99,999 left.")
    # The next undecided is found going round.
    expect(page.locator("#tile-0")).to_have_class("tile is-active")
    press(page, "Control+a q")
    said = page.locator("#said")
    # As many lines take seconds of the processor to write.
    expect(said).to_have_text("Quarantined 100,000 pictures. 0 left.", timeout=_PATIENT_MS)
    press(page, "u")
    expect(said).to_have_text("Undone: 100,000 pictures.", timeout=_PATIENT_MS)
    assert actions(session) == [("99999", "keep")]


def test_a_screen_reader_has_names_for_everything(opened: Opened) -> None:
    page, _ = opened(6)
    grid = page.get_by_role("listbox", name="Labels in doubt")
    expect(grid).to_be_focused()
    expect(grid).to_have_attribute("aria-activedescendant", "tile-0")
    first = page.get_by_role("option").first
    expect(first).to_have_accessible_name(
        "cat/00000.png, labelled cat, looks like dog, 100 percent likely to be wrong, undecided"
    )
    expect(first).to_have_attribute("aria-setsize", "6")
    press(page, "k")
    expect(first).to_have_accessible_name(
        "cat/00000.png, labelled cat, looks like dog, 100 percent likely to be wrong, kept"
    )
    expect(grid).to_have_attribute("aria-activedescendant", "tile-1")
    expect(page.locator("#said[role=status]")).to_have_text("Kept cat/00000.png. 5 left.")
    bar = page.get_by_role("progressbar", name="Decided")
    expect(bar).to_have_attribute("aria-valuenow", "1")
    names = page.get_by_role("toolbar", name="Decide").get_by_role("button")
    expect(names).to_have_text(
        ["Keep K", "→ horse R", "Other class… L", "Quarantine Q", "Skip S", "Look O", "Undo U"]
    )
    findings = page.get_by_role("navigation", name="Kinds of findings").get_by_role("button")
    expect(findings).to_have_text(["Labels in doubt5", "Outliers1"])
    # No trap: the tabulator leaves the grid for the toolbar.
    press(page, "Tab")
    expect(names.first).to_be_focused()
    press(page, "Enter")
    expect(page.locator("#done")).to_have_text("2")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_takes_the_colours_of_the_system(
    opened: Opened, scheme: str
) -> None:
    page, _ = opened(
        6, viewport={"width": 360, "height": 740}, color_scheme=scheme, reduced_motion="reduce"
    )
    scroll = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert page.evaluate(scroll) == [360, 740]
    page.get_by_label("Kind of finding").select_option("1")
    expect(page.locator("#of")).to_have_text("of 2")
    page.get_by_role("button", name="Quarantine").click()
    expect(page.locator("#done")).to_have_text("1")
    page.locator("#tile-1").click()
    expect(page.get_by_role("dialog", name="cat/00003.png")).to_be_visible()
    assert page.evaluate(scroll) == [360, 740]
    for dialog in ("#large", "#label", "#help"):
        fits = "(d) => d.open || d.showModal() || d.scrollWidth <= d.clientWidth"
        assert page.locator(dialog).evaluate(fits)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(246, 245, 241)", "dark": "rgb(19, 20, 22)"}[scheme]
    bar = page.locator("#progress span")
    assert bar.evaluate("(bar) => getComputedStyle(bar).transitionDuration") == "0s"


def test_no_decision_that_was_acknowledged_is_lost_when_the_server_is_killed(
    browser: Any, tmp_path: Path, draw_folder: DrawFolder
) -> None:
    data = draw_folder(tmp_path / "shapes", n=60, size=16)
    for picture in data.rglob("*.png"):
        picture.write_bytes(b"no picture")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "foveal", "review", str(data), "--port", port, "--json"]
    page = browser.new_page()
    acknowledged: list[int] = []

    def heard(response: Any) -> None:
        if response.url.endswith("/decide") and response.status == 200:
            acknowledged.append(1)

    page.on("response", heard)
    for round in range(1, 4):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
            assert server.stdout is not None
            page.goto(json.loads(server.stdout.readline())["url"])
            expect(page.locator(".tile.is-active .tile-label")).not_to_be_empty()
            expect(page.locator("#done")).to_have_text(str(len(acknowledged)))
            for _ in range(8 * round):
                page.keyboard.press("q")
                if len(acknowledged) >= 4 * round:
                    break
                page.wait_for_timeout(5)
            server.send_signal(signal.SIGKILL)
        page.keyboard.press("q")
        expect(page.locator("#error")).to_contain_text("is no longer running")
        kept = Decisions(Workspace.of(data).review).read()
        # One that was written may not have been answered.
        assert len(acknowledged) <= len(kept) <= len(acknowledged) + 1
        acknowledged[:] = [1] * len(kept)
    page.close()
