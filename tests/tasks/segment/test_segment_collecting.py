"""From bands of logits to a mask: labels, confidence, maps and memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foveal import metrics
from foveal.tasks.segment.collecting import MaskCollector
from foveal.tasks.segment.prediction import Segmentation
from foveal.types import Calibration

NAMES = ("background", "cell", "stroma", "fat")


def random_logits(seed: int, classes: int, height: int = 9, width: int = 7) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (4 * rng.standard_normal((classes, height, width))).astype(np.float32)


def collected(
    logits: NDArray[np.float32],
    calibration: Calibration = Calibration(),  # noqa: B008 - frozen
    *,
    ends: tuple[int, ...] = (),
    maps: type[np.float16] | type[np.float32] | None = None,
) -> Segmentation:
    """Bands that end at these rows, and one with the rest."""
    classes, height, width = logits.shape
    collector = MaskCollector((height, width), NAMES[:classes], calibration, maps=maps)
    for start, end in zip((0, *ends), (*ends, height), strict=True):
        collector.add(start, {"logits": logits[:, start:end]})
    return collector.finish()


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 4),
    temperature=st.floats(0.1, 10),
    keeps=st.booleans(),
    moves=st.booleans(),
)
def test_a_mask_is_the_likeliest_label_and_its_confidence_the_mean_probability(
    seed: int, classes: int, temperature: float, keeps: bool, moves: bool
) -> None:
    logits = random_logits(seed, classes)
    offsets = np.random.default_rng(seed).uniform(-2, 2, classes) * moves
    calibration = Calibration(temperature, offsets=tuple(offsets.tolist()) if moves else ())
    answer = collected(logits, calibration, ends=(4,), maps=np.float32 if keeps else None)
    expected = metrics.softmax(np.moveaxis(logits, 0, -1) / np.float32(temperature))
    scores = np.moveaxis(logits, 0, -1).astype(np.float64) / temperature + offsets
    labels = scores.argmax(axis=-1)
    assert np.array_equal(answer.known_mask(), labels)
    likelihood = np.take_along_axis(expected, labels[..., None], -1)
    assert answer.confidence == pytest.approx(float(likelihood.mean()), abs=1e-5)
    assert answer.pixels == tuple(int((labels == label).sum()) for label in range(classes))
    if answer.probabilities is not None:
        assert np.allclose(np.moveaxis(answer.probabilities, 0, -1), expected, atol=1e-6)


@pytest.mark.parametrize("offset", [-0.3, 0.0, 0.7])
def test_maps_do_not_change_a_mask_of_two_labels(offset: float) -> None:
    logits = random_logits(3, 2, 200, 200)
    # Sums and differences of these are rounded: exactly where a label changes, too.
    logits[1, :100] = logits[0, :100] - np.float32(offset * 1.3)
    calibration = Calibration(1.3, offsets=(0.0, offset) if offset else ())
    with_maps = collected(logits, calibration, maps=np.float16)
    assert with_maps == collected(logits, calibration)


@pytest.mark.parametrize("classes", [2, 3])
def test_bands_of_any_height_give_the_same_answer(classes: int) -> None:
    logits = random_logits(1, classes)
    whole = collected(logits)
    for ends in ((1,), (4, 8), (1, 2, 3, 4, 5, 6, 7, 8)):
        again = collected(logits, ends=ends)
        assert again == whole
        assert again.confidence == pytest.approx(whole.confidence)


@pytest.mark.parametrize("classes", [2, 3])
def test_logits_are_left_as_they_are_and_equal_ones_are_the_first_label(classes: int) -> None:
    logits = np.zeros((classes, 3, 3), np.float32)
    logits.flags.writeable = False
    assert collected(logits).pixels[0] == 9


def test_small_maps_are_close_to_exact_ones() -> None:
    logits = random_logits(2, 3)
    small, exact = collected(logits, maps=np.float16), collected(logits, maps=np.float32)
    assert small.probabilities is not None and exact.probabilities is not None
    assert small.probabilities.dtype == np.float16
    assert np.abs(small.probabilities - exact.probabilities).max() < 2e-3


def test_the_whole_mask_is_tidied_across_bands() -> None:
    logits = np.full((2, 6, 6), -5, np.float32)
    logits[0] = 5
    logits[1, 2:4, 2:4] = 9  # Four pixels, half of them in each band.
    assert collected(logits, ends=(3,)).pixels == (32, 4)
    assert collected(logits, Calibration(smallest=(0, 4)), ends=(3,)).pixels == (32, 4)
    assert collected(logits, Calibration(smallest=(0, 5)), ends=(3,)).pixels == (36, 0)


def test_low_confidence_is_unsure() -> None:
    logits = np.zeros((2, 2, 2), np.float32)
    logits[1] = 1  # A probability of 0.731 everywhere.
    assert collected(logits, Calibration(unsure_below=0.74)).unsure
    assert not collected(logits, Calibration(unsure_below=0.72)).unsure


def test_rows_that_no_band_covers_are_an_error() -> None:
    collector = MaskCollector((5, 4), NAMES[:2], Calibration())
    collector.add(0, {"logits": np.zeros((2, 3, 4), np.float32)})
    with pytest.raises(ValueError, match="Rows 3 to 5"):
        collector.finish()


@pytest.mark.parametrize(
    ("top", "shape", "reason"),
    [
        (1, (2, 2, 4), "leaves a gap"),
        (0, (2, 6, 4), "reaches past the picture"),
        (0, (2, 2, 3), "is too narrow"),
        (0, (3, 2, 4), "has another label"),
    ],
)
def test_a_band_that_does_not_fit_is_an_error(
    top: int, shape: tuple[int, int, int], reason: str
) -> None:
    collector = MaskCollector((5, 4), NAMES[:2], Calibration())
    with pytest.raises(ValueError, match="Expected row 0"):
        collector.add(top, {"logits": np.zeros(shape, np.float32)})


@pytest.mark.parametrize("classes", [2, 3])
def test_a_large_picture_takes_the_memory_of_its_mask_and_little_more(classes: int) -> None:
    side, rows = 6000, 100
    band = np.zeros((classes, rows, side), np.float32)
    tracemalloc.start()
    collector = MaskCollector((side, side), NAMES[:classes], Calibration())
    for top in range(0, side, rows):
        collector.add(top, {"logits": band})
    answer = collector.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.pixels[0] == side * side
    assert peak < 1.4 * side * side
