"""The page of a server that asks for keys, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import expect
from test_page import DARK

from foveal.access import KeyFile
from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread

pytestmark = pytest.mark.browser


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """Return the keys of the server."""
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture
def key(keys: KeyFile) -> str:
    """Return a key that may ask."""
    return keys.create("visitor")[0]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return the access log."""
    return tmp_path / "access.jsonl"


@pytest.fixture
def locked(tiny_bundle: Bundle, keys: KeyFile, key: str, log: Path) -> Iterator[ServerHandle]:
    """Return a server that asks for keys."""
    models = {"tiny": Predictor(tiny_bundle, threads=1)}
    with start_in_thread(models, port=0, keys=keys.path, access_log=str(log)) as handle:
        yield handle


def test_a_key_is_asked_for_kept_in_the_tab_and_in_no_address(
    browser, locked: ServerHandle, key: str, log: Path
) -> None:
    addresses: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("request", lambda request: addresses.append(request.url))
        page.goto(locked.url)
        field = page.get_by_label("Key", exact=True)
        expect(field).to_be_focused()
        # What cannot stand in a header is not sent; what is unknown is asked for again.
        page.keyboard.type("not a key")
        page.keyboard.press("Enter")
        expect(field).to_be_visible()
        field.fill("fvl_unknown")
        page.keyboard.press("Enter")
        expect(page.locator(".key-why")).to_contain_text("unknown, expired")

        page.get_by_label("Key", exact=True).fill(f" {key} ")
        page.keyboard.press("Enter")
        expect(page.locator("dialog")).to_have_count(0)
        page.set_input_files("#choose", [DARK])
        expect(page.locator(".headline")).to_contain_text("circle")

        # The tab keeps it, another tab does not have it, and nothing else keeps it.
        page.reload()
        expect(page.locator("#about")).to_contain_text("circle")
        other = context.new_page()
        other.goto(locked.url)
        expect(other.get_by_label("Key", exact=True)).to_be_visible()
        assert page.evaluate("localStorage.length") == 0
        assert context.cookies() == []
    assert not any(key in address for address in addresses)
    locked.stop()
    assert '"route":"predict"' in log.read_text()
    assert key not in log.read_text()


def test_a_key_that_is_revoked_meanwhile_is_asked_for_again(
    browser, locked: ServerHandle, keys: KeyFile, key: str
) -> None:
    page = browser.new_page()
    page.goto(locked.url)
    page.get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#about")).to_contain_text("circle")
    keys.revoke("visitor")
    renewed, _ = keys.create("visitor")
    # The server looks once a second.
    page.wait_for_timeout(1100)

    page.set_input_files("#choose", [DARK])
    expect(page.locator(".key-why")).to_contain_text("revoked")
    page.get_by_label("Key", exact=True).fill(renewed)
    page.keyboard.press("Enter")
    expect(page.locator(".headline")).to_contain_text("circle")
    page.close()


def test_who_has_no_key_may_say_so_and_try_again(browser, locked: ServerHandle, key: str) -> None:
    page = browser.new_page()
    page.goto(locked.url)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#page-error")).to_contain_text("requires a key")
    page.reload()
    page.get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#about")).to_contain_text("circle")
    page.close()
