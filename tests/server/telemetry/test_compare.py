"""Canary and shadow: their answers compared with those of the current version, and counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from shelf import Choice, Shelf, until

from foveal.bundle import Bundle
from foveal.server import start_in_thread
from foveal.server.models.follow import Followed
from foveal.server.models.loader import Offer
from foveal.server.models.served import Canary
from foveal.server.telemetry.compare import agreement
from foveal.tasks.segment.prediction import Segmentation

NAMES = ("background", "red", "blue")


def values_of(url: str, name: str) -> dict[str, float]:
    """Return the samples of a metric that have a role, as role → value."""
    text = httpx.get(f"{url}/metrics", timeout=None).text
    return {
        sample.labels["role"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def offer_of(shelf: Shelf, canary: Canary | None = None, shadow: int | None = None) -> Offer:
    """Return an offer of version 1 with another beside it."""
    return Offer(followed=(Followed(shelf, "tiny", (Choice(version=1),), canary, shadow),))


def test_a_shadow_is_compared_and_never_sent(
    shelf: Shelf, versions: list[Bundle], dark_png: bytes
) -> None:
    shelf.bundles[2] = versions[1]
    with start_in_thread(offer_of(shelf, shadow=2), port=0) as handle:
        for compared in range(1, 4):
            answer = httpx.post(f"{handle.url}/predict/tiny", content=dark_png, timeout=None)
            assert answer.json()["label"] == "a1"
            assert answer.headers["x-model-version"] == "1"
            until(
                lambda compared=compared: (
                    values_of(handle.url, "foveal_agreement_count") == {"shadow": compared}
                )
            )
        # a1 is not a2.
        assert values_of(handle.url, "foveal_agreement_sum") == {"shadow": 0.0}


def test_a_shadow_that_fails_is_counted_and_disturbs_nobody(
    shelf: Shelf, versions: list[Bundle], dark_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.bundles[2] = versions[1]
    with start_in_thread(offer_of(shelf, shadow=2), port=0) as handle:

        async def fail(*_: object) -> None:
            raise RuntimeError("the shadow is broken")

        monkeypatch.setattr(handle._state.comparer, "_answer", fail)
        answer = httpx.post(f"{handle.url}/predict/tiny", content=dark_png, timeout=None)
        assert answer.json()["label"] == "a1"
        until(lambda: values_of(handle.url, "foveal_uncompared_pictures_total") == {"shadow": 1.0})


def test_what_the_canary_answers_is_compared_with_the_current_version(
    shelf: Shelf, versions: list[Bundle], dark_png: bytes
) -> None:
    # The same bundle under another number: it agrees.
    shelf.bundles[2] = versions[0]
    with start_in_thread(offer_of(shelf, Canary(2, 1.0)), port=0) as handle:
        answer = httpx.post(f"{handle.url}/predict/tiny", content=dark_png, timeout=None)
        assert answer.headers["x-model-version"] == "2"
        until(lambda: values_of(handle.url, "foveal_agreement_sum") == {"canary": 1.0})


@pytest.mark.parametrize(
    "beside", [{"canary": Canary(1, 1.0)}, {"shadow": 1}], ids=["canary", "shadow"]
)
def test_a_version_that_was_promoted_is_not_compared_with_itself(
    shelf: Shelf, dark_png: bytes, monkeypatch: pytest.MonkeyPatch, beside: dict[str, Any]
) -> None:
    with start_in_thread(offer_of(shelf, **beside), port=0) as handle:
        again: list[object] = []

        async def answer(*asked: object) -> None:
            again.append(asked)

        monkeypatch.setattr(handle._state.comparer, "_answer", answer)
        for _ in range(2):
            assert httpx.post(
                f"{handle.url}/predict/tiny", content=dark_png, timeout=None
            ).is_success
        assert again == []
        assert values_of(handle.url, "foveal_uncompared_pictures_total") == {}


def test_a_promoted_canary_is_compared_with_the_shadow(
    shelf: Shelf, versions: list[Bundle], dark_png: bytes
) -> None:
    shelf.bundles[2] = versions[1]
    with start_in_thread(offer_of(shelf, Canary(1, 1.0), shadow=2), port=0) as handle:
        httpx.post(f"{handle.url}/predict/tiny", content=dark_png, timeout=None)
        until(lambda: values_of(handle.url, "foveal_agreement_count") == {"shadow": 1.0})


def test_nothing_is_compared_while_pictures_wait(
    shelf: Shelf, versions: list[Bundle], dark_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.bundles[2] = versions[1]
    with start_in_thread(offer_of(shelf, shadow=2), port=0) as handle:
        monkeypatch.setattr(handle._state.comparer, "_is_busy", lambda: True)
        httpx.post(f"{handle.url}/predict/tiny", content=dark_png, timeout=None)
        assert values_of(handle.url, "foveal_uncompared_pictures_total") == {"shadow": 1.0}
        assert values_of(handle.url, "foveal_agreement_count") == {}


def mask_of(*rows: list[int]) -> Segmentation:
    """Return the answer that a mask is."""
    mask = np.array(rows, np.uint8)
    counts = tuple(int(n) for n in np.bincount(mask.ravel(), minlength=3))
    return Segmentation(
        confidence=0.9,
        unsure=False,
        mask=mask,
        pixels=counts,
        size=mask.shape,
        probabilities=None,
        labels=NAMES,
    )


def test_masks_agree_by_their_mean_dice() -> None:
    one = mask_of([1, 1, 0, 0], [0, 0, 0, 2])
    two = mask_of([1, 0, 0, 0], [0, 0, 0, 2])
    # Red: 2 x 1 / (2 + 1); blue: 1.
    assert agreement(one, two, (NAMES, NAMES)) == pytest.approx((2 / 3 + 1) / 2)
    assert agreement(one, one, (NAMES, NAMES)) == 1.0
    # Nothing found by either: they agree on that.
    assert agreement(mask_of([0, 0]), mask_of([0, 0]), (NAMES, NAMES)) == 1.0


def test_masks_of_versions_with_other_labels_are_compared_by_name() -> None:
    turned = ("background", "blue", "red")
    one = mask_of([1, 1, 0, 0])
    two = replace(mask_of([2, 2, 0, 0]), labels=turned)
    assert agreement(one, two, (NAMES, turned)) == 1.0
