"""Chromium by Playwright. Modules that import this are skipped, with the reason, without either."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import pytest

_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)
_CHROMIUM = Path("/usr/bin/chromium")
if not _CHROMIUM.exists():
    pytest.skip(f"there is no {_CHROMIUM}: apt-get install chromium", allow_module_level=True)

expect = _api.expect


@contextmanager
def launched(*flags: str):
    """Give a headless Chromium, and close it."""
    with _api.sync_playwright() as started:
        # Without a sandbox of its own, as in any container whose user is root.
        browser = started.chromium.launch(
            executable_path=str(_CHROMIUM), args=["--no-sandbox", *flags]
        )
        yield browser
        browser.close()
