"""What the tests of the page share: one Chromium for each module."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def browser():
    """Return a headless Chromium."""
    # Imported here: the tests are skipped, with the reason, where Playwright is not installed.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        # Without a sandbox of its own, as in any container whose user is root.
        browser = started.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield browser
        browser.close()
