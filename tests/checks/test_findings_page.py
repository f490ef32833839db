"""The page of a check: every finding, how it was found, and its pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from PIL import ImageOps

import foveal
from foveal.checks.page import render_page
from foveal.checks.report import CheckReport
from foveal.cli.main import run
from foveal.data.layouts import open_source
from foveal.errors import UsageError
from foveal.types import Finding, Suspect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for label in ("ape", "b & c"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(6):
            coarse = rng.integers(0, 256, (6, 6, 3), np.uint8)
            picture = PILImage.fromarray(coarse).resize((90, 90), PILImage.Resampling.NEAREST)
            picture.save(tmp_path / "data" / label / f"{i}.png")
    ImageOps.mirror(picture).save(tmp_path / "data" / "b & c" / "mirrored.png")
    (tmp_path / "data" / "ape" / "broken.png").write_bytes(b"\x89PNG broken")
    return tmp_path / "data"


def test_the_page_shows_findings_with_their_pictures(folder: Path, tmp_path: Path) -> None:
    report = foveal.check(folder, verbose=False)
    report.write(tmp_path / "check.html")
    page = (tmp_path / "check.html").read_text(encoding="utf-8")
    assert "images.near_duplicate" in page
    assert "laid over each other" in page
    assert "b &amp; c/mirrored.png" in page
    assert "ape/broken.png" in page
    # The picture and the one that it is like, once.
    assert len(re.findall(r'<img class="tiny" src="data:image/png;base64,', page)) == 2
    assert "b &amp; c</td>" in page
    # Nothing is fetched from elsewhere.
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_a_suggested_label_and_how_many_more_there_are(folder: Path) -> None:
    source = open_source(folder)
    ids = [sample.id for sample in source.samples]
    suspects = tuple(Suspect(id, 0.9, "b & c") for id in ids)
    finding = Finding("labels.x", "warning", "Doubted.", count=len(ids), suspects=suspects)
    report = CheckReport("here", "folders", len(ids), "labels", {}, "", (finding,), source=source)
    page = render_page(report)
    assert page.count("looks like") == page.count("<img") == 13
    # One of them cannot be shown.
    assert "13 of 14. foveal review shows all of them." in page


def test_a_report_without_its_data_names_them(tmp_path: Path) -> None:
    finding = Finding("images.x", "info", "Some.", samples=("a.png",), count=3)
    report = CheckReport("here", "folders", 3, "labels", {}, "", (finding,))
    page = render_page(report)
    assert "a.png and 2 more" in page
    assert "<img" not in page


def test_nothing_found_is_said(tmp_path: Path) -> None:
    page = render_page(CheckReport("here", "folders", 1, "labels", {}, "", ()))
    assert "1 picture checked. No problems found." in page


def test_a_notebook_shows_the_same(folder: Path) -> None:
    html = foveal.check(folder, verbose=False)._repr_html_()
    assert html.count("<img") == 2
    assert "<script" not in html and "<style" not in html
    assert "images.near_duplicate" in html and "b &amp; c" in html


def test_the_command_writes_the_page(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "check.html"
    assert run(["check", str(folder), "--report", str(page), "--quiet"]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_is_said_before_the_check(tmp_path: Path) -> None:
    report = CheckReport("here", "folders", 1, "labels", {}, "", ())
    with pytest.raises(UsageError, match="does not exist"):
        report.write(tmp_path / "missing" / "check.html")
