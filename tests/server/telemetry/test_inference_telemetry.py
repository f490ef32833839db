"""Triton's metrics: what a dashboard for it reads here."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import httpx
import pytest

from foveal.predict import Predictor
from foveal.server import start_in_thread


def _read(client: httpx.Client, name: str) -> dict[str, float]:
    """Return the values of a metric by their labels."""
    text = client.get("/metrics").text
    found = re.findall(rf"^{name}\{{([^}}]*)\}} (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


@pytest.fixture
def alone(predictor: Predictor) -> Iterator[httpx.Client]:
    """Return a client of a server that nobody else asks."""
    with (
        start_in_thread({"tiny": predictor}, port=0) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        yield client


def test_requests_pictures_and_times_are_counted(
    alone: httpx.Client, dark_png: bytes, bright_jpeg: bytes
) -> None:
    data = [base64.b64encode(picture).decode() for picture in (dark_png, bright_jpeg)]
    image = {"name": "image", "shape": [2], "datatype": "BYTES", "data": data}
    assert alone.post("/v2/models/tiny/infer", json={"inputs": [image]}).status_code == 200
    assert alone.post("/predict/tiny", content=dark_png).status_code == 200
    assert alone.post("/predict/tiny", content=b"no picture").status_code == 415

    own = 'model="tiny",version="1"'
    assert _read(alone, "nv_inference_request_success") == {own: 2}
    failures = _read(alone, "nv_inference_request_failure")
    assert failures == {'model="tiny",reason="OTHER",version="1"': 1}
    assert _read(alone, "nv_inference_count") == {own: 3}
    runs = _read(alone, "nv_inference_exec_count")[own]
    assert 2 <= runs <= 3
    for part in ("request", "queue", "compute_input", "compute_infer"):
        assert _read(alone, f"nv_inference_{part}_duration_us")[own] > 0


def test_what_nobody_waits_for_is_rejected(alone: httpx.Client, dark_png: bytes) -> None:
    data = [base64.b64encode(dark_png).decode()]
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "data": data}
    asked = {"parameters": {"timeout": 1}, "inputs": [image]}
    assert alone.post("/v2/models/tiny/infer", json=asked).status_code == 504
    failures = _read(alone, "nv_inference_request_failure")
    assert failures == {'model="tiny",reason="REJECTED",version="1"': 1}
