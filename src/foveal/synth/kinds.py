"""The interface of kinds of drawn pictures, and their registry."""

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
    """A drawn picture with its target.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        raw: Raw target: a class name or a text.
    """

    pixels: Image
    raw: RawTarget


class Kind(ABC):
    """A kind of labelled pictures. Subclasses are final frozen dataclasses of options.

    Attributes:
        name: Name, as for `foveal synth`.
        task: Task of the pictures.
        batch: Number of pictures that a worker draws at a time; few if they are large.
    """

    __slots__ = ()

    name: ClassVar[str]
    task: ClassVar[str]
    batch: ClassVar[int]

    @property
    @abstractmethod
    def description(self) -> str:
        """Short description of the pictures."""

    @property
    @abstractmethod
    def alphabet(self) -> str:
        """Every character that a target may hold, each once, sorted."""

    @abstractmethod
    def prepared(self) -> Self:
        """Return the same kind with its fonts loaded; only such a kind can draw.

        Raises:
            DataError: If this machine has no font with the characters.
            MissingExtraError: If a package that it draws with is not installed.
        """

    def favouring(self, confused: Mapping[str, int], share: float) -> Self:
        """Return the same kind with some characters drawn more often.

        A kind whose texts follow fixed rules returns itself.

        Args:
            confused: Character → weight among the favoured ones.
            share: Share of all characters, in [0, 1), that is drawn from these only.
        """
        return self

    @abstractmethod
    def target(self, seed: int, index: int) -> RawTarget:
        """Return the target of a picture without drawing it."""

    @abstractmethod
    def draw(self, seed: int, index: int) -> Drawn:
        """Draw one picture.

        A pure function of the options, the seed, the index and the installed fonts, so that neither
        order nor number of workers changes a picture.

        Args:
            seed: Seed of the whole stream; at least 0.
            index: Index of the picture in the stream; at least 0.
        """


KINDS: Registry[Kind] = Registry("kind of pictures", Kind, group="foveal.synth")
"""Every kind, with its default options."""


def make_kind(name: str, options: Mapping[str, str]) -> Kind:
    """Return the kind called `name` with the options changed.

    Args:
        name: Name from `KINDS`.
        options: Option → value as a string, such as `length` → `4..6`.

    Raises:
        UsageError: If the kind or an option is unknown (the message suggests the closest), or a
            value is invalid.
    """
    kind = KINDS[name]
    return replace(kind, **parse_options(kind, options))  # type: ignore[type-var]  # all are
