"""Checks of single pictures: what is far from the limit is found, the worst first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from foveal.checks import CheckInput, run_checks
from foveal.data.measures import MEASURES
from foveal.data.scan import Scan
from foveal.data.source import Sample
from foveal.types import Finding

GOOD = {
    "sharpness": 0.6,
    "highlight": 0.95,
    "shadow": 0.05,
    "brightness": 0.5,
    "information": 6.0,
}


def looked_at(count: int, **changed: list[float]) -> CheckInput:
    """Return good pictures, the first of which have other values of some measures."""
    rng = np.random.default_rng(0)
    scan = Scan.empty(count)
    scan.ok[:] = True
    scan.sizes[:] = 200
    scan.spread[:] = 50
    scan.digest[:] = rng.integers(0, 256, scan.digest.shape)
    scan.phash[:] = rng.integers(0, 1 << 63, count)
    for name, value in GOOD.items():
        scan.measures[:, MEASURES.index(name)] = value * rng.uniform(0.95, 1.05, count)
    for name, values in changed.items():
        scan.measures[: len(values), MEASURES.index(name)] = values
    samples = tuple(Sample(f"{i}.png", ("ab"[i % 2],)) for i in range(count))
    return CheckInput(samples, scan, (np.arange(count) % 2).astype(np.int8), near_distance=2)


def found(given: CheckInput) -> dict[str, Finding]:
    return {f.id: f for f in run_checks(given) if f.id.startswith("images.")}


@pytest.mark.parametrize(
    ("id", "measure", "values"),
    [
        ("images.blurred", "sharpness", [0.3, 0.15, 0.36]),
        ("images.dark", "highlight", [0.35, 0.2, 0.45]),
        ("images.bright", "shadow", [0.75, 0.95, 0.5]),
        ("images.bright", "brightness", [0.9, 0.95, 0.8]),
        ("images.low_information", "information", [1.5, 0.2, 3.0]),
    ],
)
def test_what_is_beyond_the_limit_is_found_the_worst_first(
    id: str, measure: str, values: list[float]
) -> None:
    findings = found(looked_at(40, **{measure: values}))
    assert list(findings) == [id]
    finding = findings[id]
    assert (finding.count, finding.severity) == (2, "info")
    assert [suspect.sample for suspect in finding.suspects] == ["1.png", "0.png"]
    assert 0.5 < finding.suspects[1].score < finding.suspects[0].score <= 1
    assert finding.method is not None


def test_printed_pages_are_sharp_alike_so_that_a_softer_one_is_found() -> None:
    print_like = [0.97] * 30
    finding = found(looked_at(40, sharpness=[*print_like, *[0.5] * 3, *[0.95] * 7]))
    assert finding["images.blurred"].count == 3
    # Photographs among drawings are not blurred drawings.
    assert found(looked_at(40, sharpness=[*[0.97] * 25, *[0.5] * 15])) == {}


def test_many_blurred_pictures_are_a_warning() -> None:
    assert found(looked_at(40, sharpness=[0.2] * 6))["images.blurred"].severity == "warning"


def test_of_a_soft_set_only_the_worst_is_found() -> None:
    given = looked_at(40, sharpness=[0.3] * 39 + [0.1])
    assert [s.sample for s in found(given)["images.blurred"].suspects] == ["39.png"]


def test_pages_of_ink_are_not_bright() -> None:
    assert (
        found(looked_at(40, brightness=np.linspace(0.8, 0.97, 40).tolist(), shadow=[0.0] * 40))
        == {}
    )


def test_of_pages_that_are_bright_alike_only_a_washed_out_one_is_found() -> None:
    forms = {"brightness": [0.915] * 40, "shadow": [0.16] * 39 + [0.65]}
    assert [s.sample for s in found(looked_at(40, **forms))["images.bright"].suspects] == ["39.png"]


def test_without_contrast_nothing_is_blurred() -> None:
    given = looked_at(40, sharpness=[0.0], highlight=[0.5], shadow=[0.45], information=[0.3])
    assert list(found(given)) == ["images.low_information"]


def test_odd_sizes_and_aspect_ratios() -> None:
    given = looked_at(40)
    given.scan.sizes[0] = 60, 60
    given.scan.sizes[1] = 40, 900
    given.scan.sizes[2] = 400, 200
    findings = found(given)
    assert findings["images.odd_size"].samples == ("0.png",)
    assert findings["images.odd_aspect"].samples == ("1.png",)
    assert "200 px" in str(findings["images.odd_size"].method)


def test_where_sizes_vary_none_is_odd() -> None:
    given = looked_at(40)
    given.scan.sizes[:] = 40
    given.scan.sizes[:, 1] = np.geomspace(40, 1000, 40)
    assert found(given) == {}


def test_pictures_that_were_not_measured_are_not_judged() -> None:
    given = looked_at(40)
    given.scan.measures[:] = np.nan
    assert found(given) == {}


def test_pictures_of_the_same_features_are_similar_and_no_copies() -> None:
    given = looked_at(40)
    features = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    features[9] = features[4]
    findings = found(replace(given, features=features))
    assert "images.near_duplicate" not in findings
    finding = findings["images.similar"]
    assert (finding.severity, finding.count) == ("info", 2)
    assert [(s.sample, s.like) for s in finding.suspects] == [
        ("4.png", ("9.png",)),
        ("9.png", ("4.png",)),
    ]
    assert finding.method is not None and "features" in finding.method


def test_of_copies_one_stands_for_all_among_similar_pictures() -> None:
    given = looked_at(40)
    features = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    features[[9, 20]] = features[4]
    given.scan.digest[20] = given.scan.digest[4]
    findings = found(replace(given, features=features))
    assert [s.sample for s in findings["images.near_duplicate"].suspects] == ["4.png", "20.png"]
    assert [s.sample for s in findings["images.similar"].suspects] == ["4.png", "9.png"]


def test_print_of_the_same_features_is_not_similar() -> None:
    given = looked_at(40)
    features = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    features[9] = features[4]
    # Black on white, as a letter in two fonts.
    given.scan.small[9] = 255
    given.scan.small[9, :8] = 0
    assert found(replace(given, features=features)) == {}
