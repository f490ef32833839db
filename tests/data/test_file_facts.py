"""What files say besides the picture."""

from __future__ import annotations

import io

import pytest
from PIL import Image as PILImage

from foveal.data.file_facts import facts_of


def saved(kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    PILImage.new("RGB", (32, 24), (9, 90, 200)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 95])
def test_the_quality_of_a_jpeg(quality: int) -> None:
    assert facts_of(saved("JPEG", quality=quality)).quality == pytest.approx(quality, abs=1)


def test_a_png_has_no_quality() -> None:
    data = saved("PNG")
    facts = facts_of(data)
    assert (facts.format, facts.size_bytes, facts.quality) == ("PNG", len(data), 0)


def test_the_camera_and_the_software() -> None:
    exif = PILImage.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "Ape", "X", "GIMP 2.10"
    assert facts_of(saved("JPEG", exif=exif)).maker == "Ape X GIMP 2.10"


@pytest.mark.parametrize("keep", range(2, 200, 7))
def test_a_file_cut_off_is_passed_over(keep: int) -> None:
    exif = PILImage.Exif()
    exif[0x0131] = "a program of some kind"
    assert facts_of(saved("JPEG", exif=exif)[:keep]).size_bytes == keep
