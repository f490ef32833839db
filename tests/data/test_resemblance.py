"""Copies that hashes miss: cropped, mirrored, brightened, marked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as PILImage
from PIL import ImageDraw, ImageEnhance, ImageOps

from foveal.data import resemblance
from foveal.data.hashing import fingerprint
from foveal.data.resemblance import alike, copies_suspected, find_copies
from foveal.data.scan import Scan
from foveal.data.source import Sample, TargetKind

Change = Callable[[PILImage.Image], PILImage.Image]


def scene(seed: int, size: int = 160) -> PILImage.Image:
    """Return a picture of smooth blobs, as photographs are at a distance."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return PILImage.fromarray(coarse).resize((size, size), PILImage.Resampling.BICUBIC)


def cropped(share: float) -> Change:
    def change(image: PILImage.Image) -> PILImage.Image:
        margin = round(share * image.width)
        return image.crop((margin, margin, image.width - margin, image.height - margin))

    return change


def marked(image: PILImage.Image) -> PILImage.Image:
    image = image.copy()
    ImageDraw.Draw(image).rectangle((130, 130, 152, 152), fill="red")
    return image


def found(
    pictures: list[PILImage.Image],
    labels: list[str] | None = None,
    target: TargetKind = "labels",
    distance: int = 2,
) -> list[list[int]]:
    scan = Scan.empty(len(pictures))
    for i, picture in enumerate(pictures):
        scan.put(i, i.to_bytes(16, "big"), picture.size, fingerprint(np.asarray(picture)))
    names = labels or ["a"] * len(pictures)
    samples = [Sample(f"{i}.png", (name,)) for i, name in enumerate(names)]
    pairs = find_copies(samples, scan, np.arange(len(pictures)), target, distance).pairs
    return sorted({tuple(sorted(pair)) for pair in pairs.tolist()})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        cropped(0.05),
        cropped(0.1),
        ImageOps.mirror,
        lambda p: ImageOps.mirror(cropped(0.1)(p)),
        marked,
        lambda p: ImageEnhance.Brightness(p).enhance(0.7),
        lambda p: p.resize((80, 80)),
    ],
    ids=["cropped 5 %", "cropped 10 %", "mirrored", "both", "marked", "darker", "smaller"],
)
def test_a_changed_copy_is_found(change: Change) -> None:
    assert found([scene(1), scene(2), change(scene(1)), scene(3)]) == [(0, 2)]
    assert found([change(scene(1)), scene(2), scene(1), scene(3)]) == [(0, 2)]


def test_a_brighter_copy_without_its_highlights_is_found() -> None:
    brighter = ImageEnhance.Brightness(scene(3)).enhance(1.4)
    assert found([scene(3), scene(1), brighter]) == [(0, 2)]


def test_other_pictures_are_not_found() -> None:
    assert found([scene(seed) for seed in range(80)]) == []


def test_a_mirrored_picture_is_a_copy_under_the_same_label_only() -> None:
    pictures = [scene(1), ImageOps.mirror(scene(1))]
    assert found(pictures, ["b", "d"]) == []
    assert found([scene(1), cropped(0.1)(scene(1))], ["b", "d"]) == [(0, 1)]


def test_texts_are_copies_of_the_same_text_only_and_never_mirrored() -> None:
    pictures = [scene(1), cropped(0.05)(scene(1)), ImageOps.mirror(scene(1))]
    assert found(pictures, ["x", "x", "x"], "text") == [(0, 1)]
    assert found(pictures, ["x", "y", "x"], "text") == []


def test_blank_pictures_are_not_copies_of_each_other() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(250, 256, (64, 64, 3), np.uint8) for _ in range(10)]
    assert found([PILImage.fromarray(picture) for picture in noise]) == []


def test_blocks_find_what_one_product_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [change(scene(s)) for s in range(12) for change in (cropped(0.0), cropped(0.1))]
    at_once = found(pictures)
    assert at_once == [(2 * s, 2 * s + 1) for s in range(12)]
    monkeypatch.setattr(resemblance, "_ROWS", 5)
    monkeypatch.setattr(resemblance, "_COLUMNS", 7)
    monkeypatch.setattr(resemblance, "_CHUNK", 2)
    assert found(pictures) == at_once


def test_a_distance_of_nothing_asks_for_no_changed_copies() -> None:
    assert found([scene(1), cropped(0.1)(scene(1))], distance=0) == []


def test_print_must_lie_closer() -> None:
    def letter(width: int) -> PILImage.Image:
        page = PILImage.new("RGB", (96, 96), "white")
        ImageDraw.Draw(page).rectangle((28, 10, 28 + width, 86), fill="black")
        return page

    assert found([letter(24), letter(24).resize((64, 64))]) == [(0, 1)]
    # A bolder one is another font.
    assert found([letter(24), letter(28)]) == []


def test_too_many_pictures_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resemblance, "MOST", 1)
    assert found([scene(1), cropped(0.1)(scene(1))]) == []


def test_copies_name_each_other_and_the_usual_label() -> None:
    scan = Scan.empty(4)
    for i, content in enumerate((1, 1, 2, 3)):
        scan.digest[i] = content
    samples = [Sample(f"{i}.png", (label,)) for i, label in enumerate("aaba")]
    suspects = copies_suspected(samples, scan, [[0, 1, 2]])
    assert [(s.sample, s.label, s.like) for s in suspects] == [
        ("0.png", None, ("1.png", "2.png")),
        ("1.png", None, ("0.png", "2.png")),
        ("2.png", "a", ("0.png", "1.png")),
    ]
    assert [s.score for s in suspects] == [1.0, 1.0, 0.75]


def test_pictures_with_nearly_the_same_features(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features = (5 + rng.normal(size=(40, 30))).astype(np.float32)
    features[31] = features[7] + 0.05 * rng.normal(size=30)
    features[3] = features[7] + 0.05 * rng.normal(size=30)
    positions = np.array([7, 31, *range(10, 30)])
    # 3 was not asked for; a mean that all share does not count.
    assert alike(features, positions).tolist() == [[7, 31]]
    everything = alike(features, np.arange(40)).tolist()
    assert everything == [[3, 7], [3, 31], [7, 31]]
    monkeypatch.setattr(resemblance, "_ROWS", 6)
    monkeypatch.setattr(resemblance, "_COLUMNS", 6)
    assert sorted(alike(features, np.arange(40)).tolist()) == everything
    monkeypatch.setattr(resemblance, "MOST_FEATURES", 39)
    assert alike(features, np.arange(40)).tolist() == []
