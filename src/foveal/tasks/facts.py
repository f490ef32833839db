"""Facts about the data from which a task chooses its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

# Printed letters and signatures here: 0.82 and 0.85; grey ads of phones: up to 0.53.
INK_SHARE = 0.68
# Pixels of a model input. Of thinner strokes little is left to learn from.
THIN_STROKE = 4.0


@final
@dataclass(frozen=True, slots=True)
class DataFacts:
    """Statistics of a sample of the pictures, from which settings are chosen.

    Attributes:
        samples: Number of pictures in the source.
        median_side: Median of the longer side, in pixels.
        median_height: Median height, in pixels.
        widest: Largest width / height.
        pad_color: Median RGB of the borders of the pictures.
        ink_share: Share of pictures that look like ink on paper: grey, and mostly background.
        single_characters: Whether every label is one character.
        longest_target: Number of characters of the longest label.
        characters: The characters of all labels.
        is_drawn: Whether the pictures are drawn on demand during the training.
        background_share: Share of background among the labelled pixels of some masks; None without
            masks or without a class of that name.
        dark_share: Share of the ink pictures whose ink is darker than the background.
        ink_extent: Median of the longer side of the ink's bounding box, as a share of the picture's
            side.
        stroke: Median stroke width of ink, as a share of the picture's longer side.
        grey_share: Share of the ink pictures whose ink is black, grey or white.
    """

    samples: int
    median_side: int
    median_height: int
    widest: float
    pad_color: tuple[int, int, int]
    ink_share: float
    single_characters: bool
    longest_target: int
    characters: frozenset[str] = frozenset()
    is_drawn: bool = False
    background_share: float | None = None
    dark_share: float = 1.0
    ink_extent: float = 1.0
    stroke: float = 0.1
    grey_share: float = 1.0

    @property
    def is_ink(self) -> bool:
        """Whether the pictures are writing, print or line drawings rather than photographs."""
        return self.ink_share > INK_SHARE
