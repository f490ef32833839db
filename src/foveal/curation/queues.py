"""The queues of a review: the suspects of one finding each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from foveal.curation.rules import RULES, Known
from foveal.data.decode import DEFAULT_LIMITS
from foveal.data.files_source import FileSource
from foveal.data.opening import picture_size
from foveal.data.source import Source
from foveal.errors import ImageError
from foveal.types import Finding, Suspect

# Findings about sets of copies, and how many sizes are looked up to say which is the best.
_COPIES, _MOST_COPIES = ("images.near_duplicate", "split.leak"), 5000
# Where the words of the id alone do not say it.
_TITLES = {
    "images.blank": "One colour",
    "images.near_duplicate": "Near-duplicates",
    "images.outlier": "Outliers",
    "images.similar": "Similar pictures",
    "images.two_labels": "Two labels of one picture",
    "labels.suspect": "Labels in doubt",
    "masks.suspect": "Masks in doubt",
    "split.leak": "On two sides of the split",
    "texts.suspect": "Texts in doubt",
}


@final
@dataclass(frozen=True)
class Queue:
    """The suspects of one finding.

    Attributes:
        finding: The finding.
        suspects: Those that are in the data, the most doubted first; each sample once.
    """

    finding: Finding
    suspects: tuple[Suspect, ...]

    @property
    def title(self) -> str:
        """Return a few words for what is doubted."""
        words = self.finding.id.partition(".")[2].replace("_", " ") or self.finding.id
        return _TITLES.get(self.finding.id, words[:1].upper() + words[1:])

    @property
    def scores_are_chances(self) -> bool:
        """Whether a score is the chance that something is wrong; else it only orders suspects."""
        return self.finding.id == "labels.suspect"


def best_copies(finding: Finding, source: Source) -> frozenset[str]:
    """Return the pictures of sets of copies that `foveal clean --auto` would keep.

    Args:
        finding: A finding; of one that is about no copies, or about very many, nothing.
        source: The data.
    """
    if finding.id not in _COPIES or len(finding.suspects) > _MOST_COPIES:
        return frozenset()

    def pixels(sample: str) -> int:
        if not isinstance(source, FileSource):
            return 0
        try:
            height, width = picture_size(source.storage, sample, DEFAULT_LIMITS)
        except ImageError:
            return 0
        return height * width

    known = Known({sample.id: sample for sample in source.samples}, pixels, ())
    left_out = {change.sample for change in RULES[finding.id].apply(finding, known)}
    copies = {suspect.sample for suspect in finding.suspects if suspect.like}
    return frozenset(copies - left_out)
