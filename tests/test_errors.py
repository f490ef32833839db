"""What Python shows of an error: the message, and below it the hint, once."""

from __future__ import annotations

import pickle
import traceback

import pytest

from foveal.errors import DataError, FovealError, complaint, unpacked

ERROR = DataError("There is no folder 'photos'.", hint="foveal check PHOTOS")


@pytest.mark.parametrize(
    "error",
    [ERROR, pickle.loads(pickle.dumps(ERROR)), unpacked(ERROR.packed())],
    ids=["raised", "pickled", "unpacked"],
)
def test_the_hint_is_below_the_message(error: FovealError) -> None:
    *_, message, hint = traceback.format_exception(error)
    assert message == "foveal.errors.DataError: There is no folder 'photos'.\n"
    assert hint == "hint: foveal check PHOTOS\n"
    assert str(error) == "There is no folder 'photos'."
    assert error.hint == "foveal check PHOTOS"


def test_without_a_hint_the_message_is_alone() -> None:
    assert traceback.format_exception(FovealError("No.")) == ["foveal.errors.FovealError: No.\n"]


def test_a_terminal_shows_an_error_with_its_hint_below() -> None:
    assert complaint("No.", "yes") == "error: No.\nhint: yes"
    assert complaint("No.") == "error: No."
