"""How tightly lines are cut out of pages with stray lines and specks, and whether a sign is lost.

Pages of `synth:formula`, whose signs stand where the generator put them; the same pages without
anything stray stand beside them. A line that is cut higher than its signs makes all signs of the
strip smaller: the strip is scaled to one height. With the step `fractions`, all signs of a page
must stand in the strip in the order of the text; pages of all sizes that are drawn by default are
looked at too, since most failures are on small ones.

    python benchmarks/page_cuts.py [--pages 250]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import final

import numpy as np

from foveal.page import DEFAULT_STEPS, FRACTION_STEPS, run_steps
from foveal.synth.chance import random_for
from foveal.synth.formula import FORMULA, Formula
from foveal.synth.layout import BAR, Mark, split_lines
from foveal.types import Piece
from outcome import Outcome, add_out, note, report

_SEED = 5
# In sizes of the font. A margin of 0.15 is part of every cut.
_WIDE = 0.6
_LOST = 0.25
MOST_LOST = 0.005
MOST_UNORDERED = 0.01


@final
@dataclass(slots=True)
class Cuts:
    """What was found on some pages.

    Attributes:
        beyond: Of each line, how far it was cut beyond its first or last sign, in font sizes.
        heights: Of each line, the height of the cut in that of its signs.
        lost: Lines whose first or last sign was cut into.
        miscounted: Pages with another number of lines.
        unordered: Pages whose signs are not in the order of the text once fractions are in a row.
    """

    beyond: list[float] = field(default_factory=list)
    heights: list[float] = field(default_factory=list)
    lost: int = 0
    miscounted: int = 0
    unordered: int = 0

    def add(self, pieces: Sequence[Piece], lines: Sequence[Sequence[Mark]]) -> None:
        """Compare the cuts of a page with its signs."""
        if len(pieces) != len(lines):
            self.miscounted += 1
            return
        for piece, marks in zip(sorted(pieces, key=lambda p: p.y0), lines, strict=True):
            size = max(mark.size for mark in marks)
            left = min(mark.x - mark.width / 2 for mark in marks)
            right = max(mark.x + mark.width / 2 for mark in marks)
            top = min(mark.y - mark.size / 2 for mark in marks)
            bottom = max(mark.y + mark.size / 2 for mark in marks)
            self.beyond.append(max(left - piece.x0, piece.x1 - right) / size)
            self.heights.append((piece.y1 - piece.y0) / (bottom - top))
            self.lost += max(piece.x0 - left, right - piece.x1) > _LOST * size


def main() -> None:
    """Cut pages with and without strays and report."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_out(made)
    made.add_argument("--pages", type=int, default=250)
    made.add_argument("--width", type=int, default=1200)
    arguments = made.parse_args()
    kind = replace(FORMULA, width=arguments.width, height=(400, 600)).prepared()
    clean = measure(replace(kind, plain=True), arguments.pages)
    stray = measure(kind, arguments.pages)
    mixed = measure(FORMULA.prepared(), arguments.pages)
    named = {"nothing stray": clean, "strays and specks": stray, "the same, of all sizes": mixed}
    for name, cuts in named.items():
        heights = np.percentile(cuts.heights, [50, 90, 99])
        note(
            f"  {name}: {len(cuts.beyond)} lines; {np.mean(cuts.beyond):.2f} font sizes beyond "
            f"the signs, {np.mean(np.array(cuts.beyond) > _WIDE):.1%} over {_WIDE}; height "
            f"{heights[0]:.2f}, {heights[1]:.2f}, {heights[2]:.2f} of the signs (median, 90th and "
            f"99th percentile); {cuts.lost} lines cut short, {cuts.miscounted} pages miscounted, "
            f"{cuts.unordered} with signs out of order"
        )
    report(
        Outcome(
            claim="page_cuts",
            what="height of a cut line, in that of its signs, 90th percentile",
            unit="ratio",
            values=(float(np.percentile(stray.heights, 90)),),
            target=1.25,
            better="low",
            limits={
                "lines cut short, share": (stray.lost / len(stray.beyond), MOST_LOST),
                "pages miscounted, share": (stray.miscounted / arguments.pages, 0.02),
                "pages with signs out of order, share": (
                    (stray.unordered + mixed.unordered) / (2 * arguments.pages),
                    MOST_UNORDERED,
                ),
            },
            detail={
                "pages": arguments.pages,
                "font sizes beyond the signs": {
                    "clean": float(np.mean(clean.beyond)),
                    "stray": float(np.mean(stray.beyond)),
                },
            },
        ),
        arguments.out,
    )


def measure(kind: Formula, pages: int) -> Cuts:
    """Cut the lines out of drawn pages."""
    cuts = Cuts()
    for index in range(pages):
        marks = kind.lay_out(random_for(_SEED, index)).marks
        drawn = kind.draw(_SEED, index)
        lines, start = [], 0
        for line in split_lines(drawn.raw[0]):
            lines.append(marks[start : start + len(line)])
            start += len(line)
        _, pieces = run_steps(drawn.pixels, DEFAULT_STEPS)
        cuts.add(pieces, lines)
        _, rows = run_steps(drawn.pixels, FRACTION_STEPS)
        cuts.unordered += not _in_order(rows, [mark for line in lines for mark in line])
    return cuts


def _in_order(pieces: Sequence[Piece], marks: Sequence[Mark]) -> bool:
    """Return whether the middles of all signs but bars follow one another in the strip."""
    places = []
    for mark in marks:
        if mark.sign != BAR:
            holding = [p for p in pieces if p.x0 <= mark.x < p.x1 and p.y0 <= mark.y < p.y1]
            if len(holding) != 1:
                return False
            places.append(holding[0].x + mark.x - holding[0].x0)
    return all(left < right for left, right in pairwise(places))


if __name__ == "__main__":
    main()
