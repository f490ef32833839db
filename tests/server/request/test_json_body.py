"""JSON of a request: what it may cost, and that anything else is refused in one way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.server.request.json_body import (
    MAX_DEPTH,
    MAX_VALUES,
    parse_json,
    parse_json_lines,
    shown,
)
from foveal.server.request.limits import RequestError
from foveal.server.request.payload import picture_bytes


def test_the_deepest_document_is_taken_and_one_level_more_is_not() -> None:
    parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(RequestError, match="nested deeper than 64 levels"):
        parse_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"a":[NaN,'])
def test_a_hundred_thousand_levels_are_refused(opening: bytes, lenient: bool) -> None:
    with pytest.raises(RequestError) as refused:
        parse_json(opening * 100_000, lenient=lenient)
    assert refused.value.status == 400


@pytest.mark.parametrize("value", [b"{},", b"[],", b"1,", b'"",', b"1\n"])
def test_too_many_values_are_refused_before_they_are_built(value: bytes) -> None:
    body = b"[" + value * (MAX_VALUES + 1) + b"1]"
    for parse in (parse_json, parse_json_lines):
        with pytest.raises(RequestError, match="has more than 262144 values"):
            parse(body)


def test_a_pixel_array_of_numbers_is_taken() -> None:
    assert len(parse_json(b"[" + b"255," * 150_000 + b"1]")) == 150_001


def test_an_error_repeats_at_most_256_bytes() -> None:
    assert len(shown({"a": "ü" * 1000}).encode()) <= 256


def test_a_picture_that_is_called_json_is_said_to_be_one() -> None:
    why = "The body is a JPEG picture, not JSON. Send it without 'Content-Type: application/json'"
    with pytest.raises(RequestError, match=why):
        picture_bytes(b"\xff\xd8\xff\xe0", "application/json")


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_document_or_one_error(body: bytes, lenient: bool) -> None:
    try:
        value = parse_json(body, lenient=lenient)
    except RequestError as error:
        assert error.status == 400
        assert error.message.startswith("JSON Parse error: ")
    else:
        assert shown(value)
