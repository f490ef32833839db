"""The description that goes into every export, of bundles of each task."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from foveal.bundle.bundle import Bundle
from foveal.export.description import describe, preprocessing_words
from foveal.export.proof import Proof
from foveal.pipeline import FITS, Pipeline
from foveal.tasks import get_task


def test_the_calibration_and_the_proof_of_the_export_are_told(tiny_bundle: Bundle) -> None:
    own = replace(tiny_bundle.manifest.calibration, temperature=3.0)
    described = describe(tiny_bundle, calibration=own, proof=Proof("a runtime 1", 5, 1.0, 0.0))
    assert described["calibration"]["temperature"] == 3.0
    assert described["proof"]["runtime"] == "a runtime 1"
    json.dumps(described, allow_nan=False)


@pytest.mark.parametrize("fit", FITS)
def test_each_fit_is_said_in_words(fit: str) -> None:
    said = {preprocessing_words(Pipeline(32, 64, other)) for other in FITS}
    assert len(said) == len(FITS)
    assert "Page steps" not in preprocessing_words(Pipeline(32, 64, fit))  # type: ignore[arg-type]


def test_page_steps_are_named() -> None:
    words = preprocessing_words(Pipeline(32, 64, "line", steps=("grey", "lines")))
    assert "Page steps come first: grey, lines." in words


@pytest.mark.parametrize("name", ["classify", "read", "segment"])
def test_each_task_says_how_its_outputs_become_an_answer(name: str) -> None:
    words = get_task(name).decoding
    assert "calibration.temperature" in words
    assert "calibration.unsure_below" in words
