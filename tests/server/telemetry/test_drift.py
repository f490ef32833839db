"""Drift: the last hour's answers against those on validation; and the figures for the live page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from drawing import brightness_model, tiny_manifest

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread
from foveal.server.models.served import Served, Versions
from foveal.server.telemetry.drift import WINDOW_S, AnswerCounts, DriftWatch
from foveal.tasks.distribution import Distribution

# Half of validation was circles, half squares, all of them sure.
HALVES = Distribution({"circle": 100, "square": 100}, (0, 0, 0, 0, 0, 0, 0, 0, 0, 200))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Return a predictor whose bundle knows what was answered on validation."""
    path = tmp_path_factory.mktemp("known") / "bundle"
    manifest = replace(tiny_manifest(), answers=HALVES)
    return Predictor(Bundle.write(path, manifest, {"model.onnx": brightness_model()}), threads=1)


@pytest.fixture
def handle(known: Predictor) -> Iterator[ServerHandle]:
    """Return a running server of it."""
    with start_in_thread({"tiny": known}, port=0) as handle:
        yield handle


def ask(handle: ServerHandle, picture: bytes, times: int) -> None:
    """Have a picture answered several times."""
    with httpx.Client(base_url=handle.url, timeout=None) as client:
        for _ in range(times):
            assert client.post("/predict/tiny", content=picture).status_code == 200


def test_answers_of_one_kind_alarm_once_and_stand_in_the_metrics(
    handle: ServerHandle, dark_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ask(handle, dark_png, 60)
    handle._state.drift.look()
    handle._state.drift.look()
    metrics = httpx.get(f"{handle.url}/metrics", timeout=None).text
    assert 'foveal_drift_alarm{model="tiny",of="kinds",version="1"} 1.0' in metrics
    assert 'foveal_drift_alarm{model="tiny",of="confidences",version="1"} 0.0' in metrics
    assert caplog.text.count("tiny:1: the answers of the last hour differ from validation") == 1


def test_the_alarm_of_a_version_ends_when_another_replaces_it(
    handle: ServerHandle, known: Predictor, dark_png: bytes
) -> None:
    ask(handle, dark_png, 60)
    state = handle._state
    state.drift.look()
    new = Served("tiny", 2, known, state.options)
    state.models.put("tiny", Versions({2: new}, 2))
    state.drift.look()
    metrics = httpx.get(f"{handle.url}/metrics", timeout=None).text
    assert 'foveal_drift_alarm{model="tiny",of="kinds",version="1"} 0.0' in metrics
    assert 'foveal_drift_index{model="tiny",of="kinds",version="1"} 0.0' in metrics


def test_answers_like_those_on_validation_are_no_alarm(
    handle: ServerHandle, dark_png: bytes, bright_jpeg: bytes
) -> None:
    ask(handle, dark_png, 30)
    ask(handle, bright_jpeg, 30)
    figures = httpx.get(f"{handle.url}/metrics.json", timeout=None).json()
    (version,) = figures["models"][0]["versions"]
    assert version["last_hour"]["kinds"] == {"circle": 30, "square": 30}
    assert version["last_hour"]["confidences"] == [0] * 9 + [60]
    assert version["validation"] == HALVES.to_json()
    assert [found["alarm"] for found in version["drift"].values()] == [False, False]


def test_what_was_answered_over_an_hour_ago_no_longer_counts(
    handle: ServerHandle, dark_png: bytes, bright_jpeg: bytes
) -> None:
    now = [0.0]
    state = handle._state
    (served,) = state.models.all()
    watch = DriftWatch(
        state.models, state.telemetry.families, state.telemetry.versions, lambda: now[0]
    )
    ask(handle, dark_png, 5)
    watch.look()
    now[0] = WINDOW_S
    ask(handle, bright_jpeg, 3)
    kinds, _ = watch.last_hour(served, AnswerCounts.of(state.telemetry.families()))
    assert kinds == {"square": 3}


def test_a_bundle_that_does_not_know_validation_has_no_drift(predictor: Predictor) -> None:
    with start_in_thread({"tiny": predictor}, port=0) as handle:
        figures = httpx.get(f"{handle.url}/metrics.json", timeout=None).json()
    (version,) = figures["models"][0]["versions"]
    assert (version["validation"], version["drift"]) == (None, {})


def test_figures_count_what_was_asked(handle: ServerHandle, dark_png: bytes) -> None:
    ask(handle, dark_png, 2)
    httpx.post(f"{handle.url}/predict/tiny", content=b"no picture", timeout=None)
    figures = httpx.get(f"{handle.url}/metrics.json", timeout=None).json()
    assert (figures["pictures"], figures["unsure"]) == (2, 0)
    # Probes and pages are not among them.
    assert figures["statuses"] == {"200": 2, "415": 1}
    assert figures["seconds"]["buckets"]["+Inf"] == 3
    assert figures["queue"]["pictures"] == 0
    assert not Path("/proc/self/statm").exists() or figures["resident_bytes"] > 10_000_000
