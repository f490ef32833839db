"""Requests and their answers, protocol by protocol, as their clients send and expect them.

The tables in `golden/` are the contract. In them, `$dark`, `$bright`, `$grey`, `$blocks`, `$sum`,
and `$tints` stand for the base64 of a picture file. An answer may say more than the table, unless
the table says `exactly`; fractions are compared to two digits.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from colored import blocks_png
from tinted import tints_png

from foveal.predict import Predictor
from foveal.server.app import create_app
from foveal.server.models.served import Served, Versions
from foveal.server.options import ServerOptions
from foveal.server.run import start_app

_FOLDER = Path(__file__).parent / "golden"
_OPTIONS = ServerOptions(port=0, max_body_bytes=100_000, max_instances=8)


def _cases() -> Iterator[Any]:
    for path in sorted(_FOLDER.glob("*.yaml")):
        for i, case in enumerate(yaml.safe_load(path.read_text(encoding="utf-8"))):
            yield pytest.param(case, id=f"{path.stem}-{i}-{case['why'].replace(' ', '_')}")


CASES = list(_cases())


@pytest.fixture(scope="module")
def golden(predictors: dict[str, Predictor]) -> Iterator[httpx.Client]:
    """Return a client of a server with models of each task, one of them in two versions."""
    app = create_app(predictors, _OPTIONS)
    loaded = {n: Served("tiny", n, predictors["tiny"], _OPTIONS) for n in (3, 4)}
    aliases = {"live": 4, "last good": 3}
    app.state.foveal.models.put("tiny", Versions(loaded, current=4, aliases=aliases))
    with (
        start_app(app, _OPTIONS) as handle,
        httpx.Client(base_url=handle.url, timeout=None, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def pictures(dark_png: bytes, bright_jpeg: bytes, grey_png: bytes) -> dict[str, bytes]:
    """Return the pictures that the tables name."""
    return {
        "dark": dark_png,
        "bright": bright_jpeg,
        "grey": grey_png,
        "blocks": blocks_png("BAC"),
        "sum": blocks_png("1/0", "/01"),
        "tints": tints_png("0011", "0012", "0022"),
        "text": b"not a picture",
        "large": bytes(90_000),
    }


def test_there_are_enough_pairs() -> None:
    assert len(CASES) >= 250


@pytest.mark.parametrize("case", CASES)
def test_an_answer_is_what_the_table_says(
    golden: httpx.Client, pictures: Mapping[str, bytes], case: Mapping[str, Any]
) -> None:
    method, _, address = case["ask"].partition(" ")
    body, headers = _body(case, pictures)
    response = golden.request(method, address, content=body, headers=headers)

    assert response.status_code == case.get("status", 200), response.text
    for name, value in case.get("reply_headers", {}).items():
        assert response.headers.get(name) == value
    if "text" in case:
        assert response.text == case["text"]
        return
    answer = _document(response)
    if "error" in case:
        assert answer == {"error": case["error"]}
    elif "error_starts" in case:
        assert set(answer) == {"error"}
        assert answer["error"].startswith(case["error_starts"])
    elif "exactly" in case:
        assert answer == case["exactly"]
    else:
        _check(case["reply"], answer, "reply")


def _body(
    case: Mapping[str, Any], pictures: Mapping[str, bytes]
) -> tuple[bytes, Mapping[str, str]]:
    """Return what a case sends: a picture, JSON, text, or JSON with the bytes of `tail` behind it.

    In the latter, `"#dark"` is how many bytes the picture takes as an element of a tensor.
    """
    headers = case.get("headers", {})
    if "picture" in case:
        return pictures[case["picture"]], headers
    content = json.dumps(case["json"]) if "json" in case else case.get("body", "")
    for name, data in pictures.items():
        content = content.replace(f"${name}", base64.b64encode(data).decode())
        content = content.replace(f'"#{name}"', str(4 + len(data)))
    # A table writes a byte that is not UTF-8 as the character of its number.
    body = content.encode("latin-1" if case.get("latin") else "utf-8")
    if "tail" not in case:
        return body, headers
    elements = (pictures[name] for name in case["tail"])
    tail = b"".join(struct.pack("<I", len(data)) + data for data in elements)
    return body + tail, {"inference-header-content-length": str(len(body)), **headers}


def _document(response: httpx.Response) -> Any:
    """Return the JSON of an answer; of one with binary tensors, checked to have their bytes."""
    length = response.headers.get("inference-header-content-length")
    if length is None:
        return response.json()
    assert response.headers["content-type"] == "application/octet-stream"
    document = json.loads(response.content[: int(length)])
    sizes = [o.get("parameters", {}).get("binary_data_size", 0) for o in document["outputs"]]
    assert sum(sizes) == len(response.content) - int(length)
    return document


def _check(expected: Any, answer: Any, where: str) -> None:
    if isinstance(expected, dict):
        assert isinstance(answer, dict), where
        for key, value in expected.items():
            assert key in answer, f"{where} lacks {key}"
            _check(value, answer[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(answer, list), where
        assert len(answer) == len(expected), where
        for i, (value, own) in enumerate(zip(expected, answer, strict=True)):
            _check(value, own, f"{where}[{i}]")
    else:
        near = pytest.approx(expected, abs=0.01) if isinstance(expected, float) else expected
        assert answer == near, where
        assert type(answer) is type(expected), where
