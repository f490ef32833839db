"""A source of pictures drawn when they are asked for, and reports that doubt them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foveal.checks.report import CheckReport
from foveal.curation.review import Review
from foveal.data.decode import DEFAULT_LIMITS, DecodeLimits
from foveal.data.source import Loaded, Sample, Source, TargetKind
from foveal.errors import ImageError
from foveal.server.options import ServerOptions
from foveal.server.review.pictures import Pictures
from foveal.server.review.session import ReviewSession
from foveal.server.review.state import ReviewState
from foveal.types import Finding, Picture, Suspect

LABELS = ("cat", "dog", "horse")


@dataclass(frozen=True)
class DrawnSource(Source):
    """Squares of a colour of their own; one that is called broken cannot be decoded."""

    def load(
        self, sample: Sample, limits: DecodeLimits, min_size: tuple[int, int] | None = None
    ) -> Loaded:
        """Draw a picture."""
        if "broken" in sample.id:
            raise ImageError("The PNG picture is damaged.")
        digits = "".join(filter(str.isdigit, sample.id)) or "0"
        number = int(digits)
        pixels = np.full((96, 128, 3), (number * 37 % 256, number * 91 % 256, 140), np.uint8)
        pixels[24:72, 32:96] = 255 - pixels[24:72, 32:96]
        return Loaded(Picture.from_array(pixels), number.to_bytes(16, "big"))


def doubted(
    n: int = 12, *, target: TargetKind = "labels", broken: int | None = None, stem: str = ""
) -> tuple[DrawnSource, CheckReport]:
    """Return n pictures that look like another class, the third of them as outliers too."""
    stems = [f"{stem}{'broken' if i == broken else ''}{i:05}" for i in range(n)]
    names = [f"{LABELS[i % 3]}/{stem}.png" for i, stem in enumerate(stems)]
    raws = [(f"TEXT{i}",) if target == "text" else (LABELS[i % 3],) for i in range(n)]
    samples = tuple(Sample(name, raw) for name, raw in zip(names, raws, strict=True))
    suggested = [f"TEXT{i + 1}" if target == "text" else LABELS[(i + 1) % 3] for i in range(n)]
    suspects = tuple(
        Suspect(names[i], 1 - i / n, suggested[i], (names[(i + 1) % n], names[(i + 2) % n]))
        for i in range(n)
    )
    odd = tuple(Suspect(name, 0.5) for name in names[::3])
    findings = (
        Finding(
            "labels.suspect",
            "warning",
            f"Labels that look wrong: {n}.",
            tuple(names[:20]),
            n,
            method="out-of-fold predictions of a head on features, confident learning",
            suspects=suspects,
        ),
        Finding("images.outlier", "info", f"Unlike all others: {len(odd)}.", suspects=odd),
        Finding("labels.imbalance", "info", "The classes are of one size."),
    )
    layout = f"{n} pictures in 3 class folders"
    source = DrawnSource("photos", layout, samples, ())
    return source, CheckReport("photos", layout, n, target, {}, "", findings)


@contextmanager
def reviewed(
    source: Source, report: CheckReport, log: Path, *, predictor: Any = None, **state: Any
) -> Iterator[ReviewSession]:
    """Serve the review of a report."""
    shown = ReviewState(
        Review(source, report, log),
        Pictures(source, DEFAULT_LIMITS, predictor),
        ServerOptions(port=0, drain_delay_s=0, drain_s=1),
        **state,
    )
    with ReviewSession(shown) as session:
        yield session
