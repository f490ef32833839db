"""What the tests of the pages share: one Chromium for each module."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def browser():
    """Return a headless Chromium."""
    # Imported here: it skips what imports it where there is no Chromium.
    from chromium import expect, launched

    # A machine that runs other things beside may take long to draw what is waited for.
    expect.set_options(timeout=30_000)
    with launched() as browser:
        yield browser
