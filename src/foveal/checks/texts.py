"""Checks of samples whose target is one text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from foveal.checks.base import CheckInput, check
from foveal.data.findings import SHOWN, about, finding, plural, quoted
from foveal.types import SPLIT_NAMES, Finding, Severity, Suspect
from foveal.words import percent

_READ = ("read",)
# A character in fewer pictures is learnt from one or two, or is a slip of the pen in the labels.
_RARE = 3
# A text this many times longer than half of the others, and this many characters, stands out.
_LONGER_TIMES, _LONGER_BY = 3, 8
_SHOWN = 8
# A text is a suspect when it is more likely wrong than right.
_SUSPECT = 0.5
_TRAIN = SPLIT_NAMES.index("train")
# They change how the letters beside them are written.
_JOINERS = "\u200c\u200d"
# Letters of other scripts that print exactly like the Latin ones below them.
_LOOK_ALIKE = str.maketrans(
    "АВЕКМНОРСТХІЈЅУаеорсхуіјѕԁһΑΒΕΖΗΙΚΜΝΟΡΤΥΧονᴏ",  # noqa: RUF001
    "ABEKMHOPCTXIJSYaeopcxyijsdhABEZHIKMNOPTYXovo",
)


def length_balance(given: CheckInput) -> dict[str, dict[str, int]]:
    """Return length of the text → part → number of pictures, shortest first."""
    counts: dict[int, Counter[str]] = {}
    for i, text in _texts(given):
        side = SPLIT_NAMES[given.split[i]] if given.split[i] >= 0 else "unused"
        counts.setdefault(len(text), Counter())[side] += 1
    return {str(length): dict(counts[length]) for length in sorted(counts)}


def characters(given: CheckInput) -> str:
    """Return the distinct characters of the texts, sorted."""
    return "".join(sorted({character for _, text in _texts(given) for character in text}))


def _texts(given: CheckInput) -> Iterator[tuple[int, str]]:
    for i in given.usable().tolist():
        raw = given.samples[i].raw
        if raw:
            yield i, raw[0]


def _where(given: CheckInput) -> dict[str, list[int]]:
    """Return character → positions of the samples that contain it."""
    found: dict[str, list[int]] = {}
    for i, text in _texts(given):
        for character in set(text):
            found.setdefault(character, []).append(i)
    return found


def _ids(given: CheckInput, positions: Iterable[int]) -> list[str]:
    return [given.samples[i].id for i in positions]


def _named(character: str) -> str:
    """Return a character with its code point and name, to distinguish look-alikes."""
    name = unicodedata.name(character, "no name").lower()
    return f"{character!r} (U+{ord(character):04X}, {name})"


@check("labels.one_text", tasks=_READ)
def one_text(given: CheckInput) -> Iterator[Finding]:
    """The same text in every picture: there is nothing to read."""
    texts = Counter(text for _, text in _texts(given))
    if len(texts) == 1:
        text, count = next(iter(texts.items()))
        yield finding(
            "labels.one_text",
            "error",
            f"Every labelled picture ({count:,}) has the text {text!r}: there is nothing to learn.",
            count=count,
            hint="put the texts into a labels.csv with the columns image,text",
        )


@check("labels.rare_characters", tasks=_READ)
def rare_characters(given: CheckInput) -> Iterator[Finding]:
    """Characters in very few pictures, which are learnt badly or are mistakes in the labels."""
    where = _where(given)
    rare = [c for c in sorted(where) if len(where[c]) < _RARE]
    yield from _with_characters(
        given,
        {c: where[c] for c in rare},
        "labels.rare_characters",
        "info",
        f"in fewer than {_RARE} pictures",
        "correct the labels, or add pictures with these characters",
    )


@check("labels.untrained_characters", tasks=_READ)
def untrained_characters(given: CheckInput) -> Iterator[Finding]:
    """Characters that occur only in held-out pictures, which can never be read."""
    where = _where(given)
    is_trained = given.split == _TRAIN
    if given.folds is not None:
        is_trained |= given.folds >= 0
    unseen = [c for c in sorted(where) if not is_trained[where[c]].any()]
    yield from _with_characters(
        given,
        {c: where[c] for c in unseen},
        "labels.untrained_characters",
        "warning",
        "in no picture that is trained on",
        "add pictures with these characters",
    )


def _with_characters(
    given: CheckInput,
    where: Mapping[str, list[int]],
    id: str,
    severity: Severity,
    words: str,
    hint: str,
) -> Iterator[Finding]:
    """Yield the finding `N characters words` about the samples that contain one of them."""
    if where:
        message = f"{plural(len(where), 'character')} {words}: {quoted(list(where), _SHOWN)}."
        ids = _ids(given, sorted(set().union(*where.values())))
        yield finding(id, severity, message, ids, hint=hint)


@check("labels.outer_spaces", tasks=_READ)
def outer_spaces(given: CheckInput) -> Iterator[Finding]:
    """Texts that begin or end with a space, which no picture shows."""
    spaced = {i: text for i, text in _texts(given) if text != text.strip()}
    first = next(iter(spaced.values()), "")
    words = f"with a space at the beginning or the end: the first is {first!r}."
    hint, ids = "remove the spaces: a picture cannot show them", _ids(given, spaced)
    yield from about(ids, "labels.outer_spaces", "warning", "text", words, hint=hint)


@check("labels.invisible_characters", tasks=_READ)
def invisible_characters(given: CheckInput) -> Iterator[Finding]:
    """Control and format characters, such as a line break or a zero-width space."""
    where = {c: samples for c, samples in sorted(_where(given).items()) if _is_invisible(c)}
    if where:
        named = ", ".join(map(_named, list(where)[:_SHOWN]))
        more = ", …" if len(where) > _SHOWN else ""
        yield finding(
            "labels.invisible_characters",
            "warning",
            f"{plural(len(where), 'character')} that no picture shows: {named}{more}.",
            _ids(given, sorted(set().union(*where.values()))),
            hint="remove them from the labels",
        )


def _is_invisible(character: str) -> bool:
    category = unicodedata.category(character)
    return category in ("Cc", "Cf", "Zl", "Zp") and character not in _JOINERS


@check("labels.right_to_left", tasks=_READ)
def right_to_left(given: CheckInput) -> Iterator[Finding]:
    """Letters of scripts that run from right to left, against the order in which text is read."""
    # After 40 passes over 340 captchas, a reader read 97 % of the others, and none when all labels
    # had been reversed.
    ids = _ids(given, [i for i, text in _texts(given) if any(map(_is_right_to_left, text))])
    words = (
        "with letters of a script that is written from right to left. Pictures are read from left "
        "to right, so a text in the usual order is not learnt."
    )
    hint = (
        "write the characters of each label in the order in which they stand in the picture, from "
        "left to right: the answers have this order, too"
    )
    yield from about(ids, "labels.right_to_left", "warning", "text", words, hint=hint)


def _is_right_to_left(character: str) -> bool:
    return unicodedata.bidirectional(character) in ("R", "AL")


@check("labels.text_lengths", tasks=_READ)
def text_lengths(given: CheckInput) -> Iterator[Finding]:
    """Texts far longer than most, often two labels in one or a sentence among words."""
    lengths = sorted(len(text) for _, text in _texts(given))
    if not lengths:
        return
    median = lengths[len(lengths) // 2]
    limit = max(_LONGER_TIMES * median, median + _LONGER_BY)
    long = [i for i, text in _texts(given) if len(text) >= limit]
    words = f"of {limit} characters or more, up to {lengths[-1]}, where half have at most {median}."
    hint, ids = "check that these pictures show the whole text", _ids(given, long)
    yield from about(ids, "labels.text_lengths", "info", "text", words, hint=hint)


@check("labels.look_alike_characters", tasks=_READ)
def look_alike_characters(given: CheckInput) -> Iterator[Finding]:
    """Characters of two scripts that look alike, such as a Latin and a Cyrillic A."""
    where = _where(given)
    for character in sorted(where):
        twin = _twin(character)
        # It stands beside the Latin letter, or among other Latin letters.
        is_mixed = twin in where or any(_has_latin(given, i) for i in where[character])
        if twin == character or not is_mixed:
            continue
        fewer = min(where[character], where.get(twin, where[character]), key=len)
        yield finding(
            "labels.look_alike_characters",
            "warning",
            f"{_named(character)} looks the same as {_named(twin)} in print: no picture can tell "
            "them apart.",
            _ids(given, fewer),
            hint="use one of the two in all labels",
        )


@check("texts.suspect", tasks=_READ)
def suspect_texts(given: CheckInput) -> Iterator[Finding]:
    """Texts that are more likely wrong than right, with what was read instead.

    Found with `foveal check --features`: readers of the other folds read each picture.
    """
    fit = given.text_fit
    if fit is None:
        return
    judged = np.flatnonzero(np.isfinite(fit.wrong))
    order = judged[np.argsort(-fit.wrong[judged], kind="stable")]
    doubted = order[fit.wrong[order] >= _SUSPECT].tolist()
    if not doubted:
        return
    suspects = tuple(
        Suspect(given.samples[i].id, float(fit.wrong[i]), fit.readings[i] or None) for i in doubted
    )
    text = (given.samples[doubted[0]].raw or ("",))[0]
    yield Finding(
        id="texts.suspect",
        severity="warning",
        message=(
            f"{plural(len(suspects), 'text')} of {len(judged):,} likely wrong: for example "
            f"{suspects[0].sample} is labelled {text!r} and looks like "
            f"{suspects[0].label or ''!r}."
        ),
        samples=tuple(suspect.sample for suspect in suspects[:SHOWN]),
        count=len(suspects),
        hint="foveal review DATA shows them",
        method=(
            f"readers that were not trained on the picture read {percent(fit.read, 0)} of the "
            f"texts as given: chance of a wrong text at least {_SUSPECT}; about "
            f"{fit.wrong[judged].sum():,.0f} of all texts are expected to be wrong"
        ),
        suspects=suspects,
    )


def _twin(character: str) -> str:
    """Return the plain character that a character looks like, or the character itself."""
    wide = unicodedata.normalize("NFKC", character)
    is_wide = unicodedata.east_asian_width(character) in "FH" and len(wide) == 1
    return wide if is_wide else character.translate(_LOOK_ALIKE)


def _has_latin(given: CheckInput, i: int) -> bool:
    raw = given.samples[i].raw or ("",)
    return any(unicodedata.name(c, "").startswith("LATIN") for c in raw[0])
