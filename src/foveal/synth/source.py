"""Drawn pictures as a source, such as `synth:captcha?count=20000&length=4..6&seed=1`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final
from urllib.parse import parse_qsl

import numpy as np

from foveal.data.decode import DecodeLimits, decode_array
from foveal.data.source import Loaded, Sample, Source
from foveal.errors import UsageError
from foveal.synth.kinds import Kind, make_kind
from foveal.synth.options import Parse, whole

PREFIX = "synth:"
# Enough for a first model of captchas; training may draw more as it goes.
DEFAULT_COUNT = 20_000
# Nine digits stand in a sample's id.
_MOST = 10**9
_SEED = whole(0, 2**63 - 1)


@final
@dataclass(frozen=True)
class SynthSource(Source):
    """Pictures `first` to `first + count` of a stream, drawn when they are loaded.

    Attributes:
        kind: What is drawn, with its fonts found.
        seed: Seed of the stream.
        first: Index of the first sample in the stream.
        count: How many samples.
    """

    holds_lock: ClassVar[bool] = True

    kind: Kind
    seed: int
    first: int
    count: int

    def later(self, generation: int, count: int, kind: Kind) -> SynthSource:
        """Return pictures of the same stream that come after these.

        Args:
            generation: 1 for the `count` that follow directly, 2 for those after them, and so on.
            count: How many.
            kind: Draws them: this one, or the same `favouring` some characters.
        """
        first = self.first + self.count + (generation - 1) * count
        return make_source(kind, seed=self.seed, count=count, first=first, location=self.location)

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Draw a sample; it is never scaled down."""
        pixels = self.kind.draw(self.seed, int(sample.id.rpartition("/")[2])).pixels
        return Loaded(decode_array(pixels, limits), np.ascontiguousarray(pixels).data)


def make_source(
    kind: Kind, *, seed: int, count: int, first: int = 0, location: str | None = None
) -> SynthSource:
    """Return a part of a stream as a source.

    Args:
        kind: What to draw.
        seed: Seed of the stream.
        count: How many pictures.
        first: Index of the first one.
        location: As the user gave it; None for `synth:` and the kind's name.

    Raises:
        DataError: If this machine has no font that can draw them.
    """
    prepared = kind.prepared()
    samples = tuple(
        Sample(f"{kind.name}/{index:09d}", prepared.target(seed, index))
        for index in range(first, first + count)
    )
    return SynthSource(
        location=location or PREFIX + kind.name,
        layout=f"{count:,} drawn pictures: {kind.description}",
        samples=samples,
        findings=(),
        kind=prepared,
        seed=seed,
        first=first,
        count=count,
    )


def is_synth(location: object) -> bool:
    """Return whether a location is a `synth:` one."""
    return isinstance(location, str) and location.startswith(PREFIX)


def kind_of(location: str) -> Kind:
    """Return the kind of a location without loading fonts.

    Raises:
        UsageError: If the kind or an option is unknown, or a value is invalid.
    """
    return _parse(location)[0]


def open_synth(location: str) -> SynthSource:
    """Open `synth:KIND?count=N&seed=S&first=I&option=value`.

    Special characters of queries must be escaped, such as `%2B` for `+`.

    Raises:
        UsageError: If the kind or an option is unknown, or a value is invalid.
        DataError: If this machine has no font that can draw them.
    """
    kind, seed, count, first = _parse(location)
    return make_source(kind, seed=seed, count=count, first=first, location=location)


def with_count(location: str, count: int) -> str:
    """Return a location with a number of pictures; one that states its own stays as it is.

    Raises:
        UsageError: If the kind or an option is unknown, or a value is invalid.
    """
    _parse(location)
    query = location.partition("?")[2]
    if "count" in dict(parse_qsl(query)):
        return location
    return f"{location.rstrip('?')}{'&' if query else '?'}count={count}"


def _parse(location: str) -> tuple[Kind, int, int, int]:
    """Return the kind, the seed, the count and the first index."""
    name, _, query = location.removeprefix(PREFIX).partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise UsageError(
            f"Invalid source {location!r}: {error}.", hint="synth:captcha?count=20000&length=4..6"
        ) from error
    options: dict[str, str] = {}
    for key, value in pairs:
        if key in options:
            raise UsageError(f"Invalid source {location!r}: {key} is given twice.")
        options[key] = value
    seed = _take(options, "seed", 0, _SEED)
    count = _take(options, "count", DEFAULT_COUNT, whole(1, _MOST))
    first = _take(options, "first", 0, whole(0, _MOST - count))
    return make_kind(name, options), seed, count, first


def _take(options: dict[str, str], name: str, default: int, parse: Parse) -> int:
    text = options.pop(name, str(default))
    try:
        value: int = parse(text)
    except ValueError as error:
        raise UsageError(f"Invalid {name}. Expected {error}. Received: {text!r}.") from error
    return value
