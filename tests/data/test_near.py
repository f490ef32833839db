"""Near-duplicates: copies are found, look-alikes and blank pictures are not united."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageEnhance

from foveal.data import near as near_module
from foveal.data.decode import DecodeLimits, decode
from foveal.data.hashing import THUMB, Fingerprint, fingerprint, normalised, texture
from foveal.data.near import MAX_DIFFERENCE, MIN_SPREAD, together
from foveal.data.picture_file import read_file
from foveal.data.scan import Scan

LIMITS = DecodeLimits(max_bytes=10_000_000, max_pixels=10_000_000)


def scene(seed: int, size: int = 128) -> PILImage.Image:
    """Return a picture of smooth blobs, as photographs are at a distance."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return PILImage.fromarray(coarse).resize((size, size), PILImage.Resampling.BICUBIC)


def jpeg(image: PILImage.Image, quality: int) -> PILImage.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return PILImage.open(file).convert("RGB")


def scan_of(looks: list[Fingerprint]) -> Scan:
    scan = Scan.empty(len(looks))
    for i, look in enumerate(looks):
        scan.put(i, i.to_bytes(16, "big"), (10, 10), look)
    return scan


def scan_of_pictures(pictures: list[PILImage.Image]) -> Scan:
    return scan_of([fingerprint(np.asarray(picture)) for picture in pictures])


def united(scan: Scan, distance: int = 2) -> list[list[int]]:
    positions = np.flatnonzero(scan.ok).astype(np.int64)
    found = together(scan, positions, distance)
    assert found.is_complete
    return [members for members in found.sets(positions) if len(members) > 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: jpeg(image, 50),
        lambda image: image.resize((64, 64), PILImage.Resampling.LANCZOS),
        lambda image: ImageEnhance.Brightness(image).enhance(0.9),
        lambda image: image.convert("L").convert("RGB"),
    ],
    ids=["re-encoded", "resized", "darkened", "grey"],
)
def test_a_changed_copy_is_found(change: object) -> None:
    assert callable(change)
    scan = scan_of_pictures([scene(1), scene(2), change(scene(1)), scene(3)])
    assert united(scan) == [[0, 2]]


def test_other_pictures_are_not_united() -> None:
    assert united(scan_of_pictures([scene(seed) for seed in range(60)])) == []


def test_blank_pictures_are_not_united() -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(250, 256, (64, 64, 3), np.uint8) for _ in range(30)]
    assert united(scan_of_pictures([PILImage.fromarray(picture) for picture in noise])) == []


def test_a_mark_moved_on_a_white_page_is_another_picture() -> None:
    pages = []
    for x in range(0, 80, 10):
        page = np.full((96, 96, 3), 255, np.uint8)
        page[40:52, x : x + 12] = 0
        pages.append(PILImage.fromarray(page))
    assert united(scan_of_pictures(pages)) == []


def far_fewer_bits(rng: np.random.Generator, count: int) -> Scan:
    """Return a scan whose hashes and thumbnails are crowded, so that many pairs are near."""
    thumbs = rng.integers(0, 3, (count, 2, 2)).repeat(THUMB // 2, 1).repeat(THUMB // 2, 2) * 100
    thumbs = np.clip(thumbs + rng.integers(0, 12, thumbs.shape), 0, 255).astype(np.uint8)
    spread, balance = texture(thumbs)
    hashes = rng.choice(np.array([0, 1, 3, 1 << 40, (1 << 63) + 1, (1 << 22) + 7], object), count)
    return scan_of(
        [
            Fingerprint(int(h), np.kron(t, np.ones((2, 2), np.uint8)), t, float(s), float(b))
            for h, t, s, b in zip(hashes, thumbs, spread, balance, strict=True)
        ]
    )


def by_definition(scan: Scan, distance: int, known: list[tuple[int, int]]) -> NDArray[np.int64]:
    """Return the first of each one's set, by looking at every pair and walking every path."""
    count = len(scan.ok)
    values = normalised(scan.thumb)
    reach = np.eye(count, dtype=bool)
    for a in range(count):
        for b in range(count):
            bits = (int(scan.phash[a]) ^ int(scan.phash[b])).bit_count()
            is_near = np.abs(values[a] - values[b]).mean() <= MAX_DIFFERENCE
            is_blank = min(scan.spread[a], scan.spread[b]) < MIN_SPREAD
            is_equal = (scan.digest[a] == scan.digest[b]).all()
            is_known = (a, b) in known or (b, a) in known
            reach[a, b] |= is_equal or is_known or (bits <= distance and is_near and not is_blank)
    for _ in range(count):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    return reach.argmax(axis=1) if count else np.zeros(0, np.int64)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 16))
def test_the_search_finds_exactly_what_the_definition_says(
    seed: int, count: int, distance: int
) -> None:
    rng = np.random.default_rng(seed)
    scan = far_fewer_bits(rng, count)
    known = [(int(a), int(b)) for a, b in rng.integers(0, max(1, count), (count // 10, 2))]
    for copy, original in rng.integers(0, max(1, count), (count // 10, 2)):
        scan.put(
            copy,
            scan.digest[original].tobytes(),
            (9, 9),
            Fingerprint(
                int(scan.phash[original]),
                scan.small[original],
                scan.thumb[original],
                float(scan.spread[original]),
                float(scan.balance[original]),
            ),
        )
    found = together(scan, np.arange(count, dtype=np.int64), distance, known)
    np.testing.assert_array_equal(found.first, by_definition(scan, distance, known))


def test_byte_equal_pictures_form_a_set_even_when_blank() -> None:
    scan = scan_of_pictures([PILImage.new("RGB", (9, 9), "white") for _ in range(4)])
    scan.digest[2] = scan.digest[0]
    assert united(scan) == [[0, 2]]


def test_a_search_that_would_take_too_long_is_cut_short_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_module, "MAX_EFFORT", 10)
    scan = scan_of_pictures([jpeg(scene(1), quality) for quality in range(30, 60)])
    assert not together(scan, np.arange(30, dtype=np.int64), 2).is_complete


def test_thousands_of_nearly_equal_pictures_are_one_set_and_quickly_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 20_000
    scan = Scan.empty(count)
    scan.ok[:] = True
    scan.digest[:, :4] = np.arange(count, dtype="<u4").view(np.uint8).reshape(count, 4)
    scan.thumb[:] = fingerprint(np.asarray(scene(1))).thumb
    scan.phash[:] = 12345
    scan.spread[:] = 50
    # All pairs are 200 million.
    monkeypatch.setattr(near_module, "MAX_EFFORT", 10_000_000)
    assert len(united(scan)) == 1


def test_a_hundred_thousand_pictures_are_no_quadratic_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    count = 100_000
    scan = Scan.empty(count)
    scan.ok[:] = True
    scan.digest[:] = rng.integers(0, 256, scan.digest.shape, np.uint8)
    scan.phash[:] = rng.integers(0, 1 << 63, count, np.uint64)
    scan.spread[:] = 50
    scan.balance[:] = rng.normal(0, 0.4, count)
    scan.phash[7] = scan.phash[99_999]
    scan.balance[7] = scan.balance[99_999]
    # All pairs are 5000 million.
    monkeypatch.setattr(near_module, "MAX_EFFORT", 20_000_000)
    assert united(scan) == [[7, 99_999]]


# Counted and looked at pair by pair, 2026-11.
@pytest.mark.parametrize(
    ("name", "largest", "copies"),
    [("letters", 6, (30, 80)), ("oddities", 2, (7, 7)), ("signature_text", 1, (0, 0))],
)
def test_real_pictures_are_united_as_an_eye_would(
    shared_data: Path, name: str, largest: int, copies: tuple[int, int]
) -> None:
    files = sorted(p for p in (shared_data / name).rglob("*.*") if p.suffix in (".png", ".jpg"))
    looks = [
        fingerprint(decode(read_file(f, LIMITS), LIMITS, min_size=(64, 64)).pixels)
        for f in files[:: max(1, len(files) // 600)]
    ]
    sizes = Counter(len(found) for found in united(scan_of(looks)))
    assert max(sizes, default=1) <= largest
    assert copies[0] <= sum((size - 1) * times for size, times in sizes.items()) <= copies[1]


def test_copies_of_another_size_have_near_hashes() -> None:
    near = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        picture = PILImage.new("RGB", (72, 24), "white")
        draw = ImageDraw.Draw(picture)
        for _ in range(8):
            ends = [int(value) for value in rng.integers(0, (72, 24, 72, 24))]
            draw.line(ends, fill=(0, 0, 0), width=2)
        smaller = picture.resize((50, 17))
        one, other = (fingerprint(np.asarray(p)).phash for p in (picture, smaller))
        near += (one ^ other).bit_count() <= 2
    # Made small by a mean over cells, 3 of them are.
    assert near >= 18
