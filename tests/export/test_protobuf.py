"""Messages of protobuf, read and written field by field."""

from __future__ import annotations

import pytest

from foveal.export.protobuf import as_numbers, as_text, encode_field, read_fields, with_added

# By hand: field 1 is the number 300; field 2 the text "hi"; field 500 a message with field 1 = 7.
_MESSAGE = bytes.fromhex("08ac0212026869a21f020807")


def test_fields_are_read_by_their_numbers() -> None:
    fields = read_fields(memoryview(_MESSAGE))
    assert fields[1] == [300]
    assert as_text(fields[2][0]) == "hi"
    assert bytes(fields[500][0]) == bytes([8, 7])  # type: ignore[arg-type]


def test_a_text_is_written_as_it_is_read() -> None:
    long = "ä" * 100
    fields = read_fields(memoryview(encode_field(502, long.encode())))
    assert as_text(fields[502][0]) == long


def test_packed_numbers_are_read_like_single_ones() -> None:
    assert as_numbers([5, memoryview(bytes.fromhex("ac0203"))]) == [5, 300, 3]


def test_fields_are_added_inside_of_the_message_that_is_there() -> None:
    added = with_added(_MESSAGE, (500,), bytes([16, 9]))
    assert added == bytes.fromhex("08ac0212026869a21f0408071009")


def test_a_missing_message_is_made() -> None:
    assert with_added(b"", (2, 1), bytes([8, 1])) == bytes.fromhex("12040a020801")


@pytest.mark.parametrize(
    "damaged", [_MESSAGE[:-1], b"\x0b", b"\x08\x80"], ids=["short", "kind", "number"]
)
def test_what_is_no_message_is_said(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"too early|no message"):
        read_fields(memoryview(damaged))
