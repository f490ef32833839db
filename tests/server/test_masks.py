"""A model that answers with masks, over real HTTP: PNG, run lengths, shares, refusals."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from discs import DISCS, discs_png, draw_discs
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage

from foveal.bundle import Bundle
from foveal.predict import Predictor
from foveal.render.masks import run_lengths
from foveal.server import start_in_thread
from foveal.types import JsonObject, Mask

SIZE = (96, 160)
DISCS_SHOWN = (("blue", 40, 40, 20), ("red", 60, 115, 25))


@pytest.fixture(scope="module")
def masks(tiny_masks: Bundle, tiny_bundle: Bundle) -> Iterator[httpx.Client]:
    """Return a client of a server with the models `discs` and `tiny`, which classifies."""
    models = {b.name: Predictor(b, threads=1) for b in (tiny_masks, tiny_bundle)}
    with (
        start_in_thread(models, port=0, max_pixels=1_000_000) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def picture() -> bytes:
    """Return a PNG of a blue and a red disc."""
    return discs_png(DISCS_SHOWN, SIZE)


def mask_of(answer: JsonObject) -> Mask:
    with PILImage.open(io.BytesIO(base64.b64decode(answer["mask"]["png_b64"]))) as image:
        assert image.mode == "P"
        return np.asarray(image)


def unrolled(rle: JsonObject) -> np.ndarray:
    """Return the mask, bool, of COCO's run lengths by their definition."""
    values = [i % 2 == 1 for i, count in enumerate(rle["counts"]) for _ in range(count)]
    return np.array(values, bool).reshape(rle["size"], order="F")


def test_a_mask_is_a_palette_png_of_the_pictures_size(masks: httpx.Client, picture: bytes) -> None:
    answer = masks.post("/predict/discs", content=picture).json()
    mask, truth = mask_of(answer), draw_discs(DISCS_SHOWN, SIZE)[1]

    assert mask.shape == tuple(answer["size"]) == SIZE
    assert (mask[40, 40], mask[60, 115], mask[5, 155]) == (1, 2, 0)
    assert (mask == truth).mean() > 0.9
    assert 0 < answer["confidence"] <= 1
    assert isinstance(answer["unsure"], bool)
    assert (answer["model"], answer["source"]) == ("discs", "upload")


def test_shares_are_those_of_the_mask(masks: httpx.Client, picture: bytes) -> None:
    answer = masks.post("/predict/discs", content=picture).json()
    pixels = np.bincount(mask_of(answer).ravel(), minlength=3).tolist()

    assert [entry["name"] for entry in answer["classes"]] == list(DISCS)
    assert [entry["pixels"] for entry in answer["classes"]] == pixels
    shares = [entry["share"] for entry in answer["classes"]]
    assert shares == pytest.approx([count / (96 * 160) for count in pixels], abs=1e-6)


@pytest.mark.parametrize("size", [(20, 30), (64, 64), (65, 200)])
def test_pictures_smaller_and_larger_than_a_tile_are_answered_at_their_size(
    masks: httpx.Client, size: tuple[int, int]
) -> None:
    answer = masks.post("/predict/discs", content=discs_png([], size)).json()
    assert mask_of(answer).shape == size


def test_run_lengths_say_the_same_as_the_png(masks: httpx.Client, picture: bytes) -> None:
    mask = mask_of(masks.post("/predict/discs?mask=png", content=picture).json())
    answer = masks.post("/predict/discs?mask=RLE", content=picture).json()

    assert list(answer["mask"]) == ["rle"]
    rle = answer["mask"]["rle"]
    assert list(rle) == list(DISCS)
    for position, name in enumerate(DISCS):
        assert np.array_equal(unrolled(rle[name]), mask == position)


@pytest.mark.parametrize(
    ("rows", "label", "counts"),
    [
        # Down the columns: 0 0, 1 0, 1 1.
        ([[0, 1, 1], [0, 0, 1]], 1, [2, 1, 1, 2]),
        # Begins with the label: a first run of none.
        ([[0, 1, 1], [0, 0, 1]], 0, [0, 2, 1, 1, 2]),
        # Does not occur: one run without it.
        ([[0, 1, 1], [0, 0, 1]], 2, [6]),
        # Is everywhere.
        ([[2, 2]], 2, [0, 2]),
        # Two other labels next to each other are one run.
        ([[0], [1], [2], [2]], 2, [2, 2]),
    ],
)
def test_runs_are_counted_as_coco_does(
    rows: list[list[int]], label: int, counts: list[int]
) -> None:
    assert run_lengths(np.array(rows, np.uint8), 3)[label] == counts


@settings(deadline=None)
@given(st.data())
def test_runs_give_back_any_mask(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    values = data.draw(st.lists(st.integers(0, 3), min_size=height * width, max_size=36))
    mask = np.array(values[: height * width], np.uint8).reshape(height, width)
    for label, counts in enumerate(run_lengths(mask, 4)):
        rle = {"size": [height, width], "counts": counts}
        assert np.array_equal(unrolled(rle), mask == label)


def test_a_mask_can_be_left_out(masks: httpx.Client, picture: bytes) -> None:
    whole = masks.post("/predict/discs", content=picture).json()
    answer = masks.post("/predict/discs?mask=none", content=picture).json()
    assert set(whole) - set(answer) == {"mask"}
    assert answer["classes"] == whole["classes"]


def test_explain_adds_the_picture_under_its_mask(masks: httpx.Client, picture: bytes) -> None:
    answer = masks.post("/predict/discs?explain=true&mask=none", content=picture).json()
    with PILImage.open(io.BytesIO(base64.b64decode(answer["explanation"]["png_b64"]))) as image:
        drawn = np.asarray(image, np.int16)
    plain = draw_discs(DISCS_SHOWN, SIZE)[0].astype(np.int16)

    assert drawn.shape == plain.shape
    assert np.array_equal(drawn[5, 155], plain[5, 155])
    assert np.abs(drawn[60, 115] - plain[60, 115]).max() > 20


@pytest.mark.parametrize(
    ("model", "query", "message"),
    [
        ("discs", "mask=polygon", "Invalid value for 'mask'. Expected png, rle or none."),
        ("discs", "mask=", "Invalid value for 'mask'. Expected png, rle or none."),
        ("discs", "expected=red", "A mask cannot be compared with 'expected'."),
        ("tiny", "mask=png", "This model predicts no mask. Leave out 'mask'."),
    ],
)
def test_what_a_mask_cannot_be_asked_is_a_bad_request(
    masks: httpx.Client, picture: bytes, model: str, query: str, message: str
) -> None:
    response = masks.post(f"/predict/{model}?{query}", content=picture)
    assert response.status_code == 400
    assert message in response.json()["error"]


def test_a_picture_over_the_limit_is_refused(masks: httpx.Client) -> None:
    buffer = io.BytesIO()
    PILImage.new("RGB", (2000, 600)).save(buffer, "PNG")
    response = masks.post("/predict/discs", content=buffer.getvalue())
    assert response.status_code == 413


def test_clients_of_tensorflow_serving_get_masks(masks: httpx.Client, picture: bytes) -> None:
    b64 = {"b64": base64.b64encode(picture).decode()}
    small = {"b64": base64.b64encode(discs_png([], (20, 30))).decode()}
    body: dict[str, Any] = {"instances": [b64, small]}
    first, second = masks.post("/v1/models/discs:predict", json=body).json()["predictions"]
    alone = masks.post("/predict/discs", content=picture).json()

    assert first["mask"] == alone["mask"]
    assert first["classes"] == alone["classes"]
    assert mask_of(second).shape == (20, 30)

    outputs = masks.post("/v1/models/discs:predict", json={"inputs": [b64, small]}).json()
    assert outputs["outputs"]["size"] == [[96, 160], [20, 30]]
    assert outputs["outputs"]["mask"] == [first["mask"], second["mask"]]


def test_pictures_at_the_same_time_do_not_mix(masks: httpx.Client) -> None:
    sizes = [(40 + 3 * i, 90 - 2 * i) for i in range(12)]

    def ask(size: tuple[int, int]) -> tuple[int, ...]:
        path = f"/predict/discs?explain={'true' if size[0] % 2 else 'false'}"
        return mask_of(masks.post(path, content=discs_png([], size)).json()).shape

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, sizes)) == sizes


def test_models_says_that_it_answers_with_masks(masks: httpx.Client) -> None:
    discs, _ = masks.get("/models").json()["models"]
    assert (discs["task"], discs["target"]) == ("segment", "mask")
    assert discs["labels"] == list(DISCS)
    assert discs["input"]["fit"] == "tile"
    assert discs["primary_metric"] == "dice"
    assert discs["metrics"]["dice"]["value"] > 0.8


def test_the_api_is_described_for_masks(masks: httpx.Client) -> None:
    document = masks.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    discs, tiny = (
        schemas["Prediction.discs"]["properties"],
        schemas["Prediction.tiny"]["properties"],
    )
    assert set(discs) == {
        *("classes", "size", "mask", "confidence", "unsure", "reasons", "unfamiliarity"),
        *("source", "model", "version", "ms", "explanation", "expected", "matches"),
    }
    assert [form["required"] for form in discs["mask"]["oneOf"]] == [["png_b64"], ["rle"]]
    assert "mask" not in tiny
    parameters = document["paths"]["/predict/{model}"]["post"]["parameters"]
    (mask,) = [p for p in parameters if p["name"] == "mask"]
    assert mask["schema"]["enum"] == ["png", "rle", "none"]


def test_the_documentation_asks_of_each_model_what_it_can_answer(masks: httpx.Client) -> None:
    text = masks.get("/docs").text
    assert "/predict/discs \\\n  | jq -r .mask.png_b64" in text
    assert "/predict/tiny?expected=circle" in text
    # The example's mask is shortened.
    assert "iVBORw0KGgoAAAANSUhEUgAA…" in text


@pytest.mark.parametrize("name", ["mask.js", "paint.js", "png.js", "viewer.js"])
def test_the_files_of_the_page_are_served(masks: httpx.Client, name: str) -> None:
    response = masks.get(f"/static/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/javascript")
