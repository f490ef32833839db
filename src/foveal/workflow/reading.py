"""How a source is read where no recipe is at hand: by what is found there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The defaults of the recipe's data section, without pydantic.

    Attributes:
        layout: `auto`, `folders`, `table` or `arrays`.
        group_regex: The first group of its match in a sample's id names the sample's group.
    """

    layout: str = "auto"
    group_regex: str | None = None
