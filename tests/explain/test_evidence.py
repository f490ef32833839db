"""The evidence map and occlusion agree on where a drawn shape is."""

from __future__ import annotations

import numpy as np
import pytest
from colored import draw_blocks

from foveal.bundle import Bundle
from foveal.errors import TargetError
from foveal.explain.evidence import explain_evidence, explain_occlusion
from foveal.predict import Predictor
from foveal.types import Picture


@pytest.fixture
def predictor(tiny_bundle: Bundle) -> Predictor:
    return Predictor(tiny_bundle, threads=1)


def dark_with_bright_corner() -> Picture:
    """Dark speaks for a circle, bright for a square: the lower right speaks for the square."""
    pixels = np.full((32, 32, 3), 40, np.uint8)
    pixels[24:, 24:] = 250
    return Picture.from_array(pixels)


def test_the_heat_map_has_the_originals_size_and_peaks_at_the_evidence(
    predictor: Predictor,
) -> None:
    explanation = explain_evidence(predictor, dark_with_bright_corner(), "square")
    assert explanation.label == "square"
    assert explanation.heat.shape == (32, 32)
    assert explanation.overlay.shape == (32, 32, 3)
    row, column = np.unravel_index(explanation.heat.argmax(), (32, 32))
    assert row >= 24
    assert column >= 24
    assert explanation.heat.max() == pytest.approx(1.0)


def test_occlusion_finds_the_same_place(predictor: Predictor) -> None:
    explanation = explain_occlusion(predictor, dark_with_bright_corner(), "square", patches=4)
    row, column = np.unravel_index(explanation.heat.argmax(), (32, 32))
    assert row >= 20
    assert column >= 20


def test_without_a_label_the_answers_own_is_explained(predictor: Predictor) -> None:
    assert explain_evidence(predictor, dark_with_bright_corner()).label == "circle"


def test_an_unknown_label_names_the_nearest(predictor: Predictor) -> None:
    with pytest.raises(TargetError, match="Did you mean 'square'"):
        explain_evidence(predictor, dark_with_bright_corner(), "sqare")


def test_a_text_is_explained_by_its_alignment(tiny_reader: Bundle) -> None:
    predictor = Predictor(tiny_reader, threads=1)
    picture = Picture.from_array(draw_blocks("C?A"))
    explanation = explain_evidence(predictor, picture)

    drawn = predictor.predict([picture], explain=True)[0].draw(picture)
    assert np.array_equal(explanation.overlay, drawn)
    # The label is the character that is least sure; the heat is where it was seen.
    assert explanation.label == "B"
    assert explanation.heat.shape == (16, 48)
    assert 16 <= explanation.heat[8].argmax() < 24


def test_a_given_character_is_explained_by_heat_over_the_picture(tiny_reader: Bundle) -> None:
    predictor = Predictor(tiny_reader, threads=1)
    explanation = explain_evidence(predictor, Picture.from_array(draw_blocks("CBA")), "A")

    assert explanation.overlay.shape == (16, 48, 3)
    assert 32 <= explanation.heat[8].argmax() < 40
    with pytest.raises(TargetError, match=r"'x'.*not in the alphabet"):
        explain_evidence(predictor, Picture.from_array(draw_blocks("CBA")), "x")


def test_a_picture_in_which_nothing_is_read_is_explained_too(tiny_reader: Bundle) -> None:
    predictor = Predictor(tiny_reader, threads=1)
    explanation = explain_evidence(predictor, Picture.from_array(draw_blocks("  ")))

    assert (explanation.prediction.text, explanation.label) == ("", "")
    assert explanation.heat.shape == (16, 32)
    assert not explanation.heat.any()
    assert explanation.overlay.shape[1] > 32


def test_occlusion_of_a_text_finds_the_character(tiny_reader: Bundle) -> None:
    predictor = Predictor(tiny_reader, threads=1)
    picture = Picture.from_array(draw_blocks("C?A"))
    explanation = explain_occlusion(predictor, picture, "B", patches=4)
    # Only the second of three characters may be a B; each of four patches is 16 of 64 pixels.
    assert 16 <= explanation.heat[8].argmax() < 32
