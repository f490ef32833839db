"""Facts about the data from which a task chooses its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

# Printed letters and signatures here: 0.82 and 0.85; grey ads of phones: up to 0.53.
INK_SHARE = 0.68


@final
@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a sample of the pictures says, before anything is chosen.

    Attributes:
        samples: Pictures in the source.
        median_side: Median of the longer side, in pixels.
        median_height: Median height, in pixels.
        widest: Largest width / height.
        pad_color: Median RGB of the pictures' borders.
        ink_share: Share of pictures that look like ink on paper: grey, and mostly ground.
        single_characters: Whether every label is one character.
        longest_target: Characters of the longest label.
        is_drawn: Whether the pictures are drawn for the training, as many as are wanted.
        background_share: Share of the known pixels of some masks that are background; None without
            masks, and where no class is called so.
        dark_share: Share of the pictures of ink whose ink is darker than its ground.
        ink_extent: Median of the longer side that ink covers, as a share of the picture's side.
        stroke: Median width of the strokes of ink, as a share of the picture's longer side.
    """

    samples: int
    median_side: int
    median_height: int
    widest: float
    pad_color: tuple[int, int, int]
    ink_share: float
    single_characters: bool
    longest_target: int
    is_drawn: bool = False
    background_share: float | None = None
    dark_share: float = 1.0
    ink_extent: float = 1.0
    stroke: float = 0.1

    @property
    def is_ink(self) -> bool:
        """Whether the pictures are writing, print or line drawing rather than photographs."""
        return self.ink_share > INK_SHARE
