"""The page of a check in a real Chromium: light, dark, at phone width, without anything loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chromium import expect
from PIL import Image as PILImage
from PIL import ImageOps

import foveal

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def page_of_check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    rng = np.random.default_rng(0)
    for label in ("ape", "bear with a very long name of a class"):
        (folder / "data" / label).mkdir(parents=True)
        for i in range(12):
            coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
            picture = PILImage.fromarray(coarse).resize((90, 120), PILImage.Resampling.NEAREST)
            picture.save(folder / "data" / label / f"{i}.png")
            if i < 3:
                ImageOps.mirror(picture).save(folder / "data" / label / f"mirrored-{i}.png")
    foveal.check(folder / "data", verbose=False).write(folder / "check.html")
    return folder / "check.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_and_leads_to_the_pictures(
    browser, page_of_check: Path, width: int, scheme: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.goto(page_of_check.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_role("link", name="Duplicates or near-duplicates").click()
    section = page.get_by_role("heading", name="Duplicates or near-duplicates").locator("..")
    expect(section).to_be_in_viewport()
    expect(section.get_by_role("img")).to_have_count(12)
    for image in section.get_by_role("img").all():
        image.scroll_into_view_if_needed()
    assert section.evaluate("e => [...e.querySelectorAll('img')].every(i => i.naturalWidth > 0)")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(18, 19, 21)") == (scheme == "dark")
    assert problems == []
