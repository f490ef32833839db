"""Training pictures are recognised by their hashes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage

from foveal.bundle.trained_on import TrainedOn, look_at
from foveal.console import NoProgress
from foveal.data.cache import Cache
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.hashing import Fingerprint, fingerprint
from foveal.data.layouts import open_source
from foveal.data.scan import Scan
from foveal.data.source import ReadAnything
from foveal.errors import BundleError
from foveal.pipeline import Pipeline
from foveal.types import Image, Picture

RNG = np.random.default_rng(0)
PICTURES = [
    np.kron(RNG.integers(0, 256, (16, 16, 1), np.uint8), np.ones((4, 5, 3), np.uint8))
    for _ in range(6)
]
PIPELINE = Pipeline(32, 32)
DIGESTS = [bytes([i]) * 16 for i in range(6)]


def scan_of(looks: list[Fingerprint]) -> Scan:
    scan = Scan.empty(len(looks))
    for i, look in enumerate(looks):
        scan.put(i, DIGESTS[i], (60, 80), look)
    return scan


def trained_on(texts: list[str] | None = None) -> TrainedOn:
    """Return the hashes of the first four pictures."""
    scan = scan_of([fingerprint(picture) for picture in PICTURES])
    raws = [(text,) for text in texts or ["cat"] * 4]
    return TrainedOn.of(scan, np.arange(4), raws, "text" if texts else "labels")


def looks(*pictures: Image, text: str | None = None) -> NDArray[np.uint64]:
    raw, target = ((text,), "text") if text else (("dog",), "labels")
    return np.array(
        [look_at(Picture.from_array(p), PIPELINE, raw, target) for p in pictures], np.uint64
    )


def saved_again(picture: Image) -> Image:
    buffer = io.BytesIO()
    PILImage.fromarray(picture).save(buffer, "JPEG", quality=85)
    return np.asarray(PILImage.open(buffer))


def test_the_same_bytes_are_recognised_whatever_they_look_like() -> None:
    unseen = np.zeros(3, np.uint64)
    found = trained_on().recognise([DIGESTS[3], DIGESTS[4], b"\0" * 16], unseen)
    assert found.tolist() == [True, False, True]


def test_a_copy_with_other_bytes_is_recognised_by_its_look() -> None:
    copies = looks(saved_again(PICTURES[1]), saved_again(PICTURES[5]))
    assert trained_on().recognise([b"a" * 16, b"b" * 16], copies).tolist() == [True, False]


def test_up_to_two_bits_may_differ_in_any_place() -> None:
    known = trained_on()
    look = int(known.look[0])
    near = [look ^ (1 << i) ^ (1 << j) for i in range(64) for j in range(i, 64)]
    far = [look ^ (1 << i) ^ (1 << (i + 21) % 64) ^ (1 << (i + 42) % 64) for i in range(64)]
    given = np.array([*near, *far], np.uint64)
    found = known.recognise([b"z" * 16] * len(given), given)
    assert found.tolist() == [True] * len(near) + [False] * len(far)


def test_pictures_of_text_are_copies_only_where_the_text_is_the_same() -> None:
    known = trained_on(["one", "two", "three", "four"])
    copy = saved_again(PICTURES[0])
    same, other = looks(copy, text="one"), looks(copy, text="two")
    assert known.recognise([b"z" * 16], same).tolist() == [True]
    assert known.recognise([b"z" * 16], other).tolist() == [False]


def test_blank_pictures_are_copies_of_nothing() -> None:
    blank = np.full((60, 80, 3), 200, np.uint8)
    known = TrainedOn.of(scan_of([fingerprint(blank)]), np.arange(1), [("cat",)], "labels")
    assert looks(blank).tolist() == [0]
    assert known.recognise([b"z" * 16], looks(blank)).tolist() == [False]


def test_hashes_take_16_bytes_a_picture_and_are_read_back() -> None:
    known = trained_on()
    data = known.to_bytes()
    again = TrainedOn.from_bytes(data)
    assert len(data) == 16 * 4
    assert np.array_equal(again.content, known.content)
    assert np.array_equal(again.look, known.look)
    with pytest.raises(BundleError, match="multiple of 16 bytes"):
        TrainedOn.from_bytes(data[:-1])


def test_nothing_trained_on_is_nothing_recognised() -> None:
    nothing = TrainedOn.from_bytes(b"")
    assert nothing.recognise([DIGESTS[0]], looks(PICTURES[0])).tolist() == [False]
    assert trained_on().recognise([], np.empty(0, np.uint64)).tolist() == []


def test_of_very_many_pictures_a_part_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foveal.bundle.trained_on._MOST", 2)
    known = trained_on()
    assert len(known.to_bytes()) == 32
    assert known.recognise(DIGESTS, np.zeros(6, np.uint64)).tolist() == [True, True] + [False] * 4


def test_a_tiled_picture_is_seen_as_while_it_was_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    coarse = rng.integers(0, 256, (16, 22, 3), np.uint8)
    picture = PILImage.fromarray(np.kron(coarse, np.ones((70, 70, 1), np.uint8)))
    picture.save(tmp_path / "images" / "a.png")
    PILImage.fromarray(np.eye(*picture.size[::-1], dtype=np.uint8)).save(tmp_path / "masks/a.png")
    for scale in (1.0, 0.5):
        pipeline = Pipeline(32, 32, "tile", scale=scale)
        source = open_source(str(tmp_path), ReadAnything(target="mask"))
        cache = Cache.build(
            source,
            pipeline,
            tmp_path / f"cache-{scale}",
            DEFAULT_LIMITS,
            workers=1,
            progress=NoProgress(),
        )
        seen = look_at(Picture.from_array(np.asarray(picture)), pipeline, ("x",), "mask")
        assert seen == int(cache.scan.phash[0])
