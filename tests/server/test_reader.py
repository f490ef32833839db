"""A model that reads, over real HTTP: texts, values, expectations, widths."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from colored import blocks_png
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.server import start_in_thread


@pytest.fixture(scope="module")
def readers(tiny_reader: Bundle, tiny_sums: Bundle) -> Iterator[httpx.Client]:
    """Return a client of a server with the models `reader` and `sums`."""
    models = {b.name: Predictor(b, threads=1) for b in (tiny_reader, tiny_sums)}
    with (
        start_in_thread(models, port=0) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        yield client


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def test_a_text_is_answered_with_its_characters(readers: httpx.Client) -> None:
    answer = readers.post("/predict/reader", content=blocks_png("BAC")).json()

    assert (answer["text"], answer["unsure"], answer["model"]) == ("BAC", False, "reader")
    assert [c["char"] for c in answer["characters"]] == ["B", "A", "C"]
    assert all(0.9 < c["confidence"] <= 1.0 for c in answer["characters"])
    assert answer["characters"][0]["x0"] == 0.0
    assert "value" not in answer


def test_an_expression_has_its_value_or_the_reason_why_not(readers: httpx.Client) -> None:
    whole = readers.post("/predict/sums", content=blocks_png("10/1", "/01")).json()
    none = readers.post("/predict/sums", content=blocks_png("1/0", "/01")).json()

    assert (whole["text"], whole["value"]) == ("10/1", "10")
    assert "value_error" not in whole
    assert (none["text"], none["value"]) == ("1/0", None)
    assert none["value_error"] == "Division by zero: 1 / 0."


@pytest.mark.parametrize("text", ["", "ABCABCABCA"])
def test_an_explanation_is_drawn_for_any_text(readers: httpx.Client, text: str) -> None:
    response = readers.post("/predict/reader?explain=true", content=blocks_png(text))
    answer = response.json()

    assert answer["text"] == text
    png = base64.b64decode(answer["explanation"]["png_b64"])
    with PILImage.open(io.BytesIO(png)) as drawn:
        # The alignment has a size of its own, larger than the picture's.
        assert drawn.format == "PNG"
        assert drawn.width > 16 * len(text)
        assert drawn.height > 16


def test_an_expected_text_is_compared_as_a_whole(readers: httpx.Client) -> None:
    picture = blocks_png("AB")
    yes = readers.post("/predict/reader", params={"expected": "AB"}, content=picture).json()
    no = readers.post("/predict/reader", params={"expected": "A"}, content=picture).json()

    assert (yes["matches"], yes["expected"]) == (True, "AB")
    assert (no["matches"], no["text"]) == (False, "AB")


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ("ABx", "The character 'x' (U+0078) is not in the alphabet. Expected only characters of"),
        ("A流", "(U+6D41) is not in the alphabet"),
        ("", "Expected one text that is not empty"),
        ("A" * 1001, "'expected' is longer than 1000 characters."),
    ],
)
def test_an_expected_text_that_cannot_be_read_is_a_bad_request(
    readers: httpx.Client, expected: str, message: str
) -> None:
    response = readers.post(
        "/predict/reader", params={"expected": expected}, content=blocks_png("A")
    )
    assert response.status_code == 400
    assert message in response.json()["error"]


def test_a_picture_that_is_too_wide_is_refused_with_what_to_do(readers: httpx.Client) -> None:
    wide = blocks_png("A" * 17)
    plain = readers.post("/predict/reader", content=wide)
    served = readers.post(
        "/v1/models/reader:predict", json={"instances": [b64(blocks_png("A")), b64(wide)]}
    )

    assert plain.status_code == served.status_code == 400
    assert (
        "Expected at most 256 wide at this height. Crop it to the line of text"
        in (plain.json()["error"])
    )
    assert served.json()["error"].startswith("Failed to process element: 1 key: image")
    assert "Crop it to the line of text" in served.json()["error"]


def test_pictures_of_different_widths_in_one_request_are_answered_in_order(
    readers: httpx.Client,
) -> None:
    texts = ["A", "CABCABCABCABCAB", "BC", "A", "", "CCC"]
    body = {"instances": [b64(blocks_png(text)) for text in texts]}
    answers = readers.post("/v1/models/reader:predict", json=body).json()["predictions"]
    assert [answer["text"] for answer in answers] == texts


def test_pictures_of_different_widths_at_the_same_time_are_answered(
    readers: httpx.Client,
) -> None:
    texts = ["ABC"[: 1 + i % 3] * (1 + i % 5) for i in range(40)]

    def ask(text: str) -> str:
        path = f"/predict/reader?explain={'true' if len(text) % 2 else 'false'}"
        return str(readers.post(path, content=blocks_png(text)).json()["text"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, texts)) == texts


def test_outputs_by_column_have_every_field_of_any_answer(readers: httpx.Client) -> None:
    body = {"inputs": [b64(blocks_png(text, "/01")) for text in ("1/1", "1/0")]}
    outputs = readers.post("/v1/models/sums:predict", json=body).json()["outputs"]

    assert outputs["text"] == ["1/1", "1/0"]
    assert outputs["value"] == ["1", None]
    assert outputs["value_error"] == [None, "Division by zero: 1 / 0."]


def test_metadata_names_text_and_value(readers: httpx.Client) -> None:
    signature = readers.get("/v1/models/sums/metadata").json()["metadata"]["signature_def"]
    outputs = signature["signature_def"]["serving_default"]["outputs"]
    assert outputs["text"]["dtype"] == outputs["value"]["dtype"] == "DT_STRING"


def test_models_describes_the_alphabet_and_the_input(readers: httpx.Client) -> None:
    reader, _ = readers.get("/models").json()["models"]

    assert (reader["task"], reader["target"]) == ("read", "text")
    assert reader["labels"] == ["A", "B", "C"]
    assert reader["input"] == {"height": 16, "width": 256, "fit": "line", "steps": []}
    assert reader["primary_metric"] == "exact_match"


def test_the_api_is_described_for_readers(readers: httpx.Client) -> None:
    schemas = readers.get("/openapi.json").json()["components"]["schemas"]
    reader, sums = schemas["Prediction.reader"], schemas["Prediction.sums"]
    assert set(sums["properties"]) - set(reader["properties"]) == {"value", "value_error"}
    character = reader["properties"]["characters"]["items"]["properties"]["char"]
    assert character == {"enum": ["A", "B", "C"]}
    assert "/predict/reader?expected=ABC" in readers.get("/docs").text
