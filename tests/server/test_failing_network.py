"""What goes wrong in a network is not the fault of the picture, and says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from foveal.bundle import Bundle
from foveal.predict import OnnxEngine, Predictor
from foveal.server import ServerHandle, start_in_thread
from foveal.types import Outputs


class Failing:
    """An engine that runs out of memory for dark pictures, and gives NaN for bright ones."""

    def __init__(self, model: bytes) -> None:
        self._engine = OnnxEngine(model, threads=1)

    def run(self, inputs: NDArray[np.uint8], names: Sequence[str] | None = None) -> Outputs:
        if inputs[:, 8, 8, 0].min() < 60:
            raise MemoryError("the network needs more memory")
        outputs = {name: array.copy() for name, array in self._engine.run(inputs, names).items()}
        outputs["logits"][inputs[:, 8, 8, 0] > 200] = np.nan
        return outputs


@pytest.fixture(scope="module")
def failing_server(tiny_bundle: Bundle) -> Iterator[ServerHandle]:
    """Return a server whose network fails for some pictures; its warm-up is grey."""
    engine = Failing(tiny_bundle.model_bytes())
    with start_in_thread({"tiny": Predictor(tiny_bundle, engine=engine)}, port=0) as handle:
        yield handle


@pytest.fixture
def client(failing_server: ServerHandle) -> Iterator[httpx.Client]:
    """Return a client of that server."""
    with httpx.Client(base_url=failing_server.url, timeout=None, trust_env=False) as client:
        yield client


def test_a_network_without_memory_is_busy_and_blames_no_picture(
    client: httpx.Client, dark_png: bytes
) -> None:
    answer = client.post("/predict/tiny", content=dark_png)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json() == {"error": "There is currently not enough memory for this request."}


def test_a_network_that_gives_no_number_is_an_error_of_the_server(
    client: httpx.Client, bright_jpeg: bytes, grey_png: bytes
) -> None:
    answer = client.post("/predict/tiny", content=bright_jpeg)
    assert answer.status_code == 500
    assert client.post("/predict/tiny", content=grey_png).json()["unsure"] is True
