"""A running server and pictures in the forms that clients send them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import httpx
import numpy as np
import pytest
from drawing import brightness_model, tiny_manifest
from PIL import Image as PILImage
from shelf import Shelf
from tinted import tint_manifest, tint_model

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import ServerHandle, start_in_thread


def encoded(brightness: int, kind: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    """Return a picture of one grey; the tiny bundle calls dark a circle, bright a square."""
    rng = np.random.default_rng(brightness)
    pixels = np.clip(brightness + rng.integers(-5, 5, (size[1], size[0], 3)), 0, 255)
    buffer = io.BytesIO()
    PILImage.fromarray(pixels.astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def dark_png() -> bytes:
    """Return a PNG that is a circle to the tiny bundle."""
    return encoded(40)


@pytest.fixture(scope="session")
def bright_jpeg() -> bytes:
    """Return a JPEG that is a square to the tiny bundle."""
    return encoded(220, "JPEG")


@pytest.fixture(scope="session")
def grey_png() -> bytes:
    """Return a PNG between the classes: the tiny bundle is unsure."""
    return encoded(128)


@pytest.fixture(scope="session")
def predictor(tiny_bundle: Bundle) -> Predictor:
    """Return a predictor of the tiny bundle."""
    return Predictor(tiny_bundle, threads=1)


@pytest.fixture(scope="session")
def server(predictor: Predictor) -> Iterator[ServerHandle]:
    """Return a running server with one model, `tiny`."""
    with start_in_thread({"tiny": predictor}, port=0) as handle:
        yield handle


@pytest.fixture(scope="module")
def predictors(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_bundle: Bundle,
    tiny_reader: Bundle,
    tiny_sums: Bundle,
) -> dict[str, Predictor]:
    """Return models of each task by name: `tiny`, two that read, and `tints`."""
    path = tmp_path_factory.mktemp("tints") / "tints"
    tints = Bundle.write(path, tint_manifest(), {"model.onnx": tint_model()})
    bundles = (tiny_bundle, tiny_reader, tiny_sums, tints)
    return {bundle.name: Predictor(bundle, threads=1) for bundle in bundles}


@pytest.fixture
def client(server: ServerHandle) -> Iterator[httpx.Client]:
    """Return a client of the running server."""
    with httpx.Client(base_url=server.url, timeout=None, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    """Return bundles that give the same picture different labels: 1 `a1`/`b1`, 2 `a2`/`b2`..."""
    root = tmp_path_factory.mktemp("versions")
    return [
        Bundle.write(
            root / str(number),
            replace(tiny_manifest(), labels=(f"a{number}", f"b{number}")),
            {"model.onnx": brightness_model()},
        )
        for number in range(1, 5)
    ]


@pytest.fixture
def shelf(versions: list[Bundle]) -> Shelf:
    """Return a store whose only version is 1."""
    return Shelf({1: versions[0]})
