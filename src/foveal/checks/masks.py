"""Checks of masks against their pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from foveal.checks.base import CheckInput, check
from foveal.checks.mask_fit import MaskFit
from foveal.data.findings import SHOWN, plural
from foveal.types import Finding, Suspect

# Fewer masks say nothing about what fits.
_FEWEST = 8
# Standard deviations by which half of the masks must fit, or the model tells nothing.
_TELLS = 0.3
# Share of what others mark, under which a mask is empty.
_EMPTY = 0.1
# Share of what the model finds in others, from which a picture is not empty.
_FINDS = 0.5


@check("masks.suspect", tasks=("segment",))
def suspect_masks(given: CheckInput) -> Iterator[Finding]:
    """Masks that fit their picture better elsewhere, and empty masks of non-empty pictures.

    Found with `foveal check --features`: a pixel model of the other folds scores the picture, and
    the mask is shifted, flipped and rotated over the scores.
    """
    fit = given.mask_fit
    if fit is None:
        return
    judged = np.isfinite(fit.own) & np.isfinite(fit.best)
    if judged.sum() < _FEWEST or np.median(fit.own[judged]) < _TELLS:
        return
    # 0.5 where the mask fits as well elsewhere, 1 where it does not fit at all.
    score = np.zeros(len(fit.own), np.float32)
    score[judged] = 1 - np.clip(fit.own[judged], 0, None) / (2 * np.maximum(fit.best[judged], 1e-6))
    score = np.clip(score, 0, 1)
    if np.median(score[judged]) >= 0.5:
        # Most masks would be wrong: rather, the model cannot tell.
        return
    is_empty = _empty(fit)
    score[is_empty] = 1
    order = np.argsort(-score, kind="stable")
    doubted = order[score[order] >= 0.5]
    if not len(doubted):
        return
    suspects = tuple(Suspect(given.samples[i].id, float(score[i])) for i in doubted.tolist())
    first = int(doubted[0])
    what = "it is empty, but the picture is not" if is_empty[first] else fit.change[first]
    yield Finding(
        id="masks.suspect",
        severity="warning",
        message=(
            f"{plural(len(suspects), 'mask')} of {int(judged.sum()):,} that "
            f"{'does' if len(suspects) == 1 else 'do'} not fit the picture: for example that of "
            f"{suspects[0].sample} ({what if is_empty[first] else f'fits better {what}'})."
        ),
        samples=tuple(suspect.sample for suspect in suspects[:SHOWN]),
        count=len(suspects),
        hint="foveal review DATA shows them with their outlines",
        method=(
            "scores of a regression on colours, contrast and edges that was not fitted to the "
            "picture (5 folds): the mask fits them better when it is moved by more than 3 of 256 "
            "pixels, mirrored or turned; or it marks nearly nothing where they find much"
        ),
        suspects=suspects,
    )


def _empty(fit: MaskFit) -> NDArray[np.bool_]:
    """Return which masks are nearly empty although the model finds as much as in others."""
    known = np.isfinite(fit.found)
    usual, usual_found = np.median(fit.marked[known]), np.median(fit.found[known])
    with np.errstate(invalid="ignore"):
        marks_nothing = fit.marked < _EMPTY * usual
        return known & marks_nothing & (fit.found >= _FINDS * usual_found)
