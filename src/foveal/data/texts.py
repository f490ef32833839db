"""Samples whose target is a text: normalisation, comparison, strata by length."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from foveal.data.findings import about
from foveal.data.source import Sample, Source
from foveal.types import RawTarget

# Lengths are gathered until there are this many texts: 15 % of fewer is hardly a picture or two.
_STRATUM = 20


def tidy_texts(source: Source) -> Source:
    """Return the source with every raw target one text, or None where there is no such text.

    Texts are brought into Unicode's composed form (NFC): some file systems store names decomposed,
    and one letter must not be one character in one place and two in another. Nothing else of a
    text is changed.
    """
    samples: list[Sample] = []
    empty: list[str] = []
    broken: list[str] = []
    for sample in source.samples:
        if sample.raw is None:
            samples.append(sample)
            continue
        text = _canonical(sample.raw)
        raw = (text,) if text else None
        # Most are as they should be, and there may be very many.
        samples.append(sample if raw == sample.raw else replace(sample, raw=raw))
        if not text:
            (broken if text is None else empty).append(sample.id)
    findings = (
        *source.findings,
        *about(
            empty,
            "labels.empty_text",
            "warning",
            "picture",
            "with an empty text, treated as unlabelled.",
            hint="add their texts, or remove them",
        ),
        *about(
            broken,
            "labels.no_text",
            "warning",
            "picture",
            "whose label is not a single text in valid Unicode, treated as unlabelled.",
        ),
    )
    return replace(source, samples=tuple(samples), findings=findings)


def _canonical(raw: RawTarget) -> str | None:
    """Return the text in NFC, "" for an empty one, None when it is not one text at all."""
    if len(raw) != 1:
        return None
    try:
        # Names of files may hold bytes that are no characters, JSON half a surrogate pair.
        raw[0].encode()
    except UnicodeEncodeError:
        return None
    return unicodedata.normalize("NFC", raw[0]) if raw[0].strip() else ""


def kinds_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Return (N,) numbers that are equal where the raw targets are."""
    codes: dict[RawTarget | None, int] = {}
    return np.array([codes.setdefault(s.raw, len(codes)) for s in samples], np.int64)


def length_strata(texts: Iterable[str]) -> dict[int, str]:
    """Return length → name of its stratum; neighbouring lengths share one until it is large."""
    strata: list[list[int]] = [[]]
    size = 0
    for length, count in sorted(Counter(map(len, texts)).items()):
        if size >= _STRATUM:
            strata.append([])
            size = 0
        strata[-1].append(length)
        size += count
    if size < _STRATUM and len(strata) > 1:
        last = strata.pop()
        strata[-1] += last
    return {length: f"{lengths[0]}-{lengths[-1]}" for lengths in strata for length in lengths}
