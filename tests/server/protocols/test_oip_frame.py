"""The binary frame of the Open Inference Protocol, with frames at random and damaged ones."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.data.decode import DEFAULT_LIMITS, decode
from foveal.server.protocols.oip.frame import encode_reply, parse_infer
from foveal.server.protocols.oip.request import InferRequest
from foveal.server.protocols.oip.signature import Signature, TensorInfo
from foveal.server.protocols.oip.tensors import Tensor, split_bytes
from foveal.server.request.limits import RequestError

OUTPUTS = (TensorInfo("label", "BYTES"), TensorInfo("probabilities", "FP32", (-1, 2), True))
SIGNATURE = Signature("m", TensorInfo("image", "BYTES"), OUTPUTS, ("a", "b"))


def _elements(pictures: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(data)) + data for data in pictures)


def _frame(tail: bytes, **image: Any) -> tuple[bytes, list[str]]:
    described = {"name": "image", "datatype": "BYTES", **image}
    described["parameters"] = {"binary_data_size": len(tail)}
    text = json.dumps({"inputs": [described]}).encode()
    return text + tail, [str(len(text))]


def _parse(body: bytes, lengths: Sequence[str]) -> InferRequest:
    return parse_infer(body, lengths, SIGNATURE, 8)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=8))
def test_pictures_come_out_as_they_went_in(pictures: list[bytes]) -> None:
    assert _parse(*_frame(_elements(pictures), shape=[len(pictures)])).pictures == pictures


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=8), st.data())
def test_a_frame_that_is_cut_or_longer_is_refused(
    pictures: list[bytes], data: st.DataObject
) -> None:
    tail = _elements(pictures)
    body, lengths = _frame(tail, shape=[len(pictures)])
    cut = data.draw(st.integers(1, len(tail)))
    for damaged in (body[:-cut], body + b"\0" * cut):
        with pytest.raises(RequestError) as refused:
            _parse(damaged, lengths)
        assert refused.value.status == 400


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.randoms())
def test_pixels_come_out_as_they_went_in(height: int, width: int, count: int, random: Any) -> None:
    values = [random.randrange(256) for _ in range(count * height * width * 3)]
    tail = bytes(values)
    shape = [count, height, width, 3]
    asked = _parse(*_frame(tail, shape=shape, datatype="UINT8"))
    pixels = [decode(picture, DEFAULT_LIMITS).pixels for picture in asked.pictures]
    assert np.array_equal(np.stack(pixels), np.array(values, np.uint8).reshape(shape))


@given(st.binary(max_size=300), st.lists(st.text(max_size=8), max_size=2))
def test_any_body_and_header_is_read_or_refused(body: bytes, lengths: list[str]) -> None:
    try:
        assert _parse(body, lengths).pictures
    except RequestError as error:
        assert error.status in (400, 413)


@given(st.lists(st.binary(max_size=30), max_size=5), st.lists(st.booleans(), max_size=5))
def test_a_reply_says_where_its_tensors_are(texts: list[bytes], flags: list[bool]) -> None:
    tensors = (
        (Tensor("mask", "BYTES", (len(texts),), texts, is_text=False), True),
        (Tensor("unsure", "BOOL", (len(flags),), np.array(flags, np.bool_)), True),
        (Tensor("confidence", "FP32", (1,), np.array([0.5], np.float32)), False),
    )
    body, length = encode_reply({"model_name": "m"}, tensors)
    outputs = json.loads(body[:length])["outputs"]
    size = outputs[0]["parameters"]["binary_data_size"]
    assert split_bytes("mask", body[length : length + size], len(texts)) == texts
    assert [bool(flag) for flag in body[length + size :]] == flags
    assert outputs[2]["data"] == [0.5]
