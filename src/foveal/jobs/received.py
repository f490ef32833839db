"""Parse the output of `send` from a log."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from foveal.errors import FovealError, UsageError
from foveal.jobs.results import NothingYet
from foveal.jobs.send import BEGIN, END, MISSING, MOST_BYTES, TOO_LARGE


def unpack(lines: Iterable[str], folder: Path, job: str) -> None:
    """Write the files that were sent into a folder.

    Args:
        lines: The job's log.
        folder: Where they go; made here.
        job: Whose results they are, for messages.

    Raises:
        NothingYet: If nothing came of the job.
        UsageError: If too much came of it to come this way.
        FovealError: If something is missing in between.
    """
    packed, is_inside, digest = bytearray(), False, ""
    for line in lines:
        words = line.split()
        first = words[0] if words else ""
        if first == MISSING:
            raise NothingYet(job)
        if first == TOO_LARGE:
            raise UsageError(
                f"The results of {job} have {int(words[1]) / 1e6:,.0f} MB; at most "
                f"{MOST_BYTES / 1e6:,.0f} MB come back without a bucket.",
                hint="foveal train … --out gs://BUCKET/runs",
            )
        if first == END:
            digest = words[1]
            break
        if is_inside:
            try:
                packed += base64.b64decode(line, validate=True)
            except binascii.Error:
                # A line of the cluster's own.
                continue
        is_inside = is_inside or first == BEGIN
    if not digest or hashlib.sha256(packed).hexdigest() != digest:
        raise FovealError(
            f"The results of {job} came back incomplete.", hint=f"foveal jobs fetch {job}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
