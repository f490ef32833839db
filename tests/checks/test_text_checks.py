"""The checks of texts: each finds what it is for, and is silent otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foveal.checks import CheckInput, characters, length_balance, run_checks
from foveal.data.scan import Scan
from foveal.data.source import Sample
from foveal.types import Finding


def facts(texts: list[str | None], sides: list[int] | None = None) -> CheckInput:
    """Return facts about pictures that all look different; all are trained on unless told."""
    count = len(texts)
    scan = Scan.empty(count)
    scan.ok[:] = True
    scan.sizes[:] = 32
    scan.spread[:] = 50
    rng = np.random.default_rng(0)
    scan.digest[:] = rng.integers(0, 256, scan.digest.shape)
    scan.phash[:] = rng.integers(0, 1 << 63, count)
    samples = tuple(
        Sample(f"{i}.png", None if text is None else (text,)) for i, text in enumerate(texts)
    )
    return CheckInput(samples, scan, np.array(sides or [0] * (count - 1) + [1], np.int8), 2, "text")


def check(looked_at: CheckInput) -> dict[str, Finding]:
    found = run_checks(looked_at, task="read")
    assert len({finding.id for finding in found}) == len(found)
    return {finding.id: finding for finding in found}


# Every character in three texts or more.
GOOD: list[str | None] = ["AB12", "B12A", "12AB", "2AB1"]


def test_good_texts_are_no_finding() -> None:
    assert check(facts(GOOD)) == {}


def test_one_text_everywhere_is_an_error() -> None:
    found = check(facts(["IMG", "IMG", "IMG"]))["labels.one_text"]
    assert (found.severity, found.count) == ("error", 3)
    assert "'IMG'" in found.message


def test_characters_of_one_or_two_pictures_are_named() -> None:
    found = check(facts([*GOOD, "ABX", "XXX", "AY1"]))["labels.rare_characters"]
    assert (found.severity, found.count) == ("info", 3)
    assert found.samples == ("4.png", "5.png", "6.png")
    assert found.message == "2 characters in fewer than 3 pictures: 'X', 'Y'."


def test_a_character_that_is_only_held_out_is_warned_of() -> None:
    found = check(facts([*GOOD, "AZ", "ZB", "Z1", "2Z"], [0, 0, 0, 0, 1, 1, 1, 2]))
    assert list(found) == ["labels.untrained_characters"]
    assert found["labels.untrained_characters"].severity == "warning"
    assert "1 character in no picture that is trained on: 'Z'" in next(iter(found.values())).message


def test_characters_of_one_fold_are_trained_on_in_the_end() -> None:
    given = facts([*GOOD, "AZ", "ZB", "Z1", "2Q"], [0, 0, 0, 0, 1, 1, 1, 2])
    folds = np.array([1, 1, 2, 2, 0, 0, 0, -1], np.int8)
    found = check(replace(given, folds=folds))
    assert "trained on: 'Q'" in found["labels.untrained_characters"].message


def test_spaces_at_the_ends_are_warned_of() -> None:
    found = check(facts([*GOOD, "A B", " A1 ", "B2 "]))["labels.outer_spaces"]
    assert (found.severity, found.samples) == ("warning", ("5.png", "6.png"))
    assert "' A1 '" in found.message


def test_characters_that_no_picture_shows_are_warned_of() -> None:
    joined = "\u06a9\u200c\u0627"  # In Persian, the joiner changes the letter before it.
    given = facts([*GOOD, "A\u200bB1", "A\nB1", joined])
    found = check(given)["labels.invisible_characters"]
    assert (found.severity, found.samples) == ("warning", ("4.png", "5.png"))
    assert found.message == (
        "2 characters that no picture shows: '\\n' (U+000A, no name), "
        "'\\u200b' (U+200B, zero width space)."
    )


def test_letters_from_right_to_left_are_warned_of() -> None:
    found = check(facts([*GOOD, "12\u05e9", "\u0633\u0635"]))["labels.right_to_left"]
    assert (found.severity, found.samples) == ("warning", ("4.png", "5.png"))
    assert found.message.startswith("2 texts with letters of a script that is written from right")


def test_texts_far_longer_than_most_are_named() -> None:
    found = check(facts([*GOOD, "AB12" * 3, "AB12AB12A", "AB1"]))["labels.text_lengths"]
    # Half have at most 4 characters: the limit is 12, three times as many and 8 more.
    assert found.samples == ("4.png",)
    assert found.message == (
        "1 text of 12 characters or more, up to 12, where half have at most 4."
    )


def test_letters_of_two_scripts_that_print_alike_are_warned_of() -> None:
    cyrillic = "\u0410"
    found = check(facts([*GOOD, f"{cyrillic}B1"]))["labels.look_alike_characters"]
    assert (found.severity, found.samples) == ("warning", ("4.png",))
    assert "U+0410, cyrillic capital letter a" in found.message
    assert "U+0041, latin capital letter a" in found.message


def test_a_stranger_among_latin_letters_is_warned_of_without_its_twin() -> None:
    cyrillic = "\u0421"
    found = check(facts([*GOOD, f"{cyrillic}B1"]))
    assert found["labels.look_alike_characters"].samples == ("4.png",)


def test_wide_digits_beside_plain_ones_are_warned_of() -> None:
    found = check(facts([*GOOD, "AB\uff11"]))["labels.look_alike_characters"]
    assert "U+FF11" in found.message


def test_texts_of_one_script_are_not_suspected() -> None:
    russian: list[str | None] = ["МОСКВА", "КВАМОС", "АВКМОС", "СОМКВА"]  # noqa: RUF001
    assert check(facts(russian)) == {}
    assert check(facts(["深圳流", "流深圳", "圳流深"])) == {}


def test_unlabelled_pictures_are_counted() -> None:
    assert check(facts([*GOOD, None, None]))["labels.missing"].count == 2


def test_alike_pictures_of_different_texts_are_no_copies() -> None:
    looked_at = facts(GOOD)
    looked_at.scan.phash[:] = 5
    assert check(looked_at) == {}


def test_byte_equal_pictures_of_different_texts_are_warned_of() -> None:
    looked_at = facts(GOOD)
    looked_at.scan.digest[2] = looked_at.scan.digest[1]
    found = check(looked_at)
    assert found["images.two_labels"].samples == ("1.png", "2.png")
    assert found["images.near_duplicate"].count == 2


def test_the_balance_counts_each_length_on_each_side() -> None:
    looked_at = facts(["AB", "ABC", "CD", None, "BA"], [0, 1, 1, -1, 0])
    assert length_balance(looked_at) == {"2": {"train": 2, "val": 1}, "3": {"val": 1}}
    assert characters(looked_at) == "ABCD"
