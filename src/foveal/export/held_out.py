"""Choose the pictures that prove a lower precision: none that the network has learnt from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from foveal.bundle.bundle import Bundle
from foveal.data.source import digest_of
from foveal.errors import UsageError
from foveal.export.job import ExportJob, Pictures
from foveal.export.ranges import MOST_RANGES, unseen


def proven_on_held_out(job: ExportJob, *, has_ranges: bool) -> ExportJob:
    """Return the job with pictures that prove a lower precision, once its format asks for them.

    Args:
        job: The job.
        has_ranges: Whether the ranges of values are taken from training pictures.
    """

    def find() -> Pictures | None:
        pictures = job.find_pictures()
        if pictures is None:
            return None
        left = unseen(pictures) if has_ranges else pictures
        if pictures.val and not left.val:
            raise UsageError(
                f"All {len(pictures.val)} labelled pictures are used for the ranges of values of "
                f"int8, which take up to {MOST_RANGES}: none of the labelled pictures is left to "
                f"prove the precision on. Expected more than {MOST_RANGES}.",
                hint="give more labelled pictures: --data FOLDER",
            )
        return held_out(job.bundle, left)

    return replace(job, find_pictures=find)


def held_out(bundle: Bundle, pictures: Pictures) -> Pictures:
    """Return the pictures without those of `val` that the bundle was trained on.

    A network is surer of what it was trained on, so that a calibration that is fitted to such
    pictures would be too sure of all others. Files are recognised by their content; bundles of
    older versions recognise none.

    Args:
        bundle: The bundle.
        pictures: `val` of them are to be measured.

    Raises:
        UsageError: If none are left.
    """
    val, known = pictures.val, bundle.trained_on
    if known is not None and len(val):
        files = {name: digest_of(data) for name, data in pictures.files(val)}
        seen = known.recognise(list(files.values()), np.zeros(len(files), np.uint64))
        trained = {name for name, is_seen in zip(files, seen, strict=True) if is_seen}
        val = [sample for sample in val if sample.id not in trained]
    if not val:
        raise UsageError(
            f"None of the labelled pictures is left to prove the precision on: {bundle.name} was "
            "trained on them, or their ranges of values are used.",
            hint="give more labelled pictures: --data FOLDER",
        )
    return replace(pictures, val=val)
