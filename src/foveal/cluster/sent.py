"""Answer many pictures by a job on another cluster.

The job is `foveal predict MODEL URL --on ray:auto --out URL` on the head; the model is sent along.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from foveal.bundle.bundle import Bundle
from foveal.cluster.predict import AnswerFiles
from foveal.cluster.shards import ShardFolder
from foveal.errors import FovealError, UsageError
from foveal.jobs.job import Job
from foveal.jobs.submit import submit
from foveal.jobs.target import Target
from foveal.jobs.work import OUTPUT, Work
from foveal.types import JsonObject
from foveal.urls import is_url

logger = logging.getLogger(__name__)

_NAME = "predict"


def answer_there(
    target: Target,
    bundles: Sequence[Bundle],
    pictures: Sequence[str],
    out: str,
    options: Mapping[str, object],
) -> AnswerFiles:
    """Send the job, log what it says until its end, and return the files that came of it.

    Args:
        target: `ray://HOST`.
        bundles: The model; several vote.
        pictures: URLs of files and folders, which each machine of the cluster reads.
        out: URL for the files of records.
        options: Further options of `foveal predict`; None is not given.

    Raises:
        UsageError: For pictures or files of this machine.
        FovealError: If the cluster cannot be reached, or the job fails.
    """
    check_reached(
        target,
        {**dict.fromkeys(pictures, "pictures"), out: "records"},
        f"foveal predict MODEL s3://BUCKET/PICTURES --on {target} --out s3://BUCKET/ANSWERS",
    )
    models = models_to_send(bundles)
    given = [
        word
        for name, value in options.items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    args = ("predict", ",".join(models), *pictures, "--on", "ray:auto", "--out", OUTPUT, "--json")
    job = submit(Work(_NAME, "foveal", (*args, *given), models), target, output=out)
    counts: JsonObject | None = None
    for line in followed(job):
        if (found := _counts(line)) is not None:
            counts = found
        else:
            logger.info("%s", line)
    # Pictures that could not be read are counted, and no failure of the job.
    if counts is None:
        raise not_done(job)
    folder = ShardFolder(out)
    return AnswerFiles(out, counts["pictures"], counts["failed"], folder.manifest())


def check_reached(target: Target, locations: Mapping[str, str], hint: str) -> None:
    """Raise unless the machines of a cluster can access everything.

    Args:
        target: The cluster, of which this machine is no part.
        locations: Location → what is there, for the message.
        hint: What to run instead.

    Raises:
        UsageError: For a folder of this machine.
    """
    for location, what in locations.items():
        if not is_url(location):
            raise UsageError(
                f"The machines of {target} cannot access folders of this machine. Expected a URL "
                f"for the {what}. Received: {location!r}.",
                hint=hint,
            )


def models_to_send(bundles: Sequence[Bundle]) -> dict[str, Path | bytes]:
    """Return path in the folder of a job → bundle, in their order."""
    return {f"models/{i}/{bundle.path.name}": bundle.path for i, bundle in enumerate(bundles)}


def followed(job: Job) -> Iterator[str]:
    """Yield the lines of a job's log until it ends; Ctrl-C only ends the waiting."""
    try:
        yield from job.logs(follow=True)
    except KeyboardInterrupt:
        logger.warning("the job continues: foveal jobs logs %s -f", job.name)
        logger.warning("to stop it: foveal jobs stop %s", job.name)
        raise


def not_done(job: Job) -> FovealError:
    """Return the error for a job that has ended without its results."""
    why = f": {said}" if (said := job.why()) else ""
    return FovealError(f"The job {job.name} {job.state}{why}.", hint=f"foveal jobs logs {job.name}")


def _counts(line: str) -> JsonObject | None:
    """Return what the command prints when it has ended, if this line is it."""
    if not line.startswith("{"):
        return None
    try:
        found: JsonObject = json.loads(line)
    except ValueError:
        return None
    return found if {"pictures", "failed", "files"} <= found.keys() else None
