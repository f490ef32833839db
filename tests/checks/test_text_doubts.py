from __future__ import annotations

import numpy as np
import pytest

from foveal.checks.text_fit import TEMPERATURES, doubt_texts, is_one_slip


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("abc", "abc", False),
        ("abc", "axc", True),
        ("abc", "ab", True),
        ("ab", "abc", True),
        ("abc", "xabc", True),
        ("abcd", "acbd", True),
        ("abcd", "dbca", False),
        ("abcd", "badc", False),
        ("", "a", True),
        ("", "ab", False),
        ("abc", "xyc", False),
    ],
)
def test_a_slip_is_one_character_or_two_neighbours(text: str, other: str, expected: bool) -> None:
    assert is_one_slip(text, other) is expected
    assert is_one_slip(other, text) is expected


def likelihoods(chances: list[float]) -> np.ndarray:
    """Return the same log probability at every temperature."""
    return np.repeat(np.log(chances)[:, None], len(TEMPERATURES), axis=1)


def test_a_text_is_doubted_when_the_reader_finds_it_less_likely_than_people_err() -> None:
    # 90 texts that are read as given, and of four others: a slip that the reader is sure about,
    # another's text, one of two that the reader takes for about as likely, and a likely misreading.
    texts = ["abcd"] * 90 + ["abxd", "wxyz", "abcd", "abcd"]
    readings = ["abcd"] * 90 + ["abcd", "abcd", "abed", "abed"]
    given = [0.97] * 90 + [1e-9, 1e-30, 0.4, 0.02]
    best = [0.97] * 90 + [0.99, 0.99, 0.45, 0.9]
    wrong = doubt_texts(texts, readings, likelihoods(given), likelihoods(best), 26)
    assert (wrong[:90] < 0.01).all()
    assert (wrong[90:92] > 0.99).all()
    assert wrong[92] < 0.01
    assert wrong[93] < 0.1


def test_readers_that_are_too_sure_are_believed_less() -> None:
    # Of 200 texts that are right, 40 are misread by readers that give them 1e-6 at temperature 1
    # and 0.03 at the highest.
    texts = ["abcd"] * 200
    readings = ["abcd"] * 160 + ["abed"] * 40
    share = np.linspace(0, 1, len(TEMPERATURES))
    given = np.empty((200, len(TEMPERATURES)))
    given[:160] = np.log(1 - 0.3 * share)
    given[160:] = np.log(1e-6) * (1 - share) + np.log(0.03) * share
    best = np.broadcast_to(np.log(1 - 0.3 * share), given.shape)
    assert (doubt_texts(texts, readings, given, best, 26) < 0.5).all()
