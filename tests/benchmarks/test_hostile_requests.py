"""A few hundred hostile requests over real sockets: each is answered, none with 500."""

from __future__ import annotations

from collections import Counter

import pytest
from hostile_http import Found, send, send_all
from hostile_requests import Request, requests

from foveal.bundle import Bundle
from foveal.data.decode import DecodeLimits
from foveal.predict import Predictor
from foveal.server import start_in_thread

pytest.importorskip("tifffile")


def test_hostile_requests_are_refused_one_by_one(tiny_bundle: Bundle) -> None:
    limits = DecodeLimits(max_bytes=10_000_000, max_pixels=250_000)
    found = Found()
    with start_in_thread({"tiny": Predictor(tiny_bundle, limits=limits)}, port=0) as handle:
        port = int(handle.url.rpartition(":")[2])
        send_all(port, requests("tiny", (300, 150, 150), bombs=False), found, clients=2)
        good = next(requests("tiny", (1, 0, 0), bombs=False))
        assert send(port, good)[0] in {"200", "400", "415"}
    assert not found.failed
    assert sum(found.statuses.values()) == 600
    # Among them are pictures that can be read, frames without an answer, and all the others.
    assert found.statuses["200"] > 20
    assert found.statuses["400"] > 100
    assert found.statuses["415"] > 20


def test_requests_are_the_same_each_time() -> None:
    first, second = (list(requests("m", (20, 20, 20), bombs=False)) for _ in range(2))
    assert first == second
    assert Counter(request.is_whole for request in first) == {True: 40, False: 20}


def test_what_is_wrong_is_found() -> None:
    found = Found()
    for name, status, is_whole in (
        ("a", "500", True),
        ("b", "closed", True),
        ("c", "closed", False),
        ("d", "501", False),
        ("e", "none", False),
        ("f", "400", True),
    ):
        found.add(Request(name, b"", is_whole), status, 1.0)
    assert found.failed == {"a": "500", "b": "closed", "e": "none"}
