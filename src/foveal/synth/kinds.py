"""What a kind of drawn pictures must do, and the table of kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self, final

from foveal.registry import Registry
from foveal.synth.options import parse_options
from foveal.types import Image, RawTarget


@final
@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A drawn picture and what is on it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        raw: The target as a reader would find it: a class name or a text.
    """

    pixels: Image
    raw: RawTarget


class Kind(ABC):
    """One kind of labelled pictures. Subclasses are final frozen dataclasses of options.

    Attributes:
        name: The word after `foveal synth`.
        task: The task that learns from such pictures.
        batch: How many pictures one worker draws at a time; few where they are large.
    """

    __slots__ = ()

    name: ClassVar[str]
    task: ClassVar[str]
    batch: ClassVar[int]

    @property
    @abstractmethod
    def description(self) -> str:
        """What is drawn, in a few words for people."""

    @property
    @abstractmethod
    def alphabet(self) -> str:
        """Every character that a target may hold, each once, sorted."""

    @abstractmethod
    def prepared(self) -> Self:
        """Return the same kind with its fonts found; only such a kind can draw.

        Raises:
            DataError: If this machine has no font that can draw the characters.
            MissingExtraError: If a package that it draws with is not installed.
        """

    def favouring(self, confused: Mapping[str, int], share: float) -> Self:
        """Return the same kind with some characters drawn more often.

        A kind whose texts follow rules of their own returns itself.

        Args:
            confused: Character → its weight among those that are favoured.
            share: Share of all characters, in [0, 1), that is drawn from these alone.
        """
        return self

    @abstractmethod
    def target(self, seed: int, index: int) -> RawTarget:
        """Return what `draw` puts on the picture, without drawing it."""

    @abstractmethod
    def draw(self, seed: int, index: int) -> Drawn:
        """Draw one picture.

        A pure function of its options, the seed, the index and the fonts installed, so that
        neither order nor number of workers changes a picture.

        Args:
            seed: Seed of the whole stream; at least 0.
            index: Index of the picture in the stream; at least 0.
        """


KINDS: Registry[Kind] = Registry("kind of pictures", Kind, group="foveal.synth")
"""Every kind, with its default options."""


def make_kind(name: str, options: Mapping[str, str]) -> Kind:
    """Return the kind called `name` with the options changed.

    Args:
        name: A key of `KINDS`.
        options: Option → value as text, such as `length` → `4..6`.

    Raises:
        UsageError: For an unknown kind or option, with the nearest name, or a wrong value.
    """
    kind = KINDS[name]
    return replace(kind, **parse_options(kind, options))  # type: ignore[type-var]  # all are
