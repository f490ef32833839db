"""How long a client waits, by its own word."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from foveal.bundle import Bundle
from foveal.predict import OnnxEngine, Predictor
from foveal.server import ServerHandle, start_in_thread
from foveal.server.request.limits import RequestError, timeout_of
from foveal.types import Outputs


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("250ms", 0.25), ("1.5 s", 1.5), (" 3S ", 3.0)],
)
@pytest.mark.parametrize("name", ["x-request-timeout", "request-timeout"])
def test_a_header_says_how_long_a_client_waits(name: str, text: str, seconds: float) -> None:
    assert timeout_of({name: text}) == seconds


def test_without_the_header_the_server_decides() -> None:
    assert timeout_of({"host": "localhost"}) is None


@pytest.mark.parametrize(
    "text", ["", "0", "0ms", "-1", "soon", "1e3", "inf", "nan", "1m", "9" * 40]
)
def test_anything_else_is_refused(client: httpx.Client, dark_png: bytes, text: str) -> None:
    with pytest.raises(RequestError, match="Expected seconds") as refused:
        timeout_of({"x-request-timeout": text})
    assert refused.value.status == 400
    answer = client.post("/predict/tiny", content=dark_png, headers={"x-request-timeout": text})
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


class HeldEngine:
    """Runs the network once it is let go."""

    def __init__(self, bundle: Bundle) -> None:
        self._engine = OnnxEngine(bundle.model_bytes(), threads=1)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        self.entered.set()
        assert self.gate.wait(20)
        return self._engine.run(inputs, names)


def test_who_waits_shorter_than_the_server_allows_is_answered_504_then(
    tiny_bundle: Bundle, dark_png: bytes
) -> None:
    engine = HeldEngine(tiny_bundle)
    predictor = Predictor(tiny_bundle, engine=engine)
    with start_in_thread({"tiny": predictor}, port=0) as server:
        engine.gate.clear()
        late = ask(server, dark_png, "50ms")
        engine.gate.set()
        in_time = ask(server, dark_png, "20s")
    assert late.status_code == 504
    assert late.json() == {"error": "No answer within 0.05 s."}
    assert in_time.status_code == 200


def ask(server: ServerHandle, data: bytes, timeout: str) -> httpx.Response:
    headers = {"X-Request-Timeout": timeout}
    return httpx.post(f"{server.url}/predict/tiny", content=data, headers=headers, timeout=None)
