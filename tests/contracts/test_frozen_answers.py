"""The JSON of every task's answers, held to what is stored in `tests/answers`, to the character.

Clients read these documents: a difference here is a change of the contract. To renew the files
after such a change, run `FOVEAL_WRITE_ANSWERS=1 pytest tests/contracts/test_frozen_answers.py`.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from colored import blocks_png, color_model, reader_manifest
from drawing import brightness_model, tiny_manifest
from PIL import Image as PILImage
from tinted import tint_manifest, tint_model, tints_png

from foveal.bundle import Bundle, Manifest
from foveal.errors import FovealError
from foveal.model import Model
from foveal.predict import Predictor
from foveal.predict.files import answer_pictures
from foveal.predict.inputs import read_each
from foveal.server import start_in_thread
from foveal.types import Calibration, JsonObject

_FOLDER = Path(__file__).parents[1] / "answers"
_CALIBRATION = Calibration(unsure_below=0.95)
ROWS = ("0011", "0012", "0022")


def grey_png(brightness: int) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(np.full((20, 30, 3), brightness, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def classifier(*, multi_label: bool) -> Manifest:
    return replace(
        tiny_manifest(), task_options={"multi_label": multi_label}, calibration=_CALIBRATION
    )


def reader(alphabet: str, **options: Any) -> Manifest:
    return replace(reader_manifest(alphabet, "reader", options), calibration=_CALIBRATION)


# Name of the case → manifest, model, name of the picture → its bytes.
CASES: dict[str, tuple[Manifest, Callable[[], bytes], dict[str, bytes]]] = {
    "classify": (
        classifier(multi_label=False),
        brightness_model,
        {"sure": grey_png(40), "unsure": grey_png(130)},
    ),
    "classify_multi_label": (
        replace(
            classifier(multi_label=True),
            calibration=replace(_CALIBRATION, thresholds=(0.6, 0.6)),
        ),
        brightness_model,
        {"sure": grey_png(220), "none": grey_png(129)},
    ),
    "read": (
        reader("ABC"),
        color_model,
        {"sure": blocks_png("BAC"), "unsure": blocks_png("A?"), "nothing": blocks_png("  ")},
    ),
    "read_value": (
        reader("/01", grammar="arithmetic"),
        color_model,
        {"fraction": blocks_png("10/1", "/01"), "no_value": blocks_png("1/0", "/01")},
    ),
    "read_constrained": (
        reader("ABC", pattern="[AB]+", decoder="beam"),
        color_model,
        {"allowed": blocks_png("BA"), "bent": blocks_png("A?B"), "impossible": blocks_png("C")},
    ),
    "segment": (
        tint_manifest(),
        tint_model,
        {"sure": tints_png(*ROWS), "unsure": tints_png(*ROWS, doubt=60)},
    ),
}


def stable(record: JsonObject) -> JsonObject:
    """Return a record without what depends on the clock, or on who compressed its pictures."""
    record = {key: value for key, value in record.items() if key not in ("ms", "version")}
    mask = record.get("mask")
    if mask and "png_b64" in mask:
        with PILImage.open(io.BytesIO(base64.b64decode(mask["png_b64"]))) as image:
            rows = ["".join(map(str, row)) for row in np.asarray(image).tolist()]
            record["mask"] = {"png_b64": {"palette": image.getpalette(), "rows": rows}}
    if "explanation" in record:
        with PILImage.open(io.BytesIO(base64.b64decode(record["explanation"]["png_b64"]))) as image:
            record["explanation"] = {"png_b64": image.mode}
    return record


def check(name: str, answers: JsonObject) -> None:
    text = json.dumps(answers, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    path = _FOLDER / f"{name}.json"
    if os.environ.get("FOVEAL_WRITE_ANSWERS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def open_bundle(root: Path, case: str) -> Bundle:
    manifest, model, _ = CASES[case]
    return Bundle.write(root / case, manifest, {"model.onnx": model()})


@pytest.mark.parametrize("case", CASES)
def test_the_records_of_files_stay_as_they_are(tmp_path: Path, case: str) -> None:
    predictor = Predictor(open_bundle(tmp_path, case), threads=1)
    paths = {}
    for name, data in CASES[case][2].items():
        paths[name] = tmp_path / f"{name}.png"
        paths[name].write_bytes(data)
    given = read_each(list(paths.values()))
    records = [answer.record for answer in answer_pictures(predictor, given)]
    answers = {name: stable(record) for name, record in zip(paths, records, strict=True)}
    for name, answer in answers.items():
        answer["source"] = Path(answer["source"]).name
        assert json.loads(json.dumps(answer)) == answer, name
    check(case, answers)


@pytest.mark.parametrize("case", CASES)
def test_answers_in_python_and_their_explanations_have_the_same_record(
    tmp_path: Path, case: str
) -> None:
    model = Model(open_bundle(tmp_path, case).path)
    stored = json.loads((_FOLDER / f"{case}.json").read_text(encoding="utf-8"))
    for name, data in CASES[case][2].items():
        record = stable(model(data).record)
        assert record.pop("source") == "picture"
        expected = {k: v for k, v in stored[name].items() if k != "source"}
        assert list(record) == list(expected)
        assert record == expected


def test_failed_items_stay_as_they_are(tmp_path: Path) -> None:
    predictor = Predictor(open_bundle(tmp_path, "classify"), threads=1)
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "torn.png").write_bytes(grey_png(40)[:60])
    names = ["text.png", "torn.png"]
    given = read_each([tmp_path / name for name in names])
    records = [answer.record for answer in answer_pictures(predictor, given)]
    named = [{**record, "source": Path(record["source"]).name} for record in records]
    check("failed", {record["source"]: record for record in named})


@contextmanager
def serving(root: Path, case: str) -> Iterator[httpx.Client]:
    predictor = Predictor(open_bundle(root, case), threads=1)
    with (
        start_in_thread({"model": predictor}, port=0) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("case", "queries"),
    [
        ("classify", ("", "?expected=circle", "?explain=true&expected=square")),
        ("classify_multi_label", ("", "?expected=square")),
        ("read", ("", "?expected=BAC", "?explain=true&expected=B")),
        ("read_value", ("",)),
        ("read_constrained", ("",)),
        ("segment", ("", "?mask=png&explain=true", "?mask=rle", "?mask=none")),
    ],
)
def test_answers_over_http_stay_as_they_are(
    tmp_path: Path, case: str, queries: tuple[str, ...]
) -> None:
    picture = next(iter(CASES[case][2].values()))
    with serving(tmp_path, case) as client:
        answers = {
            query: stable(client.post(f"/predict/model{query}", content=picture).json())
            for query in queries
        }
        body = {"instances": [{"b64": base64.b64encode(picture).decode()}]}
        (served,) = client.post("/v1/models/model:predict", json=body).json()["predictions"]
    answers["tensorflow"] = stable(served)
    check(f"http_{case}", answers)


def test_errors_keep_their_code_message_and_hint() -> None:
    error = FovealError("Nothing.", hint="foveal doctor")
    assert list(error.to_json()) == ["code", "message", "hint"]
