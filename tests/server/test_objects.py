"""A model that tells objects apart, over real HTTP: the list, the map, run lengths, the schema."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import jsonschema
import numpy as np
import pytest
from PIL import Image as PILImage
from tinted import tint_manifest, tint_model, tints_png

from foveal.bundle import Bundle
from foveal.cli.main import run
from foveal.predict import Predictor
from foveal.render.masks import numbers_png, object_run_lengths, read_numbers
from foveal.server import start_in_thread
from foveal.types import JsonObject

# Two blue squares that touch, and a red bar over the border of the tiles of 16 pixels, which is
# drawn with two cores; one of them lies on both tiles.
ROWS = (
    *["0" * 40] * 2,
    *["0" + "1" * 12 + "0" * 27] * 2,
    *["0" + "113311" * 2 + "0" * 27] * 2,
    *["0" + "1" * 12 + "0" * 27] * 2,
    *["0" * 40] * 2,
    *["0" * 6 + "2" * 30 + "0" * 4],
    *["0" * 6 + "22" + "4" * 20 + "2" * 4 + "44" + "22" + "0" * 4],
    *["0" * 6 + "2" * 30 + "0" * 4],
    *["0" * 40] * 20,
)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = tmp_path_factory.mktemp("objects") / "tints"
    model = {"model.onnx": tint_model(with_cores=True)}
    return Predictor(Bundle.write(path, tint_manifest(with_cores=True), model), threads=1)


@pytest.fixture(scope="module")
def client(predictor: Predictor) -> Iterator[httpx.Client]:
    with (
        start_in_thread({"tints": predictor}, port=0) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        yield client


def asked(client: httpx.Client, query: str = "") -> JsonObject:
    answer: JsonObject = client.post("/predict/tints" + query, content=tints_png(*ROWS)).json()
    return answer


def test_objects_are_told_apart_and_joined_over_tiles(client: httpx.Client) -> None:
    objects = asked(client, "?mask=none")["instances"]
    assert [(one["label"], one["area"], one["box"]) for one in objects] == [
        ("blue", 36, [1, 2, 7, 8]),
        ("blue", 36, [7, 2, 13, 8]),
        # They meet in the middle between their cores.
        ("red", 72, [6, 10, 30, 13]),
        ("red", 18, [30, 10, 36, 13]),
    ]
    assert all(0.5 < one["score"] <= 1 for one in objects)


def test_the_map_has_the_numbers_of_the_list(client: httpx.Client) -> None:
    answer = asked(client)
    numbers = read_numbers(io.BytesIO(base64.b64decode(answer["mask"]["instances_png_b64"])))
    assert numbers.shape == tuple(answer["size"])
    areas = np.bincount(numbers.ravel())[1:].tolist()
    assert areas == [one["area"] for one in answer["instances"]]
    lengths = asked(client, "?mask=rle")["mask"]["instances_rle"]
    for i, one in enumerate(lengths):
        values = np.repeat(np.arange(len(one["counts"])) % 2 == 1, one["counts"])
        assert np.array_equal(values.reshape(one["size"], order="F"), numbers == i + 1)


def test_answers_keep_to_the_published_schema(client: httpx.Client, predictor: Predictor) -> None:
    validator = jsonschema.Draft202012Validator(predictor.answer_schema())
    for query in ("", "?mask=rle", "?mask=none"):
        validator.validate(asked(client, query))
    published = client.get("/openapi.json").json()
    assert "instances" in str(published["components"]["schemas"])


def test_the_open_inference_protocol_gives_the_map(client: httpx.Client) -> None:
    described = client.get("/v2/models/tints").json()
    assert "instances" in [output["name"] for output in described["outputs"]]
    data = base64.b64encode(tints_png(*ROWS)).decode()
    image = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [data]}
    asking = {"inputs": [image], "outputs": [{"name": "instances"}]}
    answered = client.post("/v2/models/tints/infer", json=asking).json()
    (output,) = answered["outputs"]
    numbers = read_numbers(io.BytesIO(base64.b64decode(output["data"][0])))
    assert numbers.max() == 4


def test_a_picture_without_objects_has_an_empty_list(client: httpx.Client) -> None:
    answer = client.post("/predict/tints?mask=rle", content=tints_png(*["0" * 20] * 20)).json()
    assert answer["instances"] == []
    assert answer["mask"]["instances_rle"] == []


def test_more_objects_than_16_bits_number_are_written_in_colours() -> None:
    numbers = np.arange(70_000, dtype=np.int32).reshape(200, 350)
    png = numbers_png(numbers)
    with PILImage.open(io.BytesIO(png)) as image:
        assert image.mode == "RGB"
        assert image.getpixel((349, 199)) == (69_999 & 255, 69_999 >> 8 & 255, 1)
    assert np.array_equal(read_numbers(io.BytesIO(png)), numbers)


def test_run_lengths_of_objects_end_with_the_last_run() -> None:
    numbers = np.array([[1, 0], [1, 2]], np.int32)
    assert object_run_lengths(numbers) == [[0, 2, 2], [3, 1]]
    assert object_run_lengths(np.zeros((2, 2), np.int32)) == []


def test_the_command_line_writes_the_map(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(tints_png(*ROWS))
    out = tmp_path / "out"
    code = run(["predict", str(predictor.bundle.path), str(tmp_path / "a.png"), "--out", str(out)])
    assert code == 0
    assert read_numbers(str(out / "a_instances.png")).max() == 4
